//! Every figure of a running portal, counted in one place.

mod groups;
mod snapshot;

pub use groups::{Figure, Incoming, IncomingValues, LinkFigures, LinkValues, Outgoing, OutgoingValues, SizeReason};
pub use snapshot::{Sample, Snapshot};

use super::measure::Latencies;
use super::process::process_usage;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// All figures of one portal. Shared as `Arc<Figures>`; every part writes its own.
#[derive(Debug)]
pub struct Figures {
    /// From our camera to the network.
    pub outgoing: Outgoing,
    /// From the network to our display.
    pub incoming: Incoming,
    /// The link as a whole.
    pub link: LinkFigures,
    /// Capture → presented here, of the far end's pictures: the product's own latency figure.
    pub latency: Latencies,
    /// Time that converting and drawing one captured picture takes.
    pub capture_time: Latencies,
    /// Time that encoding one picture takes.
    pub encode_time: Latencies,
    /// From the first packet of an access unit to the whole of it.
    pub assemble_time: Latencies,
    /// Time that decoding one picture takes.
    pub decode_time: Latencies,
    /// Time that uploading one picture to the GPU takes.
    pub upload_time: Latencies,
    /// Decoded → presented.
    pub present_time: Latencies,
    started: Instant,
    /// Microseconds after `started`, plus 1; 0 is never.
    first_presented: AtomicU64,
    last_presented: AtomicU64,
    first_connected: AtomicU64,
    rates: Mutex<Rates>,
}

#[derive(Debug, Default)]
struct Rates {
    history: VecDeque<Sample>,
    last: Option<Totals>,
}

#[derive(Clone, Copy, Debug)]
struct Totals {
    at: Instant,
    captured: u64,
    sent: u64,
    sent_bytes: u64,
    received: u64,
    received_bytes: u64,
    presented: u64,
    cpu: Duration,
}

/// How many samples are kept for the plots: two minutes at one a second.
pub const HISTORY: usize = 120;

impl Default for Figures {
    fn default() -> Self {
        Self::new(Instant::now())
    }
}

impl Figures {
    /// Figures of a portal whose process started at `started`.
    pub fn new(started: Instant) -> Self {
        Self {
            outgoing: Outgoing::default(),
            incoming: Incoming::default(),
            link: LinkFigures::default(),
            latency: Latencies::default(),
            capture_time: Latencies::default(),
            encode_time: Latencies::default(),
            assemble_time: Latencies::default(),
            decode_time: Latencies::default(),
            upload_time: Latencies::default(),
            present_time: Latencies::default(),
            started,
            first_presented: AtomicU64::new(0),
            last_presented: AtomicU64::new(0),
            first_connected: AtomicU64::new(0),
            rates: Mutex::default(),
        }
    }

    /// A newly decoded remote picture was put on the screen at `now`; it was taken at `captured`, if that is known.
    pub fn presented(&self, captured: Option<Instant>, now: Instant) {
        self.incoming.presented.one();
        let mark = self.mark(now);
        let _ = self.first_presented.compare_exchange(0, mark, Relaxed, Relaxed);
        self.last_presented.fetch_max(mark, Relaxed);
        if let Some(captured) = captured {
            self.latency.record(now.saturating_duration_since(captured), now);
        }
    }

    /// The link came up at `now`.
    pub fn connected(&self, now: Instant) {
        self.link.connects.one();
        let _ = self.first_connected.compare_exchange(0, self.mark(now), Relaxed, Relaxed);
    }

    /// When the last remote picture was presented.
    pub fn last_presented(&self) -> Option<Instant> {
        self.unmark(&self.last_presented)
    }

    /// To be called about once a second: makes the rates of the time since the last call.
    pub fn tick(&self, now: Instant) {
        let totals = Totals {
            at: now,
            captured: self.outgoing.captured.get(),
            sent: self.outgoing.sent.get(),
            sent_bytes: self.outgoing.bytes.get(),
            received: self.incoming.received.get(),
            received_bytes: self.incoming.bytes.get(),
            presented: self.incoming.presented.get(),
            cpu: process_usage().cpu,
        };
        let latency_ms = self.latency.quantiles(now).p50_ms;
        let mut rates = self.lock_rates();
        if let Some(last) = rates.last.replace(totals) {
            let seconds = now.saturating_duration_since(last.at).as_secs_f64().max(1e-3);
            let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
            let sample = Sample {
                captured_fps: rate(totals.captured, last.captured),
                sent_fps: rate(totals.sent, last.sent),
                sent_bps: 8.0 * rate(totals.sent_bytes, last.sent_bytes),
                received_fps: rate(totals.received, last.received),
                received_bps: 8.0 * rate(totals.received_bytes, last.received_bytes),
                presented_fps: rate(totals.presented, last.presented),
                latency_ms,
                cpu_cores: totals.cpu.saturating_sub(last.cpu).as_secs_f64() / seconds,
            };
            if rates.history.len() == HISTORY {
                rates.history.pop_front();
            }
            rates.history.push_back(sample);
        }
    }

    /// The last two minutes, oldest first, copied into `into` (cleared first, so that a caller's buffer is used again).
    pub fn history(&self, into: &mut Vec<Sample>) {
        into.clear();
        into.extend(self.lock_rates().history.iter());
    }

    /// All figures at one moment.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let ms = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(self.started).as_secs_f64() * 1e3);
        let usage = process_usage();
        Snapshot {
            uptime_s: now.saturating_duration_since(self.started).as_secs_f64(),
            outgoing: self.outgoing.values(),
            incoming: self.incoming.values(),
            link: self.link.values(),
            now: self.lock_rates().history.back().copied().unwrap_or_default(),
            latency: self.latency.quantiles(now),
            capture_time: self.capture_time.quantiles(now),
            encode_time: self.encode_time.quantiles(now),
            assemble_time: self.assemble_time.quantiles(now),
            decode_time: self.decode_time.quantiles(now),
            upload_time: self.upload_time.quantiles(now),
            present_time: self.present_time.quantiles(now),
            first_connected_ms: ms(self.unmark(&self.first_connected)),
            first_picture_ms: ms(self.unmark(&self.first_presented)),
            last_presented_s: self.last_presented().map(|at| now.saturating_duration_since(at).as_secs_f64()),
            cpu_s: usage.cpu.as_secs_f64(),
            resident_bytes: usage.resident_bytes,
        }
    }

    fn mark(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.started).as_micros() as u64 + 1
    }

    fn unmark(&self, mark: &AtomicU64) -> Option<Instant> {
        let us = mark.load(Relaxed).checked_sub(1)?;
        self.started.checked_add(Duration::from_micros(us))
    }

    fn lock_rates(&self) -> std::sync::MutexGuard<'_, Rates> {
        self.rates.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        let start = Instant::now();
        let figures = Figures::new(start);
        figures.tick(start);
        for n in 0..60 {
            figures.presented(Some(start), start + Duration::from_millis(n * 33));
        }
        figures.outgoing.bytes.add(250_000);
        figures.tick(start + Duration::from_secs(2));
        let snapshot = figures.snapshot(start + Duration::from_secs(2));
        assert_eq!(snapshot.now.presented_fps, 30.0);
        assert_eq!(snapshot.now.sent_bps, 1e6);
        assert_eq!(snapshot.first_picture_ms, Some(0.0));
        assert!(snapshot.last_presented_s.is_some_and(|s| s < 0.1));
    }
}
