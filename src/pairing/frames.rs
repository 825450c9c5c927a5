//! What two portals say to each other while they pair, as JSON. `docs/signaling.md`, "Pairing", describes each message.

use crate::signaling::{Malformed, for_people, hex, read, to_json};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};

/// The version of the exchange; another one is refused.
pub const VERSION: u32 = 1;
/// The longest message, in bytes of JSON. The longest that is sent has about 2 KiB.
pub const LONGEST_FRAME: usize = 16 * 1024;
/// More ways to reach somebody are not read, nor more addresses of one way.
const MOST: usize = 16;
/// Longer addresses of hubs and brokers are not kept.
const LONGEST_URL: usize = 256;
/// The longest name of a place, in characters.
const LONGEST_SITE: usize = 64;

/// One message of the exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame {
    /// From who enters the code: the first message.
    Start {
        /// See [`VERSION`].
        version: u32,
        /// SPAKE2's element, with the letter of its side before it.
        #[serde(with = "hex")]
        element: [u8; 33],
    },
    /// From who shows the code, in answer.
    Reply {
        /// See [`VERSION`].
        version: u32,
        /// As in `Start`.
        #[serde(with = "hex")]
        element: [u8; 33],
    },
    /// That the sender came to the same key, so that it knows the code.
    Proof {
        /// HMAC with SHA-256.
        #[serde(with = "hex")]
        mac: [u8; 32],
    },
    /// A [`Sealed`], for nobody but the other end.
    Sealed {
        /// ChaCha20-Poly1305.
        #[serde(with = "hex")]
        text: Vec<u8>,
    },
}

impl Frame {
    /// Reads one message; total on any text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        read(text, LONGEST_FRAME)
    }

    /// As it is sent.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

/// What passes when both ends have proved that they know the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Sealed {
    /// Who the sender is: what the other end pins.
    Card(Card),
    /// From who shows the code: the other end's card is stored, so it may store ours.
    Done,
}

/// A portal's visiting card.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// X.509, DER. Its SHA-256 is the fingerprint that is pinned.
    #[serde(with = "hex")]
    pub certificate: Vec<u8>,
    /// By the certificate's key, over this very exchange.
    #[serde(with = "hex")]
    pub signature: Vec<u8>,
    /// The name of the place, for people: at most 64 characters, none of them a control character.
    pub site: String,
    /// How to reach it.
    pub ways: Vec<Way>,
}

/// A way to reach a portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Way {
    /// It listens for signalling itself.
    Direct {
        /// This machine's addresses.
        addresses: Vec<IpAddr>,
        /// The port of all of them.
        port: u16,
    },
    /// It is in a room of this hub, named by both fingerprints. What lets one in there is not told.
    Hub {
        /// `ws://HOST:PORT/` or `wss://HOST:PORT/`.
        url: String,
    },
    /// The same at an MQTT broker.
    Broker {
        /// `mqtt://HOST:PORT` or `mqtts://HOST:PORT`.
        url: String,
        /// What its topics begin with.
        topic: String,
    },
    /// A way that this version does not know.
    #[serde(other)]
    Other,
}

impl Way {
    /// Whether it can be kept: of a length that addresses have, and without what is not to be seen.
    fn is_sound(&self) -> bool {
        let is_text = |text: &String| text.len() <= LONGEST_URL && !text.contains(char::is_control);
        match self {
            Self::Hub { url } => is_text(url),
            Self::Broker { url, topic } => is_text(url) && is_text(topic),
            Self::Direct { .. } | Self::Other => true,
        }
    }
}

impl Sealed {
    /// Reads what was sealed; total on any bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let text = std::str::from_utf8(bytes).map_err(|_| Malformed::Unreadable("it is not text".into()))?;
        let mut sealed = read(text, LONGEST_FRAME)?;
        if let Self::Card(card) = &mut sealed {
            card.site = for_people(&card.site, LONGEST_SITE).trim().to_owned();
            card.ways.truncate(MOST);
            card.ways.retain(Way::is_sound);
            for way in &mut card.ways {
                if let Way::Direct { addresses, .. } = way {
                    addresses.truncate(MOST);
                }
            }
        }
        Ok(sealed)
    }

    /// As it is sealed.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

/// The addresses to dial, best first: those that the ways tell, at most `most` in all. Addresses of no one machine are left out.
pub fn direct_addresses(ways: &[Way], most: usize) -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for way in ways {
        let Way::Direct { addresses, port: port @ 1.. } = way else { continue };
        for ip in addresses.iter().filter(|ip| !ip.is_unspecified() && !ip.is_multicast()) {
            let address = SocketAddr::new(*ip, *port);
            if found.len() < most && !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn later_versions_may_say_more() {
        let card = r#"{"type":"card","certificate":"00","signature":"","site":"Harbour","colour":"red","ways":[
            {"by":"pigeon","url":"wss://hub.example.org","room":{"name":"x"}},{"by":"direct","port":7413,"addresses":["192.0.2.1"],"x":1}]}"#;
        let Ok(Sealed::Card(card)) = Sealed::parse(card.as_bytes()) else { panic!() };
        assert_eq!(card.ways[0], Way::Other);
        assert_eq!(direct_addresses(&card.ways, 8), ["192.0.2.1:7413".parse::<SocketAddr>().unwrap()]);
    }

    #[test]
    fn limits() {
        let card =
            |site: String, ways| Sealed::Card(Card { certificate: vec![1], signature: vec![2], site, ways }).to_json();
        let many = vec![Way::Direct { addresses: vec![[192, 0, 2, 1].into(); 20], port: 1 }; 20];
        let Ok(Sealed::Card(read)) = Sealed::parse(card("a\u{7}b".repeat(40), many).as_bytes()) else { panic!() };
        assert_eq!((read.site.chars().count(), read.site.contains(char::is_control)), (LONGEST_SITE, false));
        assert_eq!(read.ways.len(), MOST);
        assert_eq!(direct_addresses(&read.ways, 8).len(), 1);
        assert!(Frame::parse(&" ".repeat(LONGEST_FRAME + 1)).is_err());
        assert!(Frame::parse(r#"{"type":"proof","mac":"00"}"#).is_err(), "a code of another length");
        let nobody = [Way::Direct { addresses: vec![[0, 0, 0, 0].into(), [224, 0, 0, 251].into()], port: 7413 }];
        assert!(direct_addresses(&nobody, 8).is_empty());
        let no_port = [Way::Direct { addresses: vec![[192, 0, 2, 1].into()], port: 0 }];
        assert!(direct_addresses(&no_port, 8).is_empty());
    }

    fn frame() -> impl Strategy<Value = Frame> {
        let element = || proptest::collection::vec(any::<u8>(), 33).prop_map(|it| it.try_into().unwrap());
        prop_oneof![
            (any::<u32>(), element()).prop_map(|(version, element)| Frame::Start { version, element }),
            (any::<u32>(), element()).prop_map(|(version, element)| Frame::Reply { version, element }),
            any::<[u8; 32]>().prop_map(|mac| Frame::Proof { mac }),
            proptest::collection::vec(any::<u8>(), 0..2000).prop_map(|text| Frame::Sealed { text }),
        ]
    }

    proptest! {
        #[test]
        fn parsing_is_total(text in ".*", bytes: Vec<u8>) {
            let _ = Frame::parse(&text);
            let _ = Sealed::parse(text.as_bytes());
            let _ = Sealed::parse(&bytes);
        }

        #[test]
        fn there_and_back(frame in frame()) {
            prop_assert_eq!(Frame::parse(&frame.to_json()), Ok(frame));
        }

        /// What was read is within the limits, so that to read it again changes nothing.
        #[test]
        fn what_is_read_is_read_again_as_the_same(site: String, bytes: Vec<u8>, ips: Vec<std::net::IpAddr>, port: u16) {
            let (url, topic) = (site.clone(), site.repeat(20));
            let hub = Way::Hub { url: url.clone() };
            let ways = vec![Way::Direct { addresses: ips, port }, hub, Way::Broker { url, topic }, Way::Other];
            let card = Sealed::Card(Card { certificate: bytes.clone(), signature: bytes, site, ways });
            let read = Sealed::parse(card.to_json().as_bytes()).unwrap();
            prop_assert_eq!(Sealed::parse(read.to_json().as_bytes()), Ok(read));
        }

        #[test]
        fn total_on_damaged_messages(frame in frame(), at: prop::sample::Index, with: char) {
            let mut text: Vec<char> = frame.to_json().chars().collect();
            let at = at.index(text.len());
            text[at] = with;
            let _ = Frame::parse(&text.into_iter().collect::<String>());
        }
    }
}
