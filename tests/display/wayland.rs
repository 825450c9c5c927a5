//! Wayland compositors without hardware.

use super::pair::{Pair, row};
use super::screens::{Compositor, Kind, Screen, is_installed};
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_compositor_that_is_restarted() {
    for kind in [Kind::Cage, Kind::Weston] {
        let Some(mut compositor) = Compositor::start(kind) else {
            println!("skipped: {kind:?} is not installed");
            continue;
        };
        let looks = kind != Kind::Weston && is_installed("grim");
        if !looks {
            println!("skipped: no picture of {kind:?}'s screen, only the portal's own account");
        }
        let mut pair = Pair::start(&compositor);
        let back = |pair: &Pair, compositor: &Compositor, since| {
            if looks { pair.until_right(compositor, since) } else { pair.until_presented(since) }
        };
        let first = back(&pair, &compositor, Instant::now());
        println!("{kind:?}: first picture after {first:.1?}");
        let start = Instant::now();
        compositor.kill();
        let (gone, seen) = pair.missed(start);
        println!("without {kind:?}: the far end is told after {gone:.1?} and sees us again after {seen:.1?}");
        std::thread::sleep((3 * SECOND).saturating_sub(start.elapsed()));
        assert!(pair.near.child.ended().is_none(), "the program has ended:\n{}", pair.log());
        compositor.begin();
        let again = back(&pair, &compositor, Instant::now());
        row(&format!("{kind:?} killed, started again after 3 s"), again, "no screen; the far end: our slate, then us");
        if looks {
            let shot = compositor.look().unwrap();
            assert_eq!((shot.width, shot.height), (1280, 720));
        }
    }
}

#[test]
fn a_compositor_that_stands_still() {
    let Some(compositor) = Compositor::start(Kind::Cage) else { return println!("skipped: cage is not installed") };
    if !is_installed("grim") {
        return println!("skipped: grim is not installed");
    }
    let pair = Pair::start(&compositor);
    pair.until_right(&compositor, Instant::now());
    compositor.signal(libc::SIGSTOP);
    std::thread::sleep(SECOND);
    assert!(pair.seen_within(3 * SECOND) > 10, "the far end sees us");
    compositor.signal(libc::SIGCONT);
    let back = pair.until_right(&compositor, Instant::now());
    row("cage stopped for 4 s", back, "the last picture, which the compositor holds; the far end sees us");
}

#[test]
fn televisions_that_are_switched_off_turned_and_exchanged() {
    let Some(compositor) = Compositor::start(Kind::Sway) else { return println!("skipped: sway is not installed") };
    if !is_installed("grim") {
        return println!("skipped: grim is not installed");
    }
    let pair = Pair::start(&compositor);
    pair.until_right(&compositor, Instant::now());
    // Version 1.7 without hardware says that it did so, and logs "Failed to commit output".
    compositor.output("disable");
    std::thread::sleep(SECOND);
    if compositor.look().is_some() {
        return println!("skipped: this sway does not switch its output off");
    }
    compositor.output("enable");
    pair.until_right(&compositor, Instant::now());
    for (fault, meanwhile, off, on, unplugged) in [
        ("DPMS off for 3 s", "a dark screen; the far end sees us", "dpms off", "dpms on", false),
        ("television unplugged for 3 s", "nothing; the far end sees us", "disable", "enable", true),
    ] {
        let windows = pair.windows();
        compositor.output(off);
        std::thread::sleep(SECOND);
        assert!(pair.seen_within(2 * SECOND) > 10, "the far end sees us");
        assert!(!unplugged || compositor.look().is_none(), "there is no screen to look at");
        compositor.output(on);
        let back = pair.until_right(&compositor, Instant::now());
        row(fault, back, meanwhile);
        assert!(pair.windows() <= windows + 1, "one window at most for one change: {fault}");
    }
    for (fault, what, size) in [
        ("television with another resolution", "mode --custom 960x540", (960, 540)),
        ("television turned", "transform 90", (540, 960)),
    ] {
        let start = Instant::now();
        compositor.output(what);
        let back = pair.until_right(&compositor, start);
        let shot = compositor.look().unwrap();
        assert_eq!((shot.width, shot.height), size, "{fault}");
        row(fault, back, "the picture, in its old size");
    }
}
