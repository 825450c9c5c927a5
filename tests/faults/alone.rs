//! Two portals with one data folder, and signals that come before there is a portal.

use super::program::{ALONE, cause, places, until};
use screen_portal::ops::ending::Cause;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// `screen-portal --help`.
const ALREADY_RUNS: i32 = 10;

/// A portal with ports of its own, so that nothing but the data could be in its way.
fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
    command.env_clear().env("HOME", data).current_dir(data).arg("--data").arg(data);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn run(data: &Path) -> Command {
    let mut command = command(data);
    command.args(["run", "--headless", "--source", "pattern", "--status", "127.0.0.1:0", "--listen", "127.0.0.1:0"]);
    command
}

/// Asked to end; how long that took, its exit code (`None`: by the signal), and what it said.
fn end(child: Child) -> (Duration, Option<i32>, String) {
    let start = Instant::now();
    // SAFETY: sends a signal to a child that is not waited for yet, so the number is still its own.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) }, 0);
    let output = child.wait_with_output().unwrap();
    (start.elapsed(), output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_second_portal_with_the_same_data_ends_at_once_and_disturbs_nothing() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let data = places[0].folder.path();
    let mut first = places[0].start();
    until("started", [&first, &first], 10 * SECOND, |now| now[0].is_some());
    let noted = std::fs::read(data.join("last-end.json")).unwrap();

    let start = Instant::now();
    let second = run(data).output().unwrap();
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    println!("{:6} ms  the second one ended", start.elapsed().as_millis());
    assert!(start.elapsed() < SECOND, "{:?}", start.elapsed());
    assert_eq!(second.status.code(), Some(ALREADY_RUNS), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for word in [data.to_str().unwrap(), &format!("process {}", first.id()), "--data"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(std::fs::read(data.join("last-end.json")).unwrap() == noted, "it wrote over what the first one noted");

    // Who only asks works beside it.
    for words in [["identity"].as_slice(), &["report", "--out", "-"]] {
        let beside = command(data).args(words).output().unwrap();
        assert_eq!(beside.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&beside.stderr));
    }

    // A check takes camera and display from the one that runs: alone it would find neither here.
    let mut check = command(data);
    check.args(["check", "--status", places[0].status(), "--listen", "127.0.0.1:0", "--source", "file"]);
    check.args(["--set", "source.file=/nowhere/film.y4m"]).args(places[0].paired()).stdout(Stdio::piped());
    let beside = check.output().unwrap();
    let said = String::from_utf8_lossy(&beside.stdout).into_owned();
    let line = |what: &str| said.lines().find(|line| line[6..].starts_with(what)).unwrap_or_default();
    assert_eq!(beside.status.code(), Some(0), "{said}");
    assert!(
        line("running portal").starts_with("ok ") && line("source").contains("as the portal that runs here says"),
        "{said}"
    );
    assert!(line("display").starts_with("note  ") && line("display").contains("--headless"), "{said}");

    // What was killed has left nothing that would be in the way.
    first.process.kill().unwrap();
    first.process.wait().unwrap();
    let next = places[0].start();
    until("started again", [&next, &next], 10 * SECOND, |now| now[0].is_some());
    assert_eq!(cause(&next.status().unwrap()), Some(Cause::Killed));
}

/// Service managers start again whatever ends, some of them each second.
#[test]
fn a_second_portal_of_a_service_says_so_and_waits_before_it_ends() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let data = places[0].folder.path();
    let first = places[0].start();
    until("started", [&first, &first], 10 * SECOND, |now| now[0].is_some());
    let manager = UnixDatagram::bind(data.join("notify")).unwrap();
    manager.set_read_timeout(Some(5 * SECOND)).unwrap();
    let mut second = run(data).env("NOTIFY_SOCKET", data.join("notify")).spawn().unwrap();
    let mut heard = [0; 4096];
    let length = manager.recv(&mut heard).unwrap();
    let status = String::from_utf8_lossy(&heard[..length]).into_owned();
    assert!(status.starts_with("STATUS=a portal runs already"), "{status}");
    std::thread::sleep(2 * SECOND);
    assert_eq!(second.try_wait().unwrap(), None, "it would be started again at once");
    let (took, code, said) = end(second);
    assert!(took < SECOND && code == Some(0), "{took:?} {code:?} {said}");
}

/// In its first moments, and while it waits because it began again too often.
#[test]
fn sigterm_before_there_is_a_portal_ends_it_in_order() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let often = r#"{"cause":"began_again","reason":"a test","unix_s":null,"ran_s":1.0,"short_runs":9}"#;
    let waiting = run(folder.path()).env("PORTAL_LAST_END", often).spawn().unwrap();
    std::thread::sleep(SECOND);
    let (took, code, said) = end(waiting);
    assert!(said.contains("begins again too often"), "{said}");
    assert!(took < SECOND && code == Some(0), "{took:?} {code:?} {said}");

    for ms in [10, 20, 30, 40, 50, 70, 100, 150] {
        let child = run(folder.path()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(ms));
        let (took, code, said) = end(child);
        println!("SIGTERM {ms} ms after the start: {code:?} after {} ms", took.as_millis());
        assert!(took < SECOND, "{ms} ms: {took:?} {said}");
        // Before that the system is still loading it on a busy machine.
        assert!(ms < 100 || code == Some(0), "{ms} ms: {code:?} {said}");
    }
}
