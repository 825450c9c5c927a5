//! Losses that are not repaired in time: pictures that refer to what arrived, instead of keyframes.

use super::*;
use crate::link::simulation::connection::Setup;
use crate::link::simulation::world::{Report, World};
use std::time::Duration;

/// What is seen in two minutes, the same seeds with and without long-term references at both ends; and that nothing undecodable is.
fn play(conditions: Conditions, recovers: bool) -> Vec<Report> {
    let played = (1..=4).map(|seed| {
        let mut world = World::new(Setup { recovers, ..Setup::with_ceiling(2.5) }, seed);
        (0..2).for_each(|direction| world.set(direction, Conditions { loss: Loss::Random(0.0), ..conditions }));
        world.run(Duration::from_secs(5));
        world.reports();
        (0..2).for_each(|direction| world.set(direction, conditions));
        world.run(Duration::from_secs(120));
        let violations = [0, 1].map(|place| world.portal(place).screen.violations.clone());
        assert!(violations.iter().all(Vec::is_empty), "seed {seed}: {violations:?}");
        world.reports().swap_remove(0)
    });
    played.collect()
}

/// The mean of the runs, per minute.
fn per_minute(reports: &[Report], of: impl Fn(&Report) -> f64) -> f64 {
    reports.iter().map(of).sum::<f64>() / reports.iter().map(|report| report.seen.seconds / 60.0).sum::<f64>()
}

/// The figures of `docs/measurements/network.md`.
#[test]
fn losses_for_good_cost_fewer_keyframes() {
    let bursts = |share| Loss::Bursts { share, packets: 8.0 };
    println!("                            keyframes/min  recoveries/min   fps   frozen s/min  freezes/min  kB/min");
    for (name, round_trip_ms, loss) in [
        ("RTT 100, 10 %", 100.0, Loss::Random(0.10)),
        ("RTT 200, 10 %", 200.0, Loss::Random(0.10)),
        ("RTT 200, 20 %", 200.0, Loss::Random(0.20)),
        ("RTT 100, bursts of 8, 5 %", 100.0, bursts(0.05)),
        ("RTT 100, bursts of 8, 10 %", 100.0, bursts(0.10)),
        ("RTT 300, 5 %", 300.0, Loss::Random(0.05)),
    ] {
        let conditions = Conditions { loss, mbps: 10.0, ..path(round_trip_ms) };
        let mut keyframes = [0.0; 2];
        for (recovers, keyframes) in [false, true].into_iter().zip(&mut keyframes) {
            let reports = play(conditions, recovers);
            *keyframes = per_minute(&reports, |report| report.keyframes as f64);
            let recoveries = per_minute(&reports, |report| report.recoveries as f64);
            assert!(recovers || recoveries == 0.0, "{name}: a far end that knows nothing of it gets keyframes");
            println!(
                "{name:27} {keyframes:12.1} {recoveries:14.1} {:8.1} {:12.2} {:11.1} {:11.0}",
                per_minute(&reports, |report| report.seen.pictures as f64 / 60.0),
                per_minute(&reports, |report| report.seen.frozen_s),
                per_minute(&reports, |report| report.seen.freezes as f64),
                per_minute(&reports, |report| report.felt.bytes as f64 / 1e3),
            );
        }
        // One may fall to the lot of a run that has next to none.
        assert!(keyframes[1] <= keyframes[0] / 4.0 + 1.0, "{name}: {keyframes:?} keyframes a minute");
    }
}
