//! Section `[link]` of the configuration.

use crate::config::Invalid;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use webrtc::peer_connection::RTCIceServer;

/// The connection to the far end.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The least that is sent, however narrow the path, in bits per second, 50,000 to 50,000,000. Default 200,000. The most is the
    /// encoder's `bitrate_bps`.
    pub min_bps: u32,
    /// Where sending begins, in percent of the encoder's `bitrate_bps`, 10 to 100. Default 80: what starts low looks blurred for seconds.
    pub start_percent: u8,
    /// STUN and TURN servers (`stun:host:3478`, `turn:host:3478?transport=udp`). None is needed in a private network. Default: none.
    pub ice_servers: Vec<IceServer>,
    /// This machine's addresses to be offered to the far end. Default: empty, all but link-local ones.
    pub addresses: Vec<IpAddr>,
    /// Offer 127.0.0.1 too, for two portals on one machine. It is offered anyway where there is no other. Default false.
    pub loopback: bool,
    /// Size of each UDP socket's receive and send buffer in bytes, 65,536 to 67,108,864; the kernel's limits
    /// `net.core.rmem_max` and `wmem_max` may grant less. Default 2,097,152.
    pub socket_buffer_bytes: usize,
}

/// A server that helps ICE to find a path.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct IceServer {
    /// `stun:` or `turn:` URLs of one server.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

impl IceServer {
    /// As the WebRTC library takes it.
    pub(super) fn for_webrtc(&self) -> RTCIceServer {
        RTCIceServer { urls: self.urls.clone(), username: self.username.clone(), credential: self.credential.clone() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_bps: 200_000,
            start_percent: 80,
            ice_servers: Vec::new(),
            addresses: Vec::new(),
            loopback: false,
            socket_buffer_bytes: 2 * 1024 * 1024,
        }
    }
}

impl Config {
    /// Checks the ranges.
    pub fn check(&self) -> Result<(), Invalid> {
        let wrong = |key, problem: String| Err(Invalid { key, problem });
        if !(50_000..=50_000_000).contains(&self.min_bps) {
            return wrong("min_bps", format!("{} is not within 50000 to 50000000", self.min_bps));
        }
        if !(10..=100).contains(&self.start_percent) {
            return wrong("start_percent", format!("{} is not within 10 to 100", self.start_percent));
        }
        if !(65_536..=67_108_864).contains(&self.socket_buffer_bytes) {
            let problem = format!("{} is not within 65536 to 67108864", self.socket_buffer_bytes);
            return wrong("socket_buffer_bytes", problem);
        }
        for server in &self.ice_servers {
            if server.urls.is_empty() {
                return wrong("ice_servers", "a server has no urls".into());
            }
            // turns: and TURN over TCP are not supported by the WebRTC library.
            let known = |url: &String| url.starts_with("stun:") || url.starts_with("turn:");
            if let Some(url) = server.urls.iter().find(|url| !known(url)) {
                return wrong("ice_servers", format!("`{url}` is neither a stun: nor a turn: URL"));
            }
            if server.urls.iter().any(|url| url.starts_with("turn:"))
                && (server.username.is_empty() || server.credential.is_empty())
            {
                return wrong("ice_servers", format!("`{}` needs username and credential", server.urls.join("`, `")));
            }
            // What the library cannot read would fail every connection attempt.
            if let Err(error) = server.for_webrtc().urls() {
                let problem =
                    format!("`{}`: {error}; write stun:host:3478 or turn:host:3478", server.urls.join("`, `"));
                return wrong("ice_servers", problem);
            }
        }
        if self.addresses.len() > 12 {
            return wrong("addresses", format!("{} are more than 12", self.addresses.len()));
        }
        if let Some(ip) = self.addresses.iter().find(|ip| ip.is_unspecified() || ip.is_multicast()) {
            return wrong("addresses", format!("{ip} is no address of one machine"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_mistakes_are_named() {
        Config::default().check().unwrap();
        let bad = |text: &str| toml::from_str::<Config>(text).unwrap().check().unwrap_err().key;
        assert_eq!(bad("min_bps = 3000"), "min_bps");
        assert_eq!(bad("start_percent = 0"), "start_percent");
        assert_eq!(bad("socket_buffer_bytes = 1"), "socket_buffer_bytes");
        assert_eq!(bad("ice_servers = [{ urls = [\"http://x\"] }]"), "ice_servers");
        assert_eq!(bad("ice_servers = [{}]"), "ice_servers");
        assert_eq!(bad("ice_servers = [{ urls = [\"stun:\"] }]"), "ice_servers");
        assert_eq!(bad("ice_servers = [{ urls = [\"turn:relay:3478\"] }]"), "ice_servers");
        let good = "ice_servers = [{ urls = [\"stun:stun.example.org:3478\"] }, { urls = [\"turn:relay:3478?transport=udp\"], \
                    username = \"portal\", credential = \"secret\" }]";
        toml::from_str::<Config>(good).unwrap().check().unwrap();
        assert_eq!(bad("addresses = [\"0.0.0.0\"]"), "addresses");
        assert!(toml::from_str::<Config>("bitrate = 1").is_err());
    }
}
