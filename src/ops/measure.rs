//! What figures are made of: counters, gauges and latencies that can be written from any thread.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Only ever grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }
    /// Counts one more.
    pub fn one(&self) {
        self.add(1);
    }
    /// The count.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Sets the value.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Latencies over a sliding window of 10 to 20 seconds, and the greatest since the start. Recording never allocates.
#[derive(Debug)]
pub struct Latencies(Mutex<Windows>);

#[derive(Debug)]
struct Windows {
    current: Histogram<u32>,
    previous: Histogram<u32>,
    turned: Option<Instant>,
}

/// Quantiles of a latency, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Half of the window's pictures were faster.
    pub p50_ms: f64,
    /// 95 of 100 were faster.
    pub p95_ms: f64,
    /// 99 of 100 were faster.
    pub p99_ms: f64,
    /// The slowest of the window.
    pub max_ms: f64,
    /// How many pictures the window holds; with 0 the other figures say nothing.
    pub count: u64,
}

const WINDOW: Duration = Duration::from_secs(10);
const LONGEST_US: u64 = 60_000_000;

impl Default for Latencies {
    fn default() -> Self {
        // Bounds that satisfy the library's own conditions: low >= 1, high >= 2 * low, digits <= 5.
        let new = || Histogram::new_with_bounds(1, LONGEST_US, 2).expect("constant bounds are valid");
        Self(Mutex::new(Windows { current: new(), previous: new(), turned: None }))
    }
}

impl Latencies {
    /// Records one duration, observed at `now`. What is longer than a minute counts as a minute.
    pub fn record(&self, duration: Duration, now: Instant) {
        let mut windows = self.lock();
        windows.turn(now);
        let us = (duration.as_micros() as u64).clamp(1, LONGEST_US);
        windows.current.saturating_record(us);
    }

    /// The quantiles of the last 10 to 20 seconds.
    pub fn quantiles(&self, now: Instant) -> Latency {
        let mut windows = self.lock();
        windows.turn(now);
        let mut both = windows.previous.clone();
        // Same bounds, so it cannot fail; a wrong figure would be the worst outcome anyway.
        let _ = both.add(&windows.current);
        let ms = |us: u64| us as f64 / 1000.0;
        if both.is_empty() {
            return Latency::default();
        }
        Latency {
            p50_ms: ms(both.value_at_quantile(0.50)),
            p95_ms: ms(both.value_at_quantile(0.95)),
            p99_ms: ms(both.value_at_quantile(0.99)),
            max_ms: ms(both.max()),
            count: both.len(),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Windows> {
        // A panic while recording leaves at worst one figure uncounted.
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Windows {
    fn turn(&mut self, now: Instant) {
        let turned = *self.turned.get_or_insert(now);
        let age = now.saturating_duration_since(turned);
        if age >= WINDOW {
            std::mem::swap(&mut self.current, &mut self.previous);
            self.current.reset();
            if age >= 2 * WINDOW {
                self.previous.reset();
            }
            self.turned = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_forget_what_is_old() {
        let (latencies, start) = (Latencies::default(), Instant::now());
        latencies.record(Duration::from_millis(500), start);
        assert!((latencies.quantiles(start).p50_ms - 500.0).abs() < 5.0);
        let later = start + 3 * WINDOW;
        latencies.record(Duration::from_millis(10), later);
        let quantiles = latencies.quantiles(later);
        assert_eq!(quantiles.count, 1);
        assert!((quantiles.max_ms - 10.0).abs() < 0.2, "{quantiles:?}");
    }
}
