//! Whom this portal is paired with.

use super::Fingerprint;
use crate::config::Invalid;
use crate::signaling;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Section `[pairing]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The fingerprint of the portal at the far end, as `screen-portal identity` prints it there. Default: empty, not paired.
    #[serde(deserialize_with = "read_optional", serialize_with = "write_optional")]
    pub far_end: Option<Fingerprint>,
    /// The name of the far end's place, for people, until it is connected and tells its own: at most 64 characters. Default: empty.
    pub site: String,
    /// The three words that both screens said when they were paired, for people to compare: shown for a minute. Default: empty.
    pub words: String,
    /// Where the far end may be reached, besides `signaling.dial`: `HOST:PORT`, at most 8. All of them are tried at once. Default: none.
    pub addresses: Vec<String>,
}

/// More addresses are not tried.
pub const MOST_ADDRESSES: usize = 8;

impl Config {
    /// Checks name and addresses.
    pub fn check(&self) -> Result<(), Invalid> {
        let invalid = |key, problem: String| Err(Invalid { key, problem });
        for (key, text) in [("site", &self.site), ("words", &self.words)] {
            if text.chars().count() > 64 || text.contains(char::is_control) {
                return invalid(key, "is longer than 64 characters, or contains control characters".into());
            }
        }
        if self.addresses.len() > MOST_ADDRESSES {
            return invalid("addresses", format!("{} addresses: at most {MOST_ADDRESSES}", self.addresses.len()));
        }
        match self.addresses.iter().find(|address| !signaling::is_host_and_port(address)) {
            Some(wrong) => invalid("addresses", format!("`{wrong}` is not a host and port such as 192.168.1.20:7413")),
            None => Ok(()),
        }
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
        let paired = Config { far_end: Some(Fingerprint::of(b"certificate")), ..Config::default() };
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&paired).unwrap()).unwrap(), paired);
        let addresses = |addresses: &[&str]| Config {
            addresses: addresses.iter().map(|it| it.to_string()).collect(),
            ..paired.clone()
        };
        assert!(addresses(&["192.0.2.1:7413", "[::1]:1", "there.local:7413"]).check().is_ok());
        for wrong in [&["there"][..], &["there:0"], &["http://there:1"], &["a:1"; 9]] {
            assert_eq!(addresses(wrong).check().unwrap_err().key, "addresses");
        }
        assert!(toml::from_str::<Config>("far_end = \"AB\"").unwrap_err().to_string().contains("64"));
    }
}
