//! Whom this portal is paired with.

use super::Fingerprint;
use crate::config::Invalid;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Section `[pairing]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The fingerprint of the portal at the far end, as `screen-portal identity` prints it there. Default: empty, not paired.
    #[serde(deserialize_with = "read_optional", serialize_with = "write_optional")]
    pub far_end: Option<Fingerprint>,
}

impl Config {
    /// Each value that parses is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        Ok(())
    }
}

/// TOML and the environment have no null: the empty text stands for it.
fn read_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fingerprint>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Ok(None) } else { text.parse().map(Some).map_err(serde::de::Error::custom) }
}

fn write_optional<S: Serializer>(far_end: &Option<Fingerprint>, serializer: S) -> Result<S::Ok, S::Error> {
    match far_end {
        Some(fingerprint) => fingerprint.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_is_not_paired() {
        assert_eq!(toml::from_str::<Config>("far_end = \"\"").unwrap(), Config::default());
        let paired = Config { far_end: Some(Fingerprint::of(b"certificate")) };
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&paired).unwrap()).unwrap(), paired);
        assert!(toml::from_str::<Config>("far_end = \"AB\"").unwrap_err().to_string().contains("64"));
    }
}
