//! Wires one portal together; starts it, stops it, and says who owns which thread.

use crate::config::Config;
use crate::{capture, pairing, signaling, web};
use std::time::Instant;

/// Why a portal could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No identity.
    #[error(transparent)]
    Identity(#[from] pairing::Error),
    /// The signalling listener or dialler could not start.
    #[error(transparent)]
    Signaling(#[from] signaling::Error),
    /// The status pages could not start.
    #[error(transparent)]
    Status(#[from] web::Error),
    /// The capture thread could not start.
    #[error(transparent)]
    Capture(#[from] capture::Error),
    /// The display could not start, or was lost for good.
    #[error(transparent)]
    Display(#[from] crate::display::Error),
    /// The system refused a thread.
    #[error("cannot start the threads of the network: {0}")]
    Threads(#[from] std::io::Error),
}

/// Where the command line calls; the wiring comes with the link.
pub fn run(_config: &Config, _headless: bool, _started: Instant) -> Result<(), Error> {
    Err(Error::Threads(std::io::Error::other("this build has no link yet")))
}
