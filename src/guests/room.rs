//! The way in through a hub's room: this portal is a camera there, by the messages of [`crate::hub::message`].
//!
//! Who is in the room is the hub's decision: its tokens are what keeps strangers out. When the hub goes away, guests who watch go on
//! watching; it is called again, and whoever comes then is served.

use super::message::{FromGuest, GuestId, Request, ToGuest};
use crate::hub::client::{Client, Error, Event, Options};
use crate::hub::message::{
    Candidate, ClientId, Code, Content, Description, DescriptionKind, FromHub, LONGEST_WORDS, ToHub,
};
use crate::ops::Figures;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Who is not let in asks again after so long: a token is set right by a person.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// A hub that takes no message for so long gets none.
const SAYING: Duration = Duration::from_secs(1);
/// Answers to guests that wait for the hub.
const REPLIES: usize = 128;
/// Guests whose names are known here; more than may watch, because who is refused has to be told.
const MOST_KNOWN: usize = 256;

/// How the room was left.
enum Left {
    /// The hub does not let us in.
    NotAllowed(String),
    /// Nobody serves guests any more.
    Closed,
}

/// Stays in the room until nobody serves guests any more.
///
/// # Errors
/// Options that can never work.
pub async fn stay(options: Options, requests: mpsc::Sender<Request>, figures: Arc<Figures>) -> Result<(), Error> {
    loop {
        let client = Client::start(options.clone())?;
        let left = Room::new(client, requests.clone(), Arc::clone(&figures)).attend().await;
        figures.guests.joined.set(0);
        match left {
            Left::Closed => return Ok(()),
            Left::NotAllowed(message) => {
                tracing::warn!(
                    "the hub lets no camera into the room: {message}; correct [guests] token or room. Asked again each minute"
                );
                sleep(ASK_AGAIN).await;
            }
        }
    }
}

struct Room {
    client: Client,
    requests: mpsc::Sender<Request>,
    replies_in: mpsc::Sender<(GuestId, ToGuest)>,
    replies: mpsc::Receiver<(GuestId, ToGuest)>,
    /// Who they are at the hub.
    known: HashMap<GuestId, ClientId>,
    figures: Arc<Figures>,
    /// That the hub is not there was said.
    said: bool,
}

impl Room {
    fn new(client: Client, requests: mpsc::Sender<Request>, figures: Arc<Figures>) -> Self {
        let (replies_in, replies) = mpsc::channel(REPLIES);
        Self { client, requests, replies_in, replies, known: HashMap::new(), figures, said: false }
    }

    async fn attend(mut self) -> Left {
        loop {
            tokio::select! {
                event = self.client.next() => match event {
                    Event::Message(message) => if let Some(left) = self.hear(message) {
                        return left;
                    },
                    Event::Lost { reason } => self.lost(&reason),
                },
                Some((guest, message)) = self.replies.recv() => self.answer(&guest, message).await,
                () = self.requests.closed() => return Left::Closed,
            }
        }
    }

    /// Once, not with each attempt.
    fn lost(&mut self, reason: &str) {
        // Whoever it knew has another name when it is back.
        self.known.clear();
        let was_in = self.figures.guests.joined.get() > 0;
        self.figures.guests.joined.set(0);
        if was_in || !self.said {
            tracing::warn!(
                "the hub for guests is not there: {reason}; it is called again and again. Who watches goes on watching"
            );
            self.said = true;
        } else {
            tracing::debug!(reason, "the hub for guests is still not there");
        }
    }

    fn hear(&mut self, message: FromHub) -> Option<Left> {
        match message {
            FromHub::Joined { room, clients, .. } => {
                tracing::info!(room, others = clients.len(), "in the hub's room as a camera: guests may come");
                self.figures.guests.joined.set(1);
                self.said = false;
            }
            FromHub::ViewerRequest { viewer_id, .. } => self.pass(viewer_id, FromGuest::Wants),
            FromHub::Relayed { sender, content } => match content {
                Content::Offer { sdp: Description { kind: DescriptionKind::Offer, sdp } } => {
                    self.pass(sender, FromGuest::Offer(sdp));
                }
                Content::Answer { sdp: Description { kind: DescriptionKind::Answer, sdp } } => {
                    self.pass(sender, FromGuest::Answer(sdp));
                }
                // The end of the candidates, said in either way, changes nothing.
                Content::IceCandidate { candidate: None } => {}
                Content::IceCandidate { candidate: Some(it) } if it.candidate.is_empty() => {}
                Content::IceCandidate { candidate: Some(it) } => self.pass(sender, FromGuest::Candidate(it.candidate)),
                _ => self.figures.guests.rejected_messages.one(),
            },
            FromHub::ClientDisconnected { client_id } => {
                let guest = guest(client_id);
                if self.known.remove(&guest).is_some() {
                    self.send(guest, FromGuest::Gone);
                }
            }
            FromHub::Error { code: Code::NotAllowed, message } => return Some(Left::NotAllowed(message)),
            // Said to somebody who has just left; ours to the hub is otherwise well-formed.
            FromHub::Error { code, message } => tracing::debug!(?code, message, "the hub says"),
            _ => {}
        }
        None
    }

    fn pass(&mut self, client: ClientId, said: FromGuest) {
        let guest = guest(client);
        if self.known.len() >= MOST_KNOWN && !self.known.contains_key(&guest) {
            return self.figures.guests.rejected_messages.one();
        }
        self.known.insert(guest.clone(), client);
        self.send(guest, said);
    }

    fn send(&self, guest: GuestId, said: FromGuest) {
        let request = Request { guest, said, replies: self.replies_in.clone() };
        if self.requests.try_send(request).is_err() {
            // Who floods is not heard.
            self.figures.guests.rejected_messages.one();
        }
    }

    async fn answer(&self, guest: &GuestId, message: ToGuest) {
        let Some(&target) = self.known.get(guest) else { return };
        let described = |kind, sdp| Description { kind, sdp };
        let content = match message {
            ToGuest::Offer(sdp) => Content::Offer { sdp: described(DescriptionKind::Offer, sdp) },
            ToGuest::Answer(sdp) => Content::Answer { sdp: described(DescriptionKind::Answer, sdp) },
            ToGuest::Candidate(it) => {
                let (sdp_mid, sdp_m_line_index) = (it.mid, Some(it.line));
                let candidate =
                    Candidate { candidate: it.candidate, sdp_mid, sdp_m_line_index, username_fragment: None };
                Content::IceCandidate { candidate: Some(candidate) }
            }
            ToGuest::Refused(mut message) | ToGuest::HangUp(mut message) => {
                message.truncate(message.floor_char_boundary(LONGEST_WORDS));
                Content::Refused { message }
            }
        };
        if timeout(SAYING, self.client.say(ToHub::Relay { target, content })).await.is_err() {
            tracing::debug!(%guest, "the hub takes no message now");
        }
    }
}

fn guest(client: ClientId) -> GuestId {
    GuestId::new("hub", client)
}
