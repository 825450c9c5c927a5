//! Disks that are full or read-only, from the start or from some moment on.

use super::hold::hold;
use super::program::{ALONE, Place, cause, places, until, until_live};
use screen_portal::ops::ending::Cause;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::sync::PoisonError;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A disk of a few pages for the data of a place.
struct Disk(std::path::PathBuf);

impl Disk {
    fn mount(place: &mut Place) -> Result<Self, String> {
        let path = place.folder.path().join("data");
        std::fs::create_dir(&path).unwrap();
        run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16k,mode=700", "tmpfs"]).arg(&path))?;
        let disk = Self(path.clone());
        let identity = "identity.pem";
        std::fs::copy(place.folder.path().join(identity), path.join(identity)).unwrap();
        place.data = Some(path);
        Ok(disk)
    }

    /// Writes until nothing more goes in.
    fn fill(&self) {
        let mut written = 0;
        while std::fs::write(self.0.join(format!("filler-{written}")), [0; 4096]).is_ok() {
            written += 1;
            assert!(written < 100, "the disk is too large");
        }
    }

    fn read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0)).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let problem = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    if output.status.success() { Ok(()) } else { Err(problem()) }
}

#[test]
fn a_disk_that_takes_nothing_costs_only_the_memory_of_the_last_end() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for (what, from_the_start) in [("full", true), ("full", false), ("read-only", true), ("read-only", false)] {
        let mut places = places();
        let disk = match Disk::mount(&mut places[0]) {
            Ok(disk) => disk,
            Err(reason) => return println!("skipped: {reason}"),
        };
        let spoil = || if what == "full" { disk.fill() } else { disk.read_only() };
        if from_the_start {
            spoil();
        }
        let mut programs = places.each_ref().map(Place::start);
        let moment = if from_the_start { "from the start" } else { "while it runs" };
        until_live(&format!("disk {what} {moment}"), programs.each_ref(), 15 * SECOND);
        if from_the_start {
            assert!(places[0].log().contains("the portal runs all the same"), "{}", places[0].log());
        } else {
            spoil();
        }
        // A program that begins again tells itself why, without a disk.
        match hold(programs[0].id(), "network") {
            Ok(held) => {
                until(&format!("disk {what} {moment}: begun again"), programs.each_ref(), 25 * SECOND, |now| {
                    now[0].as_ref().is_some_and(|status| cause(status) == Some(Cause::BeganAgain))
                });
                drop(held);
                until_live(&format!("disk {what} {moment}: both live again"), programs.each_ref(), 8 * SECOND);
            }
            Err(reason) => println!("skipped: {reason}"),
        }
        let (took, exit) = programs[0].end();
        println!("{:6} ms  SIGTERM, disk {what} {moment}", took.as_millis());
        assert!(took < SECOND && exit.code() == Some(0), "{took:?} {exit:?}");
        // Nothing half-written stands there.
        let left = std::fs::read_dir(&disk.0).unwrap().flatten();
        let odd: Vec<_> = left.filter(|entry| entry.file_name().to_string_lossy().starts_with('.')).collect();
        assert!(odd.is_empty(), "{odd:?}");
        if let Ok(note) = std::fs::metadata(disk.0.join("last-end.json")) {
            assert!(note.size() > 0, "an empty file in the place of a whole one");
        }
    }
}
