//! What the watchdog makes of the display's figures, and whether systemd waits for it.

use super::super::quit::END_LIMIT;
use super::*;
use crate::service::unit::{Facts, desktop, kiosk};
use std::path::Path;

const S: Duration = Duration::from_secs(1);

/// What the figures say: `waiting` for a window system, in the `driver`, without a `monitor`, how many `updates`.
#[derive(Clone, Copy, Debug, Default)]
struct Glass {
    waiting: bool,
    driver: bool,
    monitor_gone: bool,
    updates: u64,
}

impl Glass {
    fn figures(self) -> Figures {
        let figures = Figures::default();
        figures.link.display_waiting.set(self.waiting.into());
        figures.pulse.driver.set(self.driver.into());
        figures.link.display_without_monitor.set(self.monitor_gone.into());
        figures.link.display_updates.add(self.updates);
        figures
    }
}

/// The remedies for a display that stays like this for ten minutes while pictures are decoded and none is presented.
fn remedies(glass: Glass) -> Vec<(Stage, Remedy, u64)> {
    let (figures, mut watchdog, start) = (glass.figures(), Watchdog::default(), Instant::now());
    let mut found = vec![];
    for look in 0..1200 {
        figures.incoming.decoded.add(15);
        let mut signs = [Sign::Idle; STAGES];
        signs[Stage::Display as usize] = display(&figures);
        signs[Stage::Presenting as usize] = presenting(&figures, true);
        found.extend(watchdog.look(&signs, start + LOOK_EVERY * look).into_iter().filter_map(
            |finding| match finding {
                Finding::Mend { stage, stood, remedy } => Some((stage, remedy, stood.as_secs())),
                Finding::Healed { .. } => None,
            },
        ));
    }
    found
}

#[test]
fn a_loop_that_hangs_is_told_from_one_that_waits() {
    let hung = (Stage::Display, Remedy::GiveUp, 15);
    let stuck = [
        (Stage::Presenting, Remedy::NewWindow, 5),
        (Stage::Presenting, Remedy::NewDevice, 10),
        (Stage::Presenting, Remedy::GiveUp, 20),
    ];
    let both = [stuck[0], stuck[1], hung, stuck[2]];
    let none = Glass::default();
    let turned = Glass { updates: 7, ..none };
    for (what, glass, expected) in [
        ("a window system is waited for", Glass { waiting: true, ..none }, vec![]),
        ("another one, after a first", Glass { waiting: true, ..turned }, vec![]),
        ("the driver does not return", Glass { waiting: true, driver: true, ..none }, vec![hung]),
        ("nothing is waited for, and the loop has not begun", none, vec![hung]),
        ("the loop has begun and turns no more", turned, both.to_vec()),
        ("the same without a monitor", Glass { monitor_gone: true, ..turned }, vec![hung]),
    ] {
        assert_eq!(remedies(glass), expected, "{what}");
    }
}

#[test]
fn where_there_is_no_window_nothing_keeps_pictures_from_it() {
    let figures = Glass { updates: 0, monitor_gone: true, ..Glass::default() }.figures();
    assert_eq!(presenting(&figures, true), Sign::Idle);
    assert_eq!(presenting(&figures, false), Sign::Flows { given: 0, made: 0 });
}

#[test]
fn the_units_leave_time_for_every_remedy() {
    let facts = Facts { user: "portal", program: Path::new("/usr/bin/screen-portal") };
    for unit in [kiosk(&facts, Path::new("/usr/bin/cage")), desktop(&facts)] {
        let patience = unit.lines().find_map(|line| line.strip_prefix("WatchdogSec=")).unwrap();
        let patience = Duration::from_secs(patience.parse().unwrap());
        let needed = Watchdog::longest_silence() + END_LIMIT;
        assert!(needed < patience, "{needed:?} of {patience:?}");
        assert!(patience < 2 * needed, "who hangs altogether is found late: {patience:?}");
    }
}

#[test]
fn systemd_is_fed_often_enough_for_its_patience_to_begin_with_the_trouble() {
    let start = Instant::now();
    for (asked, expected) in [(10 * S, 30), (3 * S, 30), (S, 120), (S / 2, 120)] {
        let mut feeding = Feeding { every: Some(asked.min(FEED_EVERY)), last: None };
        let fed = (0..120).filter(|look| feeding.is_due(start + LOOK_EVERY * *look)).count();
        assert!(fed >= expected, "{fed} times in a minute, asked for {asked:?}");
    }
    assert!(!Feeding { every: None, last: None }.is_due(start));
}
