//! The way that packets take between the two portals, in words.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What sort of address one end of the path has (the candidate types of RFC 8445).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CandidateKind {
    /// An address of the machine's own.
    Host,
    /// What the NAT made of it, as a STUN server sees it.
    ServerReflexive,
    /// What the NAT made of it, as the far end sees it.
    PeerReflexive,
    /// An address of a TURN server.
    Relayed,
}

/// How packets travel; with a relay on our side, how they travel to that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// UDP: what pictures want.
    Udp,
    /// TCP: where UDP is blocked; a lost packet holds up those behind it.
    Tcp,
    /// TLS over TCP, where nothing else gets out.
    Tls,
}

/// The path in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Path {
    /// Our end of it.
    pub local: CandidateKind,
    /// The far end's.
    pub remote: CandidateKind,
    /// How packets leave this machine.
    pub transport: Transport,
}

impl Path {
    /// Whether a relay stands between the portals.
    pub fn is_relayed(&self) -> bool {
        self.local == CandidateKind::Relayed || self.remote == CandidateKind::Relayed
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use CandidateKind::{Host, Relayed};
        let way = match (self.local, self.remote) {
            (Relayed, Relayed) => "through relays on both sides",
            (Relayed, _) => "through our relay",
            (_, Relayed) => "through the far end's relay",
            (Host, Host) => "direct",
            _ => "direct, through address translation",
        };
        let transport = match self.transport {
            Transport::Udp => "UDP",
            Transport::Tcp => "TCP",
            Transport::Tls => "TLS over TCP",
        };
        write!(out, "{way}, by {transport}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words() {
        use CandidateKind::*;
        for (local, remote, transport, words) in [
            (Host, Host, Transport::Udp, "direct, by UDP"),
            (Host, PeerReflexive, Transport::Udp, "direct, through address translation, by UDP"),
            (Relayed, ServerReflexive, Transport::Tls, "through our relay, by TLS over TCP"),
            (Host, Relayed, Transport::Udp, "through the far end's relay, by UDP"),
            (Relayed, Relayed, Transport::Tcp, "through relays on both sides, by TCP"),
        ] {
            let path = Path { local, remote, transport };
            assert_eq!(path.to_string(), words);
            assert_eq!(path.is_relayed(), words.contains("relay"));
        }
    }
}
