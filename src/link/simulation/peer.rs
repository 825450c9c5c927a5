//! A peer connection without WebRTC: what ICE, DTLS and the data channel do to the link, in a few messages.
//!
//! | | as in |
//! |---|---|
//! | checks each 20 ms until one is answered, then each 200 ms; with each of these it is seen whether the path is lost: no check and no answer of the far end for 0.6 s | ICE, `peer` |
//! | four flights, the first one from the answering side; each is sent four times, and if all of them are lost, again after 1, 2, 4 s, or never | DTLS, `handshakes` |
//! | pings and presence, which are not repeated; after an outage sending is tried again after 1, 2, 4 .. 60 s | SCTP |
//! | closing tells the far end, if it gets through | DTLS |

use super::connection::Connection;
use super::random::Random;
use super::world::{Outbox, What};
use crate::link::clock_offset::{ClockOffset, Sample};
use crate::link::peer::{ICE_CHECK, ICE_DISCONNECTED, ICE_KEEPALIVE};
use std::time::{Duration, Instant};

const CHECK_BYTES: usize = 130;
/// Of the four flights.
const FLIGHT_BYTES: [usize; 4] = [250, 1300, 1300, 150];
const FLIGHT_REPEAT: Duration = Duration::from_secs(1);
/// As in `handshakes`, from the first time on.
const FLIGHT_COPIES: [Duration; 3] =
    [Duration::from_millis(40), Duration::from_millis(110), Duration::from_millis(250)];
/// `webrtc.md`: of connections that lose a handshake packet, some never complete.
const STALLS: f64 = 0.1;
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
    made: Instant,
    next_check: Instant,
    /// A check of ours was answered: the path is there.
    answered: bool,
    /// When the far end was last heard of by ICE. Its checks count as well as its answers, other packets do not (`rtc`).
    seen: Instant,
    /// The next flight that is expected; 4: all are through.
    flight: u8,
    next_flight: Option<(Instant, Duration)>,
    /// Flights sent, and those that came: a copy of one that came is dropped by its record number.
    flights: u32,
    came: Vec<u32>,
    /// When which flight is sent again.
    copies: Vec<(Instant, u8, u32)>,
    connected: bool,
    lost: bool,
    next_ping: Instant,
    pings: u32,
    /// When a ping was last answered, and the round trip.
    clock: ClockOffset,
    channel_retry: Option<(Instant, Duration)>,
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
            made: now,
            next_check: now,
            answered: false,
            seen: now,
            flight: 0,
            next_flight: None,
            flights: 0,
            came: vec![],
            copies: vec![],
            connected: false,
            lost: false,
            next_ping: now,
            pings: 0,
            clock: ClockOffset::default(),
            channel_retry: None,
            cut: false,
            closes_at: None,
        }
    }

    fn send(&self, what: What, bytes: usize, out: &mut Outbox) {
        if let Some(to) = self.far_key.filter(|_| !self.cut) {
            out.send(to, what, bytes);
        }
    }

    /// When a ping was last answered.
    pub fn heard(&self) -> Option<Instant> {
        self.clock.heard()
    }

    fn send_flight(&mut self, number: u8, now: Instant, out: &mut Outbox) {
        self.flights += 1;
        self.copies.extend(FLIGHT_COPIES.map(|after| (now + after, number, self.flights)));
        self.send(What::Flight(number, self.flights), FLIGHT_BYTES[usize::from(number)], out);
    }

    fn connect(&mut self, now: Instant, events: &mut Vec<PeerEvent>) {
        if !std::mem::replace(&mut self.connected, true) {
            self.next_ping = now + FIRST_PINGS.1;
            events.push(PeerEvent::Connected);
        }
    }

    /// Something came for this end.
    pub fn receive(&mut self, what: What, now: Instant, out: &mut Outbox, events: &mut Vec<PeerEvent>) {
        if self.cut || self.far_key.is_none() {
            return;
        }
        match what {
            What::Check => {
                self.seen = now;
                self.send(What::CheckAnswer, CHECK_BYTES, out);
            }
            What::CheckAnswer => (self.seen, self.answered) = (now, true),
            What::Flight(number, record) => self.receive_flight(number, record, now, out, events),
            What::Close if self.connected => events.push(PeerEvent::Closed),
            _ if !self.connected => {}
            What::Media(packet) => self.media.receive(packet, now),
            What::Ping(sent) => self.say(What::Pong(sent), now, out),
            What::Pong(sent) => {
                self.channel_retry = None;
                // The two clocks are one here.
                let us = |at: Instant| at.saturating_duration_since(self.made).as_micros() as u64;
                let (sent_us, received_us) = (us(sent), us(now));
                let far_us = (sent_us + received_us) / 2;
                let sample = Sample { sent_us, far_received_us: far_us, far_sent_us: far_us, received_us };
                if self.clock.add(sample, now).is_some()
                    && let Some(round_trip) = self.clock.round_trip()
                {
                    self.media.set_round_trip(round_trip);
                }
            }
            What::Presence => events.push(PeerEvent::FarCameraRuns),
            What::Close | What::Segment(_) | What::Ack(_) => {}
        }
    }

    /// Flights 0 and 2 go to the offering side, 1 and 3 come from it. A repeated one is answered again.
    fn receive_flight(&mut self, number: u8, record: u32, now: Instant, out: &mut Outbox, events: &mut Vec<PeerEvent>) {
        let mine = number.is_multiple_of(2) == self.offers;
        if !mine || number > self.flight + 1 || self.came.contains(&record) {
            return;
        }
        self.came.push(record);
        self.flight = self.flight.max(number + 1);
        self.next_flight = None;
        if number < 3 {
            self.send_flight(number + 1, now, out);
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
        let silent = self.heard().is_some_and(|heard| now.saturating_duration_since(heard) > CHANNEL_PATIENCE);
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
            self.next_check = now + if self.answered { ICE_KEEPALIVE } else { ICE_CHECK };
            self.send(What::Check, CHECK_BYTES, out);
            let lost = self.connected && now.saturating_duration_since(self.seen) > ICE_DISCONNECTED;
            if std::mem::replace(&mut self.lost, lost) != lost {
                events.push(PeerEvent::Path(!lost));
            }
        }
        let far_key = self.far_key.filter(|_| !self.cut);
        self.copies.retain(|(at, number, record)| {
            let due = *at <= now;
            if let (true, Some(to)) = (due, far_key) {
                out.send(to, What::Flight(*number, *record), FLIGHT_BYTES[usize::from(*number)]);
            }
            !due
        });
        if !self.offers && !self.connected && self.answered {
            let (at, wait) = *self.next_flight.get_or_insert((now, FLIGHT_REPEAT / 2));
            // Flight 0 or 2, whichever has no answer yet.
            if now >= at {
                let number = if self.flight == 0 { 0 } else { 2 };
                let stalls = wait >= FLIGHT_REPEAT && self.random.chance(STALLS);
                let next = if stalls { Duration::from_secs(3600) } else { wait * 2 };
                self.next_flight = Some((now + next, wait * 2));
                self.send_flight(number, now, out);
            }
        }
        if !self.connected {
            return;
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
        let copy = self.copies.iter().map(|(at, ..)| *at).min();
        others.into_iter().chain([copy, self.closes_at]).flatten().fold(self.next_check, Instant::min)
    }
}
