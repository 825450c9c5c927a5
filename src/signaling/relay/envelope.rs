//! What lies between a line and whoever carries it: JSON, as the carrier sees it.

use crate::signaling::hello::Role;
use crate::signaling::message::{LONGEST_MESSAGE, Malformed, hex, read, to_json};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

/// Names a line; drawn by the end that dials it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineId(#[serde(with = "hex")] [u8; 8]);

impl LineId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

/// One message of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Which line.
    pub line: LineId,
    /// Whether its sender has dialled or accepted it.
    pub by: Role,
    /// What is said.
    #[serde(flatten)]
    pub content: Content,
}

/// What passes on a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    /// A frame of a handshake or of pairing, which everybody may read. Never after the first that is sealed.
    Text {
        /// The frame.
        text: String,
    },
    /// Why a handshake or a pairing has failed. Anybody can write this, so it ends nothing that is sealed.
    Close {
        /// As in WebSocket (RFC 6455, section 7.4).
        code: u16,
        /// For people.
        reason: String,
    },
    /// What only the other end can read.
    Sealed {
        /// Grows by one with each; none comes twice.
        number: u64,
        /// ChaCha20-Poly1305, Base64.
        #[serde(with = "base64")]
        sealed: Vec<u8>,
    },
}

mod base64 {
    use super::BASE64;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?.as_bytes()).map_err(D::Error::custom)
    }
}

impl Envelope {
    /// Reads what came; total on any text.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        read(text, LONGEST_MESSAGE)
    }

    /// As it is sent.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn content() -> impl Strategy<Value = Content> {
        prop_oneof![
            ".{0,200}".prop_map(|text| Content::Text { text }),
            (any::<u16>(), ".{0,50}").prop_map(|(code, reason)| Content::Close { code, reason }),
            (any::<u64>(), any::<Vec<u8>>()).prop_map(|(number, sealed)| Content::Sealed { number, sealed }),
        ]
    }

    proptest! {
        #[test]
        fn there_and_back(content in content(), dials: bool) {
            let by = if dials { Role::Dialler } else { Role::Listener };
            let envelope = Envelope { line: LineId::random(), by, content };
            prop_assert_eq!(Envelope::parse(&envelope.to_json()), Ok(envelope));
        }

        #[test]
        fn parsing_is_total(text in ".{0,300}") {
            let _ = Envelope::parse(&text);
        }
    }

    #[test]
    fn limits() {
        assert!(Envelope::parse(&" ".repeat(LONGEST_MESSAGE + 1)).is_err());
        let short = r#"{"line":"00","by":"dialler","type":"text","text":""}"#;
        assert!(Envelope::parse(short).is_err(), "the name of a line has 8 bytes");
    }
}
