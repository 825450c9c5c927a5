//! A STUN or TURN server as it is configured: `stun:` (RFC 7064), `turn:` and `turns:` (RFC 7065) URLs.

use rtc::ice::url::{ProtoType, SchemeType, Url};
use std::fmt;

/// How a server is reached, and what for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// STUN over UDP: tells what address translation makes of ours.
    Stun,
    /// TURN over UDP: relays for those who have no direct path.
    TurnUdp,
    /// TURN over TCP: where UDP is blocked.
    TurnTcp,
    /// TURN over TLS: where nothing but TLS gets out; on port 443 it looks like a browser's.
    TurnTls,
}

impl fmt::Display for Reach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Stun => "STUN over UDP",
            Self::TurnUdp => "TURN over UDP",
            Self::TurnTcp => "TURN over TCP",
            Self::TurnTls => "TURN over TLS",
        })
    }
}

/// One way to one server.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// As configured.
    pub url: String,
    /// How it is reached.
    pub reach: Reach,
    /// Name or address, without brackets.
    pub host: String,
    /// Default 3478, with TLS 5349.
    pub port: u16,
    /// For TURN.
    pub username: String,
    /// For TURN.
    pub credential: String,
}

// The credential is none of a log's business.
impl fmt::Debug for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.url)
    }
}

impl Server {
    /// Reads a URL; the error is for people.
    pub fn parse(url: &str, username: &str, credential: &str) -> Result<Self, String> {
        // The library's parser overlooks more than one `?`.
        let parsed = Url::parse_url(url).map_err(|error| {
            format!(
                "`{url}`: {error}; write stun:host:3478, turn:host:3478, turn:host:3478?transport=tcp or turns:host:443"
            )
        })?;
        let reach = match (parsed.scheme, parsed.proto) {
            (SchemeType::Stun, _) => Reach::Stun,
            (SchemeType::Turn, ProtoType::Udp) => Reach::TurnUdp,
            (SchemeType::Turn, ProtoType::Tcp) => Reach::TurnTcp,
            (SchemeType::Turns, ProtoType::Tcp) => Reach::TurnTls,
            (SchemeType::Turns, _) => {
                return Err(format!("`{url}`: TURN over DTLS is not known here; leave out the transport"));
            }
            _ => return Err(format!("`{url}` is neither a stun: nor a turn: nor a turns: URL")),
        };
        if parsed.host.is_empty() || parsed.port == 0 {
            return Err(format!("`{url}` names no host and port"));
        }
        if reach != Reach::Stun && (username.is_empty() || credential.is_empty()) {
            return Err(format!("`{url}` needs username and credential"));
        }
        Ok(Self {
            url: url.to_owned(),
            reach,
            host: parsed.host,
            port: parsed.port,
            username: username.to_owned(),
            credential: credential.to_owned(),
        })
    }

    /// Whether the library cannot reach it by itself.
    pub fn is_bridged(&self) -> bool {
        matches!(self.reach, Reach::TurnTcp | Reach::TurnTls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let parse = |url| Server::parse(url, "portal", "secret").map(|server| (server.reach, server.host, server.port));
        for (url, reach, host, port) in [
            ("stun:stun.example.org", Reach::Stun, "stun.example.org", 3478),
            ("turn:relay:3479", Reach::TurnUdp, "relay", 3479),
            ("turn:relay?transport=udp", Reach::TurnUdp, "relay", 3478),
            ("turn:192.0.2.1?transport=tcp", Reach::TurnTcp, "192.0.2.1", 3478),
            ("turns:[2001:db8::1]:443?transport=tcp", Reach::TurnTls, "2001:db8::1", 443),
            ("turns:relay", Reach::TurnTls, "relay", 5349),
        ] {
            assert_eq!(parse(url), Ok((reach, host.to_owned(), port)), "{url}");
        }
        for bad in [
            "",
            "http://x",
            "stun:",
            "stuns:x",
            "turn:x?transport=sctp",
            "turns:x?transport=udp",
            "turn:x:0",
            "turn:x?a=b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(Server::parse("turn:relay", "", "").unwrap_err().contains("username"));
        assert!(Server::parse("stun:relay", "", "").is_ok());
    }
}
