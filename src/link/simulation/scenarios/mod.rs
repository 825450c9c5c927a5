//! One file per behaviour.

mod bottlenecks;
mod clean;
mod jitter;
mod narrowing;
mod random_loss;
mod sharing;

use super::scenario::Check::*;
use super::scenario::Scenario;
use super::scenario::Step::*;
use super::tube::{Conditions, Jitter, Loss};

/// A path with this round trip, otherwise good.
fn path(round_trip_ms: f64) -> Conditions {
    Conditions { delay_ms: round_trip_ms / 2.0, ..Conditions::default() }
}
