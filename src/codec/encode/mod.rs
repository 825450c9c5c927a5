//! Pictures to H.264: constrained baseline, low delay, a bitrate that is held, keyframes on request.
//!
//! What is too large or too fast for the bitrate is encoded smaller: the worker asks `ladder` for each picture.

mod buffers;
mod control;
mod encoder;
mod ladder;
#[cfg(test)]
mod ladder_tests;
mod rate;
pub(crate) mod references;
mod smaller;
mod telling;
mod worker;

pub use control::Control;
pub use encoder::{Encoder, Error};
// For the encoder of the guests, which has a thread of its own.
pub(crate) use ladder::{Ladder, Situation};
#[cfg(test)]
pub(crate) use rate::KeyframeSpacing;
pub(crate) use rate::{FrameRate, Pace};
pub(crate) use smaller::Smaller;
pub use worker::{Worker, start};

use crate::config::Invalid;
use serde::{Deserialize, Serialize};

/// The section `[encode]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The highest bitrate, in bits per second, and the one to begin with; the link lowers it to what the network
    /// carries. 100000 to 50000000, default 2500000: good for 1280x720 at 30 pictures a second. 1920x1080 wants
    /// 4500000.
    pub bitrate_bps: u32,
    /// How hard the encoder looks for a good way to code each block. Default low: on the clip of the measurements the
    /// others cost 17 to 30 % more time and gain 0.0004 SSIM.
    pub complexity: Complexity,
    /// Threads, and slices per picture, of the encoder: 1 to 4, default 1. Two bring a picture of 1920x1080 out 5 ms
    /// sooner where a core is idle, and do nothing for 1280x720; the rate control's grip on single pictures gets
    /// looser.
    pub threads: u16,
}

/// How hard the encoder tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Complexity {
    /// Fastest.
    #[default]
    Low,
    /// In between.
    Medium,
    /// Slowest.
    High,
}

/// Bits per second that may be configured.
const BITRATE_BPS: std::ops::RangeInclusive<u32> = 100_000..=50_000_000;

impl Default for Config {
    fn default() -> Self {
        Self { bitrate_bps: 2_500_000, complexity: Complexity::Low, threads: 1 }
    }
}

impl Config {
    /// Whether the values can be used.
    pub fn check(&self) -> Result<(), Invalid> {
        if !BITRATE_BPS.contains(&self.bitrate_bps) {
            let (low, high) = (BITRATE_BPS.start(), BITRATE_BPS.end());
            let problem = format!("{} bits per second; allowed are {low} to {high}", self.bitrate_bps);
            return Err(Invalid { key: "bitrate_bps", problem });
        }
        if !(1..=4).contains(&self.threads) {
            return Err(Invalid { key: "threads", problem: format!("{}; allowed are 1 to 4", self.threads) });
        }
        Ok(())
    }
}
