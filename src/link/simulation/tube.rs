//! The path of one direction: a bottleneck with a queue, then the air.
//!
//! ```text
//! enter ─► open? ─► queue (bounded, first in first out) ─► rate ─► lost? ─► doubled? ─► delay and jitter ─► arrive
//! ```
//!
//! All flows of the direction share the bottleneck, as portals and downloads of one site do. Loss comes behind it: that is the
//! loss of radio, which says nothing about the queue; a full queue loses by itself.

use super::random::Random;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

/// How packets get lost behind the bottleneck.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Each for itself, this share.
    Random(f64),
    /// In bursts (Gilbert and Elliott): this share in all, and so many in a row on average.
    Bursts { share: f64, packets: f64 },
}

/// How the delay varies from packet to packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    None,
    /// Each packet for itself, evenly within ± this; packets overtake each other, as with `tc netem`.
    Each {
        ms: f64,
    },
    /// A delay that wanders between 0 and twice this within tenths of a second, in order, as on Wi-Fi and LTE.
    Wander {
        ms: f64,
    },
    /// Now and then (each second on average) everything waits for up to this long, then comes at once: a roaming Wi-Fi client.
    Spikes {
        ms: f64,
    },
}

/// What a path is like. The default is a good one: 20 ms, 1 Gb/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// One way, in milliseconds.
    pub delay_ms: f64,
    pub jitter: Jitter,
    pub loss: Loss,
    /// The bottleneck's rate in Mb/s; 0: nothing moves, the queue keeps what it holds.
    pub mbps: f64,
    /// The bottleneck's queue, as time at its rate.
    pub queue_ms: f64,
    /// Share of packets that come twice.
    pub doubled: f64,
    /// Share of packets that come late, by up to this many milliseconds, overtaken by others.
    pub reordered: (f64, f64),
    /// Whether anything gets through at all.
    pub open: bool,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay_ms: 20.0,
            jitter: Jitter::None,
            loss: Loss::Random(0.0),
            mbps: 1000.0,
            queue_ms: 250.0,
            doubled: 0.0,
            reordered: (0.0, 0.0),
            open: true,
        }
    }
}

/// What a flow has felt since the last [`Tube::take_felt`].
#[derive(Clone, Debug, Default)]
pub struct Felt {
    /// The longest time in the bottleneck, and the sum over all packets, in milliseconds.
    pub queue_ms: f64,
    pub queue_sum_ms: f64,
    /// Packets that entered, and those lost in the queue or in the air.
    pub packets: u64,
    pub lost: u64,
    /// Bytes that left the bottleneck.
    pub bytes: u64,
}

struct Waiting<T> {
    entered: Instant,
    flow: usize,
    bytes: usize,
    what: T,
}

struct Flying<T> {
    at: Instant,
    order: u64,
    what: T,
}

impl<T> PartialEq for Flying<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}
impl<T> Eq for Flying<T> {}
impl<T> PartialOrd for Flying<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Flying<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// See the module's documentation.
pub struct Tube<T> {
    conditions: Conditions,
    random: Random,
    queue: VecDeque<Waiting<T>>,
    queued_bytes: usize,
    limit_bytes: usize,
    /// When the first of the queue will have left.
    served: Option<Instant>,
    flying: BinaryHeap<Reverse<Flying<T>>>,
    order: u64,
    /// The air loses everything at the moment.
    burst: bool,
    wander: (Instant, f64),
    /// Everything that would come before this comes then.
    held_until: Instant,
    next_spike: Option<Instant>,
    last_arrival: Instant,
    felt: Vec<Felt>,
}

/// A wandering delay takes a new direction this often.
const WANDER: Duration = Duration::from_millis(10);
/// The queue of an endless rate, and the least there is: two packets.
const QUEUE_BYTES: (usize, usize) = (3_000, 4_000_000);

impl<T: Clone> Tube<T> {
    pub fn new(random: Random, flows: usize, now: Instant) -> Self {
        Self {
            conditions: Conditions::default(),
            random,
            queue: VecDeque::new(),
            queued_bytes: 0,
            limit_bytes: QUEUE_BYTES.1,
            served: None,
            flying: BinaryHeap::new(),
            order: 0,
            burst: false,
            wander: (now, 0.0),
            held_until: now,
            next_spike: None,
            last_arrival: now,
            felt: vec![Felt::default(); flows],
        }
    }

    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    pub fn set(&mut self, conditions: Conditions, now: Instant) {
        self.conditions = conditions;
        if conditions.mbps > 0.0 {
            let bytes = conditions.mbps * conditions.queue_ms * 125.0;
            self.limit_bytes = (bytes as usize).clamp(QUEUE_BYTES.0, QUEUE_BYTES.1);
        }
        self.next_spike = None;
        // The packet that is being sent goes on at the new rate from its beginning; that is less than a packet's time wrong.
        self.served = None;
        self.serve(now);
    }

    pub fn take_felt(&mut self, flow: usize) -> Felt {
        std::mem::take(&mut self.felt[flow])
    }

    /// A packet of a flow, with its size on the wire.
    pub fn enter(&mut self, flow: usize, bytes: usize, what: T, now: Instant) {
        self.felt[flow].packets += 1;
        if !self.conditions.open || self.queued_bytes + bytes > self.limit_bytes {
            self.felt[flow].lost += 1;
            return;
        }
        self.queued_bytes += bytes;
        self.queue.push_back(Waiting { entered: now, flow, bytes, what });
        self.serve(now);
    }

    fn serve(&mut self, now: Instant) {
        if let (None, Some(first)) = (self.served, self.queue.front())
            && self.conditions.mbps > 0.0
        {
            let seconds = first.bytes as f64 * 8e-6 / self.conditions.mbps;
            self.served = Some(now + Duration::from_secs_f64(seconds));
        }
    }

    /// When [`Tube::arrival`] should be asked next.
    pub fn next(&self) -> Option<Instant> {
        let arrival = self.flying.peek().map(|Reverse(flying)| flying.at);
        [arrival, self.served].into_iter().flatten().min()
    }

    /// What has arrived by now; to be asked until there is nothing.
    pub fn arrival(&mut self, now: Instant) -> Option<T> {
        while let Some(served) = self.served.filter(|served| *served <= now) {
            self.served = None;
            if let Some(first) = self.queue.pop_front() {
                self.queued_bytes -= first.bytes;
                self.leave(first, served);
            }
            self.serve(served);
        }
        self.flying.peek().filter(|Reverse(flying)| flying.at <= now)?;
        self.flying.pop().map(|Reverse(flying)| flying.what)
    }

    /// Out of the bottleneck, into the air.
    fn leave(&mut self, packet: Waiting<T>, now: Instant) {
        let felt = &mut self.felt[packet.flow];
        let queue_ms = (now - packet.entered).as_secs_f64() * 1e3;
        felt.queue_ms = felt.queue_ms.max(queue_ms);
        felt.queue_sum_ms += queue_ms;
        felt.bytes += packet.bytes as u64;
        let lost = match self.conditions.loss {
            Loss::Random(share) => self.random.chance(share),
            Loss::Bursts { share, packets } => {
                let change = if self.burst { 1.0 / packets } else { share / (1.0 - share) / packets };
                self.burst ^= self.random.chance(change);
                self.burst
            }
        };
        if lost || !self.conditions.open {
            felt.lost += 1;
            return;
        }
        if self.conditions.doubled > 0.0 && self.random.chance(self.conditions.doubled) {
            self.fly(packet.what.clone(), now);
        }
        self.fly(packet.what, now);
    }

    fn fly(&mut self, what: T, now: Instant) {
        let Conditions { delay_ms, jitter, reordered: (share, late_ms), .. } = self.conditions;
        let mut ms = delay_ms;
        match jitter {
            Jitter::None => {}
            Jitter::Each { ms: most } => ms += self.random.within(-most, most),
            Jitter::Wander { ms: most } => ms += self.wander(most, now),
            Jitter::Spikes { ms: most } => self.spike(most, now),
        }
        if share > 0.0 && self.random.chance(share) {
            ms += self.random.within(0.0, late_ms);
        }
        let mut at = (now + Duration::from_secs_f64(ms.max(0.0) / 1e3)).max(self.held_until);
        if matches!(jitter, Jitter::Wander { .. }) {
            at = at.max(self.last_arrival);
        }
        self.last_arrival = at;
        self.order += 1;
        self.flying.push(Reverse(Flying { at, order: self.order, what }));
    }

    /// A random walk within 0 and twice `most`, reflected at both.
    fn wander(&mut self, most: f64, now: Instant) -> f64 {
        let steps = (now.saturating_duration_since(self.wander.0).as_nanos() / WANDER.as_nanos()).min(100);
        for _ in 0..steps {
            let moved = self.wander.1 + self.random.within(-0.5, 0.5) * most;
            self.wander.1 = if moved < 0.0 { -moved } else { moved.min(4.0 * most - moved) };
        }
        if steps > 0 {
            self.wander.0 = now;
        }
        self.wander.1
    }

    fn spike(&mut self, most: f64, now: Instant) {
        let next = self.next_spike.get_or_insert(now + Duration::from_secs_f64(self.random.exponential(1.0)));
        if now >= *next {
            self.held_until = now + Duration::from_secs_f64(self.random.within(0.0, most) / 1e3);
            *next = self.held_until + Duration::from_secs_f64(self.random.exponential(1.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a packet of 1,250 bytes each 10 ms (1 Mb/s) and gives the delays in ms of those that came.
    fn delays(conditions: Conditions, packets: u64) -> (Vec<f64>, Felt) {
        let start = Instant::now();
        let mut tube = Tube::new(Random::new(1), 1, start);
        tube.set(conditions, start);
        let mut found = vec![];
        for n in 0..packets + 100 {
            let now = start + Duration::from_millis(10 * n);
            if n < packets {
                tube.enter(0, 1250, now, now);
            }
            while let Some(at) = tube.next().filter(|at| *at < now + Duration::from_millis(10)) {
                while let Some(sent) = tube.arrival(at) {
                    found.push((at - sent).as_secs_f64() * 1e3);
                }
            }
        }
        (found, tube.take_felt(0))
    }

    fn near(found: f64, wanted: f64, share: f64) -> bool {
        (found - wanted).abs() <= share * wanted
    }

    #[test]
    fn a_good_path_only_delays() {
        let (delays, felt) = delays(Conditions { mbps: 10.0, ..Conditions::default() }, 100);
        assert_eq!((delays.len(), felt.lost), (100, 0));
        assert!(delays.iter().all(|ms| (ms - 21.0).abs() < 0.01), "{delays:?}");
    }

    #[test]
    fn a_narrow_one_fills_its_queue_and_then_loses() {
        let (delays, felt) = delays(Conditions { mbps: 0.5, queue_ms: 200.0, ..Conditions::default() }, 1000);
        assert!(near(delays.len() as f64, 510.0, 0.02), "{}", delays.len());
        assert!(near(felt.queue_ms, 200.0, 0.1), "{felt:?}");
    }

    #[test]
    fn loss_is_as_ordered() {
        let (random, _) = delays(Conditions { loss: Loss::Random(0.1), ..Conditions::default() }, 20_000);
        assert!(near(random.len() as f64, 18_000.0, 0.01), "{}", random.len());
        let bursts = Loss::Bursts { share: 0.05, packets: 8.0 };
        let (bursty, felt) = delays(Conditions { loss: bursts, ..Conditions::default() }, 50_000);
        assert!(near(bursty.len() as f64, 47_500.0, 0.02), "{} {felt:?}", bursty.len());
    }

    #[test]
    fn jitter_stays_within_its_bounds() {
        for (jitter, from, to) in [
            (Jitter::Each { ms: 15.0 }, 5.0, 35.1),
            (Jitter::Wander { ms: 30.0 }, 20.0, 80.1),
            (Jitter::Spikes { ms: 300.0 }, 20.0, 320.1),
        ] {
            let (delays, _) = delays(Conditions { jitter, ..Conditions::default() }, 5_000);
            let (least, most) = delays.iter().fold((f64::MAX, 0_f64), |(a, b), ms| (a.min(*ms), b.max(*ms)));
            assert!(least >= from && most <= to, "{jitter:?} {least} {most}");
            assert!(most - least > 0.7 * (to - from), "{jitter:?} {least} {most}");
        }
    }

    #[test]
    fn doubles_and_blocks() {
        let (twice, _) = delays(Conditions { doubled: 1.0, ..Conditions::default() }, 100);
        assert_eq!(twice.len(), 200);
        let (none, felt) = delays(Conditions { open: false, ..Conditions::default() }, 100);
        assert_eq!((none.len(), felt.lost), (0, 100));
    }
}
