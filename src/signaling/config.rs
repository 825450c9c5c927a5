//! Where to listen and whom to dial.

use crate::config::Invalid;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

/// Section `[signaling]`. One of the two portals being reachable by the other is enough.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on for the far end, `IP:PORT`; empty: do not listen. Default: `0.0.0.0:7413`.
    pub listen: String,
    /// Where the far end listens, `HOST:PORT`; empty: do not dial, wait to be dialled. Default: empty.
    pub dial: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { listen: "0.0.0.0:7413".into(), dial: String::new() }
    }
}

impl Config {
    /// Says what is wrong with the values.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.listen_address().is_none() && self.dial_address().is_none() {
            let problem =
                "listen and dial are both empty: the far end can never be met; set at least one of them".into();
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
        Ok(())
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
        let config = |listen: &str, dial: &str| Config { listen: listen.into(), dial: dial.into() };
        for good in [
            Config::default(),
            config("", "far:7413"),
            config("[::]:0", " 10.0.0.2:1 "),
            config("127.0.0.1:7413", "[::1]:7413"),
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
        ] {
            assert_eq!(bad.check().map_err(|invalid| invalid.key), Err(key), "{bad:?}");
        }
    }
}
