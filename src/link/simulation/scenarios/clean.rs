//! A path without faults: everything comes, at once, for hours; and the beginning.

use super::*;

#[test]
fn nothing_is_lost_and_nothing_waits() {
    for round_trip_ms in [1.0, 40.0, 200.0] {
        let steps = [
            Both(path(round_trip_ms)),
            Run(5.0),
            Run(600.0),
            Check(Fps(29.9)),
            Check(Freezes(0)),
            Check(Latency(0.999, round_trip_ms / 2.0 + 75.0)),
            Check(Latency(1.0, round_trip_ms / 2.0 + 150.0)),
            Check(Lost(0.0)),
            Check(KeyframeRequests(0.0)),
            Check(MeanTarget(2.45, 2.5)),
        ];
        Scenario { seeds: 1, ..Scenario::default() }.play("clean", &steps);
    }
}

/// 80 % of the target within 2 s, on a path that is not much wider.
#[test]
fn the_start_is_quick() {
    for mbps in [3.0, 5.0] {
        let steps = [
            Both(Conditions { mbps, ..path(40.0) }),
            Run(2.0),
            Check(FirstWithin(1.5)),
            Check(Target(0.8 * 2.5, 2.5)),
            Run(10.0),
            Check(Fps(29.0)),
            Check(Freezes(0)),
        ];
        Scenario::default().play("start", &steps);
    }
}
