//! From sending a packet to the feedback on it: what it takes at least, and what it takes usually.

use super::least::Least;
use std::time::{Duration, Instant};

/// Before anything is known, news is waited for this long: the other direction may be just as narrow.
const FIRST: Duration = Duration::from_millis(500);
/// Weight of the newest in the smoothed round trip (RFC 6298).
const WEIGHT: u32 = 8;
/// What the round trip exceeds its least by is averaged over this long, and no report counts for more than so much of it: several
/// come at once behind a queue.
const AVERAGED: Duration = Duration::from_secs(1);
const MOST_WEIGHT: f64 = 1.0 / 16.0;
/// What the pictures of both ends take to leave, in milliseconds, is no more than is planned for.
const PLANNED_MS: f64 = 35.0;
/// More than this, in milliseconds, is not waited for.
const MOST_MS: f64 = 400.0;
#[derive(Debug, Default)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    least_ms: Least,
    /// By how much it exceeds its least on average.
    excess_ms: f64,
    /// When it was first and last heard of.
    heard: Option<Instant>,
    last: Option<Instant>,
}

impl RoundTrip {
    /// Feedback came now on a packet that left so long ago. It is not usual while our own queue drains.
    pub fn add(&mut self, now: Instant, sample: Duration, is_usual: bool) {
        self.smoothed = Some(self.smoothed.map_or(sample, |smoothed| (smoothed * (WEIGHT - 1) + sample) / WEIGHT));
        self.heard.get_or_insert(now);
        let sample_ms = sample.as_secs_f64() * 1e3;
        self.least_ms.add(now, sample_ms);
        let passed = now.saturating_duration_since(self.last.replace(now).unwrap_or(now));
        if is_usual {
            let weight = (passed.as_secs_f64() / AVERAGED.as_secs_f64()).min(MOST_WEIGHT);
            let excess_ms = (sample_ms - self.least_ms()).min(MOST_MS);
            self.excess_ms += weight * (excess_ms - self.excess_ms);
        }
    }

    /// When feedback came first.
    pub fn heard(&self) -> Option<Instant> {
        self.heard
    }

    pub fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or(FIRST)
    }

    fn least_ms(&self) -> f64 {
        self.least_ms.get().unwrap_or(0.0)
    }

    /// The least, and what it usually exceeds that by where packets or the feedback on them wait for others, or for jitter. What
    /// is sent meanwhile must have room in the window.
    pub fn usual(&self) -> Duration {
        Duration::from_secs_f64((self.least_ms() + (self.excess_ms - PLANNED_MS).max(0.0)) / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn after(samples_ms: impl Iterator<Item = u32>) -> RoundTrip {
        let (mut round_trip, start) = (RoundTrip::default(), Instant::now());
        for (n, sample_ms) in (0..).zip(samples_ms) {
            round_trip.add(start + MS * 33 * n, MS * sample_ms, true);
        }
        round_trip
    }

    #[test]
    fn on_an_even_path_nothing_is_waited_for() {
        let round_trip = after((0..300).map(|n| 50 + n % 3));
        assert_eq!(round_trip.usual(), 50 * MS);
    }

    #[test]
    fn what_is_usual_is_waited_for() {
        // A download fills the queue of the way back.
        let round_trip = after((0..300).map(|n| if n < 100 { 50 } else { 280 + n % 20 }));
        assert!(round_trip.usual() > 220 * MS, "{:?}", round_trip.usual());
    }

    #[test]
    fn one_late_report_changes_little() {
        let round_trip = after((0..300).map(|n| if n == 299 { 350 } else { 50 }));
        assert!(round_trip.usual() < 60 * MS, "{:?}", round_trip.usual());
    }
}
