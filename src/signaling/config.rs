//! Where to listen and whom to dial.

use crate::config::Invalid;
use crate::{hub, mqtt};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Portals listen on this one if no other is said.
pub const PORT: u16 = 7413;

/// Section `[signaling]`. One of the two portals being reachable by the other is enough.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on for the far end, `IP:PORT`; empty: do not listen. Default: `0.0.0.0:7413`.
    pub listen: String,
    /// Where the far end listens, `HOST:PORT`; empty: do not dial, wait to be dialled. Default: empty.
    pub dial: String,
    /// A hub where both portals meet, `ws://HOST:PORT/` or `wss://HOST:PORT/`. It cannot read what they say. Default: empty, none.
    pub hub: String,
    /// What lets this portal into the hub's rooms, where that asks for it. Default: empty, nothing is shown.
    pub hub_token: String,
    /// A PEM file of what to trust in the hub, instead of the system's certificates. Default: empty.
    pub hub_trust: PathBuf,
    /// An MQTT broker where both portals meet, `mqtt://HOST:PORT` or `mqtts://HOST:PORT`. It cannot read what they say. Default: empty, none.
    pub broker: String,
    /// Who we are at the broker, where that asks for it. Default: empty, nobody.
    pub broker_username: String,
    /// The password for the user name. Default: empty.
    pub broker_password: String,
    /// A PEM file of what to trust in the broker, instead of the system's certificates. Default: empty.
    pub broker_trust: PathBuf,
    /// What all topics begin with; the same at both portals. Default: `screen-portal`.
    pub broker_topic: String,
    /// The version of MQTT: `3.1.1` or `5`. Default: `5`.
    pub broker_version: mqtt::Version,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: format!("0.0.0.0:{PORT}"),
            dial: String::new(),
            hub: String::new(),
            hub_token: String::new(),
            hub_trust: PathBuf::new(),
            broker: String::new(),
            broker_username: String::new(),
            broker_password: String::new(),
            broker_trust: PathBuf::new(),
            broker_topic: "screen-portal".into(),
            broker_version: mqtt::Version::default(),
        }
    }
}

impl Config {
    /// Says what is wrong with the values.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.listen_address().is_none() && self.dial_address().is_none() && !self.has_relays() {
            let problem =
                "listen, dial, hub and broker are all empty: the far end can never be met; set at least one of them"
                    .into();
            return Err(Invalid { key: "listen", problem });
        }
        if let Some(listen) = self.listen_address()
            && listen.parse::<SocketAddr>().is_err()
        {
            let problem = format!("`{listen}` is not an address and port such as 0.0.0.0:7413, [::]:7413, or empty");
            return Err(Invalid { key: "listen", problem });
        }
        if let Some(dial) = self.dial_address()
            && !is_host_and_port(&dial)
        {
            let problem =
                format!("`{dial}` is not a host and port such as 192.168.1.20:7413, kiosk.local:7413, or empty");
            return Err(Invalid { key: "dial", problem });
        }
        if let Some(options) = self.hub_options()
            && let Err(problem) = options.check()
        {
            return Err(Invalid { key: "hub", problem: problem.to_string() });
        }
        // Addresses are shown, logged and told to the far end.
        if self.hub.contains(['?', '@', '#']) {
            let problem = "has more than an address in it; what is secret belongs into hub_token".into();
            return Err(Invalid { key: "hub", problem });
        }
        if let Some(options) = self.broker_options()
            && let Err(problem) = options.check()
        {
            return Err(Invalid { key: "broker", problem: problem.to_string() });
        }
        let topic = self.broker_topic.trim();
        if topic.is_empty() || topic.len() > 100 || topic.contains(|c: char| c.is_control() || "+#$".contains(c)) {
            let problem = format!("`{topic}` is no beginning of a topic: at most 100 characters, none of + # $");
            return Err(Invalid { key: "broker_topic", problem });
        }
        Ok(())
    }

    /// Whether there is a way through another machine.
    pub fn has_relays(&self) -> bool {
        self.hub_options().is_some() || self.broker_options().is_some()
    }

    /// Which broker to meet at, if any.
    pub fn broker_options(&self) -> Option<mqtt::Options> {
        let url = Some(self.broker.trim()).filter(|url| !url.is_empty())?;
        Some(mqtt::Options {
            url: url.into(),
            username: self.broker_username.clone(),
            password: self.broker_password.clone(),
            trust: Some(&self.broker_trust).filter(|trust| !trust.as_os_str().is_empty()).cloned(),
            version: self.broker_version,
        })
    }

    /// Which hub to meet at, if any.
    pub fn hub_options(&self) -> Option<hub::client::Options> {
        let url = Some(self.hub.trim()).filter(|url| !url.is_empty())?;
        let token = Some(self.hub_token.trim()).filter(|token| !token.is_empty());
        let trust = Some(&self.hub_trust).filter(|trust| !trust.as_os_str().is_empty());
        Some(hub::client::Options { url: url.into(), join: None, token: token.map(Into::into), trust: trust.cloned() })
    }

    /// What to listen on, if anything.
    pub fn listen_address(&self) -> Option<&str> {
        Some(self.listen.trim()).filter(|listen| !listen.is_empty())
    }

    /// Whom to dial, if anybody.
    pub fn dial_address(&self) -> Option<String> {
        Some(self.dial.trim()).filter(|dial| !dial.is_empty()).map(Into::into)
    }
}

/// Whether this is `HOST:PORT`.
pub fn is_host_and_port(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    matches!(port, Some(Ok(1..))) && !text.contains(|c: char| c.is_whitespace() || c == '/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let config =
            |listen: &str, dial: &str| Config { listen: listen.into(), dial: dial.into(), ..Config::default() };
        let hub = |url: &str| Config { hub: url.into(), ..config("", "") };
        for good in [
            Config::default(),
            config("", "far:7413"),
            config("[::]:0", " 10.0.0.2:1 "),
            config("127.0.0.1:7413", "[::1]:7413"),
            hub("wss://hub.example/"),
            Config { broker: "mqtts://broker.example".into(), broker_topic: "town/portals".into(), ..config("", "") },
        ] {
            assert_eq!(good.check(), Ok(()), "{good:?}");
        }
        for (bad, key) in [
            (config("", ""), "listen"),
            (config("7413", ""), "listen"),
            (config("localhost:7413", ""), "listen"),
            (config("", "far"), "dial"),
            (config("", ":7413"), "dial"),
            (config("", "far:0"), "dial"),
            (config("", "far:70000"), "dial"),
            (config("", "ws://far:7413/"), "dial"),
            (hub("hub.example"), "hub"),
            (hub("wss://user:secret@hub.example/"), "hub"),
            (hub("wss://hub.example/?token=secret"), "hub"),
            (Config { broker: "broker.example".into(), ..config("", "") }, "broker"),
            (Config { broker_topic: "a/#".into(), ..Config::default() }, "broker_topic"),
            (Config { hub_token: "line\nbreak".into(), ..hub("ws://hub.example/") }, "hub"),
        ] {
            assert_eq!(bad.check().map_err(|invalid| invalid.key), Err(key), "{bad:?}");
        }
    }
}
