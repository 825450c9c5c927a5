//! What clients and hub say to each other: three dialects on one WebSocket endpoint, one JSON object per text message.
//!
//! *Rooms* is spoken by browsers and by the usual camera and viewer clients, *media server* by programs in the manner of Kurento's and
//! Janus's signalling servers, *sealed* by portals. `docs/signaling.md` has the table, which a test compares with these types.
//! Reading is total: whatever comes gives a message or an error with a code, and unknown fields are passed over.

mod wire;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;

/// The longest name of a room, a camera or a kind of device, in bytes.
pub const LONGEST_NAME: usize = 64;
/// The longest words of a refusal, in bytes.
pub const LONGEST_WORDS: usize = 256;
/// The room of those who join without naming one.
pub const DEFAULT_ROOM: &str = "default";

/// Names one connection for as long as it lasts: 16 hexadecimal digits that nobody can guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(u64);

impl ClientId {
    /// A fresh one.
    pub fn random() -> Self {
        Self(rand::random())
    }
}

impl From<u64> for ClientId {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ClientId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(Self).ok_or("not 16 hexadecimal digits")
    }
}

impl Serialize for ClientId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ClientId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A session description as browsers write it (`RTCSessionDescriptionInit`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// `offer`, `answer`, `pranswer` or `rollback`.
    #[serde(rename = "type")]
    pub kind: DescriptionKind,
    /// RFC 8866; empty for a rollback.
    #[serde(default)]
    pub sdp: String,
}

/// What a description is for (RFC 8829, section 4.1.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DescriptionKind {
    /// Proposes a session.
    Offer,
    /// Accepts it.
    Answer,
    /// Accepts it for the time being.
    Pranswer,
    /// Takes the last proposal back.
    Rollback,
}

/// A way to reach the sender, as browsers write it (`RTCIceCandidateInit`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Candidate {
    /// RFC 8839, section 5.1; empty at the end of the candidates.
    pub candidate: String,
    /// The media section that it belongs to, by its `a=mid`.
    pub sdp_mid: Option<String>,
    /// The same by its place in the description, from 0 on.
    #[serde(rename = "sdpMLineIndex")]
    pub sdp_m_line_index: Option<u16>,
    /// Of the sender's description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_fragment: Option<String>,
}

/// What a client says to the hub.
#[derive(Clone, Debug, PartialEq)]
pub enum ToHub {
    /// Enters a room, and leaves the one it was in.
    Join(Join),
    /// Leaves the room.
    Leave,
    /// To one member of the same room.
    Relay {
        /// Who is meant.
        target: ClientId,
        /// What is said.
        content: Content,
    },
    /// Wants the pictures of a camera in the same room: the camera is told.
    RequestStream {
        /// As the camera named itself.
        camera_id: String,
    },
    /// From now on this client is the media server of its room, or of those who are in none.
    RegisterMediaServer {
        /// See [`Join::token`].
        token: Option<String>,
    },
    /// A client's words for the media server, or the media server's for a client.
    Media {
        /// For whom, if a media server says it.
        client_id: Option<ClientId>,
        /// See [`Join::token`]: for clients that are in no room and have not said anything to this media server yet. It is not passed on.
        token: Option<String>,
        /// What is said.
        content: Media,
    },
}

/// How a client enters a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Join {
    /// Its name.
    pub room: String,
    /// What the client is: `camera`, `viewer`, `portal` or another word. Who names itself `camera` offers pictures.
    pub device_type: Option<String>,
    /// The name by which pictures are asked for. Default for a camera: its client's id.
    pub camera_id: Option<String>,
    /// What lets it in, where the hub asks for that. It may as well stand in the address (`?token=`) or in a header (`Authorization: Bearer`).
    pub token: Option<String>,
}

/// What members of a room say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Content {
    /// Proposes a session.
    Offer {
        /// The proposal.
        #[serde(deserialize_with = "wire::object")]
        sdp: Description,
    },
    /// Accepts one.
    Answer {
        /// The acceptance.
        #[serde(deserialize_with = "wire::object")]
        sdp: Description,
    },
    /// A way to reach the sender.
    IceCandidate {
        /// `None` at the end of the candidates.
        #[serde(default, deserialize_with = "wire::object")]
        candidate: Option<Candidate>,
    },
    /// What only sender and receiver can read.
    Sealed {
        /// Text of their own.
        data: String,
    },
    /// A camera's answer to somebody whom it sends no pictures: too many watch already, or what was said cannot be used.
    Refused {
        /// For people, at most 256 bytes.
        message: String,
    },
}

/// What a media server and its clients say to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Media {
    /// Proposes a session.
    Offer {
        /// RFC 8866.
        sdp: String,
        /// Which pictures are wanted, in the media server's own words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        video_source: Option<Value>,
    },
    /// Accepts one.
    Answer {
        /// RFC 8866.
        sdp: String,
    },
    /// A way to reach the sender.
    Ice {
        /// In whatever form the two agree on.
        candidate: Value,
    },
}

/// Another member of the room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    /// Its connection.
    pub client_id: ClientId,
    /// See [`Join::device_type`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// See [`Join::camera_id`]; only a camera has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera_id: Option<String>,
}

/// What the hub says to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum FromHub {
    /// First of all.
    Welcome {
        /// The receiver's own.
        client_id: ClientId,
    },
    /// The receiver is in the room now.
    Joined {
        /// Its name.
        room: String,
        /// The receiver's own.
        client_id: ClientId,
        /// Who is there already.
        #[serde(deserialize_with = "wire::objects")]
        clients: Vec<Member>,
    },
    /// Somebody came into the room.
    ClientJoined(Member),
    /// Somebody left the room, in whatever way.
    ClientDisconnected {
        /// Who.
        client_id: ClientId,
    },
    /// Somebody wants the receiver's pictures, and waits for an offer.
    ViewerRequest {
        /// Whom to send it to.
        viewer_id: ClientId,
        /// Which of the receiver's cameras is meant.
        camera_id: String,
    },
    /// A camera is in the room: told when it comes, and to whoever comes later.
    CameraAvailable {
        /// How to ask for it.
        camera_id: String,
        /// Its connection.
        client_id: ClientId,
    },
    /// A camera has left the room.
    CameraUnavailable {
        /// Its name.
        camera_id: String,
    },
    /// There is no such camera in the room.
    CameraNotFound {
        /// As it was asked for.
        camera_id: String,
    },
    /// The receiver is the media server of its room now.
    #[serde(rename = "media_server_registered")]
    MediaServerRegistered {},
    /// Another client is the media server of the receiver's room now, and the receiver is not any more.
    #[serde(rename = "media_server_replaced")]
    MediaServerReplaced {},
    /// What the receiver said was not carried out. Nothing else has changed, and the connection goes on.
    Error {
        /// For programs.
        code: Code,
        /// For people: the thing, the cause and the remedy.
        message: String,
    },
    /// Another member's words.
    #[serde(untagged)]
    Relayed {
        /// Whose.
        sender: ClientId,
        /// What it says.
        #[serde(flatten)]
        content: Content,
    },
    /// A client's words for the media server, or the media server's for a client.
    #[serde(untagged)]
    Media {
        /// The client, on both sides.
        #[serde(rename = "client_id")]
        client_id: ClientId,
        /// What is said.
        #[serde(flatten)]
        content: Media,
    },
}

/// Why something was not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Code {
    /// No JSON object of a known form, or one with values that cannot be.
    Malformed,
    /// A message of a type that this hub does not know.
    UnknownType,
    /// No token, or one that does not allow it.
    NotAllowed,
    /// The sender is in no room.
    NotInRoom,
    /// The receiver is not in the sender's room (any more).
    TargetNotFound,
    /// The room has as many members as it may.
    RoomFull,
    /// The hub has as many rooms as it may.
    TooManyRooms,
    /// There is no media server in the sender's room.
    NoMediaServer,
    /// The media server has gone; sessions with it end.
    MediaServerGone,
    /// The sender names a client as a media server does, and is none (any more).
    NotMediaServer,
    /// Too much in too short a time: what comes is read more slowly.
    RateLimited,
}

impl Code {
    /// Every one, for metrics and tests.
    pub const ALL: [Self; 11] = [
        Self::Malformed,
        Self::UnknownType,
        Self::NotAllowed,
        Self::NotInRoom,
        Self::TargetNotFound,
        Self::RoomFull,
        Self::TooManyRooms,
        Self::NoMediaServer,
        Self::MediaServerGone,
        Self::NotMediaServer,
        Self::RateLimited,
    ];

    /// As it is written in messages and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownType => "unknownType",
            Self::NotAllowed => "notAllowed",
            Self::NotInRoom => "notInRoom",
            Self::TargetNotFound => "targetNotFound",
            Self::RoomFull => "roomFull",
            Self::TooManyRooms => "tooManyRooms",
            Self::NoMediaServer => "noMediaServer",
            Self::MediaServerGone => "mediaServerGone",
            Self::NotMediaServer => "notMediaServer",
            Self::RateLimited => "rateLimited",
        }
    }
}

/// What a client said and the hub does not carry out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// With its words.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<Refusal> for FromHub {
    fn from(refusal: Refusal) -> Self {
        Self::Error { code: refusal.code, message: refusal.message }
    }
}
