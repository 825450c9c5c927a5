//! What the display follows while it runs: its configuration, and what the settings page shows.

use super::Config;
use crate::operator;

/// All of it, in one value. Published by the portal whenever it changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Section `[display]`.
    pub config: Config,
    /// The name of this place.
    pub site: String,
    /// The time zone of brightness and opening hours; empty for the system's.
    pub time_zone: String,
    /// Who may use the keys.
    pub operator: operator::Config,
    /// Names of further keys that do what `P` does.
    pub privacy_keys: Vec<String>,
    /// With whom this portal is paired, if it is.
    pub far_end: Option<FarEnd>,
    /// The configured camera; empty for the first one that has pictures.
    pub camera: String,
    /// The cameras that there are, by their stable names, once somebody asked.
    pub cameras: Vec<String>,
    /// What came of the last thing that was set at the kiosk.
    pub notice: String,
    /// Whether the network is being looked at.
    pub testing: bool,
    /// What was found there: whether it is good, and in words.
    pub network: Vec<(bool, String)>,
}

/// With whom this portal is paired.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FarEnd {
    /// The name of its place, as it was when the two were paired; where it had none, how its fingerprint begins.
    pub name: String,
    /// Whether a code paired the two: that is taken back at the kiosk, what the configuration says is not.
    pub by_code: bool,
}
