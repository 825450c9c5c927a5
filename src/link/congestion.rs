//! How fast to send: a delay-gradient controller with a loss term, after the field's published one.
//!
//! Google's congestion control (draft-ietf-rmcat-gcc-02; the trendline detector is libwebrtc's) sees a queue grow before it
//! overflows: pictures then arrive further apart than they were sent. Against the one that `rtc` brings: the slope is
//! scaled as the threshold expects (without it overuse is never seen), the acknowledged rate is measured on the far end's
//! clock, and the estimate cannot run away while the source sends less than it may.

#[cfg(test)]
mod simulation;
mod trendline;

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
/// Between two decreases at least this, or a round trip: the first must have shown its effect.
const DECREASE_INTERVAL: Duration = Duration::from_millis(250);
/// Growth per second while no limit of the path is known, or far below it.
const GROWTH: f64 = 1.35;
/// Growth per second near the last known limit, as a share of the target.
const CAREFUL_GROWTH: f64 = 0.04;
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
/// The acknowledged rate is measured over this long.
const RATE_WINDOW: Duration = Duration::from_millis(500);

/// Estimates what the path can carry.
pub(super) struct Controller {
    limits: Limits,
    target_bps: f64,
    groups: ArrivalGroupAccumulator,
    trendline: Trendline,
    /// Arrivals of the last while: far end's time and bytes.
    acknowledged: VecDeque<(Duration, usize)>,
    acknowledged_bytes: usize,
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
            acknowledged: VecDeque::new(),
            acknowledged_bytes: 0,
            path_limit_bps: None,
            round_trip: Duration::from_millis(100),
            increased: None,
            decreased: None,
            loss: Loss::default(),
        }
    }

    /// Bits per second that got through, once there is enough to tell.
    fn acknowledged_bps(&self) -> Option<f64> {
        let (first, last) = (self.acknowledged.front()?, self.acknowledged.back()?);
        let span = last.0.saturating_sub(first.0);
        // The first packet opens the span: only what came behind it took the span to come.
        let bytes = self.acknowledged_bytes - first.1;
        (span >= RATE_WINDOW / 2).then(|| bytes as f64 * 8.0 / span.as_secs_f64())
    }

    fn note_arrival(&mut self, arrival: Duration, bytes: usize) {
        // Reordered arrivals would shrink the span; they count, at the latest time seen.
        let arrival = self.acknowledged.back().map_or(arrival, |last| last.0.max(arrival));
        self.acknowledged.push_back((arrival, bytes));
        self.acknowledged_bytes += bytes;
        while let Some(first) = self.acknowledged.front()
            && arrival.saturating_sub(first.0) > RATE_WINDOW
        {
            self.acknowledged_bytes -= first.1;
            self.acknowledged.pop_front();
        }
    }

    fn may_decrease(&self, now: Instant) -> bool {
        let interval = self.round_trip.max(DECREASE_INTERVAL);
        self.decreased.is_none_or(|at| now.saturating_duration_since(at) > interval)
    }

    fn decrease(&mut self, now: Instant) {
        let Some(through) = self.acknowledged_bps() else { return };
        if !self.may_decrease(now) {
            return;
        }
        self.target_bps = self.target_bps.min(through * BACK_OFF);
        self.path_limit_bps = Some(match self.path_limit_bps {
            Some(limit) if (through - limit).abs() < 0.25 * limit => 0.8 * limit + 0.2 * through,
            _ => through,
        });
        self.decreased = Some(now);
        self.increased = Some(now);
    }

    fn increase(&mut self, now: Instant) {
        let since = self.increased.map_or(Duration::from_millis(50), |at| now.saturating_duration_since(at));
        self.increased = Some(now);
        let seconds = since.as_secs_f64().min(1.0);
        let through = self.acknowledged_bps();
        if let (Some(limit), Some(through)) = (self.path_limit_bps, through)
            && through > 1.2 * limit
        {
            self.path_limit_bps = None;
        }
        let respected = self.decreased.is_some_and(|at| now.saturating_duration_since(at) < LIMIT_MEMORY);
        let near = respected && self.path_limit_bps.is_some_and(|limit| self.target_bps > 0.9 * limit);
        let grown = if near {
            self.target_bps * (1.0 + CAREFUL_GROWTH * seconds)
        } else {
            self.target_bps * GROWTH.powf(seconds)
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
            let through = self.acknowledged_bps().map_or(0.0, |through| BACK_OFF * through);
            let reduced = self.target_bps * (1.0 - 0.5 * share.min(0.5));
            self.target_bps = reduced.max(through.min(self.target_bps));
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
            if let Some(delay) = self.groups.accumulate(report) {
                self.trendline.add(&delay);
            }
        }
        if let Some(last) = reports.iter().rev().find(|report| report.arrived) {
            let sample = now.saturating_duration_since(last.departure);
            self.round_trip = (self.round_trip * 7 + sample) / 8;
        }
        match self.trendline.usage() {
            Usage::Over => self.decrease(now),
            // The queue is draining: wait for it.
            Usage::Under => self.increased = Some(now),
            Usage::Normal => self.increase(now),
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
