//! Threads that hang, one at a time, and programs that are stopped or starved as a whole.

use super::hold::hold;
use super::program::{ALONE, Place, Program, Status, cause, long, places, until, until_live};
use screen_portal::ops::ending::Cause;
use screen_portal::ops::{Slate, WatchdogValues};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

fn both(places: &[Place; 2]) -> [Program; 2] {
    let programs = places.each_ref().map(Place::start);
    until_live("both started", programs.each_ref(), 15 * SECOND);
    programs
}

/// One thread of the first portal hangs for good; its portal replaces it. Both are live again within `limit`.
fn replaced(name: &str, limit: Duration, expected: impl Fn(&WatchdogValues) -> bool) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let programs = both(&places);
    let held = match hold(programs[0].id(), name) {
        Ok(held) => held,
        Err(reason) => return println!("skipped: {reason}"),
    };
    // The far end or the portal itself first notices that the picture has stopped.
    let seen = until(&format!("{name} hangs: a slate"), programs.each_ref(), 5 * SECOND, |now| {
        now.iter().flatten().any(|status| status.view.slate != Slate::Hidden)
    });
    assert_eq!(seen.0.iter().flatten().count(), 2, "both answer meanwhile");
    let (statuses, _) = until_live(&format!("{name} hangs: both live again"), programs.each_ref(), limit);
    let watchdog = statuses[0].figures.watchdog;
    assert!(expected(&watchdog), "{watchdog:?}");
    assert_eq!(cause(&statuses[0]), None, "the same run of the program");
    // What it comes back with at last disturbs nobody.
    drop(held);
    std::thread::sleep(2 * SECOND);
    let (after, _) = until_live(&format!("{name} goes on: both live"), programs.each_ref(), SECOND);
    assert_eq!(after[1].figures.link.connects, statuses[1].figures.link.connects, "the same connection");
    // The thread, and what flows through it.
    let watchdog = after[0].figures.watchdog;
    assert!((1..=2).contains(&watchdog.healed) && watchdog.standing == 0, "{watchdog:?}\n{}", places[0].log());
}

#[test]
fn an_encoder_that_hangs_is_replaced() {
    replaced("encode", 12 * SECOND, |watchdog| watchdog.new_encoders == 1);
}

#[test]
fn a_decoder_that_hangs_is_replaced() {
    replaced("decode", 12 * SECOND, |watchdog| watchdog.new_decoders == 1);
}

#[test]
fn a_capture_thread_that_hangs_is_told_and_forgiven() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let programs = both(&places);
    let held = match hold(programs[0].id(), "capture") {
        Ok(held) => held,
        Err(reason) => return println!("skipped: {reason}"),
    };
    until("capture hangs: the far end knows", programs.each_ref(), 15 * SECOND, |now| {
        now[1].as_ref().is_some_and(|status| status.view.slate == Slate::FarCameraMissing)
    });
    // Our own direction is not disturbed by that.
    std::thread::sleep(3 * SECOND);
    let status = programs[0].status().unwrap();
    assert!(status.is_live() && status.figures.watchdog.sources_reopened == 1, "{status:?}");
    drop(held);
    let (statuses, _) = until_live("capture goes on: both live again", programs.each_ref(), 5 * SECOND);
    assert_eq!((cause(&statuses[0]), statuses[0].figures.watchdog.healed), (None, 1));
}

/// All threads of a name hang for good, and only a new start helps.
fn begins_again(name: &str, limit: Duration, words: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let mut programs = both(&places);
    let id = programs[0].id();
    let held = match hold(id, name) {
        Ok(held) => held,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let again = |status: &_| cause(status) == Some(Cause::BeganAgain);
    let (_, _) = until(&format!("{name} hangs: begun again"), programs.each_ref(), limit, |now| {
        now[0].as_ref().is_some_and(again)
    });
    let (statuses, _) = until_live(&format!("{name} hung: both live again"), programs.each_ref(), 8 * SECOND);
    drop(held);
    let end = statuses[0].last_end.as_ref().unwrap();
    assert!(end.reason.contains(words), "{end:?}");
    assert!(programs[0].process.try_wait().unwrap().is_none(), "the same process goes on as another program");
    assert!(places[0].log().contains(words), "{}", places[0].log());
}

#[test]
fn a_network_that_hangs_makes_the_program_begin_again() {
    begins_again("network", 20 * SECOND, "the network's threads hang");
}

#[test]
fn keys_that_are_not_answered_make_the_program_begin_again() {
    if !long() {
        return println!("skipped: takes half a minute; set PORTAL_LONG_TESTS");
    }
    begins_again("commands", 30 * SECOND, "keys are not answered");
}

#[test]
fn a_configuration_that_is_not_kept_is_told_and_costs_no_picture() {
    if !long() {
        return println!("skipped: takes half a minute; set PORTAL_LONG_TESTS");
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let programs = both(&places);
    let held = match hold(programs[0].id(), "configuration") {
        Ok(held) => held,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let hangs = |status: &Option<_>| status.as_ref().map(|status: &Status| status.figures.watchdog.configuration_hangs);
    until("the configuration hangs: told", programs.each_ref(), 25 * SECOND, |now| hangs(&now[0]) == Some(1));
    assert!(programs[0].status().unwrap().is_live(), "pictures do not pass by that thread");
    assert!(places[0].log().contains("the configuration is not kept"), "{}", places[0].log());
    drop(held);
    until("the configuration goes on: told", programs.each_ref(), 3 * SECOND, |now| hangs(&now[0]) == Some(0));
    let status = programs[0].status().unwrap();
    assert_eq!((cause(&status), status.figures.watchdog.standing), (None, 0), "nothing was begun again");
}

#[test]
fn who_is_stopped_or_starved_is_not_restarted() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let programs = both(&places);
    // Longer than any bound.
    let stopped = if long() { 60 } else { 25 };
    programs[0].signal(libc::SIGSTOP);
    std::thread::sleep(stopped * SECOND);
    programs[0].signal(libc::SIGCONT);
    until_live(&format!("stopped for {stopped} s"), programs.each_ref(), 5 * SECOND);
    // A tenth of the time that it wants, for as long again.
    let start = Instant::now();
    while start.elapsed() < stopped * SECOND {
        programs[0].signal(libc::SIGSTOP);
        std::thread::sleep(SECOND * 18 / 10);
        programs[0].signal(libc::SIGCONT);
        std::thread::sleep(SECOND * 2 / 10);
    }
    let what = format!("starved for {stopped} s");
    let (statuses, _) = until_live(&what, programs.each_ref(), 5 * SECOND);
    for (status, place) in statuses.iter().zip(&places) {
        assert_eq!(cause(status), None);
        let WatchdogValues { new_encoders, new_decoders, sources_reopened, .. } = status.figures.watchdog;
        assert_eq!((new_encoders, new_decoders, sources_reopened), (0, 0, 0), "{}", place.log());
    }
}
