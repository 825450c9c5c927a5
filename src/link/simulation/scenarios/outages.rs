//! The network is gone, and comes back: the picture is back within a second, whatever went with it.

use super::*;

const GONE: Conditions = Conditions { open: false, delay_ms: 20.0, ..FINE };

/// Both ways, for seconds to hours; signalling goes the same way.
#[test]
fn the_picture_is_back_within_a_second() {
    for seconds in [1.0, 5.0, 60.0, 3600.0] {
        let steps = [
            Both(FINE),
            Run(20.0),
            Check(State(LinkState::Live)),
            Both(GONE),
            Run(seconds),
            Both(FINE),
            Run(1.0),
            Check(FirstWithin(1.0)),
            Run(30.0),
            Check(Fps(29.0)),
            Check(State(LinkState::Live)),
            Check(KeyframeRequests(20.0)),
            Check(Target(2.0, 2.5)),
        ];
        Scenario::default().play(&format!("{seconds} s without a network"), &steps);
    }
}

/// What was on its way waits meanwhile, as in the queue of a mobile network.
#[test]
fn a_network_that_holds_its_breath() {
    for seconds in [1.0, 5.0, 20.0] {
        let steps = [
            Both(FINE),
            Run(20.0),
            Both(Conditions { mbps: 0.0, ..FINE }),
            Run(seconds),
            Both(FINE),
            Run(1.0),
            Check(FirstWithin(1.0)),
            Run(5.0),
            Run(20.0),
            Check(Fps(29.0)),
            Check(Latency(1.0, 200.0)),
        ];
        Scenario::default().play(&format!("{seconds} s of standstill"), &steps);
    }
}

/// Packets get through in one direction only.
#[test]
fn one_way() {
    let steps = [
        Both(FINE),
        Run(20.0),
        Path(GONE),
        Run(30.0),
        Path(FINE),
        Run(1.5),
        Check(FirstWithin(1.0)),
        Run(20.0),
        Check(Fps(29.0)),
        Check(State(LinkState::Live)),
    ];
    Scenario::default().play("a one-way black hole", &steps);
}

/// Signalling alone: nobody notices.
#[test]
fn signalling_alone() {
    let steps =
        [Both(FINE), Run(20.0), Signalling(false), Run(600.0), Check(Fps(29.9)), Check(Freezes(0)), Check(Attempts(0))];
    Scenario::default().play("signalling is gone", &steps);
}
