//! The dialect's messages: `{source, type, data}`, and how they are read. Reading is total: whatever comes gives a message or a reason why not.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt;

/// The longest message that is read, in bytes. A browser's description with all of its codecs has 8 kB.
pub const LONGEST: usize = 64 * 1024;
/// The longest name of a device, in bytes.
pub const LONGEST_NAME: usize = 64;
/// The topic of all devices.
pub const DEVICES: &str = "/devices";

/// What a device is called; its topic is `/` and this. So it can be no other device's topic, nor a pattern of topics (MQTT 3.1.1, section 4.7).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct DeviceId(String);

impl DeviceId {
    /// `None` for what cannot be one: empty, longer than 64 bytes, with `/`, `+`, `#`, `$`, blanks or control characters in it, or `devices`.
    pub fn new(text: &str) -> Option<Self> {
        let is_odd = |letter: char| letter.is_control() || letter.is_whitespace() || "/+#$".contains(letter);
        let fits = !text.is_empty() && text.len() <= LONGEST_NAME && !text.contains(is_odd) && text != &DEVICES[1..];
        fits.then(|| Self(text.to_owned()))
    }

    /// Where it hears.
    pub fn topic(&self) -> String {
        format!("/{}", self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message, and whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who says it. Nothing proves it.
    pub source: DeviceId,
    /// What.
    pub body: Body,
}

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A session description.
    Sdp {
        /// What for.
        kind: Kind,
        /// RFC 8866.
        sdp: String,
    },
    /// A way to reach the sender.
    Ice {
        /// RFC 8839, section 5.1; empty at their end.
        candidate: String,
        /// The media section that it belongs to, by its `a=mid`.
        mid: Option<String>,
        /// The same by its place in the description, from 0 on.
        line: u16,
    },
    /// A device is there, or is not any more.
    Device(Device),
    /// Who is there?
    Query,
    /// The session is over.
    HangUp,
    /// What was wanted is not done; why, for people.
    Error(String),
}

/// What a description is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Proposes a session.
    Offer,
    /// Accepts it.
    Answer,
}

/// A device that sends pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Which.
    pub id: DeviceId,
    /// For people.
    pub name: String,
    /// Whether it is there.
    pub online: bool,
    /// Whether it sends pictures to somebody now.
    pub streaming: bool,
}

/// Why something is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Longer than what is read.
    #[error("{0} bytes are more than {LONGEST}")]
    TooLong(usize),
    /// No JSON of this form.
    #[error("no message: {0}")]
    Malformed(String),
    /// The source cannot be a device's name.
    #[error("the source cannot be the name of a device")]
    Source,
    /// A type that is not known.
    #[error("no message of a known type")]
    Type,
}

#[derive(Deserialize)]
struct Raw {
    source: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

#[derive(Deserialize)]
struct RawSdp {
    #[serde(rename = "type")]
    kind: Kind,
    sdp: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawIce {
    candidate: String,
    sdp_mid: Option<String>,
    #[serde(rename = "sdpMLineIndex")]
    sdp_m_line_index: Option<u16>,
}

#[derive(Deserialize)]
struct RawDevice {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    online: bool,
    #[serde(default)]
    streaming: bool,
}

impl Message {
    /// Reads one.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.len() > LONGEST {
            return Err(Problem::TooLong(bytes.len()));
        }
        let malformed = |error: serde_json::Error| Problem::Malformed(error.to_string());
        let raw: Raw = serde_json::from_slice(bytes).map_err(malformed)?;
        let source = DeviceId::new(&raw.source).ok_or(Problem::Source)?;
        let body = match raw.kind.as_str() {
            "sdp" => {
                let RawSdp { kind, sdp } = RawSdp::deserialize(raw.data).map_err(malformed)?;
                Body::Sdp { kind, sdp }
            }
            "ice" => {
                let ice = RawIce::deserialize(raw.data).map_err(malformed)?;
                Body::Ice { candidate: ice.candidate, mid: ice.sdp_mid, line: ice.sdp_m_line_index.unwrap_or(0) }
            }
            "device" => {
                let RawDevice { id, name, online, streaming } = RawDevice::deserialize(raw.data).map_err(malformed)?;
                let id = DeviceId::new(&id).ok_or(Problem::Source)?;
                Body::Device(Device { id, name: words(&name), online, streaming })
            }
            // Whatever they carry besides.
            "query" => Body::Query,
            "hangup" => Body::HangUp,
            "error" => Body::Error(match &raw.data {
                Value::String(text) => words(text),
                data => data.get("message").and_then(Value::as_str).map(words).unwrap_or_default(),
            }),
            _ => return Err(Problem::Type),
        };
        Ok(Self { source, body })
    }

    /// As it goes over the wire.
    pub fn to_json(&self) -> Vec<u8> {
        let (kind, data) = match &self.body {
            Body::Sdp { kind, sdp } => ("sdp", json!({ "type": kind, "sdp": sdp })),
            Body::Ice { candidate, mid, line } => {
                ("ice", json!({ "candidate": candidate, "sdpMid": mid, "sdpMLineIndex": line }))
            }
            Body::Device(Device { id, name, online, streaming }) => {
                let data =
                    json!({ "id": id, "name": name, "online": online, "streaming": streaming, "type": "sender" });
                ("device", data)
            }
            Body::Query => ("query", Value::Null),
            Body::HangUp => ("hangup", Value::Null),
            Body::Error(message) => ("error", json!({ "message": message })),
        };
        let mut message = json!({ "source": self.source, "type": kind });
        if !data.is_null() {
            message["data"] = data;
        }
        message.to_string().into_bytes()
    }
}

/// Words of others, in one line of at most 64 bytes, or as many as are whole letters.
fn words(text: &str) -> String {
    let mut line: String = text.chars().filter(|letter| !letter.is_control()).take(LONGEST_NAME).collect();
    line.truncate(line.floor_char_boundary(LONGEST_NAME));
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(name: &str) -> DeviceId {
        DeviceId::new(name).unwrap()
    }

    fn message(source: &str, body: Body) -> Message {
        Message { source: id(source), body }
    }

    /// What goes over the wire, as the application writes it.
    #[test]
    fn messages_have_the_known_form() {
        let device = Device { id: id("harbour-1"), name: "Harbour".into(), online: true, streaming: false };
        let (candidate, mid) =
            ("candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host".to_owned(), Some("0".to_owned()));
        for (text, body) in [
            (
                r#"{"source":"phone","type":"sdp","data":{"type":"offer","sdp":"v=0"}}"#,
                Body::Sdp { kind: Kind::Offer, sdp: "v=0".into() },
            ),
            (
                r#"{"source":"phone","type":"sdp","data":{"type":"answer","sdp":"v=0"}}"#,
                Body::Sdp { kind: Kind::Answer, sdp: "v=0".into() },
            ),
            (
                r#"{"source":"phone","type":"ice","data":{"candidate":"candidate:1 1 udp 2130706431 192.0.2.1 50000 typ host","sdpMid":"0","sdpMLineIndex":0}}"#,
                Body::Ice { candidate, mid, line: 0 },
            ),
            (
                r#"{"source":"phone","type":"device","data":{"id":"harbour-1","name":"Harbour","online":true,"streaming":false,"type":"sender"}}"#,
                Body::Device(device),
            ),
            (r#"{"source":"phone","type":"query"}"#, Body::Query),
            (r#"{"source":"phone","type":"hangup"}"#, Body::HangUp),
            (r#"{"source":"phone","type":"error","data":{"message":"full"}}"#, Body::Error("full".into())),
        ] {
            let read = Message::read(text.as_bytes());
            assert_eq!(read, Ok(message("phone", body)), "{text}");
            let written: Value = serde_json::from_slice(&read.unwrap().to_json()).unwrap();
            assert_eq!(written, serde_json::from_str::<Value>(text).unwrap());
        }
        // Said with more, or less.
        for (text, body) in [
            (r#"{"type":"query","source":"phone","data":{"all":true},"more":1}"#, Body::Query),
            (r#"{"type":"hangup","source":"phone","data":"bye"}"#, Body::HangUp),
            (r#"{"type":"error","source":"phone","data":"busy"}"#, Body::Error("busy".into())),
            (r#"{"type":"error","source":"phone"}"#, Body::Error(String::new())),
            (
                r#"{"type":"ice","source":"phone","data":{"candidate":"c"}}"#,
                Body::Ice { candidate: "c".into(), mid: None, line: 0 },
            ),
        ] {
            assert_eq!(Message::read(text.as_bytes()), Ok(message("phone", body)), "{text}");
        }
    }

    #[test]
    fn what_is_none_is_told_why() {
        let kind = |text: &str| match Message::read(text.as_bytes()) {
            Err(Problem::Malformed(_)) => "malformed",
            Err(Problem::Source) => "source",
            Err(Problem::Type) => "type",
            Err(Problem::TooLong(_)) => "long",
            Ok(_) => "none",
        };
        for (text, problem) in [
            ("", "malformed"),
            ("[]", "malformed"),
            (r#"{"type":"query"}"#, "malformed"),
            (r#"{"type":"query","source":7}"#, "malformed"),
            (r#"{"type":"sdp","source":"a","data":{"type":"rollback","sdp":""}}"#, "malformed"),
            (r#"{"type":"ice","source":"a"}"#, "malformed"),
            (r#"{"type":"ice","source":"a","data":{"candidate":"c","sdpMLineIndex":-1}}"#, "malformed"),
            (r#"{"type":"dance","source":"a"}"#, "type"),
            // Answers would go to everybody, or to a pattern.
            (r#"{"type":"query","source":"devices"}"#, "source"),
            (r##"{"type":"query","source":"#"}"##, "source"),
            (r#"{"type":"query","source":"a/b"}"#, "source"),
            (r#"{"type":"query","source":""}"#, "source"),
            (r#"{"type":"query","source":"$SYS"}"#, "source"),
            (r#"{"type":"device","source":"a","data":{"id":"+"}}"#, "source"),
        ] {
            assert_eq!(kind(text), problem, "{text}");
        }
        assert_eq!(kind(&" ".repeat(LONGEST + 1)), "long");
    }

    proptest! {
        #[test]
        fn reading_is_total(bytes: Vec<u8>, kind in "(sdp|ice|device|query|hangup|error)", fields in ".{0,100}") {
            let _ = Message::read(&bytes);
            let _ = Message::read(format!(r#"{{"source":"a","type":"{kind}","data":{{{fields}}}}}"#).as_bytes());
        }

        #[test]
        fn what_is_written_is_read_again(sdp in "\\PC{0,200}", name in "\\PC{0,16}", mid in proptest::option::of("[a-z0-9]{0,4}"), line: u16, flags: (bool, bool)) {
            let device = Device { id: id("x"), name: words(&name), online: flags.0, streaming: flags.1 };
            for body in [
                Body::Sdp { kind: Kind::Offer, sdp: sdp.clone() },
                Body::Ice { candidate: sdp.clone(), mid: mid.clone(), line },
                Body::Device(device.clone()),
                Body::Error(words(&name)),
            ] {
                let message = message("phone", body);
                prop_assert_eq!(Message::read(&message.to_json()), Ok(message));
            }
        }
    }
}
