//! Packets that overtake each other, come twice, or take another way all of a sudden.

use super::*;

#[test]
fn reordering_and_duplication() {
    let steps = [
        Both(FINE),
        Run(5.0),
        Both(Conditions { reordered: (0.05, 30.0), doubled: 0.05, ..path(40.0) }),
        Run(120.0),
        Check(Fps(29.5)),
        Check(Freezes(0)),
        Check(Latency(0.99, 150.0)),
        Check(MeanTarget(2.2, 2.5)),
        Check(KeyframeRequests(1.0)),
        Check(Keyframes(1.0)),
    ];
    Scenario::default().play("reordering", &steps);
}

/// The delay jumps by 100 ms and back: another route, no queue.
#[test]
fn route_change() {
    let jump =
        |round_trip_ms| [Both(path(round_trip_ms)), Run(2.0), Check(LongestGap(300.0)), Run(18.0), Check(Fps(29.0))];
    let steps: Vec<_> = [Both(path(40.0)), Run(20.0)]
        .into_iter()
        .chain(jump(240.0))
        .chain([Check(Target(1.8, 2.5))])
        .chain(jump(40.0))
        .chain([Check(Target(1.8, 2.5))])
        .collect();
    Scenario::default().play("route change", &steps);
}
