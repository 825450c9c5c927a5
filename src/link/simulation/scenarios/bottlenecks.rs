//! Bottlenecks of every kind, from the first picture on.

use super::*;

/// A queue that overflows before it is long enough to be seen: what the path carries must be known otherwise.
#[test]
fn a_shallow_queue_is_not_hammered() {
    let steps = [
        Both(Conditions { mbps: 2.0, queue_ms: 40.0, ..path(40.0) }),
        Run(15.0),
        Run(60.0),
        Check(Lost(0.09)),
        Check(Fps(28.0)),
        Check(MeanTarget(1.2, 2.0)),
    ];
    Scenario { ceiling_mbps: 5.0, ..Scenario::default() }.play("a shallow queue", &steps);
}

/// The ceiling above what the path carries: it is found, and the queue stays short.
#[test]
fn less_than_the_ceiling() {
    for mbps in [0.5, 1.0, 3.0] {
        let steps = [
            Both(Conditions { mbps, ..path(40.0) }),
            Run(5.0),
            // Finding each other and the handshakes take a second of it.
            Check(FirstWithin(3.0)),
            Run(60.0),
            Check(Fps(29.0)),
            Check(Latency(0.95, 260.0)),
            Check(Lost(0.001)),
            Check(MeanTarget(0.8 * mbps, 0.97 * mbps)),
        ];
        Scenario { ceiling_mbps: 5.0, ..Scenario::default() }.play(&format!("{mbps} Mb/s"), &steps);
    }
}

/// Twice the product's ceiling, half the product's ceiling and back, on short and long paths.
#[test]
fn three_to_one_to_three_with_more_to_send() {
    for round_trip_ms in [20.0, 50.0] {
        let narrow = |mbps| Conditions { mbps, queue_ms: 250.0, ..path(round_trip_ms) };
        let steps = [
            Both(narrow(3.0)),
            Run(20.0),
            Path(narrow(1.0)),
            Run(2.0),
            Check(LongestGap(500.0)),
            // At 2.7 Mb/s the queue may overflow before feedback tells; what is lost is repaired through it.
            Gap(Latency(1.0, 400.0), Latency(1.0, 550.0)),
            Run(10.0),
            Check(Queue(130.0)),
            Check(MeanTarget(0.8, 1.0)),
            Path(narrow(3.0)),
            Run(4.0),
            Gap(Target(2.5, 3.0), Target(2.1, 3.0)),
            Run(20.0),
            Check(MeanTarget(2.5, 2.95)),
            Check(Latency(1.0, 200.0)),
        ];
        Scenario { ceiling_mbps: 5.0, ..Scenario::default() }.play("3-1-3, 5 Mb/s", &steps);
    }
}
