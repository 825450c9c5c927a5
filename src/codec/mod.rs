//! H.264: [`encode`] and [`decode`].

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
}
