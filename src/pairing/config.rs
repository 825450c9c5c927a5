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
    /// The hub where the far end said that it is; counts where `signaling.hub` is empty. Default: empty.
    pub hub: String,
    /// The same with an MQTT broker, for `signaling.broker`. Default: empty.
    pub broker: String,
    /// What the topics at that broker begin with. Default: empty, `signaling.broker_topic`.
    pub broker_topic: String,
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
        let ways = self.ways(&signaling::Config::default());
        if let Err(Invalid { key, problem }) = ways.check() {
            return invalid(key, problem);
        }
        match self.addresses.iter().find(|address| !signaling::is_host_and_port(address)) {
            Some(wrong) => invalid("addresses", format!("`{wrong}` is not a host and port such as 192.168.1.20:7413")),
            None => Ok(()),
        }
    }
}

impl Config {
    /// The ways to meet, with what the far end told where the own configuration says nothing.
    pub fn ways(&self, own: &signaling::Config) -> signaling::Config {
        let mut ways = own.clone();
        if ways.hub.trim().is_empty() {
            ways.hub.clone_from(&self.hub);
        }
        if ways.broker.trim().is_empty() && !self.broker.is_empty() {
            ways.broker.clone_from(&self.broker);
            if !self.broker_topic.is_empty() {
                ways.broker_topic.clone_from(&self.broker_topic);
            }
        }
        ways
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
    fn what_the_far_end_told_counts_where_nothing_else_is_said() {
        let told = Config {
            hub: "wss://hub.example/".into(),
            broker: "mqtts://broker.example".into(),
            broker_topic: "town".into(),
            ..Config::default()
        };
        let default = signaling::Config::default();
        let ways = told.ways(&default);
        assert_eq!((&*ways.hub, &*ways.broker, &*ways.broker_topic), (&*told.hub, &*told.broker, "town"));
        let own = signaling::Config {
            hub: "ws://own/".into(),
            broker: "mqtt://own".into(),
            broker_topic: "here".into(),
            ..default.clone()
        };
        assert_eq!(told.ways(&own), own);
        assert_eq!(Config::default().ways(&default), default);
    }

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
        for (wrong, key) in [
            (Config { hub: "there".into(), ..Config::default() }, "hub"),
            (Config { broker: "tcp://there".into(), ..Config::default() }, "broker"),
        ] {
            assert_eq!(wrong.check().unwrap_err().key, key);
        }
        assert!(toml::from_str::<Config>("far_end = \"AB\"").unwrap_err().to_string().contains("64"));
    }
}
