//! Packets lost one by one, as on a poor radio link, without a queue: repaired, not fled from.

use super::*;

/// The table: loss, pictures a second, seconds frozen per minute.
fn table(round_trip_ms: f64, rows: [(f64, f64, f64); 4]) {
    for (loss, fps, frozen_s) in rows {
        let steps = [
            Both(path(round_trip_ms)),
            Run(5.0),
            Both(Conditions { loss: Loss::Random(loss), mbps: 10.0, ..path(round_trip_ms) }),
            Run(120.0),
            Check(Fps(fps)),
            Check(FrozenPerMinute(frozen_s)),
            Check(MeanTarget(1.5, 2.5)),
        ];
        Scenario::default().play(&format!("random loss {loss} at {round_trip_ms} ms"), &steps);
    }
}

#[test]
fn at_a_round_trip_of_50_ms() {
    table(50.0, [(0.02, 29.5, 0.2), (0.05, 29.0, 0.5), (0.10, 28.0, 1.0), (0.20, 24.0, 3.0)]);
}

#[test]
fn at_a_round_trip_of_100_ms() {
    table(100.0, [(0.02, 29.5, 0.2), (0.05, 29.0, 0.5), (0.10, 27.0, 2.0), (0.20, 22.0, 6.0)]);
}

#[test]
fn in_bursts_of_eight() {
    let bursts = Loss::Bursts { share: 0.05, packets: 8.0 };
    for round_trip_ms in [50.0, 100.0] {
        let steps = [
            Both(path(round_trip_ms)),
            Run(5.0),
            Both(Conditions { loss: bursts, mbps: 10.0, ..path(round_trip_ms) }),
            Run(120.0),
            Check(Fps(28.0)),
        ];
        Scenario::default().play("bursts", &steps);
    }
}
