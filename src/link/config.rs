//! Section `[link]` of the configuration.

use super::ice::server::Reach;
use super::ice::{PortRange, Server};
use crate::config::Invalid;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// More ways to servers are not configured: each costs every attempt an allocation or a question for each local address.
const MOST_SERVERS: usize = 16;

/// The connection to the far end.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The least that is sent, however narrow the path, in bits per second, 50,000 to 50,000,000. Default 200,000. The most is the
    /// encoder's `bitrate_bps`.
    pub min_bps: u32,
    /// Where sending begins, in percent of the encoder's `bitrate_bps`, 10 to 100. Default 80: what starts low looks blurred for seconds.
    pub start_percent: u8,
    /// STUN and TURN servers: `stun:host:3478`, `turn:host:3478` (UDP), `turn:host:3478?transport=tcp`, `turns:host:443` (TLS); at
    /// most 16 URLs. None is needed in a private network. Default: none.
    pub ice_servers: Vec<IceServer>,
    /// PEM file with the certificates that `turns:` servers are trusted by, instead of the system's. Default: empty, the system's.
    pub ice_ca_file: PathBuf,
    /// Use nothing but TURN servers: the far end does not learn this machine's addresses. Default false.
    pub relay_only: bool,
    /// Offer direct connections over TCP too (ICE-TCP, RFC 6544), where UDP is blocked but one end can reach the other's TCP ports.
    /// Default false.
    pub ice_tcp: bool,
    /// Local UDP ports to use, and TCP ports with `ice_tcp`: "50000-50010", at least 4, for a firewall that lets only some
    /// through. Default: empty, any.
    pub ports: String,
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
    /// `stun:`, `turn:` and `turns:` URLs of one server.
    pub urls: Vec<String>,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

impl IceServer {
    fn servers(&self) -> impl Iterator<Item = Result<Server, String>> {
        self.urls.iter().map(|url| Server::parse(url, &self.username, &self.credential))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_bps: 200_000,
            start_percent: 80,
            ice_servers: Vec::new(),
            ice_ca_file: PathBuf::new(),
            relay_only: false,
            ice_tcp: false,
            ports: String::new(),
            addresses: Vec::new(),
            loopback: false,
            socket_buffer_bytes: 2 * 1024 * 1024,
        }
    }
}

impl Config {
    /// The servers, each way by itself. Of a configuration that passes [`Self::check`], all of them.
    pub(super) fn servers(&self) -> Vec<Server> {
        self.ice_servers.iter().flat_map(IceServer::servers).filter_map(Result::ok).collect()
    }

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
            if let Some(problem) = server.servers().find_map(Result::err) {
                return wrong("ice_servers", problem);
            }
        }
        let servers = self.servers();
        if servers.len() > MOST_SERVERS {
            return wrong("ice_servers", format!("{} URLs are more than {MOST_SERVERS}", servers.len()));
        }
        if self.relay_only && !servers.iter().any(|server| server.reach != Reach::Stun) {
            return wrong("relay_only", "there is no turn: or turns: server in ice_servers".into());
        }
        if let Err(problem) = PortRange::parse(&self.ports) {
            return wrong("ports", problem);
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
        let tls = "relay_only = true\nice_servers = [{ urls = [\"turns:relay:443\", \"turn:relay?transport=tcp\"], username = \"portal\", \
                   credential = \"secret\" }]";
        toml::from_str::<Config>(tls).unwrap().check().unwrap();
        assert_eq!(bad("relay_only = true"), "relay_only");
        assert_eq!(bad("ports = \"50000\""), "ports");
        toml::from_str::<Config>("ports = \"50000-50007\"").unwrap().check().unwrap();
        assert_eq!(bad("addresses = [\"0.0.0.0\"]"), "addresses");
        assert!(toml::from_str::<Config>("bitrate = 1").is_err());
    }
}
