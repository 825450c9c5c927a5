//! Whether this portal is to be found.

use crate::config::Invalid;
use serde::{Deserialize, Serialize};

/// Section `[discovery]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Announce this portal in the local network, and look for the far end there. Default: true.
    pub enabled: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true }
    }
}

impl Config {
    /// Both values are allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        Ok(())
    }
}
