//! What this portal says as a device, and to what: pure, with the time passed in.
//!
//! | what happens | what is done |
//! |---|---|
//! | connected with the broker | hears `/devices` and its own topic; says on `/devices` that it is there |
//! | `query`, from anybody else | says again that it is there, at most once a second |
//! | an offer | a guest; it is let in or refused elsewhere. Refused: `error` and `hangup` |
//! | candidates, `hangup`, `error` of a guest | are passed on |
//! | the first guest watches, the last one leaves, another name | says so on `/devices` |
//! | the end, in whatever way | is said on `/devices`, and retained there: for that the broker keeps our last will |
//! | an own echo, anything retained, anything else | nothing; what is malformed or out of turn is counted |

use super::message::{Body, DEVICES, Device, DeviceId, Kind, Message};
use crate::guests::message::{FromGuest, GuestId, ToGuest};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Between two answers to queries: a crowd that asks at once gets one, which all of them hear.
const ANSWERS_APART: Duration = Duration::from_secs(1);
/// Guests who are known by name; more than may watch, because who is refused has to be told.
const MOST_KNOWN: usize = 64;
/// The word by which guests of this way are told from others.
const WAY: &str = "ocamera";

/// To be said to the broker, at QoS 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where.
    pub topic: String,
    /// What.
    pub message: Message,
    /// Whether the broker keeps it: only that we are gone.
    pub retain: bool,
}

/// To be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Say something.
    Publish(Publish),
    /// Hand a guest's words on.
    Pass(GuestId, FromGuest),
    /// Count what was refused.
    Reject(&'static str),
}

/// This portal, as a device.
#[derive(Debug)]
pub struct Machine {
    own: DeviceId,
    name: String,
    watching: usize,
    /// Who a guest is at the broker.
    guests: HashMap<GuestId, DeviceId>,
    answered: Option<Instant>,
    /// Asked meanwhile: answered when it is time.
    owes_answer: bool,
}

impl Machine {
    /// By this name and, for people, that one.
    pub fn new(own: DeviceId, name: String) -> Self {
        Self { own, name, watching: 0, guests: HashMap::new(), answered: None, owes_answer: false }
    }

    /// The topics to hear.
    pub fn subscriptions(&self) -> [String; 2] {
        [DEVICES.to_owned(), self.own.topic()]
    }

    /// What the broker is to say when we are gone: our last will, and what we say ourselves at an orderly end.
    pub fn gone(&self) -> Publish {
        Publish { retain: true, ..self.presence(false) }
    }

    /// The broker has let us in, for the first time or again. Guests of before have other sessions.
    pub fn connected(&mut self, now: Instant) -> Vec<Action> {
        self.guests.clear();
        vec![self.announce(now)]
    }

    /// So many guests watch, whichever way they came.
    pub fn watching(&mut self, guests: usize, now: Instant) -> Vec<Action> {
        let before = std::mem::replace(&mut self.watching, guests);
        if (before > 0) == (guests > 0) { Vec::new() } else { vec![self.announce(now)] }
    }

    /// The place is called otherwise.
    pub fn rename(&mut self, name: String, now: Instant) -> Vec<Action> {
        let before = std::mem::replace(&mut self.name, name);
        if before == self.name { Vec::new() } else { vec![self.announce(now)] }
    }

    /// When [`Machine::turn`] is wanted, if nothing comes before.
    pub fn due(&self) -> Option<Instant> {
        self.answered.filter(|_| self.owes_answer).map(|at| at + ANSWERS_APART)
    }

    /// Time has passed.
    pub fn turn(&mut self, now: Instant) -> Vec<Action> {
        if self.due().is_some_and(|due| due <= now) { vec![self.announce(now)] } else { Vec::new() }
    }

    /// Something was published, where we hear.
    pub fn heard(&mut self, topic: &str, payload: &[u8], retained: bool, now: Instant) -> Vec<Action> {
        // Of before we were there: an offer of yesterday. Presence of others is none of a sender's business.
        if retained {
            return Vec::new();
        }
        let Message { source, body } = match Message::read(payload) {
            Ok(message) => message,
            Err(problem) => {
                tracing::debug!(%problem, "a message at the broker is not taken");
                return vec![Action::Reject("malformed")];
            }
        };
        if source == self.own {
            return Vec::new();
        }
        if body == Body::Query {
            return self.query(now);
        }
        if topic != self.own.topic() {
            return Vec::new();
        }
        self.said_to_us(source, body)
    }

    fn said_to_us(&mut self, source: DeviceId, body: Body) -> Vec<Action> {
        let guest = GuestId::new(WAY, &source);
        let is_known = self.guests.contains_key(&guest);
        let said = match body {
            Body::Sdp { kind: Kind::Offer, sdp } => {
                if !is_known && self.guests.len() >= MOST_KNOWN {
                    return vec![Action::Reject("too many")];
                }
                self.guests.insert(guest.clone(), source);
                FromGuest::Offer(sdp)
            }
            Body::Sdp { kind: Kind::Answer, .. } => return vec![Action::Reject("an answer to nothing")],
            // Whoever has made no offer has no session to which it could belong.
            _ if !is_known => return vec![Action::Reject("no session")],
            // Their end changes nothing.
            Body::Ice { candidate, .. } if candidate.is_empty() => return Vec::new(),
            Body::Ice { candidate, .. } => FromGuest::Candidate(candidate),
            Body::HangUp | Body::Error(_) => {
                self.guests.remove(&guest);
                FromGuest::Gone
            }
            Body::Device(_) | Body::Query => return Vec::new(),
        };
        vec![Action::Pass(guest, said)]
    }

    /// A guest is to be told something.
    pub fn tell(&mut self, guest: &GuestId, message: ToGuest) -> Vec<Action> {
        let Some(device) = self.guests.get(guest) else { return Vec::new() };
        let topic = device.topic();
        let say = |body| {
            let message = Message { source: self.own.clone(), body };
            Action::Publish(Publish { topic: topic.clone(), message, retain: false })
        };
        match message {
            ToGuest::Offer(sdp) => vec![say(Body::Sdp { kind: Kind::Offer, sdp })],
            ToGuest::Answer(sdp) => vec![say(Body::Sdp { kind: Kind::Answer, sdp })],
            ToGuest::Candidate(it) => vec![say(Body::Ice { candidate: it.candidate, mid: it.mid, line: it.line })],
            ToGuest::Refused(why) => {
                let said = vec![say(Body::Error(why)), say(Body::HangUp)];
                self.guests.remove(guest);
                said
            }
            ToGuest::HangUp(_) => {
                let said = vec![say(Body::HangUp)];
                self.guests.remove(guest);
                said
            }
        }
    }

    fn query(&mut self, now: Instant) -> Vec<Action> {
        self.owes_answer = true;
        let may = self.answered.is_none_or(|at| now.saturating_duration_since(at) >= ANSWERS_APART);
        if may { vec![self.announce(now)] } else { Vec::new() }
    }

    fn announce(&mut self, now: Instant) -> Action {
        (self.answered, self.owes_answer) = (Some(now), false);
        Action::Publish(self.presence(true))
    }

    fn presence(&self, online: bool) -> Publish {
        let streaming = online && self.watching > 0;
        let device = Device { id: self.own.clone(), name: self.name.clone(), online, streaming };
        let message = Message { source: self.own.clone(), body: Body::Device(device) };
        Publish { topic: DEVICES.into(), message, retain: false }
    }
}

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;
