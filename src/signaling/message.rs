//! What two portals say to each other once they know whom they talk to.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// The longest message that is sent or accepted, in bytes of JSON. Longer WebSocket messages end the connection.
pub const LONGEST_MESSAGE: usize = 64 * 1024;

/// The longest session description, in bytes. Ours have about 3 KiB.
pub const LONGEST_SDP: usize = 60 * 1024;

/// The longest candidate, in bytes. Ours have about 100.
pub const LONGEST_CANDIDATE: usize = 512;

/// One message of an authenticated connection: JSON, told apart by the field `type`. Unknown fields are passed over, so that
/// later versions can say more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// Let us connect. Only the portal with the smaller fingerprint offers.
    Offer {
        /// Numbers the attempts of this session, from 1; what belongs to an earlier attempt is ignored.
        attempt: u64,
        /// The session description (RFC 8866) with the candidates known so far.
        sdp: String,
    },
    /// Yes to an offer.
    Answer {
        /// The offer's.
        attempt: u64,
        /// The session description with the candidates known so far.
        sdp: String,
    },
    /// Another way to reach us, found after our offer or answer was sent.
    Candidate {
        /// The offer's.
        attempt: u64,
        /// The attribute of RFC 8839, section 5.1, without `a=`.
        candidate: String,
    },
    /// Our side of the media connection ends in order.
    Bye {
        /// What comes next.
        reason: Goodbye,
    },
}

/// Why a portal says goodbye.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goodbye {
    /// The program ends: nobody will be there.
    Off,
    /// Only this connection ends; a new one is wanted.
    Reconnect,
    /// A reason that this version does not know.
    #[serde(other)]
    Other,
}

/// The text is not a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too long.
    #[error("it has {0} bytes, more than allowed")]
    Long(usize),
    /// Not JSON, or not one of the known messages.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

impl Message {
    /// Reads one message; total on any text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let message: Self = read(text, LONGEST_MESSAGE)?;
        match &message {
            Self::Offer { sdp, .. } | Self::Answer { sdp, .. } if sdp.len() > LONGEST_SDP => {
                Err(Malformed::Long(sdp.len()))
            }
            Self::Candidate { candidate, .. } if candidate.len() > LONGEST_CANDIDATE => {
                Err(Malformed::Long(candidate.len()))
            }
            _ => Ok(message),
        }
    }

    /// The message as it is sent.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

/// Reads JSON of limited length. (Its depth is limited by serde_json, to 128.)
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str, longest: usize) -> Result<T, Malformed> {
    if text.len() > longest {
        return Err(Malformed::Long(text.len()));
    }
    // The parser's own words may quote the sender's text: no line breaks or colours of theirs in our log.
    serde_json::from_str(text).map_err(|error| Malformed::Unreadable(for_people(&error.to_string(), 160)))
}

pub(crate) fn to_json(value: &impl Serialize) -> String {
    // Fails for maps with keys that are not text only, and there are none.
    serde_json::to_string(value).unwrap_or_default()
}

/// Text from outside, fit for a log or a screen: without control characters, cut to `longest` characters.
pub(crate) fn for_people(text: &str, longest: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(longest).collect()
}

/// Names one run of a portal's program; random. Another one than before means that the program was started again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

impl SessionId {
    /// A new one.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// The bytes, for the handshake's signature.
    pub(super) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hex::deserialize(deserializer).map(Self)
    }
}

/// Bytes as hexadecimal text in JSON.
pub(crate) mod hex {
    use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: impl AsRef<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(bytes.as_ref()))
    }

    /// Into a `Vec`, or into an array of the right length.
    pub fn deserialize<'de, T: TryFrom<Vec<u8>>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let length = bytes.len();
        T::try_from(bytes).map_err(|_| D::Error::custom(format!("{length} bytes are the wrong number")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits() {
        let offer = |sdp: String| Message::Offer { attempt: 1, sdp }.to_json();
        assert!(Message::parse(&offer("v".repeat(LONGEST_SDP))).is_ok());
        assert!(matches!(Message::parse(&offer("v".repeat(LONGEST_SDP + 1))), Err(Malformed::Long(_))));
        let candidate = |length| Message::Candidate { attempt: 1, candidate: "c".repeat(length) }.to_json();
        assert!(Message::parse(&candidate(LONGEST_CANDIDATE)).is_ok());
        assert!(matches!(Message::parse(&candidate(LONGEST_CANDIDATE + 1)), Err(Malformed::Long(_))));
        assert!(matches!(Message::parse(&" ".repeat(LONGEST_MESSAGE + 1)), Err(Malformed::Long(_))));
        assert!(Message::parse(&"[".repeat(LONGEST_MESSAGE)).is_err());
    }

    #[test]
    fn later_versions_may_say_more() {
        let more = r#"{"type":"answer","attempt":3,"sdp":"v=0","colour":"red"}"#;
        assert_eq!(Message::parse(more), Ok(Message::Answer { attempt: 3, sdp: "v=0".into() }));
        let other = r#"{"type":"bye","reason":"moonrise"}"#;
        assert_eq!(Message::parse(other), Ok(Message::Bye { reason: Goodbye::Other }));
        assert!(Message::parse(r#"{"type":"song"}"#).is_err());
    }

    #[test]
    fn errors_are_fit_for_a_log() {
        let Err(Malformed::Unreadable(problem)) = Message::parse("{\"type\":\"\\u001b[31m\\nred\"}") else { panic!() };
        assert!(!problem.contains(char::is_control), "{problem:?}");
    }

    #[test]
    fn session_ids() {
        let id = SessionId::random();
        assert_eq!(serde_json::from_str::<SessionId>(&to_json(&id)).unwrap(), id);
        assert!(serde_json::from_str::<SessionId>("\"00\"").is_err());
        assert_ne!(id, SessionId::random());
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            (any::<u64>(), ".*").prop_map(|(attempt, sdp)| Message::Offer { attempt, sdp }),
            (any::<u64>(), ".*").prop_map(|(attempt, sdp)| Message::Answer { attempt, sdp }),
            (any::<u64>(), ".*").prop_map(|(attempt, candidate)| Message::Candidate { attempt, candidate }),
            prop_oneof![Just(Goodbye::Off), Just(Goodbye::Reconnect)].prop_map(|reason| Message::Bye { reason }),
        ]
    }

    proptest! {
        #[test]
        fn parsing_is_total(text in ".*") {
            let _ = Message::parse(&text);
        }

        #[test]
        fn there_and_back(message in message()) {
            prop_assert_eq!(Message::parse(&message.to_json()), Ok(message));
        }

        #[test]
        fn total_on_damaged_messages(message in message(), at: prop::sample::Index, with: char) {
            let mut text: Vec<char> = message.to_json().chars().collect();
            let at = at.index(text.len());
            text[at] = with;
            let _ = Message::parse(&text.into_iter().collect::<String>());
        }
    }
}
