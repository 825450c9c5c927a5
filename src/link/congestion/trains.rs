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
/// One of so many is believed at once: enough for chance not to have kept their order.
const LONG: usize = 5;
/// Trains that the median is taken of: a sixth of a second of pictures.
const MEDIAN_OF: usize = 5;
/// Older ones do not count.
const MEMORY: Duration = Duration::from_secs(2);
/// How far trains are from the median of those before them, as a share of it: a moving mean with this weight of the newest. When
/// a path changes once, it stays low; where delay varies from packet to packet, it is high for ever.
const SPREAD_WEIGHT: f64 = 1.0 / 16.0;
/// Below this mean, trains can be relied on.
const STEADY: f64 = 0.2;
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
}

#[derive(Debug, Default)]
pub(super) struct Trains {
    current: Option<Train>,
    /// When each was sent, and bits per second.
    recent: VecDeque<(Instant, f64)>,
    spread: f64,
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
            train.next += 1;
            train.departed = report.departure;
            train.last = arrival;
            train.bytes += report.size;
            train.packets += 1;
            return;
        }
        let begun = Train {
            next: report.id + 1,
            departed: report.departure,
            first: arrival,
            last: arrival,
            bytes: 0,
            packets: 1,
        };
        if let Some(train) = self.current.replace(begun)
            && let Some(bps) = rate(&train)
        {
            if let Some(median) = self.median_bps(train.departed) {
                self.spread += SPREAD_WEIGHT * (((bps - median).abs() / median).min(1.0) - self.spread);
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

    /// What the newest train says, on a path whose trains can be relied on.
    pub fn hint_bps(&self) -> Option<f64> {
        self.latest_bps().filter(|_| self.spread < STEADY)
    }

    /// What the newest train says, if it is long enough to be believed alone; else the faster of the last two.
    fn latest_bps(&self) -> Option<f64> {
        let last = self.recent.back().map(|(_, bps)| *bps);
        match self.current.as_ref().and_then(|train| Some((train.packets, rate(train)?))) {
            Some((packets, bps)) if packets >= LONG => Some(bps),
            Some((_, bps)) => Some(last.map_or(bps, |last| bps.max(last))),
            None => last,
        }
    }
}

fn rate(train: &Train) -> Option<f64> {
    let span = (train.last - train.first).max(LEAST_SPAN);
    (train.packets >= PACKETS).then(|| train.bytes as f64 * 8.0 / span.as_secs_f64())
}
