//! H.264: [`encode`] and [`decode`], on Cisco's openh264 compiled in from source.
//!
//! Pictures go in and out as [`crate::media::Frame`]s; encoded pictures travel as [`AccessUnit`]s. Each direction has a plain
//! object without threads ([`encode::Encoder`], [`decode::Decoder`]) and a worker thread around it ([`encode::start`],
//! [`decode::start`]). [`nal`] and [`sps`] read just enough of the format to know what a stream is before the C++ library
//! sees a byte of it; [`mod@slice`] tells which pictures the encoder keeps as long-term references.

pub mod decode;
pub mod encode;
pub(crate) mod history;
pub mod nal;
mod native;
#[cfg(test)]
mod recovery_tests;
pub mod slice;
pub mod sps;
mod threads;

#[cfg(test)]
pub(crate) mod moving;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worker_tests;

use std::time::Instant;

/// One encoded picture with everything that a decoder needs for it: NAL units in Annex B form, parameter sets in front of each
/// keyframe (RFC 6184 calls it an access unit).
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// NAL units, each behind a start code (00 00 00 01).
    pub data: bytes::Bytes,
    /// Whether decoding can start here (IDR with SPS and PPS).
    pub keyframe: bool,
    /// When the picture was taken, on this machine's monotonic clock; see [`crate::media::Frame::captured`].
    pub captured: Option<Instant>,
    /// The frame's number at its source, or a count of received access units from 1.
    pub number: u64,
    /// The era that the picture belongs to, see [`crate::media::Era`].
    pub era: u64,
    /// What it refers to; `None` where that is not known (files, far ends of another version).
    pub dependency: Option<Dependency>,
}

/// What a picture refers to, as far as one must know who has lost pictures before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The picture's own number: counts what one encoder has made, from 1.
    pub number: u32,
    /// Whoever has decoded the picture with this number, and no keyframe since, can decode this one. For a keyframe, its own number;
    /// usually that of the picture before; after a loss, an older one (see `encode::references`).
    pub on: u32,
}
