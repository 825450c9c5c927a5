//! Signs of life: what the watchdog reads.
//!
//! Plain atomics, so that whoever reads them waits for nobody, however much hangs.

use super::measure::{Counter, Gauge};

/// How often each thread has turned, and what may be expected of them now. Each is written by one, and read by the watchdog.
#[derive(Debug, Default)]
pub struct Pulse {
    /// The capture thread: each picture, whole or damaged, and each attempt to open the source.
    pub capture: Counter,
    /// The encode thread: at least 20 times a second.
    pub encode: Counter,
    /// The decode thread: at least twice a second.
    pub decode: Counter,
    /// The runtime of the network: once a second.
    pub network: Counter,
    /// The link's session: 20 times a second.
    pub link: Counter,
    /// The thread that does what keys ask for: at least once a second.
    pub commands: Counter,
    /// The thread that keeps the configuration: at least twice a second, unless a disk, a camera or somebody else holds it up.
    pub configuration: Counter,
    /// Decoded pictures that were not shown because they had waited somewhere: dealt with, though nobody saw them.
    pub stale: Counter,
    /// 1 while the source is switched off on purpose.
    pub source_off: Gauge,
    /// 1 while the graphics driver is being opened: some tens of milliseconds, if it does not hang.
    pub driver: Gauge,
    /// 1 while pictures of the far end are to be shown if they come: no slate of ours or theirs stands for them on purpose.
    pub pictures_wanted: Gauge,
}
