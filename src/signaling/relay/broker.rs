//! Topics of an MQTT broker as a carrier.
//!
//! ```text
//! <prefix>/<room>/<portal>/presence    "here", retained; nothing when it is gone (its last will)
//! <prefix>/<room>/<portal>/inbox       {"from":"<portal>","data":"…"}
//! ```
//!
//! A portal's name in the room is drawn anew with each start, so that what is meant for an earlier run reaches nobody. Nothing but presence is retained.

use super::carrier::{Carrier, Heard, Peer, QUEUE, Say};
use crate::mqtt::{Client, Error, Event, Message, Options, Presence, Publication, Standing};
use crate::signaling::message::{LONGEST_MESSAGE, for_people, read, to_json};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// What is said of a portal that is there.
const HERE: &[u8] = b"here";
/// Others in the room that are remembered; in a room of two portals there are more only by remains, or by strangers. Whoever comes then takes the
/// place of the one who has been silent for the longest.
const MOST: usize = 64;
/// Should somebody take our presence away, it is said again so often.
const SAY_AGAIN: Duration = Duration::from_secs(5);
/// A broker that takes no message for so long gets none.
const SAYING: Duration = Duration::from_millis(300);

/// What stands in an inbox.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Letter {
    from: Name,
    data: String,
}

/// A portal's name in a room: 16 hexadecimal digits. Others could be wildcards, or levels of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct Name(String);

impl Name {
    fn random() -> Self {
        Self(format!("{:016x}", rand::random::<u64>()))
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let is_name = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if is_name { Ok(Self(text)) } else { Err("not 16 hexadecimal digits") }
    }
}

/// Where everything of a room is.
struct Topics {
    room: String,
    own: Name,
}

impl Topics {
    fn presence(&self, of: &str) -> String {
        format!("{}/{of}/presence", self.room)
    }

    fn inbox(&self, of: &str) -> String {
        format!("{}/{of}/inbox", self.room)
    }

    /// Whose topic of this kind it is.
    fn whose(&self, topic: &str, kind: &str) -> Option<Name> {
        let name = topic.strip_prefix(self.room.as_str())?.strip_prefix('/')?.strip_suffix(kind)?.strip_suffix('/')?;
        name.to_owned().try_into().ok()
    }

    /// What a message tells.
    fn read(&self, message: &Message) -> Told {
        if let Some(name) = self.whose(&message.topic, "presence") {
            return match &message.payload[..] {
                b"" => Told::Gone(name),
                HERE => Told::Here(name),
                _ => Told::Nonsense,
            };
        }
        // We retain nothing in an inbox: it would be of somebody who is not there.
        let is_ours = !message.retained && self.whose(&message.topic, "inbox").as_ref() == Some(&self.own);
        let text = std::str::from_utf8(&message.payload).ok().filter(|_| is_ours);
        match text.and_then(|text| read::<Letter>(text, LONGEST_MESSAGE + 1024).ok()) {
            Some(letter) if letter.from != self.own => Told::Letter(letter),
            _ => Told::Nonsense,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Here(Name),
    Gone(Name),
    Letter(Letter),
    Nonsense,
}

/// Enters a room at the broker, and again whenever it was lost. To be called inside a tokio runtime.
///
/// # Errors
/// Options that can never work.
pub fn start(options: &Options, prefix: &str, room: &str) -> Result<(Carrier, JoinHandle<()>), Error> {
    let topics = Topics { room: format!("{prefix}/{room}"), own: Name::random() };
    let own = &topics.own.0;
    let standing = Standing {
        subscriptions: vec![topics.inbox(own), topics.presence("+")],
        presence: Some(Presence { topic: topics.presence(own), here: Some(HERE.into()), gone: Vec::new() }),
    };
    let client = Client::start(options, standing)?;
    let (heard_in, heard) = mpsc::channel(QUEUE);
    let (say, said) = mpsc::channel(QUEUE);
    let name = format!("the broker {}", options.url);
    let task = tokio::spawn(carry(client, topics, heard_in, said));
    Ok((Carrier { name, heard, say }, task))
}

async fn carry(mut client: Client, topics: Topics, heard: mpsc::Sender<Heard>, mut said: mpsc::Receiver<Say>) {
    let mut known = Known::default();
    let mut presence = Presences::default();
    loop {
        let event = tokio::select! {
            event = client.next() => event,
            () = until(presence.due()) => {
                presence.said(Instant::now());
                let (topic, payload) = (topics.presence(&topics.own.0), HERE.into());
                publish(&client, Publication { topic, payload, retain: true }).await;
                continue;
            }
            say = said.recv() => match say {
                Some(say) => {
                    publish(&client, letter(&topics, say)).await;
                    continue;
                }
                None => return client.close().await,
            },
        };
        let told = match event {
            Some(Event::Connected) => {
                known = Known::default();
                heard.send(Heard::Entered).await
            }
            Some(Event::Lost { reason }) => {
                known = Known::default();
                heard.send(Heard::Lost { reason: for_people(&reason, 200) }).await
            }
            Some(Event::Message(message)) => match topics.read(&message) {
                Told::Letter(Letter { from, data }) => {
                    known.heard(&from);
                    heard.send(Heard::Said { from: Peer::new(&from.0), text: data }).await
                }
                Told::Gone(name) if name == topics.own => {
                    // An earlier connection's last will, or somebody's mischief.
                    presence.taken(Instant::now());
                    Ok(())
                }
                Told::Here(name) if name == topics.own => Ok(()),
                Told::Here(name) => match known.arrived(&name) {
                    Arrival::Known => Ok(()),
                    Arrival::New { instead_of } => {
                        let left = match instead_of {
                            Some(other) => heard.send(Heard::Left(Peer::new(&other.0))).await,
                            None => Ok(()),
                        };
                        match left {
                            Ok(()) => heard.send(Heard::Arrived(Peer::new(&name.0))).await,
                            nobody => nobody,
                        }
                    }
                },
                Told::Gone(name) if known.left(&name) => heard.send(Heard::Left(Peer::new(&name.0))).await,
                Told::Gone(_) => Ok(()),
                Told::Nonsense => heard.send(Heard::Nonsense).await,
            },
            None => return,
        };
        if told.is_err() {
            // Nobody listens; what is still to be said comes, and then the end.
            while let Some(say) = said.recv().await {
                publish(&client, letter(&topics, say)).await;
            }
            return client.close().await;
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// When our presence is to be said again. Plain data; the time is passed in.
#[derive(Debug, Default)]
struct Presences {
    said: Option<Instant>,
    due: Option<Instant>,
}

impl Presences {
    /// Somebody has taken it away.
    fn taken(&mut self, now: Instant) {
        let earliest = self.said.map_or(now, |at| now.max(at + SAY_AGAIN));
        self.due.get_or_insert(earliest);
    }

    fn due(&self) -> Option<Instant> {
        self.due
    }

    fn said(&mut self, now: Instant) {
        (self.said, self.due) = (Some(now), None);
    }
}

/// Who else is in the room: who was heard of last is last.
#[derive(Debug, Default)]
struct Known(Vec<Name>);

#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    Known,
    New { instead_of: Option<Name> },
}

impl Known {
    fn arrived(&mut self, name: &Name) -> Arrival {
        if self.0.contains(name) {
            return Arrival::Known;
        }
        let instead_of = (self.0.len() == MOST).then(|| self.0.remove(0));
        self.0.push(name.clone());
        Arrival::New { instead_of }
    }

    /// It has written to us.
    fn heard(&mut self, name: &Name) {
        if let Some(at) = self.0.iter().position(|known| known == name) {
            let name = self.0.remove(at);
            self.0.push(name);
        }
    }

    fn left(&mut self, name: &Name) -> bool {
        let before = self.0.len();
        self.0.retain(|known| known != name);
        self.0.len() < before
    }
}

/// A client that waits for us to hear it takes nothing: then nothing is said, rather than that both wait for ever.
async fn publish(client: &Client, publication: Publication) {
    if timeout(SAYING, client.publish(publication)).await.is_err() {
        tracing::debug!("a message was dropped: the broker takes none");
    }
}

fn letter(topics: &Topics, say: Say) -> Publication {
    let letter = Letter { from: topics.own.clone(), data: say.text };
    Publication { topic: topics.inbox(say.to.name()), payload: to_json(&letter).into_bytes(), retain: false }
}

/// Reads a message of any topic, for the fuzzer.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn read_any(topic: &str, payload: &[u8]) {
    let topics = Topics { room: "screen-portal/pair-47".into(), own: Name("00000000000000aa".into()) };
    topics.read(&Message { topic: topic.into(), payload: payload.into(), retained: false });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn topics() -> Topics {
        Topics { room: "portals/portal-1".into(), own: Name("00000000000000aa".into()) }
    }

    fn told(topic: &str, payload: &str, retained: bool) -> Told {
        let message = Message { topic: topic.into(), payload: payload.into(), retained };
        topics().read(&message)
    }

    #[test]
    fn what_is_in_the_room_is_told_apart() {
        let there = Name("00000000000000bb".into());
        assert_eq!(told("portals/portal-1/00000000000000bb/presence", "here", true), Told::Here(there.clone()));
        assert_eq!(told("portals/portal-1/00000000000000bb/presence", "", false), Told::Gone(there.clone()));
        let letter = r#"{"from":"00000000000000bb","data":"x"}"#;
        let ours = "portals/portal-1/00000000000000aa/inbox";
        assert_eq!(told(ours, letter, false), Told::Letter(Letter { from: there, data: "x".into() }));
        for (topic, payload, retained) in [
            (ours, letter, true),
            ("portals/portal-1/00000000000000bb/inbox", letter, false),
            (ours, r#"{"from":"00000000000000aa","data":"our own echo"}"#, false),
            (ours, r#"{"from":"+/../x","data":"x"}"#, false),
            (ours, "nonsense", false),
            ("portals/portal-1/00000000000000bb/presence", "perhaps", false),
            ("portals/portal-1/x/presence", "here", false),
            ("portals/portal-1/a/b/presence", "here", false),
            ("portals/portal-2/00000000000000bb/presence", "here", false),
            ("portals/portal-1presence", "here", false),
        ] {
            assert_eq!(told(topic, payload, retained), Told::Nonsense, "{topic} {payload}");
        }
    }

    #[test]
    fn presence_that_was_taken_away_is_said_again_in_time() {
        let (mut presences, start) = (Presences::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        assert_eq!(presences.due(), None);
        presences.taken(at(0));
        assert_eq!(presences.due(), Some(at(0)), "at once");
        presences.said(at(0));
        // Again and again: put off, and not forgotten.
        presences.taken(at(1));
        presences.taken(at(2));
        assert_eq!(presences.due(), Some(at(5)));
        presences.said(at(5));
        assert_eq!(presences.due(), None);
        presences.taken(at(60));
        assert_eq!(presences.due(), Some(at(60)));
    }

    #[test]
    fn a_crowd_keeps_nobody_out_and_drives_nobody_out_who_talks() {
        let name = |number: usize| Name(format!("{number:016x}"));
        let mut known = Known::default();
        assert_eq!(known.arrived(&name(0)), Arrival::New { instead_of: None });
        for number in 1..1000 {
            known.heard(&name(0));
            let instead_of = (number >= MOST).then(|| name(number + 1 - MOST));
            assert_eq!(known.arrived(&name(number)), Arrival::New { instead_of });
        }
        assert_eq!((known.0.len(), known.arrived(&name(0))), (MOST, Arrival::Known));
        assert!(known.left(&name(0)) && !known.left(&name(0)));
    }

    proptest! {
        #[test]
        fn reading_is_total(topic in "(portals/portal-1)?[/a-f0-9+#]{0,20}(/presence|/inbox)?", payload: Vec<u8>, retained: bool) {
            let _ = topics().read(&Message { topic, payload, retained });
        }
    }
}
