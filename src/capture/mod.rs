//! Where outgoing pictures come from.
//!
//! One thread opens the configured [`Source`] and keeps it open for as long as the portal runs: whatever goes wrong is told to
//! the operator and tried again, for ever.

mod config;
mod pace;
mod source;

pub use config::{Config, Kind};
pub use pace::Pace;
pub use source::{Error, Source};
