//! When a packet may leave: spreads large bursts over time, and holds everything while too much is on its way.
//!
//! Two limits. A budget of bytes refills with time: an ordinary picture passes at once, a keyframe leaves somewhat faster than
//! the path carries it, so that it neither waits on a fast path nor floods a narrow one. And the bytes on their way stay within
//! a window, as TCP's do: when the path narrows, feedback thins out at once, and what the bottleneck has not let through is not
//! followed by more (libwebrtc calls it congestion window pushback). What waits here makes the encoder leave out pictures,
//! see [`super::backlog`].

use rtc::interceptor::{Attribute, Packet, TaggedPacket};
use rtc::shared::marshal::MarshalSize;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much of the pacing rate may leave at once, and the most bytes: two to three ordinary pictures at 2.5 Mb/s and 30 a
/// second. On a narrow path less, or a single picture would fill a short queue.
const BURST: Duration = Duration::from_millis(40);
const BURST_BYTES: f64 = 32_000.0;
/// With so much in front of it a repair would come later than anybody waits (see [`crate::link::reception`]).
pub(in crate::link) const LATE_REPAIR: Duration = Duration::from_millis(600);
/// When more packets than this wait, of either sort, new ones are dropped: 0.9 s at 20 Mb/s. They can still be asked for.
const QUEUE: usize = 2048;

/// What the path is thought to bear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::link) struct Allowance {
    /// At this rate a burst leaves, in bits per second.
    pub rate_bps: f64,
    /// So many bytes may be on their way.
    pub window_bytes: f64,
}

/// Keeps what waits, in the order in which it is to leave: repairs first, since a whole picture waits for each.
pub(in crate::link) struct Pacer {
    allowance: Allowance,
    budget_bytes: f64,
    refilled: Option<Instant>,
    repairs: VecDeque<TaggedPacket>,
    media: VecDeque<TaggedPacket>,
    waiting_bytes: usize,
    /// Of these, repairs.
    repair_bytes: usize,
}

impl Pacer {
    pub fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            budget_bytes: burst_bytes(allowance.rate_bps),
            refilled: None,
            repairs: VecDeque::new(),
            media: VecDeque::new(),
            waiting_bytes: 0,
            repair_bytes: 0,
        }
    }

    /// From now on packets leave so. When the path has narrowed to a fraction, repairs that were taken in for the wider one would
    /// stand in front of the pictures for seconds: those that nobody can wait for are dropped. Says how many.
    pub fn set_allowance(&mut self, allowance: Allowance) -> u64 {
        self.allowance = allowance;
        let most_bytes = allowance.rate_bps / 8.0 * LATE_REPAIR.as_secs_f64();
        let mut dropped = 0;
        while self.repair_bytes as f64 > most_bytes
            && let Some(packet) = self.repairs.pop_back()
        {
            let bytes = size(&packet);
            self.waiting_bytes -= bytes;
            self.repair_bytes -= bytes;
            dropped += 1;
        }
        dropped
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Takes a packet in. It is dropped when too many wait.
    pub fn push(&mut self, packet: TaggedPacket) {
        let repair = packet.message.has(&Attribute::Retransmission);
        let queue = if repair { &mut self.repairs } else { &mut self.media };
        if queue.len() < QUEUE {
            let bytes = size(&packet);
            self.waiting_bytes += bytes;
            self.repair_bytes += if repair { bytes } else { 0 };
            queue.push_back(packet);
        }
    }

    /// The next packet, if it may leave now. The budget may go below zero by one packet, and one packet may always be on its way.
    pub fn pop(&mut self, now: Instant, flying_bytes: usize) -> Option<TaggedPacket> {
        self.refill(now);
        if self.budget_bytes <= 0.0 || !self.window_is_open(flying_bytes) {
            return None;
        }
        let repair = self.repairs.pop_front();
        self.repair_bytes -= repair.as_ref().map_or(0, size);
        let packet = repair.or_else(|| self.media.pop_front())?;
        let bytes = size(&packet);
        self.waiting_bytes -= bytes;
        self.budget_bytes -= bytes as f64;
        Some(packet)
    }

    /// When the budget will allow the next packet; `None` if nothing waits or only the window is in its way.
    pub fn due(&self, flying_bytes: usize) -> Option<Instant> {
        if self.waiting_bytes == 0 || !self.window_is_open(flying_bytes) {
            return None;
        }
        // One more byte than is owed, so that the deadline is never one at which nothing could be done.
        let owed_bytes = 1.0 - self.budget_bytes.min(0.0);
        Some(self.refilled? + Duration::from_secs_f64(owed_bytes * 8.0 / self.allowance.rate_bps))
    }

    /// Whether something waits for the window.
    pub fn is_held(&self, flying_bytes: usize) -> bool {
        self.waiting_bytes > 0 && !self.window_is_open(flying_bytes)
    }

    fn window_is_open(&self, flying_bytes: usize) -> bool {
        flying_bytes == 0 || (flying_bytes as f64) < self.allowance.window_bytes
    }

    fn refill(&mut self, now: Instant) {
        if let Some(last) = self.refilled {
            let seconds = now.saturating_duration_since(last).as_secs_f64();
            let budget_bytes = self.budget_bytes + seconds * self.allowance.rate_bps / 8.0;
            self.budget_bytes = budget_bytes.min(burst_bytes(self.allowance.rate_bps));
        }
        self.refilled = Some(self.refilled.map_or(now, |last| last.max(now)));
    }
}

fn burst_bytes(rate_bps: f64) -> f64 {
    (rate_bps / 8.0 * BURST.as_secs_f64()).min(BURST_BYTES)
}

/// Bytes on the wire, without encryption, UDP and IP.
pub(in crate::link) fn size(packet: &TaggedPacket) -> usize {
    match &packet.message.packet {
        Packet::Rtp(rtp) => rtp.marshal_size(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rtc::interceptor::AttributedPacket;

    const LAN: Allowance = Allowance { rate_bps: 50e6, window_bytes: 1e6 };

    fn packet(now: Instant) -> TaggedPacket {
        let rtp = rtc::rtp::Packet { payload: Bytes::from_static(&[0; 1188]), ..Default::default() };
        TaggedPacket { now, transport: Default::default(), message: AttributedPacket::new(Packet::Rtp(rtp)) }
    }

    fn drain(pacer: &mut Pacer, now: Instant, flying: &mut usize) -> usize {
        std::iter::from_fn(|| {
            let bytes = pacer.pop(now, *flying).map(|packet| size(&packet));
            *flying += bytes.unwrap_or(0);
            bytes
        })
        .count()
    }

    #[test]
    fn ordinary_pictures_never_wait() {
        let (mut pacer, start) = (Pacer::new(Allowance { rate_bps: 4e6, window_bytes: 1e6 }), Instant::now());
        for picture in 0..300 {
            let now = start + Duration::from_millis(33 * picture);
            (0..9).for_each(|_| pacer.push(packet(now)));
            assert_eq!(drain(&mut pacer, now, &mut 0), 9, "picture {picture}");
            assert_eq!(pacer.due(0), None);
        }
    }

    #[test]
    fn a_keyframe_leaves_at_the_pacing_rate() {
        // (allowance, packets at once, time for 80 packets in ms)
        let table = [(LAN, 27, 10..12), (Allowance { rate_bps: 2e6, ..LAN }, 9, 330..350)];
        for (allowance, at_once, expected_ms) in table {
            let (mut pacer, start) = (Pacer::new(allowance), Instant::now());
            (0..80).for_each(|_| pacer.push(packet(start)));
            let mut sent = drain(&mut pacer, start, &mut 0);
            assert_eq!(sent, at_once, "{allowance:?}");
            let mut now = start;
            while let Some(at) = pacer.due(0) {
                assert!(at > now, "a deadline must lie ahead");
                now = at;
                sent += drain(&mut pacer, now, &mut 0);
            }
            assert_eq!(sent, 80);
            let took = (now - start).as_millis();
            assert!(expected_ms.contains(&took), "{allowance:?}: {took} ms");
        }
    }

    #[test]
    fn nothing_follows_into_a_full_path() {
        let (mut pacer, start) = (Pacer::new(Allowance { window_bytes: 12_000.0, ..LAN }), Instant::now());
        (0..40).for_each(|_| pacer.push(packet(start)));
        let mut flying = 0;
        assert_eq!(drain(&mut pacer, start, &mut flying), 10);
        assert_eq!((pacer.due(flying), pacer.waiting_bytes()), (None, 30 * 1200), "time alone changes nothing");
        flying -= 6000;
        assert_eq!(drain(&mut pacer, start, &mut flying), 5, "as much as has arrived");
    }

    #[test]
    fn repairs_go_first_and_the_queue_is_bounded() {
        let (mut pacer, start) = (Pacer::new(Allowance { rate_bps: 1e5, window_bytes: 1e6 }), Instant::now());
        (0..10 * QUEUE).for_each(|_| pacer.push(packet(start)));
        assert_eq!(pacer.waiting_bytes(), QUEUE * 1200);
        let mut repair = packet(start);
        repair.message.add(Attribute::Retransmission);
        pacer.push(repair);
        assert!(pacer.pop(start, 0).unwrap().message.has(&Attribute::Retransmission));
    }

    #[test]
    fn repairs_for_a_wider_path_are_dropped_and_pictures_are_not() {
        let (mut pacer, start) = (Pacer::new(LAN), Instant::now());
        for _ in 0..100 {
            let mut repair = packet(start);
            repair.message.add(Attribute::Retransmission);
            pacer.push(repair);
            pacer.push(packet(start));
        }
        assert_eq!(pacer.set_allowance(LAN), 0);
        // 15 kB take 0.6 s.
        assert_eq!(pacer.set_allowance(Allowance { rate_bps: 200e3, ..LAN }), 88);
        assert_eq!(pacer.waiting_bytes(), (12 + 100) * 1200);
        let repairs = (0..112).filter(|n| {
            let now = start + Duration::from_secs(n + 1);
            pacer.pop(now, 0).unwrap().message.has(&Attribute::Retransmission)
        });
        assert_eq!(repairs.count(), 12);
        assert_eq!((pacer.waiting_bytes(), pacer.repair_bytes), (0, 0));
    }
}
