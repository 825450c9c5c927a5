//! How fast to send: a delay-gradient controller with a loss term, after the field's published one.
//!
//! Google's congestion control (draft-ietf-rmcat-gcc-02; the trendline detector is libwebrtc's) sees a queue grow before it
//! overflows: pictures then arrive further apart than they were sent. Against the one that `rtc` brings: the slope is
//! scaled as the threshold expects (without it overuse is never seen), the acknowledged rate is measured on the far end's
//! clock, and the estimate cannot run away while the source sends less than it may. Beside the gradient, the length of the
//! standing queue counts: it tells at once when a path has narrowed, and how much there is to drain.

mod queue;
#[cfg(test)]
mod simulation;
mod trendline;

use queue::Queue;
use rtc::interceptor::{ArrivalGroupAccumulator, BandwidthEstimator, EstimatorStats, PacketReport};
use std::collections::VecDeque;
use std::time::{Duration, Instant};
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

/// On overuse, go to this share of what got through: below it, so that the queue drains.
const BACK_OFF: f64 = 0.85;
/// A queue that is there already is drained faster: for each second of it, so much less. At least [`LEAST_SHARE`] remains.
const DRAIN_PER_S: f64 = 1.2;
const LEAST_SHARE: f64 = 0.5;
/// A standing queue of this length, in milliseconds, is overuse, whether it grows or not: the path narrowed at once.
const LONG_QUEUE_MS: f64 = 60.0;
/// Below this there is no queue worth the name; above, nothing is increased.
const SHORT_QUEUE_MS: f64 = 30.0;
/// Between two decreases at least this, or a round trip: the first must have shown its effect.
const DECREASE_INTERVAL: Duration = Duration::from_millis(250);
/// Growth per second while no limit of the path is known, or far below it.
const GROWTH: f64 = 1.5;
/// Growth per second near the last known limit: as a share of the target, first and, doubling each second, at most.
const CAREFUL_GROWTH: (f64, f64) = (0.03, 0.2);
/// For so long the last known limit is respected.
const LIMIT_MEMORY: Duration = Duration::from_secs(8);
/// The estimate stays below this multiple of what got through (plus some), or it would grow without bound on a still picture.
const HEADROOM: f64 = 1.6;
const HEADROOM_BPS: f64 = 150_000.0;
/// Share of lost packets above which loss counts as congestion. Radio links lose less without being full; repair copes.
const TOLERATED_LOSS: f64 = 0.10;
/// Loss is judged on at least so many packets and so much time.
const LOSS_PACKETS: usize = 20;
const LOSS_INTERVAL: Duration = Duration::from_millis(250);
/// The acknowledged rate is measured over this long; while a queue is there, over the shorter time: what arrives then is what
/// the bottleneck lets through, and it may have changed just now.
const RATE_WINDOW: Duration = Duration::from_millis(500);
const QUEUED_RATE_WINDOW: Duration = Duration::from_millis(200);

/// Estimates what the path can carry.
pub(super) struct Controller {
    limits: Limits,
    target_bps: f64,
    groups: ArrivalGroupAccumulator,
    trendline: Trendline,
    queue: Queue,
    /// Arrivals of the last while: far end's time and bytes.
    acknowledged: VecDeque<(Duration, usize)>,
    /// What got through when the path was last full.
    path_limit_bps: Option<f64>,
    round_trip: Duration,
    increased: Option<Instant>,
    decreased: Option<Instant>,
    loss: Loss,
}

/// The recent share of lost packets.
#[derive(Debug, Default)]
struct Loss {
    lost: usize,
    sent: usize,
    judged: Option<Instant>,
    /// Smoothed, 0 to 1.
    share: f64,
}

impl Controller {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            target_bps: limits.start_bps.clamp(limits.floor_bps, limits.ceiling_bps),
            groups: ArrivalGroupAccumulator::default(),
            trendline: Trendline::default(),
            queue: Queue::default(),
            acknowledged: VecDeque::new(),
            path_limit_bps: None,
            round_trip: Duration::from_millis(100),
            increased: None,
            decreased: None,
            loss: Loss::default(),
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
        // Reordered arrivals would shrink the span; they count, at the latest time seen.
        let arrival = self.acknowledged.back().map_or(arrival, |last| last.0.max(arrival));
        self.acknowledged.push_back((arrival, bytes));
        while let Some(first) = self.acknowledged.front()
            && arrival.saturating_sub(first.0) > RATE_WINDOW
        {
            self.acknowledged.pop_front();
        }
    }

    /// The path is full.
    fn decrease(&mut self, now: Instant) {
        let interval = self.round_trip.max(DECREASE_INTERVAL);
        if self.decreased.is_some_and(|at| now.saturating_duration_since(at) <= interval) {
            return;
        }
        let queue_ms = self.queue.standing_ms();
        let window = if queue_ms > SHORT_QUEUE_MS { QUEUED_RATE_WINDOW } else { RATE_WINDOW };
        let Some(through) = self.acknowledged_bps(window) else { return };
        let share = (BACK_OFF - DRAIN_PER_S * queue_ms / 1e3).max(LEAST_SHARE);
        self.target_bps = self.target_bps.min(through * share);
        self.path_limit_bps = Some(match self.path_limit_bps {
            Some(limit) if (through - limit).abs() < 0.25 * limit => 0.8 * limit + 0.2 * through,
            _ => through,
        });
        self.decreased = Some(now);
        self.increased = Some(now);
    }

    fn increase(&mut self, now: Instant) {
        let elapsed = self.increased.map_or(Duration::from_millis(50), |at| now.saturating_duration_since(at));
        self.increased = Some(now);
        let seconds = elapsed.as_secs_f64().min(1.0);
        let through = self.acknowledged_bps(RATE_WINDOW);
        if let (Some(limit), Some(through)) = (self.path_limit_bps, through)
            && through > 1.2 * limit
        {
            self.path_limit_bps = None;
        }
        let since_decrease = self.decreased.map_or(LIMIT_MEMORY, |at| now.saturating_duration_since(at));
        let limit = self.path_limit_bps.filter(|_| since_decrease < LIMIT_MEMORY);
        let grown = match limit {
            // The queue is drained: back to where it was filled from.
            Some(limit) if self.target_bps < BACK_OFF * limit => BACK_OFF * limit,
            Some(_) => {
                let share = CAREFUL_GROWTH.0 * since_decrease.as_secs_f64().exp2();
                self.target_bps * (1.0 + share.min(CAREFUL_GROWTH.1) * seconds)
            }
            None => self.target_bps * GROWTH.powf(seconds),
        };
        let bound = through.map_or(f64::INFINITY, |through| HEADROOM * through + HEADROOM_BPS);
        // A source that sends little must not pull a proven target down, only keep it from growing.
        self.target_bps = grown.min(bound.max(self.target_bps));
    }

    fn judge_loss(&mut self, now: Instant) {
        let due = self.loss.judged.is_none_or(|at| now.saturating_duration_since(at) > LOSS_INTERVAL);
        if self.loss.sent < LOSS_PACKETS || !due {
            return;
        }
        let share = self.loss.lost as f64 / self.loss.sent as f64;
        self.loss = Loss { judged: Some(now), share: 0.7 * self.loss.share + 0.3 * share, ..Loss::default() };
        if share.min(self.loss.share) > TOLERATED_LOSS {
            let through = self.acknowledged_bps(RATE_WINDOW);
            let reduced = self.target_bps * (1.0 - 0.5 * share.min(0.5));
            self.target_bps = reduced.max(through.map_or(0.0, |through| BACK_OFF * through).min(self.target_bps));
            // A queue so short that it overflows before it can be seen has a limit all the same.
            self.path_limit_bps = through.or(self.path_limit_bps);
            self.decreased = Some(now);
            self.increased = Some(now);
        }
    }
}

impl BandwidthEstimator for Controller {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        for report in reports {
            self.loss.sent += 1;
            let Some(arrival) = report.arrival.filter(|_| report.arrived) else {
                self.loss.lost += usize::from(!report.arrived);
                continue;
            };
            self.note_arrival(arrival, report.size);
            self.queue.add(report.departure, arrival);
            if let Some(delay) = self.groups.accumulate(report) {
                self.trendline.add(&delay);
            }
        }
        if let Some(last) = reports.iter().rev().find(|report| report.arrived) {
            let sample = now.saturating_duration_since(last.departure);
            self.round_trip = (self.round_trip * 7 + sample) / 8;
        }
        self.queue.end_of_report(now);
        let queue_ms = self.queue.standing_ms();
        match self.trendline.usage() {
            Usage::Over => self.decrease(now),
            _ if queue_ms > LONG_QUEUE_MS => self.decrease(now),
            Usage::Normal if queue_ms < SHORT_QUEUE_MS => self.increase(now),
            // The queue is draining: wait for it.
            Usage::Normal | Usage::Under => self.increased = Some(now),
        }
        self.judge_loss(now);
        self.target_bps = self.target_bps.clamp(self.limits.floor_bps, self.limits.ceiling_bps);
    }

    fn target_bitrate(&self) -> f64 {
        self.target_bps
    }

    fn stats(&self) -> EstimatorStats {
        let mut stats = EstimatorStats::default();
        stats.packet_loss = Some(self.loss.share);
        stats.round_trip_time = Some(self.round_trip);
        stats
    }
}

/// Tells others what the estimator within finds.
pub(super) struct Published<E, F> {
    pub estimator: E,
    /// Called with the target in bits per second and the share of lost packets, after each report of the far end.
    pub publish: F,
}

impl<E: BandwidthEstimator, F: Fn(f64, f64) + Send + Sync> BandwidthEstimator for Published<E, F> {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
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
