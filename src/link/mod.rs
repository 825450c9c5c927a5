//! The link: the WebRTC connection to the far end, and what keeps it alive.

mod addresses;
mod assembler;
#[cfg(test)]
mod assembler_tests;
mod capture_time;
mod clock_offset;
mod config;
mod congestion;
mod control;
mod incoming;
mod interceptors;
mod media_engine;
mod outgoing;
mod packetizer;
mod peer;
#[cfg(test)]
mod peer_tests;
mod runtime;
mod sdp;

pub use config::{Config, IceServer};

/// Why a connection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The WebRTC library refuses or fails.
    #[error("WebRTC: {0}")]
    WebRtc(#[from] webrtc::error::Error),
    /// The far end's description does not announce the pinned certificate, or is malformed.
    #[error(transparent)]
    Description(#[from] Refused),
    /// No local description was made.
    #[error("WebRTC made no session description")]
    NoDescription,
    /// The two ends have no codec in common.
    #[error("the far end takes no H.264")]
    NoCodec,
}

/// Why a session description is refused.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Refused(#[from] sdp::Error);

impl From<sdp::Error> for Error {
    fn from(error: sdp::Error) -> Self {
        Self::Description(error.into())
    }
}
