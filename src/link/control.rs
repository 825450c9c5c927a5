//! What the two portals say to each other beside the pictures, on the data channel `portal`: small JSON messages, any of which
//! may be lost.
//!
//! The far end is pinned, so these come from a known party; they are still read with limits.

use crate::ops::FarCamera;
use serde::{Deserialize, Serialize};

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
        /// The speaker's camera.
        camera: FarCamera,
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

impl Message {
    /// Reads a message from the far end; `None` for what is too long or not one of ours (a newer version may know more).
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_BYTES {
            return None;
        }
        let mut message = serde_json::from_slice(bytes).ok()?;
        if let Self::Presence { site, .. } = &mut message {
            *site = clean(site);
        }
        Some(message)
    }

    /// The message as it is sent.
    pub fn write(&self) -> String {
        let message = match self {
            Self::Presence { site, camera } => &Self::Presence { site: clean(site), camera: *camera },
            other => other,
        };
        // Plain data without maps: serialising it cannot fail.
        serde_json::to_string(message).unwrap_or_default()
    }
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
            Message::Presence { site: "Oslo, entrée".into(), camera: FarCamera::Private },
            Message::Ping { sent_us: u64::MAX },
            Message::Pong { ping_us: 1, received_us: 2, sent_us: 3 },
            Message::Goodbye,
        ] {
            assert_eq!(Message::read(message.write().as_bytes()), Some(message));
        }
    }

    #[test]
    fn names_are_made_harmless() {
        let hostile =
            Message::Presence { site: format!("\u{1b}[2J\n{}", "é".repeat(500)), camera: FarCamera::Running };
        let json = serde_json::to_string(&hostile).unwrap();
        assert_eq!(Message::read(json.as_bytes()), None, "too long");
        let Some(Message::Presence { site, .. }) = Message::read(hostile.write().as_bytes()) else { panic!() };
        assert_eq!(site, format!("[2J{}", "é".repeat(61)));
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>) {
            Message::read(&bytes);
        }
    }
}
