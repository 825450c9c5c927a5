//! Others use the bottleneck, too.

use super::*;

fn shared() -> Conditions {
    Conditions { mbps: 4.0, queue_ms: 250.0, ..path(40.0) }
}

#[test]
fn with_a_download() {
    let steps = [Both(shared()), Run(10.0), Download(true), Run(20.0), Run(100.0), Check(Share(0.25, 0.7))];
    Scenario { ceiling_mbps: 4.0, ..Scenario::default() }.play("a download", &steps);
}

#[test]
fn with_a_second_pair_of_portals() {
    let steps = [Both(shared()), Run(10.0), SecondPair, Run(20.0), Run(100.0), Check(Share(0.35, 0.65))];
    Scenario { ceiling_mbps: 4.0, ..Scenario::default() }.play("a second pair", &steps);
}
