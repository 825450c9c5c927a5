//! What the two portals say to each other beside the pictures, on the data channel `portal`: small JSON messages, any of which
//! may be lost.
//!
//! The far end is pinned, so these come from a known party; they are still read with limits.

use crate::hours::Announced;
use crate::ops::FarCamera;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

/// Longer messages are not read.
pub(super) const MAX_BYTES: usize = 1024;
/// Longer names of sites are cut.
const MAX_SITE_CHARS: usize = 64;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    /// Who is speaking and whether it has pictures; sent after connecting and at each change.
    Presence {
        /// The name of the speaker's place, for people.
        site: String,
        /// The speaker's camera. What older versions do not know is written as the nearest that they do; what we do not know is read as
        /// unknown.
        #[serde(deserialize_with = "or_unknown")]
        camera: FarCamera,
        /// The same exactly, where `camera` is not; only on the wire.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_understood")]
        exactly: Option<FarCamera>,
        /// The speaker's opening hours, now and then.
        #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "if_understood")]
        hours: Option<Vec<Announced>>,
    },
    /// To be answered at once.
    Ping {
        /// When it was sent, by the sender's clock, in microseconds since 1970.
        sent_us: u64,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's time.
        ping_us: u64,
        /// When the ping came, by the answering clock.
        received_us: u64,
        /// When the answer was sent, by the answering clock.
        sent_us: u64,
    },
    /// The speaker is about to end in order.
    Goodbye,
}

/// What a newer version says and we do not understand is left out, not the whole message with it.
fn if_understood<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    let value = serde_json::Value::deserialize(from)?;
    Ok(serde_json::from_value(value).ok())
}

impl Message {
    /// Who we are.
    pub fn presence(site: &str, camera: FarCamera, hours: Option<Vec<Announced>>) -> Self {
        Self::Presence { site: site.to_owned(), camera, exactly: None, hours }
    }

    /// Reads a message from the far end; `None` for what is too long or not one of ours (a newer version may know more).
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_BYTES {
            return None;
        }
        let mut message = serde_json::from_slice(bytes).ok()?;
        if let Self::Presence { site, camera, exactly, .. } = &mut message {
            *site = clean(site);
            *camera = exactly.take().unwrap_or(*camera);
        }
        Some(message)
    }

    /// The message as it is sent.
    pub fn write(&self) -> String {
        let message = match self {
            Self::Presence { site, camera, hours, .. } => {
                let (known, exactly) = (camera.known_to_all(), Some(*camera));
                let exactly = exactly.filter(|exactly| *exactly != known);
                &Self::Presence { site: clean(site), camera: known, exactly, hours: hours.clone() }
            }
            other => other,
        };
        // Plain data without maps: serialising it cannot fail.
        serde_json::to_string(message).unwrap_or_default()
    }
}

/// The same, and `Unknown` in its place.
fn or_unknown<'de, D: Deserializer<'de>>(from: D) -> Result<FarCamera, D::Error> {
    if_understood(from).map(Option::unwrap_or_default)
}

/// A site's name that can be shown: short, without control characters.
fn clean(site: &str) -> String {
    let shown: String = site.chars().filter(|c| !c.is_control()).take(MAX_SITE_CHARS).collect();
    shown.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn there_and_back() {
        for message in [
            Message::presence("Oslo, entrée", FarCamera::Private, None),
            Message::presence("Oslo", FarCamera::Covered, None),
            Message::presence("Oslo", FarCamera::Closed, Some(serde_json::from_str("[[1,2,3600]]").unwrap())),
            Message::Ping { sent_us: u64::MAX },
            Message::Pong { ping_us: 1, received_us: 2, sent_us: 3 },
            Message::Goodbye,
        ] {
            assert_eq!(Message::read(message.write().as_bytes()), Some(message));
        }
    }

    #[test]
    fn names_are_made_harmless() {
        let hostile = Message::presence(&format!("\u{1b}[2J\n{}", "é".repeat(500)), FarCamera::Running, None);
        let json = serde_json::to_string(&hostile).unwrap();
        assert_eq!(Message::read(json.as_bytes()), None, "too long");
        let Some(Message::Presence { site, .. }) = Message::read(hostile.write().as_bytes()) else { panic!() };
        assert_eq!(site, format!("[2J{}", "é".repeat(61)));
    }

    #[test]
    fn older_and_newer_versions_understand_what_they_can() {
        let closed = Message::presence("Oslo", FarCamera::Closed, None).write();
        assert!(closed.contains(r#""camera":"private""#) && closed.contains(r#""exactly":"closed""#), "{closed}");
        let newer =
            r#"{"type":"presence","site":"Oslo","camera":"private","exactly":"asleep","hours":"soon","mood":1}"#;
        assert_eq!(Message::read(newer.as_bytes()), Some(Message::presence("Oslo", FarCamera::Private, None)));
        let covered = Message::presence("Oslo", FarCamera::Covered, None).write();
        assert!(covered.contains(r#""camera":"running","exactly":"covered""#), "{covered}");
        let strange = r#"{"type":"presence","site":"Oslo","camera":"upside_down"}"#;
        assert_eq!(Message::read(strange.as_bytes()), Some(Message::presence("Oslo", FarCamera::Unknown, None)));
        let older = r#"{"type":"presence","site":"Oslo","camera":"running"}"#;
        assert_eq!(Message::read(older.as_bytes()), Some(Message::presence("Oslo", FarCamera::Running, None)));
    }

    #[test]
    fn the_longest_presence_can_be_read() {
        let hours = ["[253402207200,253402207200,-93599]"; crate::hours::MOST_ANNOUNCED].join(",");
        let hours = serde_json::from_str(&format!("[{hours}]")).unwrap();
        let longest = Message::presence(&"𝕆".repeat(64), FarCamera::Closed, Some(hours));
        assert_eq!(Message::read(longest.write().as_bytes()), Some(longest));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            Message::read(&bytes);
        }
    }
}
