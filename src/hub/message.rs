//! What clients and hub say to each other: three dialects on one WebSocket endpoint, one JSON object per text message.
//!
//! *Rooms* is spoken by browsers and by the usual camera and viewer clients, *media server* by programs in the manner of Kurento's and
//! Janus's signalling servers, *sealed* by portals. `docs/signaling.md` has the table, which a test compares with these types.
//! Reading is total: whatever comes gives a message or an error with a code, and unknown fields are passed over.

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
        sdp: Description,
    },
    /// Accepts one.
    Answer {
        /// The acceptance.
        sdp: Description,
    },
    /// A way to reach the sender.
    IceCandidate {
        /// `None` at the end of the candidates.
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
    /// Too much in too short a time: what comes is read more slowly.
    RateLimited,
}

impl Code {
    /// Every one, for metrics and tests.
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::UnknownType,
        Self::NotAllowed,
        Self::NotInRoom,
        Self::TargetNotFound,
        Self::RoomFull,
        Self::TooManyRooms,
        Self::NoMediaServer,
        Self::MediaServerGone,
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

impl FromHub {
    /// As it goes over the wire.
    pub fn to_json(&self) -> String {
        // Maps with text keys only: nothing in it can fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A message as it comes: what it must hold depends on its type, and the errors are to say that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, alias = "roomId")]
    room: Option<Value>,
    device_type: Option<Value>,
    camera_id: Option<Value>,
    token: Option<Value>,
    target: Option<Value>,
    sdp: Option<Value>,
    /// Present and `null` is the end of the candidates.
    #[serde(default, deserialize_with = "present")]
    candidate: Option<Value>,
    data: Option<Value>,
    message: Option<Value>,
    #[serde(rename = "client_id")]
    client: Option<Value>,
    #[serde(rename = "video_source")]
    video_source: Option<Value>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl ToHub {
    /// Reads one message. Its length was limited before.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever wrote the client.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        let raw: Raw = serde_json::from_str(text)
            .map_err(|error| malformed(format!("this is no message: {error}; send a JSON object with a \"type\"")))?;
        let kind = raw.kind.as_str();
        match kind {
            "join" => Ok(Self::Join(Join {
                room: name(kind, "room", raw.room)?.unwrap_or_else(|| DEFAULT_ROOM.into()),
                device_type: name(kind, "deviceType", raw.device_type)?,
                camera_id: name(kind, "cameraId", raw.camera_id)?,
                token: secret(kind, raw.token)?,
            })),
            "leave" => Ok(Self::Leave),
            // A description in an object is for a member of the room, as text for a media server.
            "offer" | "answer" if !matches!(raw.sdp, Some(Value::String(_))) => {
                let target = client(kind, "target", raw.target)?;
                let sdp = Description::deserialize(raw.sdp.unwrap_or_default()).map_err(|error| {
                    wrong(kind, "sdp", &format!("{{type, sdp}} or, to a media server, text ({error})"))
                })?;
                let content = if kind == "offer" { Content::Offer { sdp } } else { Content::Answer { sdp } };
                Ok(Self::Relay { target, content })
            }
            "offer" => {
                let sdp = text_of(kind, "sdp", raw.sdp)?;
                let content = Media::Offer { sdp, video_source: raw.video_source };
                Ok(Self::Media { client_id: optional_client(kind, raw.client)?, content })
            }
            "answer" => {
                let content = Media::Answer { sdp: text_of(kind, "sdp", raw.sdp)? };
                Ok(Self::Media { client_id: optional_client(kind, raw.client)?, content })
            }
            "iceCandidate" => {
                let target = client(kind, "target", raw.target)?;
                let candidate =
                    raw.candidate.ok_or_else(|| wrong(kind, "candidate", "an RTCIceCandidateInit or null"))?;
                let candidate = Option::<Candidate>::deserialize(candidate)
                    .map_err(|error| wrong(kind, "candidate", &format!("an RTCIceCandidateInit or null ({error})")))?;
                Ok(Self::Relay { target, content: Content::IceCandidate { candidate } })
            }
            "sealed" => {
                let target = client(kind, "target", raw.target)?;
                Ok(Self::Relay { target, content: Content::Sealed { data: text_of(kind, "data", raw.data)? } })
            }
            "refused" => {
                let target = client(kind, "target", raw.target)?;
                let message = text_of(kind, "message", raw.message)?;
                if message.len() > LONGEST_WORDS {
                    return Err(wrong(kind, "message", "at most 256 bytes"));
                }
                Ok(Self::Relay { target, content: Content::Refused { message } })
            }
            "requestStream" => {
                let camera_id = name(kind, "cameraId", raw.camera_id)?;
                let camera_id = camera_id.ok_or_else(|| wrong(kind, "cameraId", "the name of a camera"))?;
                Ok(Self::RequestStream { camera_id })
            }
            "register_media_server" => Ok(Self::RegisterMediaServer { token: secret(kind, raw.token)? }),
            "ice" => {
                let candidate = raw.candidate.ok_or_else(|| wrong(kind, "candidate", "a candidate or null"))?;
                Ok(Self::Media { client_id: optional_client(kind, raw.client)?, content: Media::Ice { candidate } })
            }
            _ => {
                let shown: String = kind.chars().filter(|c| !c.is_control()).take(40).collect();
                Err(Refusal::new(Code::UnknownType, format!("this hub knows no messages of type \"{shown}\"")))
            }
        }
    }

    /// As it goes over the wire.
    pub fn to_json(&self) -> String {
        let (kind, mut fields) = self.fields();
        fields.insert("type".into(), kind.into());
        Value::Object(fields).to_string()
    }

    fn fields(&self) -> (&'static str, serde_json::Map<String, Value>) {
        let object = |value: Result<Value, serde_json::Error>| match value {
            Ok(Value::Object(fields)) => fields,
            // Structs with named fields give objects.
            _ => serde_json::Map::new(),
        };
        let mut fields = serde_json::Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(key.into(), value);
            }
        };
        match self {
            Self::Join(join) => {
                put("room", Some(join.room.clone().into()));
                put("deviceType", join.device_type.clone().map(Value::from));
                put("cameraId", join.camera_id.clone().map(Value::from));
                put("token", join.token.clone().map(Value::from));
                ("join", fields)
            }
            Self::Leave => ("leave", fields),
            Self::Relay { target, content } => {
                let mut fields = object(serde_json::to_value(content));
                fields.insert("target".into(), target.to_string().into());
                let kind = match content {
                    Content::Offer { .. } => "offer",
                    Content::Answer { .. } => "answer",
                    Content::IceCandidate { .. } => "iceCandidate",
                    Content::Sealed { .. } => "sealed",
                    Content::Refused { .. } => "refused",
                };
                (kind, fields)
            }
            Self::RequestStream { camera_id } => {
                put("cameraId", Some(camera_id.clone().into()));
                ("requestStream", fields)
            }
            Self::RegisterMediaServer { token } => {
                put("token", token.clone().map(Value::from));
                ("register_media_server", fields)
            }
            Self::Media { client_id, content } => {
                let mut fields = object(serde_json::to_value(content));
                if let Some(client_id) = client_id {
                    fields.insert("client_id".into(), client_id.to_string().into());
                }
                let kind = match content {
                    Media::Offer { .. } => "offer",
                    Media::Answer { .. } => "answer",
                    Media::Ice { .. } => "ice",
                };
                (kind, fields)
            }
        }
    }
}

fn malformed(message: String) -> Refusal {
    Refusal::new(Code::Malformed, message)
}

fn wrong(kind: &str, field: &str, expected: &str) -> Refusal {
    malformed(format!("\"{kind}\" needs \"{field}\": {expected}"))
}

/// A name that people may read, in one line.
fn name(kind: &str, field: &str, value: Option<Value>) -> Result<Option<String>, Refusal> {
    let text = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text,
        // Some clients number their rooms and cameras.
        Some(Value::Number(number)) => number.to_string(),
        Some(_) => return Err(wrong(kind, field, "text")),
    };
    if text.is_empty() || text.len() > LONGEST_NAME || text.contains(char::is_control) {
        return Err(wrong(kind, field, "1 to 64 bytes without control characters"));
    }
    Ok(Some(text))
}

fn secret(kind: &str, value: Option<Value>) -> Result<Option<String>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= 256 => Ok(Some(text)),
        Some(_) => Err(wrong(kind, "token", "text of at most 256 bytes")),
    }
}

fn text_of(kind: &str, field: &str, value: Option<Value>) -> Result<String, Refusal> {
    match value {
        Some(Value::String(text)) => Ok(text),
        _ => Err(wrong(kind, field, "text")),
    }
}

fn client(kind: &str, field: &str, value: Option<Value>) -> Result<ClientId, Refusal> {
    let text = value.as_ref().and_then(Value::as_str);
    let text = text.ok_or_else(|| wrong(kind, field, "the clientId of a member of the room"))?;
    // A name that was never given is that of nobody.
    text.parse().map_err(|_| Refusal::new(Code::TargetNotFound, format!("\"{field}\" names nobody who is here")))
}

fn optional_client(kind: &str, value: Option<Value>) -> Result<Option<ClientId>, Refusal> {
    match value {
        None | Some(Value::Null) => Ok(None),
        value => client(kind, "client_id", value).map(Some),
    }
}
