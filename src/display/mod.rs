//! The display.

mod config;
mod error;

pub use config::{Config, Fit, PresentMode, Rotation};
pub use error::Error;
