//! The far end, or its address, is another one all of a sudden.

use super::*;

fn back(name: &str, steps: &[Step], seconds: f64) {
    let ending = [
        Run(30.0),
        Check(FirstWithin(seconds)),
        Run(20.0),
        Check(Fps(29.5)),
        Check(State(LinkState::Live)),
        Check(Attempts(1)),
    ];
    let steps: Vec<_> = [Both(FINE), Run(20.0)].iter().chain(steps).chain(&ending).copied().collect();
    Scenario::default().play(name, &steps);
}

#[test]
fn the_sender_is_started_anew() {
    back("power cut at the offering side", &[Power(0, false), Run(10.0), Power(0, true)], 2.0);
    back("restart of the offering side", &[Power(0, false), Run(1.0), Power(0, true)], 2.0);
}

#[test]
fn the_receiver_is_started_anew() {
    back("power cut at the answering side", &[Power(1, false), Run(10.0), Power(1, true)], 2.0);
    back("restart of the answering side", &[Power(1, false), Run(1.0), Power(1, true)], 2.0);
}

#[test]
fn other_addresses() {
    for place in 0..2 {
        back("other addresses", &[Move(place, true)], 3.0);
        back("another address behind a NAT", &[Move(place, false)], 5.0);
    }
}

#[test]
fn a_machine_that_slept() {
    for place in 0..2 {
        for seconds in [2.0, 60.0, 3600.0] {
            back(&format!("{seconds} s of sleep"), &[Sleep(place, true), Run(seconds), Sleep(place, false)], 2.0);
        }
    }
}
