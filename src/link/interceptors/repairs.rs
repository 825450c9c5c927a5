//! Repairs what can still be repaired, once per round trip.
//!
//! The far end asks for a missing packet every 20 ms until it has it. On a path with a round trip of 100 ms that would be five
//! repairs for each loss, just when the path can bear least. As libwebrtc does, a packet that was sent again less than a round
//! trip ago is not sent again. And after an outage it asks for everything that it missed: a second's worth of pictures that
//! nobody needs any more, in front of the keyframe that everybody waits for. What is too old to be waited for is not repaired,
//! and when very much is missing, none of it.

use super::Stage;
use crate::ops::Figures;
use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Repeats that are nearer than this are never answered, however short the round trip.
const MIN_INTERVAL: Duration = Duration::from_millis(15);
/// The far end waits for repairs at most 0.6 s (see [`crate::link::incoming`]), and the request takes its time.
const MAX_AGE: Duration = Duration::from_millis(800);
/// From this share of lost packets on, in millionths, a repair is likely to be lost too: it is sent twice per round trip.
const HEAVY_LOSS_PPM: u64 = 80_000;
/// More packets than this at once, half a second at 2.5 Mb/s, are an outage: a keyframe mends it sooner than repairs.
const MAX_AT_ONCE: usize = 128;
/// Packets remembered, as many as the NACK responder keeps.
const REMEMBERED: usize = 1024;

/// When a packet was sent, first and last.
#[derive(Clone, Copy)]
struct Sent {
    sequence: u16,
    first: Instant,
    last: Instant,
    /// Part of an outage, not to be repaired.
    given_up: bool,
}

/// Strikes from NACKs (RFC 4585) what was repaired less than a round trip ago and what is too old.
pub(in crate::link) struct Repairs {
    figures: Arc<Figures>,
    /// Of our one video stream, by sequence number modulo [`REMEMBERED`].
    sent: Vec<Option<Sent>>,
}

impl Repairs {
    pub(in crate::link) fn new(figures: Arc<Figures>) -> Self {
        Self { figures, sent: vec![None; REMEMBERED] }
    }

    fn note(&mut self, sequence: u16, now: Instant) {
        self.sent[usize::from(sequence) % REMEMBERED] = Some(Sent { sequence, first: now, last: now, given_up: false });
    }

    /// Whether a packet should be sent again now.
    fn repair(&mut self, sequence: u16, now: Instant) -> bool {
        // Slightly less than a round trip, so that jitter does not cost a whole interval of the far end's asking.
        let heavy = self.figures.outgoing.loss_ppm.get() >= HEAVY_LOSS_PPM;
        let interval = self.figures.link.round_trip_us.get() * 9 / if heavy { 20 } else { 10 };
        let interval = Duration::from_micros(interval).max(MIN_INTERVAL);
        let sent = &mut self.sent[usize::from(sequence) % REMEMBERED];
        let Some(sent) = sent.as_mut().filter(|sent| sent.sequence == sequence) else { return false };
        let due = sent.first == sent.last || now.saturating_duration_since(sent.last) >= interval;
        let useful = !sent.given_up && now.saturating_duration_since(sent.first) < MAX_AGE;
        if due && useful {
            sent.last = now;
        }
        due && useful
    }

    fn thin(&mut self, nack: &TransportLayerNack, now: Instant) -> TransportLayerNack {
        let mut thinned = TransportLayerNack { nacks: Vec::with_capacity(nack.nacks.len()), ..*nack };
        for pair in &nack.nacks {
            let following = (0..16).filter(|bit| pair.lost_packets >> bit & 1 == 1);
            let sequences =
                std::iter::once(pair.packet_id).chain(following.map(|bit| pair.packet_id.wrapping_add(bit + 1)));
            for packet_id in sequences.filter(|sequence| self.repair(*sequence, now)) {
                thinned.nacks.push(NackPair { packet_id, lost_packets: 0 });
            }
        }
        if thinned.nacks.len() > MAX_AT_ONCE {
            for pair in thinned.nacks.drain(..) {
                if let Some(sent) = &mut self.sent[usize::from(pair.packet_id) % REMEMBERED] {
                    sent.given_up = true;
                }
            }
        }
        thinned
    }
}

impl Stage for Repairs {
    fn read(&mut self, mut packet: TaggedPacket) -> Option<TaggedPacket> {
        let now = packet.now;
        if let Packet::Rtcp(parts) = &mut packet.message.packet {
            for part in parts {
                if let Some(nack) = part.as_any().downcast_ref::<TransportLayerNack>() {
                    *part = Box::new(self.thin(nack, now));
                }
            }
        }
        Some(packet)
    }

    fn write(&mut self, packet: TaggedPacket) -> Option<TaggedPacket> {
        if let Packet::Rtp(rtp) = &packet.message.packet
            && packet.message.attributes.is_empty()
        {
            self.note(rtp.header.sequence_number, packet.now);
        }
        Some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(stage: &mut Repairs, first: u16, lost_packets: u16, now: Instant) -> Vec<u16> {
        let nacks = vec![NackPair { packet_id: first, lost_packets }];
        let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc: 2, nacks };
        stage.thin(&nack, now).nacks.iter().map(|pair| pair.packet_id).collect()
    }

    #[test]
    fn each_loss_is_repaired_once_per_round_trip() {
        let figures = Arc::new(Figures::default());
        figures.link.round_trip_us.set(100_000);
        let (mut stage, start) = (Repairs::new(figures), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for sequence in [65534, 65535, 0, 1, 2] {
            stage.note(sequence, at(0));
        }
        assert_eq!(asked(&mut stage, 65535, 0b101, at(60)), [65535, 0, 2]);
        assert_eq!(asked(&mut stage, 65535, 0b111, at(80)), [1]);
        assert!(asked(&mut stage, 65535, 0b101, at(140)).is_empty());
        assert_eq!(asked(&mut stage, 65535, 0b101, at(161)), [65535, 0, 2]);
    }

    #[test]
    fn an_outage_is_not_repaired() {
        let (mut stage, start) = (Repairs::new(Arc::new(Figures::default())), Instant::now());
        for sequence in 0..300 {
            stage.note(sequence, start);
        }
        let nacks = (0..=MAX_AT_ONCE as u16).map(|packet_id| NackPair { packet_id, lost_packets: 0 }).collect();
        let nack = TransportLayerNack { sender_ssrc: 1, media_ssrc: 2, nacks };
        assert!(stage.thin(&nack, start).nacks.is_empty());
        assert_eq!(asked(&mut stage, MAX_AT_ONCE as u16, 0b11, start + Duration::from_millis(20)), [129, 130]);
    }

    #[test]
    fn what_is_old_or_was_never_sent_is_not_repaired() {
        let (mut stage, start) = (Repairs::new(Arc::new(Figures::default())), Instant::now());
        for sequence in 0..3000 {
            stage.note(sequence, start + Duration::from_millis(u64::from(sequence)));
        }
        let now = start + Duration::from_millis(3000);
        assert_eq!(asked(&mut stage, 2199, 0b111, now), [2201, 2202]);
        assert!(asked(&mut stage, 100, u16::MAX, now).is_empty());
        assert!(asked(&mut stage, 3000, u16::MAX, now).is_empty());
    }
}
