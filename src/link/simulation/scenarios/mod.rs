//! One file per behaviour.

mod bottlenecks;
mod clean;
mod faults;
mod jitter;
mod narrowing;
mod outages;
mod random_loss;
mod recovery;
mod returns;
mod sharing;

use super::scenario::Check::*;
use super::scenario::Step::*;
use super::scenario::{Scenario, Step};
use super::tube::{Conditions, Jitter, Loss};
use crate::ops::LinkState;

/// A path with this round trip, otherwise good.
fn path(round_trip_ms: f64) -> Conditions {
    Conditions { delay_ms: round_trip_ms / 2.0, ..Conditions::default() }
}

/// A good path: 40 ms there and back, 10 Mb/s.
const FINE: Conditions = Conditions {
    delay_ms: 20.0,
    jitter: Jitter::None,
    loss: Loss::Random(0.0),
    mbps: 10.0,
    queue_ms: 250.0,
    doubled: 0.0,
    reordered: (0.0, 0.0),
    open: true,
};
