//! Which broker, and as whom.

use super::Error;
use crate::hub::client::trusting;
use rumqttc::{TlsConfiguration, Transport};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::http::Uri;

/// Which version of the protocol is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Version {
    /// MQTT 3.1.1 (OASIS, 2014), which every broker speaks.
    #[serde(rename = "3.1.1")]
    Three,
    /// MQTT 5 (OASIS, 2019).
    #[default]
    #[serde(rename = "5")]
    Five,
}

/// Which broker, and as whom.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// `mqtt://HOST:PORT`, or `mqtts://HOST:PORT` with TLS. Ports if none is named: 1883, 8883.
    pub url: String,
    /// Empty: none is told.
    pub username: String,
    /// For the user name.
    pub password: String,
    /// A PEM file of what to trust instead of the system's certificates.
    pub trust: Option<PathBuf>,
    /// Which version of the protocol.
    pub version: Version,
}

/// Never shows user name and password.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("url", &self.url).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Options {
    /// Whether a client can be made of them, as far as that is known without its certificates.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn check(&self) -> Result<(), Error> {
        parse(&self.url).map(drop)
    }
}

/// Whom to call, and how.
#[derive(Clone)]
pub(super) struct Address {
    pub host: String,
    pub port: u16,
    pub transport: Transport,
}

impl Address {
    pub fn of(options: &Options) -> Result<Self, Error> {
        let (host, port, is_encrypted) = parse(&options.url)?;
        let transport = match is_encrypted {
            true => {
                let config = trusting(options.trust.as_deref())?;
                Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(config)))
            }
            false => Transport::tcp(),
        };
        Ok(Self { host, port, transport })
    }
}

fn parse(url: &str) -> Result<(String, u16, bool), Error> {
    // What stands before an @ is a secret.
    let shown = url.rsplit_once('@').map_or_else(|| url.to_owned(), |(_, host)| format!("…@{host}"));
    let wrong = |problem: &str| Error::Url { url: shown.clone(), problem: problem.into() };
    let uri: Uri = url.parse().map_err(|_| wrong("it is no address"))?;
    let is_encrypted = match uri.scheme_str() {
        Some("mqtt") => false,
        Some("mqtts") => true,
        _ => return Err(wrong("it begins with neither mqtt:// nor mqtts://")),
    };
    if uri.path().len() > 1 || uri.query().is_some() {
        return Err(wrong("there is something behind the port"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong("user name and password have keys of their own"));
    }
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| wrong("there is no host"))?;
    let is_bare = uri.authority().is_some_and(|authority| authority.as_str().len() == host.len());
    if uri.port_u16().is_none() && !is_bare {
        return Err(wrong("the port is no number from 1 to 65535"));
    }
    Ok((host.into(), uri.port_u16().unwrap_or(if is_encrypted { 8883 } else { 1883 }), is_encrypted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (url, host, port, is_encrypted) in [
            ("mqtt://broker.example", "broker.example", 1883, false),
            ("mqtts://broker.example/", "broker.example", 8883, true),
            ("mqtt://10.0.0.1:1884", "10.0.0.1", 1884, false),
            ("mqtt://[::1]:1883", "[::1]", 1883, false),
        ] {
            assert_eq!(parse(url).unwrap(), (host.into(), port, is_encrypted), "{url}");
        }
        for bad in [
            "",
            "broker.example:1883",
            "tcp://broker.example",
            "mqtt://",
            "mqtt://u:p@x",
            "mqtt://x/y",
            "mqtt://x:99999",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let said = parse("mqtt://anna:hush@broker.example").unwrap_err().to_string();
        assert!(said.contains("@broker.example") && !said.contains("hush"), "{said}");
        let options =
            Options { url: "mqtt://x".into(), username: "anna".into(), password: "hush".into(), ..Options::default() };
        assert!(!format!("{options:?}").contains("anna") && !format!("{options:?}").contains("hush"));
    }
}
