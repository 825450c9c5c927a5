//! How fast to send: what the path carries is learnt from single pictures, from the delay, from loss, and from what our own
//! decreases do.
//!
//! | what is seen | what it means | where |
//! |---|---|---|
//! | a picture's packets arrive spread out | that is what the bottleneck carries: the newest picture is a hint, several that agree are a limit | `trains` |
//! | pictures arrive further apart than they were sent | a queue grows (Google's congestion control, draft-ietf-rmcat-gcc-02) | `trendline` |
//! | everything arrives later than it could | a queue stands: the path narrowed at once, and there is something to drain | `queue` |
//! | the queue stays though we yield | another flow holds it: compete as TCP does, or starve | `competition` |
//! | packets are lost without a queue | radio, or a policer: a trial with less tells which | `loss` |
//! | the window holds packets back for long | the estimate is too high, though the window keeps the queue short | [`Estimator::held`] |
//!
//! From the estimate follow three things. The **target** of the encoder: less headers, repairs, and what the encoder exceeds it
//! by. The **pace** at which bursts leave, somewhat above what trains have shown, so that keyframes do not flood the path and
//! trains can show more: each picture probes, so that no packets are sent only to probe. And the **window**: no more is on its way
//! than a round trip and a little queue can hold, whatever the estimate was a moment ago. `flight` knows what is on its way.

mod competition;
pub(super) mod flight;
mod least;
mod loss;
mod queue;
mod round_trip;
#[cfg(test)]
mod tests;
mod trains;
mod trendline;

use super::interceptors::pacer::Allowance;
use competition::Competition;
use loss::{Loss, Verdict};
use queue::Queue;
use round_trip::RoundTrip;
use rtc::interceptor::{ArrivalGroupAccumulator, BandwidthEstimator, EstimatorStats, PacketReport};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use trains::Trains;
use trendline::{Trendline, Usage};

/// Limits of the controller, in bits per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limits {
    /// Below this a picture is not worth sending; the controller never asks for less.
    pub floor_bps: f64,
    /// Where it begins.
    pub start_bps: f64,
    /// What the operator allows.
    pub ceiling_bps: f64,
}

/// What drives the sender beside the target of the encoder.
pub(super) trait Estimator: BandwidthEstimator {
    /// What the path is thought to carry, in bits per second of RTP, repairs included.
    fn estimate_bps(&self) -> f64;
    /// The operator allows another bitrate.
    fn set_ceiling(&mut self, bps: f64);
    /// What came to be sent in the last quarter of a second, in bits per second.
    fn offered(&mut self, media_bps: f64, repairs_bps: f64);
    /// The window has kept packets from leaving for so long.
    fn held(&mut self, now: Instant, time: Duration);
    /// How packets may leave.
    fn allowance(&self) -> Allowance;
    /// From sending a packet to the feedback on it.
    fn round_trip(&self) -> Duration;
    /// How long what is sent now waits in front of the bottleneck.
    fn queue(&self) -> Duration;
}

/// RTP headers and extensions add so much to what the encoder makes.
const OVERHEAD: f64 = 1.03;
/// The estimate may exceed the encoder's ceiling, to have room for headers and repairs.
const ROOM_FOR_REPAIRS: f64 = 1.3;
/// On overuse, go to this share of what got through: below it, so that the queue drains. The window drains it, too.
const BACK_OFF: f64 = 0.85;
/// A standing queue of this length, in milliseconds, is overuse, whether it grows or not: the path narrowed at once.
const LONG_QUEUE_MS: f64 = 60.0;
/// Below this there is no queue worth the name; above, nothing is increased.
const SHORT_QUEUE_MS: f64 = 30.0;
/// A growing queue is overuse from this length on; below, it is jitter.
const GROWING_QUEUE_MS: f64 = 15.0;
/// A train that arrives with less than this share of the estimate, while there is a queue, has found a narrower path.
const NARROW: f64 = 0.7;
/// Between two decreases at least this, or a round trip: the first must have shown its effect.
const DECREASE_INTERVAL: Duration = Duration::from_millis(250);
/// For so long after a decrease our own queue may be draining.
const DRAINING: Duration = Duration::from_secs(1);
/// Growth per second while no limit of the path is known.
const GROWTH: f64 = 1.5;
/// The same when trains arrive so much faster than the estimate.
const FAST_GROWTH: f64 = 4.0;
const FAST_TRAINS: f64 = 1.3;
/// Fast growth ends at this share of what trains arrive with.
const TRUSTED_TRAINS: f64 = 0.9;
/// Never more than this share of what trains agree about: a shallow queue overflows before it is seen.
const AGREED_TRAINS: f64 = 0.98;
/// A limit is forgotten when trains arrive so much faster than they did when it was found.
const FASTER_TRAINS: f64 = 1.5;
/// Back to this share of the limit as soon as the queue is drained.
const NEAR_LIMIT: f64 = 0.92;
/// Growth per second near the last known limit: as a share of it, first and, doubling each second, at most.
const CAREFUL_GROWTH: (f64, f64) = (0.03, 0.2);
/// For so long the last known limit is respected.
const LIMIT_MEMORY: Duration = Duration::from_secs(8);
/// The estimate stays below this multiple of what got through (plus some), or it would grow without bound on a still picture.
const HEADROOM: f64 = 1.6;
const HEADROOM_BPS: f64 = 150_000.0;
/// The acknowledged rate is measured over this long; while a queue is there, over the shorter time: what arrives then is what
/// the bottleneck lets through, and it may have changed just now.
const RATE_WINDOW: Duration = Duration::from_millis(500);
const QUEUED_RATE_WINDOW: Duration = Duration::from_millis(200);
/// More arrivals are not remembered: those of [`RATE_WINDOW`] at 60 Mb/s.
const ARRIVALS: usize = 4096;
/// Packets leave at this multiple of the estimate, or of what trains arrive with: fast enough for trains to show whether the
/// path carries more, slow enough for a keyframe not to flood it.
const PACE_ESTIMATE: f64 = 1.5;
const PACE_TRAINS: f64 = 1.25;
/// Beyond the least round trip, this much may be on its way: a picture every 33 ms, feedback on it as late as 20 ms, and the rest is
/// the queue that a burst may make.
const WINDOW: Duration = Duration::from_millis(65);
/// Before anything is known of the path: enough for a train. A sixth of a second at 300 kb/s; on a fast path the first keyframe waits for
/// the first feedback, whatever this is.
const FIRST_WINDOW_BYTES: f64 = 6_000.0;
/// Without a train for so long after the first feedback, pictures are too small for trains.
const FIRST_TRAIN: Duration = Duration::from_secs(1);
/// Never less: a few packets, so that trains can be seen.
const LEAST_WINDOW_BYTES: f64 = 5_000.0;
/// When the window has held packets back for this long, the estimate is too high, though no queue shows: the window keeps it
/// short. A keyframe is held for less.
const HELD: Duration = Duration::from_millis(250);
/// What the encoder exceeds its target by is taken off, where the path is full; up to this, or a keyframe would count too much.
const MOST_OVERSHOOT: f64 = 1.25;
/// Weight of the last quarter of a second in what is offered.
const OFFER_WEIGHT: f64 = 0.3;
/// Repairs take their share of the path, but leave pictures at least this one.
const LEAST_MEDIA: f64 = 0.5;
/// While competing: on loss, down to this share (CUBIC's, RFC 9438), at most once a round trip, and not far below what got through.
const COMPETING_BACK_OFF: f64 = 0.7;
/// While competing: growth by so many bits per round trip, each round trip. Reno's is one packet (RFC 5681), CUBIC's about 1.5 of its
/// packets where it matters here, and those are larger than ours.
const COMPETING_GROWTH: f64 = 1.5 * 1500.0 * 8.0;

/// Estimates what the path can carry.
pub(super) struct Controller {
    limits: Limits,
    estimate_bps: f64,
    groups: ArrivalGroupAccumulator,
    trendline: Trendline,
    queue: Queue,
    trains: Trains,
    competition: Competition,
    loss: Loss,
    /// Arrivals of the last while: far end's time and bytes.
    acknowledged: VecDeque<(Duration, usize)>,
    limit: Option<Limit>,
    round_trip: RoundTrip,
    increased: Option<Instant>,
    decreased: Option<Instant>,
    now: Option<Instant>,
    /// By how much the encoder exceeds its target, at least 1.
    overshoot: f64,
    repairs_bps: f64,
}

/// What got through when the path was last full.
#[derive(Clone, Copy, Debug)]
struct Limit {
    bps: f64,
    trains_bps: Option<f64>,
}

impl Controller {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            estimate_bps: limits.start_bps.clamp(limits.floor_bps, limits.ceiling_bps),
            groups: ArrivalGroupAccumulator::default(),
            trendline: Trendline::default(),
            queue: Queue::default(),
            trains: Trains::default(),
            competition: Competition::default(),
            loss: Loss::default(),
            acknowledged: VecDeque::new(),
            limit: None,
            round_trip: RoundTrip::default(),
            increased: None,
            decreased: None,
            now: None,
            overshoot: 1.0,
            repairs_bps: 0.0,
        }
    }

    /// Bits per second that got through in the last `window`, once there is enough to tell.
    fn acknowledged_bps(&self, window: Duration) -> Option<f64> {
        let last = self.acknowledged.back()?.0;
        let mut within = self.acknowledged.iter().filter(|(arrival, _)| last.saturating_sub(*arrival) <= window);
        // The first packet opens the span: only what came behind it took the span to come.
        let span = last.saturating_sub(within.next()?.0);
        let bytes = within.fold(0_usize, |sum, (_, bytes)| sum.saturating_add(*bytes));
        (span >= window / 2).then(|| bytes as f64 * 8.0 / span.as_secs_f64())
    }

    fn note_arrival(&mut self, arrival: Duration, bytes: usize) {
        // What came before all that is remembered was not reordered: the far end's clock has jumped, or it says what is not true.
        if self.acknowledged.back().is_some_and(|last| arrival + RATE_WINDOW < last.0) {
            self.acknowledged.clear();
        }
        // Reordered arrivals would shrink the span; they count, at the latest time seen.
        let arrival = self.acknowledged.back().map_or(arrival, |last| last.0.max(arrival));
        self.acknowledged.push_back((arrival, bytes));
        while let Some(first) = self.acknowledged.front()
            && (arrival.saturating_sub(first.0) > RATE_WINDOW || self.acknowledged.len() > ARRIVALS)
        {
            self.acknowledged.pop_front();
        }
    }

    /// Reads the reports; whatever they say of the path is up to date afterwards.
    fn read(&mut self, now: Instant, reports: &[PacketReport]) {
        for report in reports {
            self.loss.add(report.arrived);
            let Some(arrival) = report.arrival.filter(|_| report.arrived) else { continue };
            self.note_arrival(arrival, report.size);
            self.queue.add(report.departure, arrival);
            self.trains.add(report);
            if let Some(delay) = self.groups.accumulate(report) {
                self.trendline.add(&delay);
            }
        }
        if let Some(newest) = reports.iter().filter(|report| report.arrived).map(|report| report.departure).max() {
            let is_usual = !self.decreased_within(now, DRAINING);
            self.round_trip.add(now, now.saturating_duration_since(newest), is_usual);
        }
        self.queue.end_of_report(now);
    }

    /// The path is full.
    fn decrease(&mut self, now: Instant) {
        let interval = self.round_trip.smoothed().max(DECREASE_INTERVAL);
        if self.decreased.is_some_and(|at| now.saturating_duration_since(at) <= interval) {
            return;
        }
        let queue_ms = self.queue.standing_ms();
        let window = if queue_ms > SHORT_QUEUE_MS { QUEUED_RATE_WINDOW } else { RATE_WINDOW };
        let through = [self.acknowledged_bps(window), self.trains.hint_bps()].into_iter().flatten().reduce(f64::min);
        let Some(through) = through.map(|through| through.max(0.3 * self.estimate_bps)) else { return };
        if queue_ms > SHORT_QUEUE_MS {
            self.competition.yielded(queue_ms, through, self.estimate_bps);
        }
        self.estimate_bps = self.estimate_bps.min(through * BACK_OFF);
        let bps = match self.limit {
            Some(limit) if (through - limit.bps).abs() < 0.25 * limit.bps => 0.8 * limit.bps + 0.2 * through,
            _ => through,
        };
        self.limit = Some(Limit { bps, trains_bps: self.trains.median_bps(now) });
        self.decreased = Some(now);
        self.increased = Some(now);
    }

    fn increase(&mut self, now: Instant) {
        let seconds = self.since_increase(now);
        let (through, trains) = (self.acknowledged_bps(RATE_WINDOW), self.trains.median_bps(now));
        self.limit = self.limit.filter(|limit| {
            let faster = trains.zip(limit.trains_bps).is_some_and(|(now, then)| now > FASTER_TRAINS * then);
            !faster && through.is_none_or(|through| through < 1.2 * limit.bps)
        });
        let since_decrease = self.decreased.map_or(LIMIT_MEMORY, |at| now.saturating_duration_since(at));
        let limit = self.limit.filter(|_| since_decrease < LIMIT_MEMORY);
        let grown = match limit {
            // The queue is drained: back to where it was filled from.
            Some(limit) if self.estimate_bps < NEAR_LIMIT * limit.bps => NEAR_LIMIT * limit.bps,
            Some(_) => {
                let share = CAREFUL_GROWTH.0 * since_decrease.as_secs_f64().exp2();
                self.estimate_bps * (1.0 + share.min(CAREFUL_GROWTH.1) * seconds)
            }
            None => {
                let slow = self.estimate_bps * GROWTH.powf(seconds);
                let trusted = trains.filter(|trains| *trains > FAST_TRAINS * self.estimate_bps);
                let fast = trusted
                    .map_or(0.0, |trains| (self.estimate_bps * FAST_GROWTH.powf(seconds)).min(TRUSTED_TRAINS * trains));
                slow.max(fast)
            }
        };
        let bound = through.map_or(f64::INFINITY, |through| HEADROOM * through + HEADROOM_BPS);
        // A source that sends little must not pull a proven estimate down, only keep it from growing.
        self.estimate_bps = grown.min(bound.max(self.estimate_bps));
    }

    fn since_increase(&mut self, now: Instant) -> f64 {
        let elapsed = self.increased.map_or(Duration::from_millis(50), |at| now.saturating_duration_since(at));
        self.increased = Some(now);
        elapsed.as_secs_f64().min(1.0)
    }

    /// Another flow keeps the queue full: as TCP does.
    fn compete(&mut self, now: Instant, lost: bool) {
        let seconds = self.since_increase(now);
        self.queue.keep_memory(now);
        if lost {
            if self.decreased.is_none_or(|at| now.saturating_duration_since(at) > self.round_trip.smoothed()) {
                self.decreased = Some(now);
                let through = self.acknowledged_bps(RATE_WINDOW).map_or(0.0, |through| BACK_OFF * through);
                self.estimate_bps = (COMPETING_BACK_OFF * self.estimate_bps).max(through).min(self.estimate_bps);
            }
            return;
        }
        let round_trip = self.round_trip.smoothed().as_secs_f64().max(0.05);
        let grown = self.estimate_bps + COMPETING_GROWTH * seconds / (round_trip * round_trip);
        let through = self.acknowledged_bps(RATE_WINDOW);
        let bound = through.map_or(f64::INFINITY, |through| HEADROOM * through + HEADROOM_BPS);
        self.estimate_bps = grown.min(bound.max(self.estimate_bps));
    }

    fn mind_loss(&mut self, now: Instant) {
        let through = self.acknowledged_bps(RATE_WINDOW);
        match self.loss.judge(now, self.round_trip.smoothed(), self.estimate_bps, through) {
            Verdict::Fine => {}
            Verdict::Try => {
                self.estimate_bps =
                    through.map_or(self.estimate_bps, |through| BACK_OFF * through).min(self.estimate_bps);
            }
            Verdict::Ours { limit_bps } => {
                self.limit = Some(Limit { bps: limit_bps, trains_bps: self.trains.median_bps(now) });
                (self.decreased, self.increased) = (Some(now), Some(now));
            }
            Verdict::Random { before_bps } => self.estimate_bps = self.estimate_bps.max(before_bps),
        }
    }

    fn decreased_within(&self, now: Instant, time: Duration) -> bool {
        self.decreased.is_some_and(|at| now.saturating_duration_since(at) < time)
    }

    fn is_narrow(&self, queue_ms: f64) -> bool {
        let latest = self.trains.hint_bps();
        queue_ms > SHORT_QUEUE_MS / 2.0 && latest.is_some_and(|latest| latest < NARROW * self.estimate_bps)
    }
}

impl BandwidthEstimator for Controller {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.now = Some(now);
        self.read(now, reports);
        let queue_ms = self.queue.standing_ms();
        let through = self.acknowledged_bps(QUEUED_RATE_WINDOW);
        if let Some(before_bps) = self.competition.observe(now, queue_ms, SHORT_QUEUE_MS, through) {
            self.estimate_bps = self.estimate_bps.max(before_bps * BACK_OFF);
        }
        if self.competition.is_active() {
            self.compete(now, reports.iter().any(|report| !report.arrived));
        } else {
            match self.trendline.usage() {
                Usage::Over if queue_ms > GROWING_QUEUE_MS => self.decrease(now),
                _ if queue_ms > LONG_QUEUE_MS || self.is_narrow(queue_ms) => self.decrease(now),
                Usage::Normal | Usage::Over if queue_ms < SHORT_QUEUE_MS && !self.loss.is_trying() => {
                    self.increase(now)
                }
                // The queue is draining, or a trial goes on: wait for it.
                _ => self.increased = Some(now),
            }
            let queued =
                queue_ms > SHORT_QUEUE_MS || self.decreased_within(now, self.round_trip.smoothed() + DECREASE_INTERVAL);
            if queued {
                let before_bps = self.loss.excused(now).unwrap_or(0.0);
                self.estimate_bps = self.estimate_bps.max(BACK_OFF * before_bps);
            } else {
                self.mind_loss(now);
            }
        }
        if let Some(agreed) = self.trains.agreed_bps(now) {
            self.estimate_bps = self.estimate_bps.min(AGREED_TRAINS * agreed);
        }
        self.estimate_bps = self.estimate_bps.clamp(self.limits.floor_bps, ROOM_FOR_REPAIRS * self.limits.ceiling_bps);
    }

    fn target_bitrate(&self) -> f64 {
        let estimate_bps = self.estimate_bps();
        let media_bps = (estimate_bps - self.repairs_bps).max(LEAST_MEDIA * estimate_bps);
        (media_bps / OVERHEAD / self.overshoot).clamp(self.limits.floor_bps, self.limits.ceiling_bps)
    }

    fn stats(&self) -> EstimatorStats {
        let mut stats = EstimatorStats::default();
        stats.packet_loss = Some(self.loss.share());
        stats.round_trip_time = Some(self.round_trip.smoothed());
        stats
    }
}

impl Estimator for Controller {
    fn set_ceiling(&mut self, bps: f64) {
        self.limits.ceiling_bps = bps.max(self.limits.floor_bps);
    }

    fn offered(&mut self, media_bps: f64, repairs_bps: f64) {
        let overshoot = (media_bps / OVERHEAD / self.target_bitrate()).clamp(1.0, MOST_OVERSHOOT);
        self.overshoot += OFFER_WEIGHT * (overshoot - self.overshoot);
        self.repairs_bps += OFFER_WEIGHT * (repairs_bps - self.repairs_bps);
    }

    fn held(&mut self, now: Instant, time: Duration) {
        if time > HELD && !self.competition.is_active() {
            self.decrease(now);
        }
    }

    /// While the newest train hints that the path has narrowed, no more than that: it costs a picture's quality if the hint was
    /// wrong, and saves a full queue if it was right.
    fn estimate_bps(&self) -> f64 {
        let latest = self.trains.hint_bps().filter(|latest| *latest < NARROW * self.estimate_bps);
        latest.map_or(self.estimate_bps, |latest| (BACK_OFF * latest).max(self.limits.floor_bps))
    }

    fn allowance(&self) -> Allowance {
        let trains = self.now.and_then(|now| self.trains.median_bps(now)).unwrap_or(0.0);
        let rate_bps = (PACE_ESTIMATE * self.estimate_bps).max(PACE_TRAINS * trains);
        // A path that carries much more than is sent holds more than that, too: if it becomes longer at once, as when its route changes,
        // nothing need wait.
        let narrowed = self.now.is_some_and(|now| self.decreased_within(now, RATE_WINDOW));
        let estimate_bps = self.estimate_bps();
        let carried_bps =
            if narrowed || estimate_bps < self.estimate_bps { estimate_bps } else { estimate_bps.max(trains) };
        let round_trip =
            if self.competition.is_active() { self.round_trip.smoothed() } else { self.round_trip.usual() };
        let window = (WINDOW + round_trip).as_secs_f64();
        // The first feedback may be too early to tell anything.
        let heard = self.round_trip.heard().zip(self.now).is_some_and(|(first, now)| {
            self.trains.is_informed() || now.saturating_duration_since(first) > FIRST_TRAIN
        });
        let window_bytes = if heard { carried_bps / 8.0 * window } else { FIRST_WINDOW_BYTES };
        let window_bytes = window_bytes.max(LEAST_WINDOW_BYTES);
        Allowance { rate_bps, window_bytes }
    }

    fn round_trip(&self) -> Duration {
        self.round_trip.smoothed()
    }

    fn queue(&self) -> Duration {
        Duration::from_secs_f64(self.queue.standing_ms() / 1e3)
    }
}

/// Tells others what the estimator within finds.
pub(super) struct Published<E, F> {
    pub estimator: E,
    /// What the operator allows now, in bits per second; may change at any time.
    pub ceiling_bps: Arc<AtomicU32>,
    /// Called with the target in bits per second and the share of lost packets, after each report of the far end.
    pub publish: F,
}

impl<E: Estimator, F: Fn(f64, f64) + Send + Sync> BandwidthEstimator for Published<E, F> {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.estimator.set_ceiling(f64::from(self.ceiling_bps.load(Relaxed)));
        self.estimator.on_reports(now, reports);
        let stats = self.estimator.stats();
        (self.publish)(self.estimator.target_bitrate(), stats.packet_loss.unwrap_or(0.0));
    }

    fn target_bitrate(&self) -> f64 {
        self.estimator.target_bitrate()
    }

    fn stats(&self) -> EstimatorStats {
        self.estimator.stats()
    }
}

impl<E: Estimator, F: Fn(f64, f64) + Send + Sync> Estimator for Published<E, F> {
    fn estimate_bps(&self) -> f64 {
        self.estimator.estimate_bps()
    }

    fn set_ceiling(&mut self, bps: f64) {
        self.estimator.set_ceiling(bps);
    }

    fn offered(&mut self, media_bps: f64, repairs_bps: f64) {
        self.estimator.offered(media_bps, repairs_bps);
    }

    fn held(&mut self, now: Instant, time: Duration) {
        self.estimator.held(now, time);
    }

    fn allowance(&self) -> Allowance {
        self.estimator.allowance()
    }

    fn round_trip(&self) -> Duration {
        self.estimator.round_trip()
    }

    fn queue(&self) -> Duration {
        self.estimator.queue()
    }
}
