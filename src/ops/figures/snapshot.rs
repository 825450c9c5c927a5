//! The figures at one moment, for those who show them.

use super::Watcher;
use super::groups::{GuestValues, IncomingValues, LinkValues, OutgoingValues, PairingValues, WatchdogValues};
use crate::ops::Quality;
use crate::ops::measure::Latency;
use serde::{Deserialize, Serialize};

/// What happened in the last interval between two ticks, per second: one point of the plots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Pictures captured per second.
    pub captured_fps: f64,
    /// Pictures sent per second.
    pub sent_fps: f64,
    /// Bits sent per second.
    pub sent_bps: f64,
    /// Pictures received per second.
    pub received_fps: f64,
    /// Bits received per second.
    pub received_bps: f64,
    /// Pictures presented per second.
    pub presented_fps: f64,
    /// Median age of the pictures presented in the window, in milliseconds; 0 when there were none.
    pub latency_ms: f64,
    /// Share of one core that this process used.
    pub cpu_cores: f64,
}

/// What happened in the last minute, or since the start if that is sooner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// How long it was, up to 60.
    pub seconds: f64,
    /// RTP packets that came as they were sent first: neither repairs nor probes.
    pub packets: u64,
    /// RTP packets that never came, repair included.
    pub lost_packets: u64,
    /// RTP packets that were missing at first and came as a repair.
    pub recovered_packets: u64,
    /// RTP packets that we sent again, on request or unasked, each copy counted.
    pub retransmitted_packets: u64,
    /// Repairs, further copies included, that were not sent because the path has no room for them.
    pub repairs_refused: u64,
    /// Pictures that came whole, but too late.
    pub late_pictures: u64,
    /// Times the picture stood still.
    pub freezes: u64,
    /// How long in all, in milliseconds.
    pub frozen_ms: u64,
    /// How long a slate stood in for the picture because of the link, in milliseconds.
    pub interrupted_ms: u64,
}

impl Minute {
    /// The share of the far end's packets that were missing at first, before repair: 0 to 1.
    pub fn missing(&self) -> f64 {
        let missing = self.lost_packets + self.recovered_packets;
        missing as f64 / (missing + self.packets).max(1) as f64
    }
}

/// All figures at one moment: what `/status`, `/metrics`, the overlay, the log and the demo's report show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Seconds since the process started.
    pub uptime_s: f64,
    /// From our camera to the network.
    pub outgoing: OutgoingValues,
    /// From the network to our display.
    pub incoming: IncomingValues,
    /// The link as a whole.
    pub link: LinkValues,
    /// What the watchdog did.
    pub watchdog: WatchdogValues,
    /// What comes of pairing.
    pub pairing: PairingValues,
    /// Guests: who looks at our camera and is not the far end.
    #[serde(default)]
    pub guests: GuestValues,
    /// Each of them, the longest first.
    #[serde(default)]
    pub watchers: Vec<Watcher>,
    /// Rates of the last second.
    pub now: Sample,
    /// What happened in the last minute.
    pub minute: Minute,
    /// How good the link is.
    pub quality: Quality,
    /// Seconds since the link's state, or the slate, became what it is.
    #[serde(default)]
    pub state_since_s: f64,
    /// Capture at the far end → presented here.
    pub latency: Latency,
    /// Converting and drawing a captured picture.
    pub capture_time: Latency,
    /// Encoding.
    pub encode_time: Latency,
    /// First packet → whole access unit.
    pub assemble_time: Latency,
    /// Decoding.
    pub decode_time: Latency,
    /// Uploading to the GPU.
    pub upload_time: Latency,
    /// Decoded → presented.
    pub present_time: Latency,
    /// From the start of the process to the first connection, in milliseconds.
    pub first_connected_ms: Option<f64>,
    /// From the start of the process to the first remote picture presented, in milliseconds.
    pub first_picture_ms: Option<f64>,
    /// Seconds since the last remote picture was presented.
    pub last_presented_s: Option<f64>,
    /// Processor time since the start, in seconds.
    pub cpu_s: f64,
    /// Resident memory.
    pub resident_bytes: u64,
}
