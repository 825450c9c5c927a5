//! Spreads large bursts over time, and nothing else.
//!
//! The stock pacer releases packets only when the driver's timer fires, which it does at most once a millisecond, and at just
//! the target bitrate: an ordinary picture would wait for milliseconds and a keyframe for a third of a second. Here a packet
//! passes at once as long as the burst allows it (an ordinary picture always does), and a keyframe leaves at several times the
//! target.

use rtc::interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes that may leave at once: two to three ordinary pictures at 2.5 Mb/s and 30 a second.
const BURST_BYTES: f64 = 32_000.0;
/// How much faster than the target a longer burst leaves. libwebrtc uses 2.5; a keyframe of 80 kB at 2.5 Mb/s takes 40 ms so.
const RATE_FACTOR: f64 = 4.0;
/// The least rate, so that a collapsed target does not add seconds of delay to a keyframe.
const MIN_RATE_BPS: f64 = 2_000_000.0;
/// When more packets than this wait, new ones are dropped: 1.2 s at 20 Mb/s. The NACK responder holds them for repair.
const QUEUE: usize = 2048;

/// Keeps a budget of bytes that refills with time.
pub(in crate::link) struct Pacer {
    rate_bps: f64,
    budget_bytes: f64,
    refilled: Option<Instant>,
    waiting: VecDeque<TaggedPacket>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Pacer {
    pub(in crate::link) fn new(target_bps: f64) -> Self {
        Self {
            rate_bps: rate(target_bps),
            budget_bytes: BURST_BYTES,
            refilled: None,
            waiting: VecDeque::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn refill(&mut self, now: Instant) {
        if let Some(last) = self.refilled {
            let seconds = now.saturating_duration_since(last).as_secs_f64();
            self.budget_bytes = (self.budget_bytes + seconds * self.rate_bps / 8.0).min(BURST_BYTES);
        }
        self.refilled = Some(self.refilled.map_or(now, |last| last.max(now)));
    }

    /// Lets a packet go; the budget may go below zero by one packet.
    fn release(&mut self, mut packet: TaggedPacket, now: Instant) {
        if let Packet::Rtp(rtp) = &packet.message.packet {
            self.budget_bytes -= rtp.marshal_size() as f64;
        }
        // The send history must see when the packet left, not when it came here.
        packet.now = now;
        self.writes.push_back(packet);
    }
}

fn rate(target_bps: f64) -> f64 {
    (target_bps * RATE_FACTOR).max(MIN_RATE_BPS)
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Pacer {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        let any = Attribute::TargetBitrateChanged { bits_per_second: 0.0 };
        if let Some(Attribute::TargetBitrateChanged { bits_per_second }) = packet.message.get(&any) {
            self.rate_bps = rate(*bits_per_second);
        }
        self.reads.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        // Feedback is small and only useful while it is fresh.
        if matches!(packet.message.packet, Packet::Rtcp(_)) {
            self.writes.push_back(packet);
            return Ok(());
        }
        let now = packet.now;
        self.refill(now);
        if self.waiting.is_empty() && self.budget_bytes > 0.0 {
            self.release(packet, now);
        } else if self.waiting.len() < QUEUE {
            self.waiting.push_back(packet);
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        self.refill(now);
        while self.budget_bytes > 0.0 {
            let Some(packet) = self.waiting.pop_front() else { break };
            self.release(packet, now);
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.waiting.front()?;
        // One more byte than is owed, so that the deadline is never one at which nothing could be done.
        let owed_bytes = 1.0 - self.budget_bytes.min(0.0);
        Some(self.refilled? + Duration::from_secs_f64(owed_bytes * 8.0 / self.rate_bps))
    }
}

impl Interceptor for Pacer {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rtc::interceptor::AttributedPacket;

    fn packet(now: Instant) -> TaggedPacket {
        let rtp = rtc::rtp::Packet { payload: Bytes::from_static(&[0; 1188]), ..Default::default() };
        TaggedPacket { now, transport: Default::default(), message: AttributedPacket::new(Packet::Rtp(rtp)) }
    }

    fn drain(pacer: &mut Pacer) -> usize {
        std::iter::from_fn(|| pacer.poll_write()).count()
    }

    #[test]
    fn ordinary_pictures_never_wait() {
        let (mut pacer, start) = (Pacer::new(2.5e6), Instant::now());
        for picture in 0..300 {
            let now = start + Duration::from_millis(33 * picture);
            for _ in 0..9 {
                pacer.handle_write(packet(now)).unwrap();
            }
            assert_eq!(drain(&mut pacer), 9, "picture {picture}");
            assert_eq!(pacer.poll_timeout(), None);
        }
    }

    #[test]
    fn a_keyframe_leaves_at_four_times_the_target() {
        let (mut pacer, start) = (Pacer::new(2.5e6), Instant::now());
        for _ in 0..80 {
            pacer.handle_write(packet(start)).unwrap();
        }
        let mut sent = drain(&mut pacer);
        assert_eq!(sent, 27, "the burst");
        let mut now = start;
        while let Some(at) = pacer.poll_timeout() {
            assert!(at > now, "a deadline must lie ahead");
            now = at;
            pacer.handle_timeout(now).unwrap();
            sent += drain(&mut pacer);
        }
        assert_eq!(sent, 80);
        let took = now - start;
        assert!((40..70).contains(&took.as_millis()), "{took:?}");
    }

    #[test]
    fn the_queue_is_bounded() {
        let (mut pacer, start) = (Pacer::new(1e5), Instant::now());
        for _ in 0..10 * QUEUE {
            pacer.handle_write(packet(start)).unwrap();
        }
        assert_eq!(pacer.waiting.len(), QUEUE);
    }
}
