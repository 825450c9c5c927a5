//! A peer connection without WebRTC: what ICE, DTLS and the data channel do to the link, in a few messages.
//!
//! | | as in |
//! |---|---|
//! | checks each 20 ms until one is answered, then each 200 ms; nothing answered for 0.6 s: the path is lost | ICE, `peer` |
//! | four flights, the first one from the answering side; a lost one is repeated after 1, 2, 4 s, or never again | DTLS |
//! | pings and presence, which are not repeated; after an outage sending is tried again after 1, 2, 4 .. 60 s | SCTP |
//! | closing tells the far end, if it gets through | DTLS |

use super::connection::Connection;
use super::random::Random;
use super::world::{Outbox, What};
use std::time::{Duration, Instant};

const CHECK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));
const CHECK_BYTES: usize = 130;
/// Of the four flights.
const FLIGHT_BYTES: [usize; 4] = [250, 1300, 1300, 150];
const FLIGHT_REPEAT: Duration = Duration::from_secs(1);
/// `webrtc.md`: of connections that lose a handshake packet, some never complete.
const STALLS: f64 = 0.1;
/// As in `peer`.
const DISCONNECTED: Duration = Duration::from_millis(600);
const PING: Duration = Duration::from_millis(500);
const FIRST_PINGS: (u32, Duration) = (5, Duration::from_millis(40));
const CHANNEL_BYTES: usize = 140;
/// Single losses do not stop SCTP; a silence like this does, and its timer doubles.
const CHANNEL_PATIENCE: Duration = Duration::from_secs(3);
const CHANNEL_REPEAT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What a peer connection reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEvent {
    Connected,
    Path(bool),
    Closed,
    FarCameraRuns,
}

pub struct Peer {
    /// Names this end of the connection on the wire.
    pub key: u64,
    pub far_key: Option<u64>,
    pub media: Connection,
    offers: bool,
    random: Random,
    next_check: Instant,
    answered: Option<Instant>,
    /// The next flight that is expected; 4: all are through.
    flight: u8,
    next_flight: Option<(Instant, Duration)>,
    connected: bool,
    lost: bool,
    next_ping: Instant,
    pings: u32,
    /// When a ping was last answered.
    pub heard: Option<Instant>,
    channel_retry: Option<(Instant, Duration)>,
    round_trip: Duration,
    /// Its socket's address is gone: nothing comes or goes.
    pub cut: bool,
    /// Replaced: receives until then.
    pub closes_at: Option<Instant>,
}

impl Peer {
    pub fn new(key: u64, far_key: Option<u64>, offers: bool, media: Connection, random: Random, now: Instant) -> Self {
        Self {
            key,
            far_key,
            media,
            offers,
            random,
            next_check: now,
            answered: None,
            flight: 0,
            next_flight: None,
            connected: false,
            lost: false,
            next_ping: now,
            pings: 0,
            heard: None,
            channel_retry: None,
            round_trip: Duration::ZERO,
            cut: false,
            closes_at: None,
        }
    }

    fn send(&self, what: What, bytes: usize, out: &mut Outbox) {
        if let Some(to) = self.far_key.filter(|_| !self.cut) {
            out.send(to, what, bytes);
        }
    }

    fn connect(&mut self, now: Instant, events: &mut Vec<PeerEvent>) {
        if !std::mem::replace(&mut self.connected, true) {
            self.next_ping = now + FIRST_PINGS.1;
            self.heard = None;
            events.push(PeerEvent::Connected);
        }
    }

    /// Something came for this end.
    pub fn receive(&mut self, what: What, now: Instant, out: &mut Outbox, events: &mut Vec<PeerEvent>) {
        if self.cut || self.far_key.is_none() {
            return;
        }
        match what {
            What::Check => self.send(What::CheckAnswer, CHECK_BYTES, out),
            What::CheckAnswer => {
                self.answered = Some(now);
                if std::mem::take(&mut self.lost) {
                    events.push(PeerEvent::Path(true));
                }
            }
            What::Flight(number) => self.receive_flight(number, now, out, events),
            What::Close if self.connected => events.push(PeerEvent::Closed),
            _ if !self.connected => {}
            What::Media(packet) => self.media.receive(packet, now),
            What::Ping(sent) => self.say(What::Pong(sent), now, out),
            What::Pong(sent) => {
                self.heard = Some(now);
                self.channel_retry = None;
                self.round_trip = now.saturating_duration_since(sent);
                self.media.set_round_trip(self.round_trip);
            }
            What::Presence => events.push(PeerEvent::FarCameraRuns),
            What::Close | What::Segment(_) | What::Ack(_) => {}
        }
    }

    /// Flights 0 and 2 go to the offering side, 1 and 3 come from it. A repeated one is answered again.
    fn receive_flight(&mut self, number: u8, now: Instant, out: &mut Outbox, events: &mut Vec<PeerEvent>) {
        let mine = number.is_multiple_of(2) == self.offers;
        if !mine || number > self.flight + 1 {
            return;
        }
        self.flight = self.flight.max(number + 1);
        self.next_flight = None;
        if number < 3 {
            self.send(What::Flight(number + 1), FLIGHT_BYTES[usize::from(number) + 1], out);
        }
        if !self.offers && number == 1 {
            self.next_flight = Some((now + FLIGHT_REPEAT, FLIGHT_REPEAT));
        }
        if number >= 2 {
            self.connect(now, events);
        }
    }

    /// Says something on the data channel, if that takes anything now.
    pub fn say(&mut self, what: What, now: Instant, out: &mut Outbox) {
        if !self.connected {
            return;
        }
        let silent = self.heard.is_some_and(|heard| now.saturating_duration_since(heard) > CHANNEL_PATIENCE);
        if silent {
            let (at, wait) = *self.channel_retry.get_or_insert((now, CHANNEL_REPEAT.0));
            if now < at {
                return;
            }
            // Pings and answers go together.
            if now > at + PING {
                self.channel_retry = Some((now + wait, (wait * 2).min(CHANNEL_REPEAT.1)));
            }
        }
        self.send(what, CHANNEL_BYTES, out);
    }

    /// Does what time demands.
    pub fn wake(&mut self, now: Instant, out: &mut Outbox, events: &mut Vec<PeerEvent>) {
        if now >= self.next_check {
            self.next_check = now + if self.answered.is_some() && !self.lost { CHECK.1 } else { CHECK.0 };
            self.send(What::Check, CHECK_BYTES, out);
        }
        if !self.offers && !self.connected && self.answered.is_some() {
            let (at, wait) = *self.next_flight.get_or_insert((now, FLIGHT_REPEAT / 2));
            // Flight 0 or 2, whichever has no answer yet.
            if now >= at {
                let number = if self.flight == 0 { 0 } else { 2 };
                let stalls = wait >= FLIGHT_REPEAT && self.random.chance(STALLS);
                let next = if stalls { Duration::from_secs(3600) } else { wait * 2 };
                self.next_flight = Some((now + next, wait * 2));
                self.send(What::Flight(number), FLIGHT_BYTES[usize::from(number)], out);
            }
        }
        if !self.connected {
            return;
        }
        let silence = self.answered.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        if silence >= DISCONNECTED && !std::mem::replace(&mut self.lost, true) {
            events.push(PeerEvent::Path(false));
        }
        if now >= self.next_ping {
            self.pings += 1;
            self.next_ping = now + if self.pings < FIRST_PINGS.0 { FIRST_PINGS.1 } else { PING };
            self.say(What::Ping(now), now, out);
        }
        self.media.wake(now);
        while let Some((packet, bytes)) = self.media.poll_packet() {
            self.send(What::Media(packet), bytes, out);
        }
    }

    /// Tells the far end that it is over.
    pub fn close(&mut self, out: &mut Outbox) {
        if self.connected {
            self.send(What::Close, CHANNEL_BYTES, out);
        }
    }

    /// When [`Peer::wake`] should be called.
    pub fn next(&mut self, now: Instant) -> Instant {
        let flight = self.next_flight.filter(|_| !self.connected).map(|(at, _)| at);
        let others = if self.connected { [Some(self.next_ping), self.media.next(now)] } else { [flight, None] };
        others.into_iter().chain([self.closes_at]).flatten().fold(self.next_check, Instant::min)
    }
}
