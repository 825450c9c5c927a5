//! Sends again what the far end misses (RTX, RFC 4588), as often as it takes and no more than the path bears.
//!
//! It stands in the place of the stock responder, which answers every request with one packet. Here
//! - a packet that was sent again less than a round trip ago is not sent again: its request repeats one that was answered. What
//!   is too old to be waited for is not repaired, and when very much is missing at once, which is an outage, none of it: it
//!   would stand in front of the keyframe that everybody waits for;
//! - repairs are lost too, and the next can only come a round trip later. Unless losses are rare, each is sent twice, a few
//!   milliseconds apart, or three times where very much is lost; and each packet of a keyframe twice, unasked: a picture of 60
//!   packets never comes whole otherwise;
//! - but once only while a queue stands in front of the bottleneck: more packets make worse what it has no room for;
//! - repairs have a budget, a share of the target bitrate. When it is spent, the further copies are left out first;
//! - a repair carries the header extensions of what it repairs: a picture whose first packet was lost still knows its time.

#[cfg(test)]
mod tests;

use super::pacer::LATE_REPAIR;
use crate::link::assembler::begins_keyframe;
use crate::ops::Figures;
use rtc::interceptor::{Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Repeats that are nearer than this are never answered, however short the round trip.
const MIN_INTERVAL: Duration = Duration::from_millis(15);
/// Nobody waits longer for a repair (see [`crate::link::reception`]), the request's own time included.
const MAX_AGE: Duration = Duration::from_millis(1200);
/// From these shares of lost packets on, repairs are sent once more; keyframes from the first on.
const COPYING_LOSS: [f64; 2] = [0.01, 0.08];
/// With a queue of this length the path is full: a picture's own packets make less.
const FULL: Duration = Duration::from_millis(30);
/// What such a queue had no room for is asked for later, when it may have drained.
const FULL_MEMORY: Duration = Duration::from_millis(500);
/// How much a packet counts in the share of lost packets: it is that of the last few hundred.
const WEIGHT: f64 = 1.0 / 512.0;
/// Each further copy follows after this, so that it does not meet the same burst of loss.
const APART: Duration = Duration::from_millis(10);
/// While so much waits to be sent, copies that nobody asked for wait, too: they would overtake what is sent first.
const BEHIND: Duration = Duration::from_millis(5);
/// More packets than this asked for at once, half a second at 2.5 Mb/s, are an outage: a keyframe mends it sooner than repairs.
const MAX_AT_ONCE: usize = 128;
/// Packets remembered, a power of two: 2 s at 5 Mb/s.
const REMEMBERED: usize = 1024;
/// The share of the target bitrate that repairs may take, and for how long what was not used is kept.
const BUDGET: f64 = 0.6;
const BUDGET_S: f64 = 0.5;
/// The budget never holds less than this: at low bitrates too a keyframe may be sent twice.
const MIN_BUDGET_BYTES: f64 = 60_000.0;

/// A packet that was sent.
struct Sent {
    packet: rtc::rtp::Packet,
    first: Instant,
    /// When it was sent again, on request or unasked; copies of that do not count.
    again: Option<Instant>,
    /// Somebody asked for it.
    missed: bool,
    /// Part of an outage, not to be repaired.
    given_up: bool,
}

/// Our one video stream, as it was negotiated.
#[derive(Clone, Copy)]
struct Stream {
    ssrc: u32,
    /// SSRC and payload type of its repairs; without them packets are sent again as they were.
    rtx: Option<(u32, u8)>,
}

/// Answers NACKs (RFC 4585). See the module's documentation.
pub(in crate::link) struct Repairs {
    figures: Arc<Figures>,
    stream: Option<Stream>,
    rtx_sequence: u16,
    /// By sequence number modulo [`REMEMBERED`].
    sent: Vec<Option<Sent>>,
    /// The share of packets that the far end had to ask for, though the path was not full.
    lost: f64,
    /// When the path was last full.
    full: Option<Instant>,
    /// The timestamp of the keyframe that was sent last.
    keyframe: Option<u32>,
    /// Further copies: when the next one is due, of which packet, and how many. In the order of time; no longer than [`REMEMBERED`].
    copies: VecDeque<(Instant, u16, usize)>,
    budget_bytes: f64,
    refilled: Option<Instant>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
    /// Of the repairs among `writes`, which the pacer has not seen yet: a single request may ask for a hundred.
    unpaced_bytes: usize,
}

impl Repairs {
    pub(in crate::link) fn new(figures: Arc<Figures>) -> Self {
        Self {
            figures,
            stream: None,
            rtx_sequence: rand::random(),
            sent: std::iter::repeat_with(|| None).take(REMEMBERED).collect(),
            lost: 0.0,
            full: None,
            keyframe: None,
            copies: VecDeque::new(),
            budget_bytes: MIN_BUDGET_BYTES,
            refilled: None,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            unpaced_bytes: 0,
        }
    }

    fn note(&mut self, packet: &rtc::rtp::Packet, now: Instant) {
        let sequence = packet.header.sequence_number;
        let sent = Sent { packet: packet.clone(), first: now, again: None, missed: false, given_up: false };
        self.sent[usize::from(sequence) % REMEMBERED] = Some(sent);
        self.lost -= self.lost * WEIGHT;
        if begins_keyframe(&packet.payload) {
            self.keyframe = Some(packet.header.timestamp);
        }
        if self.keyframe == Some(packet.header.timestamp) {
            let copies = self.copies(now).min(1);
            self.copy_later(sequence, copies, now);
        }
    }

    /// How often a repair is to be sent beyond the first time.
    fn copies(&mut self, now: Instant) -> usize {
        if self.is_full(now) { 0 } else { COPYING_LOSS.iter().filter(|share| self.lost >= **share).count() }
    }

    /// Whether the path is full, or was just now.
    fn is_full(&mut self, now: Instant) -> bool {
        if u128::from(self.figures.outgoing.path_queue_us.get()) > FULL.as_micros() {
            self.full = Some(now);
        }
        self.full.is_some_and(|at| now.saturating_duration_since(at) < FULL_MEMORY)
    }

    /// Whether what is sent now would wait longer than this in the pacer.
    fn waits_longer(&self, time: Duration) -> bool {
        let figures = &self.figures.outgoing;
        // Before there is an estimate, nothing is known of how long anything takes.
        let unpaced_us = (self.unpaced_bytes as u64 * 8_000_000).checked_div(figures.estimate_bps.get()).unwrap_or(0);
        u128::from(figures.pacer_queue_us.get() + unpaced_us) > time.as_micros()
    }

    fn copy_later(&mut self, sequence: u16, copies: usize, now: Instant) {
        if copies > 0 && self.copies.len() < REMEMBERED {
            self.copies.push_back((now + APART, sequence, copies));
        }
    }

    /// Whether nobody has missed this packet, and it is not too old to be sent again unasked.
    fn is_unasked(&self, sequence: u16, now: Instant) -> bool {
        let sent = self.sent[usize::from(sequence) % REMEMBERED].as_ref();
        sent.is_some_and(|sent| !sent.missed && now.saturating_duration_since(sent.first) < MAX_AGE)
    }

    /// Whether a packet that is asked for should be sent again now.
    fn wanted(&mut self, sequence: u16, now: Instant) -> bool {
        // Slightly less than a round trip, so that jitter does not cost a whole interval of the far end's asking.
        let interval = Duration::from_micros(self.figures.link.round_trip_us.get() * 9 / 10).max(MIN_INTERVAL);
        let full = self.is_full(now);
        let sent = &mut self.sent[usize::from(sequence) % REMEMBERED];
        let Some(sent) = sent.as_mut().filter(|sent| sent.packet.header.sequence_number == sequence) else {
            return false;
        };
        if !std::mem::replace(&mut sent.missed, true) && !full {
            self.lost += WEIGHT;
        }
        let due = sent.again.is_none_or(|again| now.saturating_duration_since(again) >= interval);
        due && !sent.given_up && now.saturating_duration_since(sent.first) < MAX_AGE
    }

    fn answer(&mut self, nack: &TransportLayerNack, now: Instant) {
        if self.stream.is_none_or(|stream| stream.ssrc != nack.media_ssrc) {
            return;
        }
        let mut wanted = Vec::with_capacity(nack.nacks.len());
        for pair in &nack.nacks {
            let following = (0..16).filter(|bit| pair.lost_packets >> bit & 1 == 1);
            let sequences =
                std::iter::once(pair.packet_id).chain(following.map(|bit| pair.packet_id.wrapping_add(bit + 1)));
            wanted.extend(sequences.filter(|sequence| self.wanted(*sequence, now)));
        }
        let outage = wanted.len() > MAX_AT_ONCE;
        let copies = self.copies(now);
        for sequence in wanted {
            if outage {
                if let Some(sent) = &mut self.sent[usize::from(sequence) % REMEMBERED] {
                    sent.given_up = true;
                }
            } else if self.send(sequence, false, now) {
                self.copy_later(sequence, copies, now);
            }
        }
    }

    /// Sends a packet again if the budget allows it; copies leave half of it to others.
    fn send(&mut self, sequence: u16, copy: bool, now: Instant) -> bool {
        self.refill(now);
        let reserve_bytes = if copy { self.budget_limit() / 2.0 } else { 0.0 };
        let too_much = self.waits_longer(LATE_REPAIR);
        let Some(stream) = self.stream else { return false };
        let sent = &mut self.sent[usize::from(sequence) % REMEMBERED];
        let Some(sent) = sent.as_mut().filter(|sent| sent.packet.header.sequence_number == sequence) else {
            return false;
        };
        if too_much || self.budget_bytes <= reserve_bytes {
            self.figures.outgoing.repairs_refused.one();
            return false;
        }
        if !copy || sent.again.is_none() {
            sent.again = Some(now);
        }
        let mut packet = sent.packet.clone();
        if let Some((ssrc, payload_type)) = stream.rtx {
            // RFC 4588, section 4: the original sequence number, then the original payload.
            let mut payload = Vec::with_capacity(2 + packet.payload.len());
            payload.extend_from_slice(&packet.header.sequence_number.to_be_bytes());
            payload.extend_from_slice(&packet.payload);
            packet.payload = payload.into();
            packet.header.ssrc = ssrc;
            packet.header.payload_type = payload_type;
            packet.header.sequence_number = self.rtx_sequence;
            self.rtx_sequence = self.rtx_sequence.wrapping_add(1);
        }
        let bytes = packet.marshal_size();
        self.budget_bytes -= bytes as f64;
        self.unpaced_bytes += bytes;
        let message = AttributedPacket::new(Packet::Rtp(packet)).with(Attribute::Retransmission);
        self.writes.push_back(TaggedPacket { now, transport: TransportContext::default(), message });
        true
    }

    /// The most that the budget holds.
    fn budget_limit(&self) -> f64 {
        let rate = self.figures.outgoing.target_bps.get() as f64 / 8.0 * BUDGET;
        (rate * BUDGET_S).max(MIN_BUDGET_BYTES)
    }

    fn refill(&mut self, now: Instant) {
        let last = self.refilled.replace(now).unwrap_or(now);
        let limit = self.budget_limit();
        let added = now.saturating_duration_since(last).as_secs_f64() * limit / BUDGET_S;
        self.budget_bytes = (self.budget_bytes + added).min(limit);
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Repairs {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(parts) = &packet.message.packet {
            for part in parts {
                if let Some(nack) = part.as_any().downcast_ref::<TransportLayerNack>() {
                    self.answer(nack, packet.now);
                }
            }
        }
        self.reads.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(rtp) = &packet.message.packet
            && self.stream.is_some_and(|stream| stream.ssrc == rtp.header.ssrc)
        {
            self.note(rtp, packet.now);
        }
        self.writes.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        let packet = self.writes.pop_front();
        if self.writes.is_empty() {
            self.unpaced_bytes = 0;
        }
        packet
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let is_behind = self.waits_longer(BEHIND);
        for _ in 0..self.copies.iter().take_while(|(due, ..)| *due <= now).count() {
            let Some((_, sequence, copies)) = self.copies.pop_front() else { break };
            if is_behind && self.is_unasked(sequence, now) {
                self.copy_later(sequence, copies, now);
            } else {
                self.send(sequence, true, now);
                self.copy_later(sequence, copies - 1, now);
            }
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.copies.front().map(|(due, ..)| *due)
    }
}

impl Interceptor for Repairs {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        // Plain "nack"; with a parameter it is another kind of feedback.
        if info.rtcp_feedback.iter().any(|feedback| feedback.typ == "nack" && feedback.parameter.is_empty()) {
            self.stream = Some(Stream { ssrc: info.ssrc, rtx: info.ssrc_rtx.zip(info.payload_type_rtx) });
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.stream = self.stream.filter(|stream| stream.ssrc != info.ssrc);
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
