//! What the bottleneck lets through, from single pictures: the packets of a picture leave at once and arrive as far apart as
//! the bottleneck made them (packet-train dispersion: Dovrolis et al., "Packet-dispersion techniques and a capacity-estimation
//! methodology", 2004).
//!
//! A train tells within one picture what the acknowledged rate tells only while there is a queue: that the path has narrowed,
//! or that it carries more than is sent. It is a hint, not the truth: a competing flow's packets stand between ours, a
//! radio link delivers in clumps, a policer lets bursts pass. So nothing is decided on one train, or on trains alone.

use rtc::interceptor::PacketReport;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets that left further apart belong to different trains.
const GAP: Duration = Duration::from_millis(6);
/// A train of fewer packets tells too little.
const PACKETS: usize = 3;
/// The end of a train is looked at alone: so many packets. When a path narrows within a train, its mean tells late.
const TAIL: usize = 3;
/// The end is believed when it came so much slower than the train before: it is shorter, and chance plays with it more.
const SLOW_TAIL: f64 = 0.6;
/// Trains that the median is taken of: a sixth of a second of pictures.
const MEDIAN_OF: usize = 5;
/// Older ones do not count.
const MEMORY: Duration = Duration::from_secs(2);
/// How far trains are from the median of those before them, as a share of it: a moving mean with this weight of the newest. When
/// a path changes once, it stays low; where delay varies from packet to packet, it is high for ever.
const SPREAD_WEIGHT: f64 = 1.0 / 16.0;
/// Below this mean, trains can be relied on.
const STEADY: f64 = 0.2;
/// The same for their ends: one train in ten that ends late is too much.
const STEADY_TAILS: f64 = 0.06;
/// Trains within this share of their median agree.
const AGREEMENT: f64 = 0.08;
/// TWCC counts arrivals in quarters of a millisecond; what arrives within fewer than this is faster than can be measured.
const LEAST_SPAN: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Train {
    next: u64,
    departed: Instant,
    first: Duration,
    last: Duration,
    /// Behind the first packet, which only opens the span.
    bytes: usize,
    packets: usize,
    /// When the last packets came, and their bytes; the newest is at `packets` modulo their number.
    tail: [(Duration, usize); TAIL],
}

impl Train {
    fn begun_by(report: &PacketReport, arrival: Duration) -> Self {
        let mut train = Self {
            next: report.id,
            departed: report.departure,
            first: arrival,
            last: arrival,
            bytes: 0,
            packets: 0,
            tail: [(arrival, 0); TAIL],
        };
        train.add(report, arrival);
        train.bytes = 0;
        train
    }

    fn add(&mut self, report: &PacketReport, arrival: Duration) {
        self.next += 1;
        self.departed = report.departure;
        self.last = arrival;
        self.bytes += report.size;
        self.packets += 1;
        self.tail[self.packets % TAIL] = (arrival, report.size);
    }

    fn bps(&self) -> Option<f64> {
        (self.packets >= PACKETS).then(|| rate(self.bytes, self.first, self.last))
    }

    /// Of its end alone: what each of the last packets came with at best. One that is late, because a process had to wait, says
    /// nothing of the path.
    fn tail_bps(&self) -> Option<f64> {
        let packet = |n: usize| self.tail[(self.packets + n) % TAIL];
        let best = (1..TAIL).map(|n| rate(packet(n + 1).1, packet(n).0, packet(n + 1).0)).reduce(f64::max);
        best.filter(|_| self.packets > TAIL)
    }
}

#[derive(Debug, Default)]
pub(super) struct Trains {
    current: Option<Train>,
    /// When each was sent, and bits per second.
    recent: VecDeque<(Instant, f64)>,
    /// What the newest of those said at its end.
    ended_bps: Option<f64>,
    spread: f64,
    tail_spread: f64,
}

impl Trains {
    /// One packet that arrived. A loss or a change of order ends a train.
    pub fn add(&mut self, report: &PacketReport) {
        let Some(arrival) = report.arrival else { return };
        if let Some(train) = &mut self.current
            && report.id == train.next
            && arrival >= train.last
            && report.departure.saturating_duration_since(train.departed) <= GAP
        {
            train.add(report, arrival);
            return;
        }
        if let Some(train) = self.current.replace(Train::begun_by(report, arrival))
            && let Some(bps) = train.bps()
        {
            self.ended_bps = self.end_bps(&train);
            if let Some(median) = self.median_bps(train.departed) {
                let follow = |spread: &mut f64, bps: f64| {
                    *spread += SPREAD_WEIGHT * (((bps - median).abs() / median).min(1.0) - *spread);
                };
                follow(&mut self.spread, bps);
                follow(&mut self.tail_spread, train.tail_bps().map_or(bps, |tail| tail.min(bps)));
            }
            self.recent.push_back((train.departed, bps));
            if self.recent.len() > MEDIAN_OF {
                self.recent.pop_front();
            }
        }
    }

    /// The median of the last trains, in bits per second. Never more than they were sent with.
    pub fn median_bps(&self, now: Instant) -> Option<f64> {
        let fresh = |at: Instant| now.saturating_duration_since(at) < MEMORY;
        let mut rates = [0.0; MEDIAN_OF];
        let mut count = 0;
        for (_, bps) in self.recent.iter().filter(|(at, _)| fresh(*at)) {
            rates[count] = *bps;
            count += 1;
        }
        rates[..count].sort_by(f64::total_cmp);
        (count >= 3).then(|| rates[count / 2])
    }

    /// What the bottleneck carries, if the last trains agree about it: then it is neither jitter nor chance.
    pub fn agreed_bps(&self, now: Instant) -> Option<f64> {
        let median = self.median_bps(now)?;
        let agrees = |(_, bps): &(Instant, f64)| (bps - median).abs() <= AGREEMENT * median;
        (self.recent.len() == MEDIAN_OF && self.recent.iter().all(agrees)).then_some(median)
    }

    /// Whether any train has told anything yet.
    pub fn is_informed(&self) -> bool {
        self.latest_bps().is_some()
    }

    /// What the newest train says, or its end alone if that is much slower, on a path whose trains can be relied on.
    pub fn hint_bps(&self) -> Option<f64> {
        self.latest_bps().filter(|_| self.spread < STEADY)
    }

    fn latest_bps(&self) -> Option<f64> {
        self.current.as_ref().and_then(|train| self.end_bps(train)).or(self.ended_bps)
    }

    fn end_bps(&self, train: &Train) -> Option<f64> {
        let bps = train.bps()?;
        let before = self.ended_bps.unwrap_or(bps);
        let steady = self.tail_spread < STEADY_TAILS;
        let tail = train.tail_bps().filter(|tail| steady && *tail < SLOW_TAIL * before);
        Some(tail.map_or(bps, |tail| tail.min(bps)))
    }
}

fn rate(bytes: usize, first: Duration, last: Duration) -> f64 {
    bytes as f64 * 8.0 / (last - first).max(LEAST_SPAN).as_secs_f64()
}
