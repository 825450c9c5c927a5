//! A machine that has no network yet when the portal starts.

use super::program::{ALONE, Place, places, until, until_live};
use screen_portal::ops::Slate;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const NAMES: [&str; 2] = ["watch-a", "watch-b"];

/// Two machines with a cable between them and no addresses.
struct Machines;

impl Machines {
    fn make() -> Result<Self, String> {
        delete();
        let machines = Self;
        for name in NAMES {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        ip("link add watch0 netns watch-a type veth peer name watch0 netns watch-b")?;
        Ok(machines)
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        delete();
    }
}

fn delete() {
    for name in NAMES {
        let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
    }
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split_whitespace()).output().map_err(|error| error.to_string())?;
    let problem = || format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim());
    if output.status.success() { Ok(()) } else { Err(problem()) }
}

#[test]
fn a_portal_that_starts_before_the_network_connects_when_there_is_one() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let _machines = match Machines::make() {
        Ok(machines) => machines,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let mut places = places();
    for (place, name) in places.iter_mut().zip(NAMES) {
        place.namespace = Some(name);
    }
    places[0].dial = "10.77.0.2:7413".into();
    places[1].listen = "0.0.0.0:7413".into();
    let programs = places.each_ref().map(Place::start);
    until("both answer without a network", programs.each_ref(), 10 * SECOND, |now| now.iter().all(Option::is_some));
    // Long enough for every back-off to grow.
    std::thread::sleep(20 * SECOND);
    for (program, place) in programs.iter().zip(&places) {
        let status = program.status().expect("it runs on");
        assert!(matches!(status.view.slate, Slate::Connecting | Slate::NoFarEnd), "{status:?}");
        // No word twice a second for years.
        let lines = place.log().lines().count();
        assert!(lines < 40, "{lines} lines in 20 s:\n{}", place.log());
    }
    for (name, address) in NAMES.into_iter().zip(["10.77.0.1/24", "10.77.0.2/24"]) {
        ip(&format!("-n {name} addr add {address} dev watch0")).unwrap();
        ip(&format!("-n {name} link set watch0 up")).unwrap();
    }
    until_live("the network is there", programs.each_ref(), 5 * SECOND);
}
