//! One portal: camera, encoder, link and screen.

use super::connection::{Connection, Setup};
use super::encoder::{ENCODING, Encoder, FPS, Picture, Wishes};
use super::random::Random;
use super::screen::Screen;
use super::world::{Outbox, Parcel};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// As in `peer`: how often the round trip is measured, and the size of what does it (SCTP in DTLS).
const PING: Duration = Duration::from_millis(500);
const FIRST_PINGS: (u32, Duration) = (5, Duration::from_millis(40));
const PING_BYTES: usize = 140;

pub struct Portal {
    pub screen: Screen,
    pub encoder: Encoder,
    pub connection: Connection,
    wishes: Arc<Wishes>,
    /// Encoded pictures on their way to the link.
    encoding: VecDeque<(Instant, Picture)>,
    next_capture: Instant,
    next_ping: Instant,
    pings: u32,
}

impl Portal {
    pub fn new(setup: &Setup, offers: bool, random: &mut Random, base: Instant, now: Instant) -> Self {
        let wishes = Arc::new(Wishes::default());
        let ssrcs = if offers { (11, 22) } else { (22, 11) };
        let connection = Connection::new(setup, ssrcs, random.word() as u16, &wishes, base, now);
        Self {
            screen: Screen::new(base),
            encoder: Encoder::new(random.fork(), setup.ceiling_bps, base),
            connection,
            wishes,
            encoding: VecDeque::new(),
            // Two cameras are not in step.
            next_capture: now + Duration::from_secs_f64(random.unit() / f64::from(FPS)),
            next_ping: now + FIRST_PINGS.1,
            pings: 0,
        }
    }

    pub fn target_mbps(&self) -> f64 {
        f64::from(self.wishes.target_bps.load(Relaxed)) / 1e6
    }

    /// Something came from the network.
    pub fn receive(&mut self, parcel: Parcel, now: Instant, out: &mut Outbox) {
        match parcel {
            Parcel::Media(packet) => self.connection.receive(packet, now),
            Parcel::Ping(sent) => out.send(Parcel::Pong(sent), PING_BYTES),
            Parcel::Pong(sent) => self.connection.set_round_trip(now - sent),
            Parcel::Segment(_) | Parcel::Ack(_) => {}
        }
        self.wake(now, out);
    }

    /// Does what time demands.
    pub fn wake(&mut self, now: Instant, out: &mut Outbox) {
        if now >= self.next_capture {
            self.next_capture += Duration::from_secs(1) / FPS;
            // The queue between encoder and link holds one.
            let full = self.connection.is_behind() && !self.encoding.is_empty();
            let picture = if full { None } else { self.encoder.capture(true, &self.wishes, now) };
            self.encoding.extend(picture.map(|picture| (now + ENCODING, picture)));
        }
        while !self.connection.is_behind()
            && let Some((_, picture)) = self.encoding.pop_front_if(|(done, _)| *done <= now)
        {
            self.connection.send(&picture, now);
        }
        if now >= self.next_ping {
            self.pings += 1;
            self.next_ping = now + if self.pings < FIRST_PINGS.0 { FIRST_PINGS.1 } else { PING };
            out.send(Parcel::Ping(now), PING_BYTES);
        }
        self.connection.wake(now);
        while let Some(unit) = self.connection.poll_unit() {
            self.screen.show(&unit.data, unit.keyframe, now);
        }
        while let Some((packet, bytes)) = self.connection.poll_packet() {
            out.send(Parcel::Media(packet), bytes);
        }
    }

    /// When [`Portal::wake`] should be called.
    pub fn next(&mut self, now: Instant) -> Instant {
        let encoded = self.encoding.front().map(|(done, _)| *done).filter(|_| !self.connection.is_behind());
        let others = [self.connection.next(now), encoded, Some(self.next_ping)];
        others.into_iter().flatten().fold(self.next_capture, Instant::min)
    }
}
