//! X servers in memory.

use super::pair::{Pair, row};
use super::screens::XServer;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// The test's own server, or the end of the test.
macro_rules! x_server {
    ($made:expr) => {
        match $made {
            Some(server) => server,
            None => return println!("skipped: Xvfb is not installed"),
        }
    };
}

#[test]
fn a_portal_that_is_earlier_than_its_display_sends_meanwhile() {
    let mut server = x_server!(XServer::reserve());
    let pair = Pair::start(&server);
    pair.until_seen();
    let before = pair.cpu();
    assert!(pair.seen_within(3 * SECOND) > 15, "the far end sees us");
    let busy = (pair.cpu() - before).as_secs_f64() / 3.0;
    assert!(busy < 0.7, "{busy} cores while waiting");
    let status = pair.near.status().unwrap();
    assert_eq!((status.figures.link.display_waiting, status.figures.link.display_updates), (1, 0));
    server.begin();
    let back = pair.until_right(&server, Instant::now());
    row("no display at boot, X server starts later", back, "no screen; the far end sees us");
    assert_eq!((pair.logged("Waiting for it, and sending meanwhile"), pair.logged("there is a display now")), (1, 1));
    assert_eq!(pair.near.status().unwrap().figures.link.display_waiting, 0);
}

#[test]
fn a_portal_that_waits_ends_when_asked() {
    let server = x_server!(XServer::reserve());
    let mut pair = Pair::start(&server);
    pair.until_seen();
    let (after, code) = pair.ask_to_end();
    assert_eq!(code, Some(0), "{}", pair.log());
    assert!(after < SECOND, "{after:?}");
}

#[test]
fn who_does_not_want_to_wait_is_told_what_is_missing() {
    let server = x_server!(XServer::reserve());
    let mut pair = Pair::with(&server, |config| config.display.wait = false);
    let ended = pair.near.child.wait(20 * SECOND).expect("it ends");
    assert_eq!(ended.code(), Some(6), "{}", pair.log());
    assert_eq!(pair.logged("no display: "), 1, "{}", pair.log());
}

#[test]
fn an_x_server_that_dies_and_comes_back() {
    let mut server = x_server!(XServer::start());
    let mut pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    for away in [SECOND / 4, 4 * SECOND] {
        let (before, start) = (pair.cpu(), Instant::now());
        server.kill();
        if away > SECOND {
            let (gone, seen) = pair.missed(start);
            println!("without an X server: the far end is told after {gone:.1?} and sees us again after {seen:.1?}");
        }
        std::thread::sleep(away.saturating_sub(start.elapsed()));
        assert!(pair.near.child.ended().is_none(), "the program has ended:\n{}", pair.log());
        server.begin();
        let back = pair.until_right(&server, Instant::now());
        let busy = (pair.cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64();
        row(
            &format!("X server killed, started again after {away:?}"),
            back,
            "no screen; the far end: our slate, then us",
        );
        println!("{busy:.2} cores meanwhile");
    }
}

#[test]
fn an_x_server_that_stands_still() {
    let server = x_server!(XServer::start());
    let mut pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    server.signal(libc::SIGSTOP);
    std::thread::sleep(SECOND);
    assert!(pair.seen_within(3 * SECOND) > 10, "the far end sees us");
    server.signal(libc::SIGCONT);
    let back = pair.until_right(&server, Instant::now());
    row("X server stopped for 4 s", back, "the last picture, which the server holds; the far end sees us");

    server.signal(libc::SIGSTOP);
    std::thread::sleep(SECOND);
    let (after, code) = pair.ask_to_end();
    server.signal(libc::SIGCONT);
    println!("SIGTERM while the X server stands still: ended after {after:?}");
    assert_eq!(code, Some(0), "{}", pair.log());
    assert!(after < SECOND, "{after:?}");
}

#[test]
fn who_is_asked_to_end_while_the_display_goes_does_not_begin_again() {
    let mut server = x_server!(XServer::start());
    let mut pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    // As at the end of a session: both at once.
    server.kill();
    let (after, code) = pair.ask_to_end();
    assert_eq!(code, Some(0), "{}", pair.log());
    assert!(after < SECOND, "{after:?}");
}

#[test]
fn outputs_that_change_go_and_come() {
    let server = x_server!(XServer::start());
    let pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    if !server.randr("--newmode 960x540 40 960 992 1088 1216 540 543 548 562") {
        return println!("skipped: xrandr is not installed");
    }
    server.randr("--addmode screen 960x540");
    let start = Instant::now();
    server.randr("--output screen --mode 960x540 --fb 960x540");
    let back = pair.until_right(&server, start);
    row("television with another resolution", back, "the picture, cut");
    server.randr("--output screen --mode 1280x720 --fb 1280x720");
    pair.until_right(&server, Instant::now());

    let windows = pair.windows();
    server.randr("--output screen --off");
    assert!(pair.seen_within(2 * SECOND) > 10, "the far end sees us");
    server.randr("--output screen --mode 1280x720 --fb 1280x720");
    let back = pair.until_right(&server, Instant::now());
    row("all outputs off for 2 s and on", back, "nothing; the far end sees us");
    assert!(pair.windows() <= windows + 1, "one window at most for one change");
}

#[test]
fn a_window_that_is_taken_away() {
    let server = x_server!(XServer::start());
    let mut pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    for (fault, with_its_owner) in [("window destroyed by another client", false), ("thrown out by xkill", true)] {
        let start = Instant::now();
        server.destroy(server.window().expect("the portal's window"), with_its_owner);
        let back = pair.until_right(&server, start);
        row(fault, back, "the server's empty screen");
        assert!(pair.near.child.ended().is_none(), "the program has ended:\n{}", pair.log());
    }
}

#[test]
fn a_television_that_is_off_for_long_is_nobodys_fault() {
    let server = x_server!(XServer::start());
    let pair = Pair::start(&server);
    pair.until_right(&server, Instant::now());
    if !server.randr("--output screen --off") {
        return println!("skipped: xrandr is not installed");
    }
    // Longer than the watchdog waits for pictures that do not reach the glass.
    assert!(pair.seen_within(30 * SECOND) > 200, "the far end sees us all the time");
    let status = pair.near.status().unwrap();
    let watchdog = status.figures.watchdog;
    assert_eq!((watchdog.new_windows, watchdog.new_devices, status.last_end), (0, 0, None), "{}", pair.log());
    server.randr("--output screen --mode 1280x720 --fb 1280x720");
    let back = pair.until_right(&server, Instant::now());
    row("all outputs off for 30 s and on", back, "nothing; the far end sees us");
}
