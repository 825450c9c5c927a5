//! The demo, whole: two portals of this very program find each other, show each other, and leave nothing behind.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// One demo at a time: each keeps two cores busy.
static MACHINE: Mutex<()> = Mutex::new(());

fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn demo(folder: &Path, seconds: u32) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
    // Small pictures, so that builds without optimisation keep up.
    command.args(["demo", "--source", "scene", "--size", "640x360", "--seconds", &seconds.to_string(), "--out"]);
    command.arg(folder);
    // Whatever desktop runs the tests: nobody wants windows on it.
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn can_show() -> bool {
    !cfg!(feature = "kiosk") || Command::new("Xvfb").arg("-version").output().is_ok()
}

/// The processes that `parent` started and that still run.
fn children(parent: u32) -> Vec<u32> {
    let parent_of = |id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name, in parentheses, may hold anything; state and parent follow it.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let state = fields.next()?;
        (state != "Z").then(|| fields.next()?.parse::<u32>().ok())?
    };
    let ids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|&id| parent_of(id) == Some(parent)).collect()
}

fn runs(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn wait_until(limit: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + limit;
    while !reached() {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn both_portals_show_the_other() {
    let _machine = machine();
    if !can_show() {
        return println!("skipped: Xvfb is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let output = demo(folder.path(), 8).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let report: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.path().join("report.json")).unwrap()).unwrap();
    let portals = report["portals"].as_array().unwrap();
    assert_eq!(portals.len(), 2);
    for portal in portals {
        // How many a busy machine manages is for the measurements to say; that it moves is what counts here.
        assert!(portal["presented_per_second"].as_f64().unwrap() > 5.0, "{portal:#}");
        assert!(portal["frames"]["received"].as_u64().unwrap() > 20, "{portal:#}");
        assert!(portal["latency_ms"]["p50"].as_f64().unwrap() > 0.0, "{portal:#}");
        assert!(portal["first_picture_ms"].as_f64().unwrap() < 30_000.0, "{portal:#}");
        assert_eq!(
            (portal["resolution"]["width"].as_u64(), portal["resolution"]["height"].as_u64()),
            (Some(640), Some(360))
        );
        let site = portal["site"].as_str().unwrap().to_lowercase();
        assert_eq!(folder.path().join(format!("{site}.png")).exists(), cfg!(feature = "kiosk"));
    }
}

#[test]
fn a_killed_demo_leaves_no_process_behind() {
    let _machine = machine();
    if !can_show() {
        return println!("skipped: Xvfb is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut demo: Child = demo(folder.path(), 60).spawn().unwrap();
    // Two portals, and a screen where there are windows.
    let wanted = if cfg!(feature = "kiosk") { 3 } else { 2 };
    let started = wait_until(Duration::from_secs(20), || children(demo.id()).len() >= wanted);
    let left = children(demo.id());
    demo.kill().unwrap();
    demo.wait().unwrap();
    assert!(started, "only {left:?} were started");
    assert!(wait_until(Duration::from_secs(5), || !left.iter().any(|&id| runs(id))), "{left:?}");
}

#[test]
fn an_interrupted_demo_ends_in_order() {
    let _machine = machine();
    if !can_show() {
        return println!("skipped: Xvfb is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let mut demo = demo(folder.path(), 60).spawn().unwrap();
    let wanted = if cfg!(feature = "kiosk") { 3 } else { 2 };
    assert!(wait_until(Duration::from_secs(20), || children(demo.id()).len() >= wanted));
    let left = children(demo.id());
    std::thread::sleep(Duration::from_secs(1));
    // SAFETY: kill takes two integers.
    unsafe { libc::kill(demo.id() as libc::pid_t, libc::SIGINT) };
    let started = Instant::now();
    assert!(demo.wait().unwrap().success());
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(!left.iter().any(|&id| runs(id)), "{left:?}");
}
