//! A bulk download, to share the bottleneck with: TCP as Linux does it, with CUBIC (RFC 9438) and selective acknowledgements.

use super::world::{Outbox, What};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SEGMENT: usize = 1500;
const FIRST_WINDOW: f64 = 10.0;
/// RFC 9438's constants.
const C: f64 = 0.4;
const BETA: f64 = 0.7;
/// Later segments acknowledged before one is taken for lost.
const REORDERING: u64 = 3;
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);
/// More than any path here can hold.
const MOST_WINDOW: f64 = 4000.0;

/// Sends as fast as it may, for ever. Lost segments are sent again as new ones: what counts is what they do to the queue.
pub struct Download {
    next_segment: u64,
    /// Sent and not yet acknowledged, and when.
    flying: BTreeMap<u64, Instant>,
    window: f64,
    threshold: f64,
    /// The window before the last loss, and when that was.
    most: f64,
    epoch: Option<Instant>,
    /// Losses of segments before this one belong to the same event.
    recovered_at: u64,
    round_trip: Option<(f64, f64)>,
    acknowledged_at: Instant,
    timeouts: u32,
}

impl Download {
    pub fn new(now: Instant) -> Self {
        Self {
            next_segment: 0,
            flying: BTreeMap::new(),
            window: FIRST_WINDOW,
            threshold: f64::INFINITY,
            most: 0.0,
            epoch: None,
            recovered_at: 0,
            round_trip: None,
            acknowledged_at: now,
            timeouts: 0,
        }
    }

    fn timeout(&self) -> Duration {
        let (mean, variation) = self.round_trip.unwrap_or((0.5, 0.25));
        let timeout = Duration::from_secs_f64(mean + 4.0 * variation).max(LEAST_TIMEOUT);
        timeout.saturating_mul(1 << self.timeouts.min(6))
    }

    pub fn next(&self) -> Option<Instant> {
        (!self.flying.is_empty()).then(|| self.acknowledged_at + self.timeout())
    }

    pub fn wake(&mut self, now: Instant, out: &mut Outbox) {
        if self.next().is_some_and(|at| at <= now) {
            // Nothing came back for long: begin anew.
            self.flying.clear();
            self.lost(now);
            self.window = 1.0;
            self.timeouts += 1;
            self.acknowledged_at = now;
        }
        while (self.flying.len() as f64) < self.window.min(MOST_WINDOW) {
            if self.flying.is_empty() {
                self.acknowledged_at = now;
            }
            self.flying.insert(self.next_segment, now);
            out.send(0, What::Segment(self.next_segment), SEGMENT);
            self.next_segment += 1;
        }
    }

    fn lost(&mut self, now: Instant) {
        self.most = self.window;
        self.window = (self.window * BETA).max(2.0);
        self.threshold = self.window;
        self.epoch = Some(now);
        self.recovered_at = self.next_segment;
    }

    pub fn acknowledged(&mut self, number: u64, now: Instant, out: &mut Outbox) {
        let Some(sent) = self.flying.remove(&number) else { return };
        (self.acknowledged_at, self.timeouts) = (now, 0);
        let sample = (now - sent).as_secs_f64();
        let (mean, variation) = self.round_trip.unwrap_or((sample, sample / 2.0));
        let variation = 0.75 * variation + 0.25 * (sample - mean).abs();
        self.round_trip = Some((0.875 * mean + 0.125 * sample, variation));
        while let Some((&first, _)) = self.flying.first_key_value()
            && first + REORDERING < number
        {
            self.flying.remove(&first);
            if first >= self.recovered_at {
                self.lost(now);
            }
        }
        if self.window < self.threshold {
            self.window += 1.0;
        } else {
            let seconds = self.epoch.map_or(0.0, |epoch| (now - epoch).as_secs_f64());
            let origin = (self.most * (1.0 - BETA) / C).cbrt();
            let cubic = C * (seconds + mean - origin).powi(3) + self.most;
            // Where CUBIC would be slower than Reno, it is as fast as Reno.
            let reno = 3.0 * (1.0 - BETA) / (1.0 + BETA) / self.window;
            self.window += ((cubic - self.window) / self.window).clamp(reno, 0.5);
        }
        self.wake(now, out);
    }
}
