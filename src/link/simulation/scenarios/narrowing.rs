//! A bottleneck that narrows and widens.

use super::*;

fn narrow(mbps: f64) -> Conditions {
    Conditions { mbps, queue_ms: 250.0, ..path(40.0) }
}

#[test]
fn three_to_one_to_three() {
    let steps = [
        Both(narrow(3.0)),
        Run(5.0),
        Run(15.0),
        Check(Fps(29.0)),
        Path(narrow(1.0)),
        Run(2.0),
        Check(LongestGap(500.0)),
        // Where two large pictures meet the drop, the queue overflows, and what was lost waits for its repair.
        Gap(Latency(1.0, 400.0), Latency(1.0, 450.0)),
        Run(3.0),
        Check(Queue(100.0)),
        Check(LongestGap(500.0)),
        Check(Latency(1.0, 400.0)),
        Check(Target(0.8, 1.2)),
        Run(15.0),
        Check(MeanTarget(0.8, 1.0)),
        Check(Latency(1.0, 400.0)),
        Path(narrow(3.0)),
        Run(10.0),
        Check(Target(0.9 * 2.5, 2.5)),
        Check(LongestGap(500.0)),
        Run(20.0),
        Check(MeanTarget(0.9 * 2.5, 2.5)),
        Check(Latency(1.0, 400.0)),
    ];
    Scenario::default().play("3-1-3", &steps);
}

/// The way back narrows too, and with it the feedback that would tell comes late.
#[test]
fn three_to_one_to_three_both_ways() {
    for round_trip_ms in [20.0, 50.0] {
        let narrow = |mbps| Conditions { mbps, queue_ms: 250.0, ..path(round_trip_ms) };
        let steps = [
            Both(narrow(3.0)),
            Run(5.0),
            Run(15.0),
            Check(Fps(29.0)),
            Both(narrow(1.0)),
            Run(2.0),
            Check(LongestGap(500.0)),
            // With the longer round trip the queue has overflowed before the feedback is back through the other one.
            Gap(Latency(1.0, 400.0), Latency(1.0, if round_trip_ms > 20.0 { 600.0 } else { 400.0 })),
            Run(18.0),
            Check(Queue(100.0)),
            Check(MeanTarget(0.8, 1.0)),
            Both(narrow(3.0)),
            Run(10.0),
            Check(Target(0.9 * 2.5, 2.5)),
            Check(LongestGap(500.0)),
        ];
        Scenario::default().play("3-1-3 both ways", &steps);
    }
}

#[test]
fn narrow_for_ever() {
    let steps = [
        Both(Conditions { mbps: 0.3, queue_ms: 400.0, ..path(60.0) }),
        Run(20.0),
        Run(300.0),
        Check(Fps(12.0)),
        Check(Latency(0.95, 400.0)),
        Check(Freezes(5)),
    ];
    Scenario::default().play("300 kb/s", &steps);
}
