//! How long the queue of the path is: the least one-way delay of the last reports, less the least of the last while.
//!
//! The two clocks need not be related for that: their offset is in both. If a queue stands for longer than the memory, it is
//! taken for the path's own delay.

use super::least::Least;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A report's own least delay counts for this long: a picture's packets queue behind each other, which is no standing queue.
const RECENT: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// What departures are counted from.
    start: Option<Instant>,
    /// The least delay of the report that is being read, in milliseconds plus an unknown constant.
    reading_ms: Option<f64>,
    recent: VecDeque<(Instant, f64)>,
    least_ms: Least,
}

impl Queue {
    /// One packet: when it left here and when it arrived there, on the far end's clock.
    pub fn add(&mut self, departure: Instant, arrival: Duration) {
        let start = *self.start.get_or_insert(departure);
        let signed_ms = if departure >= start {
            (departure - start).as_secs_f64() * 1e3
        } else {
            -(start - departure).as_secs_f64() * 1e3
        };
        let delay_ms = arrival.as_secs_f64() * 1e3 - signed_ms;
        self.reading_ms = Some(self.reading_ms.map_or(delay_ms, |least| least.min(delay_ms)));
    }

    /// The report that came at `now` has been read.
    pub fn end_of_report(&mut self, now: Instant) {
        let Some(delay_ms) = self.reading_ms.take() else { return };
        while self.recent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > RECENT) {
            self.recent.pop_front();
        }
        self.recent.push_back((now, delay_ms));
        self.least_ms.add(now, delay_ms);
    }

    /// The path's own delay is not forgotten now.
    pub fn keep_memory(&mut self, now: Instant) {
        self.least_ms.keep(now);
    }

    /// The standing queue in milliseconds; 0 while nothing is known.
    pub fn standing_ms(&self) -> f64 {
        let recent = self.recent.iter().map(|(_, delay)| *delay).reduce(f64::min);
        recent.zip(self.least_ms.get()).map_or(0.0, |(recent, least)| recent - least)
    }
}
