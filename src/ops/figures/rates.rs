//! What happened per second, in the last ten seconds and in the last minute: differences of the counters between ticks.

use super::Figures;
use super::snapshot::{Minute, Sample};
use crate::ops::SizeReason;
use crate::ops::process::process_usage;
use crate::ops::quality::Signs;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many samples are kept for the plots: two minutes at one a second.
pub const HISTORY: usize = 120;

/// How far back [`Minute`] and [`Signs`] look.
const MINUTE: Duration = Duration::from_secs(60);
const TEN_SECONDS: Duration = Duration::from_secs(10);
/// Totals kept: a minute at one a second, and one to begin with. Ticks come about once a second; more would only shorten the minute.
const KEPT: usize = 61;

/// The history of one portal. Nothing is allocated after the start.
#[derive(Debug)]
pub(super) struct Rates {
    samples: VecDeque<Sample>,
    totals: VecDeque<Totals>,
}

impl Default for Rates {
    fn default() -> Self {
        Self { samples: VecDeque::with_capacity(HISTORY), totals: VecDeque::with_capacity(KEPT) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Totals {
    at: Instant,
    captured: u64,
    sent: u64,
    sent_bytes: u64,
    retransmitted: u64,
    refused: u64,
    received: u64,
    received_bytes: u64,
    /// Without repairs.
    packets: u64,
    lost: u64,
    recovered: u64,
    presented: u64,
    late: u64,
    freezes: u64,
    frozen_ms: u64,
    interrupted_ms: u64,
    cpu: Duration,
}

impl Totals {
    fn of(figures: &Figures, now: Instant) -> Self {
        let (outgoing, incoming) = (&figures.outgoing, &figures.incoming);
        Self {
            at: now,
            captured: outgoing.captured.get(),
            sent: outgoing.sent.get(),
            sent_bytes: outgoing.bytes.get(),
            retransmitted: outgoing.retransmitted_packets.get(),
            refused: outgoing.repairs_refused.get(),
            received: incoming.received.get(),
            received_bytes: incoming.bytes.get(),
            packets: incoming.packets.get().saturating_sub(incoming.repair_packets.get()),
            lost: incoming.lost_packets.get(),
            recovered: incoming.recovered_packets.get(),
            presented: incoming.presented.get(),
            late: incoming.late_pictures.get(),
            freezes: incoming.freezes.get(),
            frozen_ms: incoming.frozen_ms.get(),
            interrupted_ms: incoming.interrupted_ms.get(),
            cpu: process_usage().cpu,
        }
    }
}

impl Rates {
    /// Makes one more sample and returns the link's signs, for its quality.
    pub fn tick(&mut self, figures: &Figures, now: Instant) -> Signs {
        let totals = Totals::of(figures, now);
        if let Some(last) = self.totals.back() {
            let seconds = now.saturating_duration_since(last.at).as_secs_f64().max(1e-3);
            let rate = |new: u64, old: u64| new.saturating_sub(old) as f64 / seconds;
            let sample = Sample {
                captured_fps: rate(totals.captured, last.captured),
                sent_fps: rate(totals.sent, last.sent),
                sent_bps: 8.0 * rate(totals.sent_bytes, last.sent_bytes),
                received_fps: rate(totals.received, last.received),
                received_bps: 8.0 * rate(totals.received_bytes, last.received_bytes),
                presented_fps: rate(totals.presented, last.presented),
                latency_ms: figures.latency.quantiles(now).p50_ms,
                cpu_cores: totals.cpu.saturating_sub(last.cpu).as_secs_f64() / seconds,
            };
            if self.samples.len() == HISTORY {
                self.samples.pop_front();
            }
            self.samples.push_back(sample);
        }
        if self.totals.len() == KEPT {
            self.totals.pop_front();
        }
        self.totals.push_back(totals);
        self.signs(figures)
    }

    /// The newest sample.
    pub fn now(&self) -> Sample {
        self.samples.back().copied().unwrap_or_default()
    }

    /// All of them, oldest first.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.samples.iter()
    }

    /// What happened in the last minute, or since the start.
    pub fn minute(&self) -> Minute {
        let Some((old, new)) = self.span(MINUTE) else { return Minute::default() };
        Minute {
            seconds: new.at.saturating_duration_since(old.at).as_secs_f64(),
            packets: new.packets.saturating_sub(old.packets),
            lost_packets: new.lost.saturating_sub(old.lost),
            recovered_packets: new.recovered.saturating_sub(old.recovered),
            retransmitted_packets: new.retransmitted.saturating_sub(old.retransmitted),
            repairs_refused: new.refused.saturating_sub(old.refused),
            late_pictures: new.late.saturating_sub(old.late),
            freezes: new.freezes.saturating_sub(old.freezes),
            frozen_ms: new.frozen_ms.saturating_sub(old.frozen_ms),
            interrupted_ms: new.interrupted_ms.saturating_sub(old.interrupted_ms),
        }
    }

    fn signs(&self, figures: &Figures) -> Signs {
        let Some((old, new)) = self.span(TEN_SECONDS) else { return Signs::default() };
        let still_ms =
            new.frozen_ms.saturating_sub(old.frozen_ms) + new.interrupted_ms.saturating_sub(old.interrupted_ms);
        let missing = new.lost.saturating_sub(old.lost) + new.recovered.saturating_sub(old.recovered);
        let all = missing + new.packets.saturating_sub(old.packets);
        Signs {
            still: Duration::from_millis(still_ms),
            freezes: new.freezes.saturating_sub(old.freezes),
            missing_in: missing as f64 / all.max(1) as f64,
            missing_out: figures.outgoing.loss_ppm.get() as f64 / 1e6,
            round_trip: Duration::from_micros(figures.link.round_trip_us.get()),
            size: SizeReason::from_code(figures.outgoing.size_reason.get()).unwrap_or_default(),
        }
    }

    /// The newest totals, and the oldest that are not older than `window` (with half a second of slack: ticks are not exact).
    fn span(&self, window: Duration) -> Option<(&Totals, &Totals)> {
        let new = self.totals.back()?;
        let limit = window + Duration::from_millis(500);
        let old = self.totals.iter().find(|totals| new.at.saturating_duration_since(totals.at) <= limit)?;
        Some((old, new))
    }
}
