//! Answers each request for a repair once per round trip.
//!
//! The far end asks for a missing packet every 20 ms until it has it. On a path with a round trip of 100 ms that would be five
//! repairs for each loss, just when the path can bear least. As libwebrtc does, a packet that was sent again less than a round
//! trip ago is not sent again.

use super::Stage;
use crate::ops::Figures;
use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{NackPair, TransportLayerNack};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Repeats that are nearer than this are never answered, however short the round trip.
const MIN_INTERVAL: Duration = Duration::from_millis(15);
/// A bound on memory; more losses than this within one round trip are beyond repair anyway.
const MAX_REMEMBERED: usize = 2048;

/// Strikes sequence numbers from NACKs (RFC 4585) that were answered less than a round trip ago.
pub(in crate::link) struct Repairs {
    figures: Arc<Figures>,
    answered: HashMap<(u32, u16), Instant>,
}

impl Repairs {
    pub(in crate::link) fn new(figures: Arc<Figures>) -> Self {
        Self { figures, answered: HashMap::new() }
    }

    fn thin(&mut self, nack: &TransportLayerNack, now: Instant) -> TransportLayerNack {
        // Slightly less than a round trip, so that jitter does not cost a whole interval of the far end's asking.
        let interval = Duration::from_micros(self.figures.link.round_trip_us.get() * 9 / 10).max(MIN_INTERVAL);
        if self.answered.len() > MAX_REMEMBERED {
            self.answered.retain(|_, at| now.saturating_duration_since(*at) < interval);
            if self.answered.len() > MAX_REMEMBERED {
                self.answered.clear();
            }
        }
        let mut thinned = TransportLayerNack { nacks: Vec::with_capacity(nack.nacks.len()), ..*nack };
        for pair in &nack.nacks {
            for sequence in std::iter::once(pair.packet_id).chain(
                (0..16).filter(|bit| pair.lost_packets >> bit & 1 == 1).map(|bit| pair.packet_id.wrapping_add(bit + 1)),
            ) {
                let at = self.answered.entry((nack.media_ssrc, sequence));
                let fresh = match &at {
                    std::collections::hash_map::Entry::Occupied(at) => {
                        now.saturating_duration_since(*at.get()) >= interval
                    }
                    std::collections::hash_map::Entry::Vacant(_) => true,
                };
                if fresh {
                    at.insert_entry(now);
                    thinned.nacks.push(NackPair { packet_id: sequence, lost_packets: 0 });
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
        assert_eq!(asked(&mut stage, 65535, 0b101, at(0)), [65535, 0, 2]);
        assert_eq!(asked(&mut stage, 65535, 0b111, at(20)), [1]);
        assert!(asked(&mut stage, 65535, 0b101, at(80)).is_empty());
        assert_eq!(asked(&mut stage, 65535, 0b101, at(101)), [65535, 0, 2]);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut stage, start) = (Repairs::new(Arc::new(Figures::default())), Instant::now());
        for n in 0..=u16::MAX {
            asked(&mut stage, n, u16::MAX, start + Duration::from_micros(u64::from(n)));
        }
        assert!(stage.answered.len() <= MAX_REMEMBERED + 17);
    }
}
