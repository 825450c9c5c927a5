//! Two portals as programs: one is stopped for a while, killed, or has its clock put.

use super::namespaces::ALONE;
use super::portal::long;
use screen_portal::ops::{LinkState, Slate, Snapshot, View};
use screen_portal::pairing::{Fingerprint, Identity};
use serde::Deserialize;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, Deserialize)]
pub(super) struct Status {
    pub view: View,
    pub figures: Snapshot,
}

/// How one portal is started.
pub(super) struct Place {
    pub folder: tempfile::TempDir,
    far_end: Fingerprint,
    signaling: [String; 2],
    status: String,
    /// The library that steps its clock.
    clock: Option<std::path::PathBuf>,
}

pub(super) struct Program {
    process: Child,
    status: String,
}

impl Place {
    pub fn start(&self) -> Program {
        let folder = self.folder.path();
        let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
        command.env_clear().env("HOME", folder).current_dir(folder).args(["run", "--headless", "--data", "."]);
        command.args(["--source", "scene", "--size", "320x180", "--status", &self.status]);
        command.args(["--listen", &self.signaling[0], "--dial", &self.signaling[1]]);
        command.args(["--far-end", &self.far_end.to_string(), "--set", "link.loopback=true"]);
        if let Some(library) = &self.clock {
            command.env("LD_PRELOAD", library).env("CLOCK_STEP", self.step_file());
        }
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file()).unwrap();
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Program { process, status: format!("http://{}/status", self.status) }
    }

    fn log_file(&self) -> std::path::PathBuf {
        self.folder.path().join("log")
    }

    fn step_file(&self) -> std::path::PathBuf {
        self.folder.path().join("step")
    }

    pub fn step_clock(&self, seconds: i64) {
        // At once, so that nobody reads half a number.
        let new = self.folder.path().join("step.new");
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, self.step_file()).unwrap();
    }
}

impl Program {
    pub fn status(&self) -> Option<Status> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(2))).build().new_agent();
        agent.get(&self.status).call().ok()?.body_mut().read_json().ok()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: sends a signal to a child that is not waited for yet, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.process.id() as libc::pid_t, signal) }, 0);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two places that know each other; the first dials.
pub(super) fn places(clock: Option<&Path>) -> [Place; 2] {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let fingerprints = folders.each_ref().map(|folder| Identity::load_or_create(folder.path()).unwrap().fingerprint());
    // Ports that were free a moment ago; held until all are drawn, so that all differ.
    let held = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [meeting, a, b] = held.map(|listener| listener.local_addr().unwrap().to_string());
    let [first, second] = folders;
    let clock = clock.map(Path::to_owned);
    [
        Place {
            folder: first,
            far_end: fingerprints[1],
            signaling: [String::new(), meeting.clone()],
            status: a,
            clock,
        },
        Place { folder: second, far_end: fingerprints[0], signaling: [meeting, String::new()], status: b, clock: None },
    ]
}

/// Waits until both present new pictures; says how long that took.
pub(super) fn until_back(what: &str, programs: [&Program; 2], limit: Duration) -> [Status; 2] {
    let start = Instant::now();
    let presented = |status: &Option<Status>| status.as_ref().map_or(0, |status| status.figures.incoming.presented);
    let before = programs.map(|program| presented(&program.status()));
    let mut shown = [vec![], vec![]];
    loop {
        let now = programs.map(Program::status);
        for (shown, status) in shown.iter_mut().zip(&now) {
            let slate = status.as_ref().map(|status| status.view.slate);
            if shown.last() != Some(&slate) {
                shown.push(slate);
            }
        }
        let live = |status: &Status| status.view.slate == Slate::Hidden && status.view.link == LinkState::Live;
        if let [Some(one), Some(two)] = &now
            && live(one)
            && live(two)
            && one.figures.incoming.presented > before[0] + 3
            && two.figures.incoming.presented > before[1] + 3
        {
            println!("{:5} ms  {what} (shown {shown:?})", start.elapsed().as_millis());
            assert!(start.elapsed() < limit, "{what}: {:?}", start.elapsed());
            return now.map(Option::unwrap);
        }
        assert!(start.elapsed() < Duration::from_secs(30), "{what}: not back: {now:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Builds the library that steps a program's clock. `None`, with the reason said, where there is no compiler.
pub(super) fn clock_library(folder: &Path) -> Option<std::path::PathBuf> {
    let library = folder.join("clock.so");
    let source = "tests/tools/clock.c";
    let compiled = Command::new("cc").args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    if !compiled.is_ok_and(|status| status.success()) {
        println!("skipped: no C compiler for tests/tools/clock.c");
        return None;
    }
    Some(library)
}

#[test]
fn a_program_that_is_stopped_or_killed_is_back_in_time() {
    let _alone = ALONE.blocking_lock();
    let places = places(None);
    let mut programs = places.each_ref().map(Place::start);
    until_back("both started", programs.each_ref(), Duration::from_secs(10));
    for stopped in [0, 1] {
        let seconds = if long() { 20 } else { 8 };
        std::thread::sleep(Duration::from_secs(2));
        programs[stopped].signal(libc::SIGSTOP);
        std::thread::sleep(Duration::from_secs(seconds));
        let other = programs[1 - stopped].status().unwrap();
        assert_ne!(other.view.slate, Slate::Hidden, "the other shows no old picture");
        programs[stopped].signal(libc::SIGCONT);
        let after = until_back(
            &format!("program {stopped} stopped for {seconds} s"),
            programs.each_ref(),
            Duration::from_secs(3),
        );
        for status in after {
            assert!(status.figures.latency.max_ms < 2_500.0, "an old picture was shown: {:?}", status.figures.latency);
        }
        // The library prints whole packets when nobody takes them.
        for place in &places {
            let log = std::fs::read_to_string(place.log_file()).unwrap();
            assert!(!log.contains("RtpPacket") && !log.contains("payload"), "pictures in the log:\n{log}");
        }
    }
    for killed in [0, 1] {
        std::thread::sleep(Duration::from_secs(1));
        programs[killed].process.kill().unwrap();
        programs[killed].process.wait().unwrap();
        std::thread::sleep(Duration::from_secs(3));
        programs[killed] = places[killed].start();
        until_back(
            &format!("program {killed} killed, and started again after 3 s"),
            programs.each_ref(),
            Duration::from_secs(4),
        );
    }
}

#[test]
fn a_clock_that_is_put_changes_nothing() {
    let _alone = ALONE.blocking_lock();
    let built = tempfile::tempdir().unwrap();
    let Some(library) = clock_library(built.path()) else { return };
    let places = places(Some(&library));
    places[0].step_clock(0);
    let mut programs = places.each_ref().map(Place::start);
    until_back("both started", programs.each_ref(), Duration::from_secs(10));
    for step_s in [3600, -3600] {
        let before = programs[0].status().unwrap().figures;
        places[0].step_clock(step_s);
        std::thread::sleep(Duration::from_secs(3));
        for program in &programs {
            let status = program.status().unwrap();
            assert_eq!(
                (status.view.link, status.view.slate),
                (LinkState::Live, Slate::Hidden),
                "put by {step_s} s: {:?}",
                status.view
            );
            assert!(status.figures.latency.max_ms < 2_500.0, "{:?}", status.figures.latency);
        }
        let after = programs[0].status().unwrap().figures;
        assert_eq!(after.link.attempts, before.link.attempts, "put by {step_s} s");
        let pictures = after.incoming.presented - before.incoming.presented;
        assert!(pictures > 5, "{pictures} pictures in 3 s");
        // The far end is started anew, and knows nothing of the hour between the two.
        programs[1].process.kill().unwrap();
        programs[1].process.wait().unwrap();
        programs[1] = places[1].start();
        until_back(
            &format!("the first clock put by {step_s} s, the second program started again"),
            programs.each_ref(),
            Duration::from_secs(4),
        );
    }
}
