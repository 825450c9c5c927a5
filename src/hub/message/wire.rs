//! Messages as they go over the wire: reading, which is total, and writing.

use super::{
    Candidate, ClientId, Code, Content, DEFAULT_ROOM, Description, FromHub, Join, LONGEST_NAME, LONGEST_WORDS, Media,
    Refusal, ToHub,
};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;

impl FromHub {
    /// Reads one message of a hub's.
    ///
    /// # Errors
    /// It is none that we know; why, for people.
    pub fn read(text: &str) -> Result<Self, String> {
        if !is_object(text) {
            return Err("it is no JSON object".into());
        }
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// As it goes over the wire.
    pub fn to_json(&self) -> String {
        // Maps with text keys only: nothing in it can fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether the text is an object, if it is JSON at all. Serde takes an array for a struct as well, with the fields' values in their order: that is
/// no message of anybody's.
fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// An object, or `null` where that is allowed, for a struct inside a message; see [`is_object`].
pub(super) fn object<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if value.is_array() {
        return Err(D::Error::custom("an array where an object belongs"));
    }
    T::deserialize(value).map_err(D::Error::custom)
}

/// An array of objects.
pub(super) fn objects<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let values = Vec::<Value>::deserialize(deserializer)?;
    values.into_iter().map(|value| object(value).map_err(D::Error::custom)).collect()
}

/// What fields have to hold, for whoever wrote the client.
const DESCRIPTION: &str =
    "{\"type\": \"offer\", \"answer\", \"pranswer\" or \"rollback\", \"sdp\": text}, or text for a media server";
const CANDIDATE: &str = "an RTCIceCandidateInit ({\"candidate\": text, \"sdpMid\": text or null, \"sdpMLineIndex\": number or null}), or null";

/// A message as it comes: what it must hold depends on its type, and the errors are to say that.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    #[serde(rename = "type")]
    kind: String,
    room: Option<Value>,
    room_id: Option<Value>,
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

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl ToHub {
    /// Reads one message. Its length was limited before.
    ///
    /// # Errors
    /// What is wrong with it, in words for whoever wrote the client.
    pub fn read(text: &str) -> Result<Self, Refusal> {
        if !is_object(text) {
            return Err(malformed("this is no JSON object: send one with a \"type\"".into()));
        }
        let raw: Raw = serde_json::from_str(text)
            .map_err(|error| malformed(format!("this is no message: {error}; send a JSON object with a \"type\"")))?;
        let kind = raw.kind.as_str();
        match kind {
            "join" => Ok(Self::Join(Join {
                room: room(kind, raw.room, raw.room_id)?,
                device_type: name(kind, "deviceType", raw.device_type)?,
                camera_id: name(kind, "cameraId", raw.camera_id)?,
                token: secret(kind, raw.token)?,
            })),
            "leave" => Ok(Self::Leave),
            // A description in an object is for a member of the room, as text for a media server.
            "offer" | "answer" if !matches!(raw.sdp, Some(Value::String(_))) => {
                let target = client(kind, "target", raw.target)?;
                let sdp: Description =
                    object(raw.sdp.unwrap_or_default()).map_err(|_| wrong(kind, "sdp", DESCRIPTION))?;
                let content = if kind == "offer" { Content::Offer { sdp } } else { Content::Answer { sdp } };
                Ok(Self::Relay { target, content })
            }
            "offer" => {
                let sdp = text_of(kind, "sdp", raw.sdp)?;
                let content = Media::Offer { sdp, video_source: raw.video_source };
                media(kind, raw.client, raw.token, content)
            }
            "answer" => {
                let content = Media::Answer { sdp: text_of(kind, "sdp", raw.sdp)? };
                media(kind, raw.client, raw.token, content)
            }
            "iceCandidate" => {
                let target = client(kind, "target", raw.target)?;
                let candidate = raw.candidate.ok_or_else(|| wrong(kind, "candidate", CANDIDATE))?;
                let candidate: Option<Candidate> =
                    object(candidate).map_err(|_| wrong(kind, "candidate", CANDIDATE))?;
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
                media(kind, raw.client, raw.token, Media::Ice { candidate })
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
        let fields_of = |value: Result<Value, serde_json::Error>| match value {
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
                let mut fields = fields_of(serde_json::to_value(content));
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
            Self::Media { client_id, token, content } => {
                let mut fields = fields_of(serde_json::to_value(content));
                if let Some(client_id) = client_id {
                    fields.insert("client_id".into(), client_id.to_string().into());
                }
                if let Some(token) = token {
                    fields.insert("token".into(), token.clone().into());
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

/// Clients say `room` or `roomId`, or both so that every hub understands them.
fn room(kind: &str, room: Option<Value>, room_id: Option<Value>) -> Result<String, Refusal> {
    match (name(kind, "room", room)?, name(kind, "roomId", room_id)?) {
        (Some(room), Some(id)) if room != id => {
            Err(malformed("\"room\" and \"roomId\" name two rooms; say one of them, or the same in both".into()))
        }
        (room, id) => Ok(room.or(id).unwrap_or_else(|| DEFAULT_ROOM.into())),
    }
}

/// Between a client and the media server.
fn media(kind: &str, of: Option<Value>, token: Option<Value>, content: Media) -> Result<ToHub, Refusal> {
    Ok(ToHub::Media { client_id: optional_client(kind, of)?, token: secret(kind, token)?, content })
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
