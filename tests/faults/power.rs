//! A program that is cut off at any moment: what it finds at its next start is whole.
//!
//! SIGKILL leaves what was written to the kernel; what a power cut leaves of it is up to fsync(2), which `files` waits for, and cannot be shown without
//! cutting the power.

use super::program::{ALONE, Place, cause, places, until, until_live};
use screen_portal::ops::ending::Cause;
use std::sync::PoisonError;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn whoever_is_cut_off_at_any_moment_finds_whole_files() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let folder = places[0].folder.path();
    let identity = std::fs::read(folder.join("identity.pem")).unwrap();
    // While it starts, when it writes; the moments are an odd distance apart.
    for n in 0..60 {
        let mut program = places[0].start();
        std::thread::sleep(Duration::from_micros(1_700) * n);
        program.process.kill().unwrap();
        program.process.wait().unwrap();
        assert_eq!(std::fs::read(folder.join("identity.pem")).unwrap(), identity, "cut off {n}");
        if let Ok(note) = std::fs::read(folder.join("last-end.json")) {
            serde_json::from_slice::<serde_json::Value>(&note).unwrap_or_else(|error| panic!("cut off {n}: {error}"));
        }
    }
    let program = places[0].start();
    until("started after sixty cuts", [&program, &program], 10 * SECOND, |now| now[0].is_some());
    assert_eq!(cause(&program.status().unwrap()), Some(Cause::Killed));
    let far = Place::start(&places[1]);
    until_live("live after sixty cuts", [&program, &far], 15 * SECOND);
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    println!("           left in the folder: {left:?}");
}
