//! A graphics driver that loses its device, gives no images any more, or does not return.

use super::driver::{Driver, Through};
use super::pair::{Pair, row};
use super::screens::{Screen, XServer};
use screen_portal::demo::Status;
use screen_portal::ops::Slate;
use screen_portal::ops::ending::Cause;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// The test's own server and driver, or the end of the test.
macro_rules! screen_and_driver {
    () => {{
        let Some(server) = XServer::start() else { return println!("skipped: Xvfb is not installed") };
        match Driver::new() {
            Ok(driver) => (server, driver),
            Err(reason) => return println!("skipped: {reason}"),
        }
    }};
}

/// The near portal, once it answers.
fn status(pair: &Pair) -> Status {
    let start = Instant::now();
    loop {
        match pair.near.status() {
            Some(status) => return status,
            None => assert!(start.elapsed() < 20 * SECOND, "no answer:\n{}", pair.log()),
        }
        std::thread::sleep(SECOND / 50);
    }
}

/// The near portal's memory in MB, threads and descriptors.
fn taken(pair: &Pair) -> (u64, usize, usize) {
    let process = format!("/proc/{}", pair.near.child.id());
    let count = |what: &str| std::fs::read_dir(format!("{process}/{what}")).map_or(0, Iterator::count);
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap_or_default();
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    (resident.unwrap_or(0_u64) / 1024, count("task"), count("fd"))
}

/// The near portal has begun again, for a reason with these words, as the same process.
fn has_begun_again(pair: &mut Pair, words: &str) {
    let end = status(pair).last_end.unwrap_or_else(|| panic!("it has not begun again:\n{}", pair.log()));
    assert_eq!(end.cause, Cause::BeganAgain, "{end:?}");
    assert!(end.reason.contains(words), "{end:?}");
    assert!(pair.near.child.ended().is_none(), "the program has ended:\n{}", pair.log());
}

#[test]
fn a_device_that_is_lost_is_opened_again_three_times() {
    let (server, driver) = screen_and_driver!();
    let screen = Through(&server, &driver);
    let mut pair = Pair::start(&screen);
    pair.until_right(&screen, Instant::now());
    std::thread::sleep(3 * SECOND);
    println!("memory in MB, threads, descriptors: {:?}", taken(&pair));
    for (times, place) in [(1, "acquire"), (2, "submit"), (3, "present")] {
        driver.order(&format!("lost {place}"));
        let back = pair.until_right(&screen, driver.until_taken());
        row(&format!("device lost in {place}, for the {times}. time"), back, "the last picture");
        let status = status(&pair);
        assert_eq!(status.last_end, None, "{}", pair.log());
        assert_eq!(status.figures.link.display_recoveries, times, "{}", pair.log());
        std::thread::sleep(3 * SECOND);
        println!("memory in MB, threads, descriptors: {:?}", taken(&pair));
    }
    driver.order("lost submit");
    let back = pair.until_right(&screen, driver.until_taken());
    row("the same for the 4. time within ten minutes", back, "no screen; the far end: our slate, then us");
    has_begun_again(&mut pair, "failed 3 times within 10 minutes");
    std::thread::sleep(3 * SECOND);
    println!("memory in MB, threads, descriptors: {:?}", taken(&pair));
}

#[test]
fn a_slate_has_its_words_again_on_a_new_device() {
    let (server, driver) = screen_and_driver!();
    let screen = Through(&server, &driver);
    let mut pair = Pair::start(&screen);
    pair.until_right(&screen, Instant::now());
    pair.far.child.kill();
    let start = Instant::now();
    while status(&pair).view.slate == Slate::Hidden {
        assert!(start.elapsed() < 20 * SECOND, "no slate:\n{}", pair.log());
        std::thread::sleep(SECOND / 50);
    }
    let words = || screen.look().expect("a screen").bright();
    std::thread::sleep(4 * SECOND);
    let before = words();
    assert!(before > 500, "{before} bright pixels in a million are no words");
    let windows = pair.windows();
    driver.order("lost submit");
    let lost = driver.until_taken();
    // Another window, so that what is seen is not what was seen before.
    while pair.windows() == windows || words() < before * 9 / 10 {
        assert!(lost.elapsed() < 20 * SECOND, "{} bright pixels, {before} before:\n{}", words(), pair.log());
        std::thread::sleep(SECOND / 50);
    }
    row("device lost while a slate is shown: its words again", lost.elapsed(), "the slate as it was");
    std::thread::sleep(SECOND);
    let after = words();
    assert!(after >= before * 9 / 10, "{after} bright pixels, {before} before");
    assert_eq!(status(&pair).last_end, None, "{}", pair.log());
}

#[test]
fn images_that_cannot_be_had_are_had_from_a_new_window_or_device() {
    let (server, driver) = screen_and_driver!();
    let screen = Through(&server, &driver);
    let pair = Pair::start(&screen);
    pair.until_right(&screen, Instant::now());
    // The second one comes within a minute of the first: the ladder is not begun anew.
    for (what, expected) in [("window", (1, 0)), ("device", (0, 1))] {
        let before = status(&pair).figures;
        driver.order(&format!("stuck {what}"));
        let back = pair.until_right(&screen, driver.until_taken());
        row(&format!("no images any more from this {what}"), back, "the last picture; the far end sees us");
        let after = status(&pair);
        assert_eq!(after.last_end, None, "{}", pair.log());
        let (before, after) = (before.watchdog, after.figures.watchdog);
        let asked = (after.new_windows - before.new_windows, after.new_devices - before.new_devices);
        assert_eq!(asked, expected, "{}", pair.log());
    }
}

#[test]
fn images_that_are_never_had_again_make_the_program_begin_again() {
    let (server, driver) = screen_and_driver!();
    let screen = Through(&server, &driver);
    let mut pair = Pair::start(&screen);
    pair.until_right(&screen, Instant::now());
    driver.order("stuck process");
    let back = pair.until_right(&screen, driver.until_taken());
    row("no images any more at all", back, "the last picture; the far end sees us, then our slate, then us");
    has_begun_again(&mut pair, "do not reach the glass");
}

#[test]
fn a_driver_that_does_not_return_at_the_start_is_not_taken_for_a_missing_display() {
    for order in ["hang open", "hang swapchain"] {
        let (server, driver) = screen_and_driver!();
        let screen = Through(&server, &driver);
        driver.order(order);
        let mut pair = Pair::start(&screen);
        let back = pair.until_right(&screen, driver.until_taken());
        row(
            &format!("the driver hangs at the start ({order})"),
            back,
            "the server's empty screen; the far end sees us",
        );
        has_begun_again(&mut pair, "the display's loop hangs");
    }
}
