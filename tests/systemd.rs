//! The real program in front of a socket such as systemd's: started, alive, how it does, stopping.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A portal that is not paired, in this folder, before a service manager that wants to hear of it each second.
fn start(folder: &Path, stderr: Stdio) -> (UnixDatagram, Ended) {
    let path = folder.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_screen-portal"))
        .args(["run", "--headless", "--source", "pattern", "--listen", "127.0.0.1:0", "--status", "off"])
        .env_clear()
        .env("HOME", folder)
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "1000000")
        .current_dir(folder)
        .stderr(stderr)
        .spawn()
        .unwrap();
    (manager, Ended(child))
}

#[test]
fn the_service_manager_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (manager, mut child) = start(folder.path(), Stdio::inherit());
    let next = || {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).expect("a message within 10 s");
        (Instant::now(), String::from_utf8(buffer[..length].to_vec()).unwrap())
    };
    assert_eq!(next().1, "READY=1", "nothing is said before it has started");

    let mut fed = Vec::new();
    let mut statuses = Vec::new();
    while fed.len() < 5 {
        match next() {
            (at, message) if message == "WATCHDOG=1" => fed.push(at),
            (_, message) => statuses.push(message),
        }
    }
    for pair in fed.windows(2) {
        assert!(pair[1] - pair[0] < Duration::from_secs(1), "the watchdog would have ended it: {fed:?}");
    }
    assert!(fed[4] - fed[0] > Duration::from_secs(1), "fed more often than asked for: {fed:?}");
    assert!(statuses.iter().all(|line| line.starts_with("STATUS=not paired")), "{statuses:?}");

    Command::new("kill").arg(child.0.id().to_string()).status().unwrap();
    while next().1 != "STOPPING=1" {}
    assert!(child.0.wait().unwrap().success());
}

#[test]
fn who_is_not_paired_is_not_taken_for_hung() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let (manager, mut child) = start(folder.path(), std::fs::File::create(&log).unwrap().into());
    // Twice the time after which a stage that does not turn is mended.
    let (begin, mut fed) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(12) {
        let mut buffer = [0; 4096];
        let length = manager.recv(&mut buffer).expect("a message within 10 s");
        fed += u32::from(&buffer[..length] == b"WATCHDOG=1");
    }
    assert!(child.0.try_wait().unwrap().is_none());
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("not paired: run") && !said.contains("hangs"), "{said}");
    assert!(fed > 12, "alive all the time: {fed}");
}
