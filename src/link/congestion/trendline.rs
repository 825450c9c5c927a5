//! Sees a queue grow: the slope of the one-way delay over the last pictures, against a threshold that adapts.
//!
//! After draft-ietf-rmcat-gcc-02, sections 5.3 and 5.4, with libwebrtc's trendline in place of the Kalman filter.

use rtc::interceptor::InterGroupDelay;
use std::collections::VecDeque;
use std::time::Instant;

/// Bursts that the slope is taken over.
const WINDOW: usize = 20;
/// Weight of the past in smoothing the accumulated delay.
const SMOOTHING: f64 = 0.9;
/// The slope is multiplied by this and by the number of bursts seen (up to 60) before it is compared: libwebrtc's scale, for
/// which the threshold's constants were found.
const GAIN: f64 = 4.0;
const MAX_BURSTS: u32 = 60;
/// Overuse must last this long, in milliseconds, and not be falling already.
const OVERUSE_MS: f64 = 10.0;
const FIRST_THRESHOLD_MS: f64 = 12.5;
const THRESHOLDS_MS: (f64, f64) = (6.0, 600.0);
/// The threshold follows the slope upwards and downwards with these shares per millisecond, so that a competing flow which
/// fills queues does not starve us. Slopes far outside (a route change) are ignored.
const RISE: f64 = 0.0087;
const FALL: f64 = 0.039;
const OUTLIER_MS: f64 = 15.0;

/// What the queue of the path is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Usage {
    /// It is steady.
    Normal,
    /// It grows: more is sent than gets through.
    Over,
    /// It drains.
    Under,
}

#[derive(Debug)]
pub(super) struct Trendline {
    accumulated_ms: f64,
    smoothed_ms: f64,
    bursts: u32,
    /// Time of departure and smoothed delay, both in milliseconds.
    points: VecDeque<(f64, f64)>,
    start: Option<Instant>,
    last_ms: Option<f64>,
    threshold_ms: f64,
    over_since_ms: Option<f64>,
    over_count: u32,
    trend_ms: f64,
    usage: Usage,
}

impl Default for Trendline {
    fn default() -> Self {
        Self {
            accumulated_ms: 0.0,
            smoothed_ms: 0.0,
            bursts: 0,
            points: VecDeque::with_capacity(WINDOW + 1),
            start: None,
            last_ms: None,
            threshold_ms: FIRST_THRESHOLD_MS,
            over_since_ms: None,
            over_count: 0,
            trend_ms: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl Trendline {
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes in by how much one burst arrived later than the burst before it suggested.
    pub fn add(&mut self, delay: &InterGroupDelay) {
        let start = *self.start.get_or_insert(delay.at);
        let at_ms = delay.at.saturating_duration_since(start).as_secs_f64() * 1e3;
        self.bursts = (self.bursts + 1).min(MAX_BURSTS);
        self.accumulated_ms += delay.delta_ms;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.accumulated_ms;
        self.points.push_back((at_ms, self.smoothed_ms));
        if self.points.len() > WINDOW {
            self.points.pop_front();
        }
        if self.points.len() < WINDOW {
            return;
        }
        let Some(slope) = slope(&self.points) else { return };
        self.judge(slope * f64::from(self.bursts) * GAIN, at_ms);
    }

    fn judge(&mut self, trend_ms: f64, at_ms: f64) {
        if trend_ms > self.threshold_ms {
            let since = *self.over_since_ms.get_or_insert(at_ms);
            self.over_count += 1;
            if at_ms - since >= OVERUSE_MS && self.over_count > 1 && trend_ms >= self.trend_ms {
                self.usage = Usage::Over;
            }
        } else {
            self.over_since_ms = None;
            self.over_count = 0;
            self.usage = if trend_ms < -self.threshold_ms { Usage::Under } else { Usage::Normal };
        }
        self.trend_ms = trend_ms;
        let elapsed_ms = self.last_ms.map_or(0.0, |last| (at_ms - last).clamp(0.0, 100.0));
        self.last_ms = Some(at_ms);
        let size = trend_ms.abs();
        if size <= self.threshold_ms + OUTLIER_MS {
            let share = if size < self.threshold_ms { FALL } else { RISE };
            let moved = self.threshold_ms + share * (size - self.threshold_ms) * elapsed_ms;
            self.threshold_ms = moved.clamp(THRESHOLDS_MS.0, THRESHOLDS_MS.1);
        }
    }
}

/// The slope of the least-squares line; `None` if all points have the same time.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let (along, square) = points.iter().fold((0.0, 0.0), |(along, square), (x, y)| {
        (along + (x - mean_x) * (y - mean_y), square + (x - mean_x).powi(2))
    });
    (square > 0.0).then(|| along / square)
}
