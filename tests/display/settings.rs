//! Somebody at the keys of the kiosk, and a disk that takes nothing.

use super::pair::{Pair, row};
use super::screens::{Screen, XServer, is_installed};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);
/// However busy the machine is.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that cannot be written, not even by root. Whoever has a file of it open goes on.
pub struct ReadOnly(PathBuf);

impl ReadOnly {
    pub fn mount(folder: &Path) -> Result<Self, String> {
        run(Command::new("mount").arg("--bind").args([folder, folder]))?;
        let mounted = Self(folder.to_owned());
        run(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(folder))?;
        Ok(mounted)
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(&self.0));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let problem = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    if output.status.success() { Ok(()) } else { Err(problem()) }
}

/// Presses keys, by their names in X.
fn press(server: &XServer, keys: &[&str]) {
    let mut xdotool = Command::new("xdotool");
    xdotool.env("DISPLAY", &server.display).args(["key", "--delay", "150"]).args(keys);
    run(&mut xdotool).unwrap();
}

/// Waits until the far end calls the near one so; says how long that took.
fn until_called(pair: &Pair, name: &str, since: Instant) -> Duration {
    let called = || pair.far.status().and_then(|status| status.view.far_site);
    while called().as_deref() != Some(name) {
        assert!(since.elapsed() < PATIENCE, "the far end knows {:?}, not {name}:\n{}", called(), pair.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    since.elapsed()
}

/// Waits until the log has this so often.
fn until_logged(pair: &Pair, words: &str, times: usize) {
    let start = Instant::now();
    while pair.logged(words) < times {
        assert!(start.elapsed() < PATIENCE, "not logged: {words}:\n{}", pair.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How much is written on the page, once what changes has been painted.
fn written(server: &XServer) -> usize {
    std::thread::sleep(SECOND);
    server.look().expect("the screen").bright_in_the_middle()
}

#[test]
fn a_setting_that_cannot_be_saved_is_used_and_the_page_says_so() {
    let Some(server) = XServer::start() else { return println!("skipped: Xvfb is not installed") };
    if !is_installed("xdotool") {
        return println!("skipped: xdotool is not installed");
    }
    let mut pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    let folder = pair.plan.config.data.folder.clone();
    let files =
        ["portal.toml", "identity.pem"].map(|name| (folder.join(name), std::fs::read(folder.join(name)).unwrap()));
    let settings = folder.join("settings.toml");
    let kept = || std::fs::read_to_string(&settings).unwrap().parse::<toml::Table>().expect("a whole file");
    let name = |table: &toml::Table| table["site"]["name"].as_str().unwrap().to_owned();

    // The page, its first line, a letter more.
    press(&server, &["s", "Return", "x", "Return"]);
    until_called(&pair, "Harbourx", Instant::now());
    until_logged(&pair, "site.name set at the kiosk and saved", 1);
    assert_eq!(name(&kept()), "Harbourx");
    let saved = written(&server);

    let read_only = match ReadOnly::mount(&folder) {
        Ok(mounted) => mounted,
        Err(reason) => return println!("skipped: {reason}"),
    };
    press(&server, &["Return", "y"]);
    let start = Instant::now();
    press(&server, &["Return"]);
    let known = until_called(&pair, "Harbourxy", start);
    until_logged(&pair, "In use, but not saved: Read-only file system", 1);
    let unsaved = written(&server);
    row(
        "setting at the kiosk, data folder read-only",
        known,
        "the page: In use, but not saved: Read-only file system …",
    );
    println!(
        "written on the page: {saved} bright pixels of a million where it says Saved, {unsaved} where it says more"
    );
    // "Saved" is five letters; what is said now is more than a hundred.
    assert!(unsaved > saved + 1000, "the page says no more than before: {saved} and {unsaved}");
    assert_eq!(name(&kept()), "Harbourx", "the old file is whole");
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with('.')), "{left:?}");
    for (path, before) in &files {
        assert_eq!(&std::fs::read(path).unwrap(), before, "{}", path.display());
    }
    assert!(pair.near.child.ended().is_none(), "{}", pair.log());

    // The disk is well again: what is set now is kept, and what was only in use comes along with its own line.
    drop(read_only);
    press(&server, &["Return", "z", "Return"]);
    until_called(&pair, "Harbourxyz", Instant::now());
    until_logged(&pair, "site.name set at the kiosk and saved", 2);
    assert_eq!(name(&kept()), "Harbourxyz");
    press(&server, &["Escape"]);
    let back = pair.until_right(&server, Instant::now());
    println!("the picture after the page is closed: {back:.1?}");
}

/// As fast as hands that know the keys, or faster: both are released again before the next frame.
#[test]
fn keys_that_are_pressed_together_for_a_moment_count() {
    let Some(server) = XServer::start() else { return println!("skipped: Xvfb is not installed") };
    if !is_installed("xdotool") {
        return println!("skipped: xdotool is not installed");
    }
    let mut pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    let mut xdotool = Command::new("xdotool");
    xdotool.env("DISPLAY", &server.display).args(["key", "--delay", "0", "ctrl+q"]);
    run(&mut xdotool).unwrap();
    let ended = pair.near.child.wait(PATIENCE).expect("Ctrl+Q ends it");
    assert_eq!(ended.code(), Some(0), "{}", pair.log());
}
