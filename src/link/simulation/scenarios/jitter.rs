//! Delay that varies: no freezes, and not much more delay than the jitter itself.

use super::*;

#[test]
fn thirty_milliseconds_either_way() {
    for (jitter, mean_ms) in [(Jitter::Each { ms: 30.0 }, 50.0), (Jitter::Wander { ms: 30.0 }, 80.0)] {
        let steps = [
            Both(path(100.0)),
            Run(5.0),
            Run(60.0),
            Both(Conditions { jitter, mbps: 10.0, ..path(100.0) }),
            Run(10.0),
            Run(120.0),
            Check(Freezes(0)),
            Check(Fps(29.5)),
            // The path, 13 ms of encoding and decoding, up to 20 of a picture's own packets, and 60.
            Check(Latency(0.95, mean_ms + 95.0)),
            Check(MeanTarget(2.2, 2.5)),
        ];
        Scenario::default().play(&format!("{jitter:?}"), &steps);
    }
}
