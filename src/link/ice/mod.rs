//! Finding a path through address translation and firewalls: what ICE (RFC 8445) needs besides the library.
//!
//! The library gathers addresses, asks STUN servers and allocates on TURN servers, each over UDP sockets that it binds
//! itself, one for each local address. What it lacks is here:
//!
//! | | |
//! |---|---|
//! | `server` | STUN and TURN servers as they are configured |
//! | `relays` | what the log says of TURN servers that are dead or do not want us |
//! | `resolver` | their addresses, looked up before: the library would wait for DNS in the loop that moves every packet |
//! | `stream`, `framing`, `bridge`, `socket` | TURN over TCP and TLS, below |
//! | `wake` | relayed packets that would wait in the library, below |
//! | `tcp` | ICE-TCP (RFC 6544) with streams that never make the library wait |
//! | `ports` | which local ports are used |
//! | `trickle` | candidates that are found after the description was sent |
//! | `path` | the path in use, for people |
//! | `survey` | what a site's network lets through, for `screen-portal check` |
//!
//! **TURN over TCP and TLS.** The library speaks TURN over UDP only. It is told of a UDP server at an address that is
//! never on a wire (192.0.0.8, RFC 7600; 100::/64, RFC 6666), whose port says which server is meant. [`RelaySocket`],
//! which wraps each of its UDP sockets, takes the datagrams that go there and hands them to a bridge: one TCP
//! connection to the real server, from the same local address. The bridge delimits them as RFC 8656 wants it on a
//! stream, and what comes back appears as datagrams from that address. So allocation, permissions, channels and
//! refreshes remain the library's, and each allocation has a connection of its own.
//!
//! **Waking the library.** In each round of its loop it sends what its TURN client has, then asks itself what else is
//! to be sent, and what of that goes through a relay waits for the next round, whenever something wakes it; and so does
//! the answer to what came through a relay. Measured: 50 to 350 ms for each packet of the DTLS handshake, 1.9 s to the
//! first picture. So the socket wakes it, by receiving datagrams of no length: twice after what came from a TURN
//! server, and every few milliseconds while a relay is in use.

mod bridge;
pub(super) mod framing;
pub(super) mod path;
mod ports;
mod relays;
mod resolver;
pub(super) mod server;
mod socket;
mod stream;
pub(super) mod survey;
mod tcp;
pub(super) mod trickle;
mod wake;

pub(super) use ports::PortRange;
pub(super) use server::Server;
pub(super) use socket::RelaySocket;
pub(super) use tcp::{Listener, QueuedStream};

use super::Config;
use ports::Ports;
use relays::{Outcome, Relays};
use resolver::Resolver;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;
use stream::Tls;
use webrtc::peer_connection::RTCIceServer;

/// RFC 7600: the IPv4 dummy address. No packet on any wire has it.
const BRIDGED_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 8);
/// RFC 6666: a prefix whose packets are discarded.
const BRIDGED_V6: Ipv6Addr = Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 8);
/// What the library is told instead of the real server's name. RFC 2606: no such name is ever resolved.
const BRIDGED_HOST: &str = "bridge.invalid";

/// Why ICE cannot be prepared as configured.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The certificates that TURN servers are trusted by cannot be had.
    #[error("{0}")]
    Certificates(String),
    /// Every port of the configured range is in use.
    #[error("all ports {0} of [link] ports are in use: widen the range, or end the other program that uses them")]
    Ports(PortRange),
}

/// What all attempts to connect have in common.
#[derive(Debug)]
pub(super) struct Ice {
    servers: Vec<Server>,
    relays: Relays,
    resolver: Resolver,
    tls: Option<Tls>,
    ports: Option<Ports>,
    tcp: bool,
}

impl Ice {
    /// From a configuration that has been checked.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let servers = config.servers();
        let wants_tls = servers.iter().any(|server| server.reach == server::Reach::TurnTls);
        Ok(Self {
            tls: if wants_tls { Some(Tls::new(&config.ice_ca_file)?) } else { None },
            resolver: Resolver::default(),
            relays: Relays::new(servers.len()),
            servers,
            ports: PortRange::parse(&config.ports).ok().flatten().map(Ports::new),
            tcp: config.ice_tcp,
        })
    }

    /// Looks up the servers' addresses. Waits a moment for those that are not known yet; others are renewed in the
    /// background.
    pub async fn prepare(self: &Arc<Self>) {
        self.resolver.look_up(&self.servers).await;
    }

    /// Whether there are TURN servers.
    pub fn has_relays(&self) -> bool {
        self.servers.iter().any(|server| server.reach != server::Reach::Stun)
    }

    /// The addresses that TURN servers have for the library, each with the server's place in the configuration.
    fn relay_addresses(&self) -> Vec<(SocketAddr, usize)> {
        let addresses = |(index, server): (usize, &Server)| {
            let addresses: Vec<SocketAddr> = match server.reach {
                server::Reach::Stun => vec![],
                server::Reach::TurnUdp => self.resolver.known(&server.host, server.port),
                _ => [BRIDGED_V4.into(), BRIDGED_V6.into()].map(|ip| SocketAddr::new(ip, bridged_port(index))).into(),
            };
            addresses.into_iter().map(move |address| (address, index))
        };
        self.servers.iter().enumerate().flat_map(addresses).collect()
    }

    /// What came of asking a TURN server; logged if that is news.
    fn tell(&self, index: usize, came: (Outcome, Instant), now: Instant) {
        if let Some(server) = self.servers.get(index) {
            self.relays.tell(index, server, came, now);
        }
    }

    /// The servers as the library is to see them.
    pub fn for_webrtc(&self) -> Vec<RTCIceServer> {
        let server = |(index, server): (usize, &Server)| RTCIceServer {
            urls: vec![if server.is_bridged() {
                format!("turn:{BRIDGED_HOST}:{}?transport=udp", bridged_port(index))
            } else {
                server.url.clone()
            }],
            username: server.username.clone(),
            credential: server.credential.clone(),
        };
        self.servers.iter().enumerate().map(server).collect()
    }

    /// Where the library is to bind: UDP, and TCP for ICE-TCP.
    pub fn bind_to(&self, local: &[IpAddr]) -> Result<(Vec<SocketAddr>, Vec<SocketAddr>), Error> {
        let port = self.ports.as_ref().map_or(Ok(0), |ports| ports.free(local, self.tcp))?;
        let addresses: Vec<_> = local.iter().map(|&ip| SocketAddr::new(ip, port)).collect();
        let tcp = if self.tcp { addresses.clone() } else { Vec::new() };
        Ok((addresses, tcp))
    }

    /// Answers the library's look-ups; `host` is `name:port`, with or without brackets around an IPv6 address.
    pub fn resolve(&self, host: &str) -> io::Result<Vec<SocketAddr>> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidInput, format!("`{host}` is no host and port"));
        let (name, port) = host.rsplit_once(':').ok_or_else(malformed)?;
        let port: u16 = port.parse().map_err(|_| malformed())?;
        if name != BRIDGED_HOST {
            return Ok(self.resolver.known(name.trim_matches(['[', ']']), port));
        }
        let Some(server) = self.bridged(port) else { return Err(malformed()) };
        let families = self.resolver.known(&server.host, server.port);
        let stand_in = |v4: bool, ip: IpAddr| {
            families.iter().any(|address| address.is_ipv4() == v4).then_some(SocketAddr::new(ip, port))
        };
        Ok([stand_in(true, BRIDGED_V4.into()), stand_in(false, BRIDGED_V6.into())].into_iter().flatten().collect())
    }

    /// The server behind a stand-in address, and where it really is.
    fn behind(&self, stand_in: SocketAddr) -> Option<(&Server, SocketAddr)> {
        let server = self.bridged(stand_in.port())?;
        let mut addresses = self.resolver.known(&server.host, server.port).into_iter();
        Some((server, addresses.find(|address| address.is_ipv4() == stand_in.is_ipv4())?))
    }

    /// The connection to the server behind a stand-in address stands, or why there is none.
    fn connection(&self, stand_in: SocketAddr, broken: Option<String>) {
        if let Some(index) = usize::from(stand_in.port()).checked_sub(1) {
            self.relays.connection(index, broken);
        }
    }

    /// The server that the library knows by this URL.
    pub fn server_of(&self, url: &str) -> Option<&Server> {
        let index = self.for_webrtc().iter().position(|server| server.urls[0] == url)?;
        self.servers.get(index)
    }

    fn bridged(&self, port: u16) -> Option<&Server> {
        self.servers.get(usize::from(port).checked_sub(1)?).filter(|server| server.is_bridged())
    }
}

/// Whether datagrams to this address belong to a bridge.
fn is_bridged(address: SocketAddr) -> bool {
    address.ip() == BRIDGED_V4 || address.ip() == BRIDGED_V6
}

fn bridged_port(index: usize) -> u16 {
    // The configuration allows far fewer servers.
    u16::try_from(index + 1).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ice(urls: &[&str]) -> Arc<Ice> {
        let urls = urls.iter().map(|&url| url.to_owned()).collect();
        let server = super::super::IceServer { urls, username: "portal".into(), credential: "secret".into() };
        let config = Config { ice_servers: vec![server], ..Default::default() };
        config.check().unwrap();
        Arc::new(Ice::new(&config).unwrap())
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn servers_over_tcp_have_a_stand_in_for_each_family_that_they_have() {
        let ice =
            ice(&["stun:192.0.2.1:3478", "turn:192.0.2.1:3479?transport=tcp", "turn:[2001:db8::1]:3478?transport=tcp"]);
        ice.prepare().await;
        let urls: Vec<_> = ice.for_webrtc().into_iter().map(|server| server.urls[0].clone()).collect();
        assert_eq!(
            urls,
            ["stun:192.0.2.1:3478", "turn:bridge.invalid:2?transport=udp", "turn:bridge.invalid:3?transport=udp"]
        );
        assert_eq!(ice.resolve("bridge.invalid:2").unwrap(), [address("192.0.0.8:2")]);
        assert_eq!(ice.resolve("bridge.invalid:3").unwrap(), [address("[100::8]:3")]);
        assert_eq!(ice.resolve("192.0.2.1:3478").unwrap(), [address("192.0.2.1:3478")]);
        for nonsense in ["bridge.invalid:1", "bridge.invalid:9", "bridge.invalid:0", "bridge.invalid", "x:99999"] {
            assert!(ice.resolve(nonsense).is_err(), "{nonsense}");
        }
        let (server, real) = ice.behind(address("[100::8]:3")).unwrap();
        assert_eq!((server.reach, real), (server::Reach::TurnTcp, address("[2001:db8::1]:3478")));
        assert!(ice.behind(address("192.0.0.8:3")).is_none(), "it has no IPv4 address");
        assert_eq!(ice.server_of(&urls[1]).unwrap().port, 3479);
    }
}
