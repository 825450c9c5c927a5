//! Every figure of a running portal, counted in one place.

mod groups;
mod rates;
mod snapshot;
mod watchers;

pub use groups::{
    Figure, GuestFigures, GuestValues, Incoming, IncomingValues, LinkFigures, LinkValues, Outgoing, OutgoingValues,
    PairingFigures, PairingValues, SizeReason, WatchdogFigures, WatchdogValues,
};
pub use rates::HISTORY;
pub use snapshot::{Minute, Sample, Snapshot};
pub use watchers::Watcher;

use super::freezes::Freezes;
use super::measure::Latencies;
use super::privacy::Since;
use super::process::process_usage;
use super::pulse::Pulse;
use super::quality::{Judge, QualityChange};
use super::{LinkState, Privacy, PrivacyState, Slate, View};
use rates::Rates;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use watchers::Watchers;

/// All figures of one portal. Shared as `Arc<Figures>`; every part writes its own.
#[derive(Debug)]
pub struct Figures {
    /// From our camera to the network.
    pub outgoing: Outgoing,
    /// From the network to our display.
    pub incoming: Incoming,
    /// The link as a whole.
    pub link: LinkFigures,
    /// What the watchdog did.
    pub watchdog: WatchdogFigures,
    /// What comes of pairing.
    pub pairing: PairingFigures,
    /// Guests: who looks at our camera and is not the far end.
    pub guests: GuestFigures,
    /// Each of them.
    pub watchers: Watchers,
    /// What the watchdog looks at.
    pub pulse: Pulse,
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
    privacy: Mutex<Since>,
    truth: Mutex<Truth>,
}

/// What a viewer sees, and how good that makes the link. Locked before `rates` where both are.
#[derive(Debug)]
struct Truth {
    freezes: Freezes,
    judge: Judge,
    slate: Slate,
    /// The link's state and what was shown when the view last differed in one of them, and when that was.
    state: (LinkState, Slate),
    since: Instant,
    /// Interrupted time that is less than a millisecond, so that no piece of it is rounded away.
    rest: Duration,
}

impl Truth {
    /// Whole milliseconds of interruption since the last call.
    fn interrupted(&mut self, now: Instant) -> u64 {
        self.rest += self.freezes.interrupted(now);
        let whole_ms = self.rest.as_millis() as u64;
        self.rest -= Duration::from_millis(whole_ms);
        whole_ms
    }
}

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
            watchdog: WatchdogFigures::default(),
            pairing: PairingFigures::default(),
            guests: GuestFigures::default(),
            watchers: Watchers::default(),
            pulse: Pulse::default(),
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
            privacy: Mutex::new(Since::new(started)),
            truth: Mutex::new(Truth {
                freezes: Freezes::new(started),
                judge: Judge::default(),
                slate: Slate::default(),
                state: Default::default(),
                since: started,
                rest: Duration::ZERO,
            }),
        }
    }

    /// A newly decoded remote picture was put on the screen at `now`; it was taken at `captured`, if that is known.
    pub fn presented(&self, captured: Option<Instant>, now: Instant) {
        self.incoming.presented.one();
        let mark = self.mark(now);
        if let Some(frozen) = self.lock(&self.truth).freezes.presented(now) {
            self.froze(frozen);
        }
        let _ = self.first_presented.compare_exchange(0, mark, Relaxed, Relaxed);
        self.last_presented.fetch_max(mark, Relaxed);
        if let Some(captured) = captured {
            let age = now.saturating_duration_since(captured);
            self.incoming.latency_us.set(age.as_micros() as u64);
            self.latency.record(age, now);
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

    /// From `now` on the display shows this slate, or the far end's picture where it is hidden. To be told of every
    /// change.
    pub fn shows(&self, slate: Slate, now: Instant) {
        let mut truth = self.lock(&self.truth);
        truth.slate = slate;
        self.incoming.interrupted_ms.add(truth.interrupted(now));
        if let Some(frozen) = truth.freezes.shows(slate, now) {
            self.froze(frozen);
        }
    }

    /// The view, and with it what is done with our pictures, is this from `now` on. To be told of every change of the
    /// view.
    pub fn watches(&self, view: &View, now: Instant) {
        let mut truth = self.lock(&self.truth);
        // Who is private or closed stays so for the same time, whatever the link does meanwhile.
        let is_ours = matches!(view.slate, Slate::Private | Slate::Closed) && truth.state.1 == view.slate;
        if truth.state != (view.link, view.slate) && !is_ours {
            truth.since = now;
        }
        truth.state = (view.link, view.slate);
        drop(truth);
        self.lock(&self.privacy).becomes(PrivacyState::of(view), self, now);
    }

    /// The state of privacy and its proofs. Asks the kernel which devices are open.
    pub fn privacy(&self, view: &View, now: Instant) -> Privacy {
        self.lock(&self.privacy).privacy(self, view, now)
    }

    /// To be called about once a second: makes the rates of the time since the last call. Returns whether the link's
    /// quality has changed.
    pub fn tick(&self, now: Instant) -> Option<QualityChange> {
        self.lock(&self.privacy).settles(self, now);
        let mut truth = self.lock(&self.truth);
        self.incoming.interrupted_ms.add(truth.interrupted(now));
        let signs = self.lock(&self.rates).tick(self, now);
        let judged = match truth.slate {
            Slate::Hidden | Slate::Paused | Slate::NoFarEnd => Some(&signs),
            // The portal has just started or is not paired, or there is nothing to be seen on purpose.
            _ => None,
        };
        truth.judge.observe(judged, now)
    }

    /// The last two minutes, oldest first, copied into `into` (cleared first, so that a caller's buffer is used again).
    pub fn history(&self, into: &mut Vec<Sample>) {
        into.clear();
        into.extend(self.lock(&self.rates).samples());
    }

    /// All figures at one moment.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let ms = |at: Option<Instant>| at.map(|at| at.saturating_duration_since(self.started).as_secs_f64() * 1e3);
        let usage = process_usage();
        let (sample, minute) = {
            let rates = self.lock(&self.rates);
            (rates.now(), rates.minute())
        };
        let (quality, since) = {
            let truth = self.lock(&self.truth);
            (truth.judge.quality(), truth.since)
        };
        Snapshot {
            uptime_s: now.saturating_duration_since(self.started).as_secs_f64(),
            outgoing: self.outgoing.values(),
            incoming: self.incoming.values(),
            link: self.link.values(),
            watchdog: self.watchdog.values(),
            pairing: self.pairing.values(),
            guests: self.guests.values(),
            watchers: self.watchers.list(now),
            now: sample,
            minute,
            quality,
            state_since_s: now.saturating_duration_since(since).as_secs_f64(),
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

    fn froze(&self, length: Duration) {
        self.incoming.freezes.one();
        self.incoming.frozen_ms.add(length.as_millis() as u64);
    }

    /// A panic while something is counted leaves at worst one figure uncounted.
    fn lock<'a, T>(&self, figures: &'a Mutex<T>) -> MutexGuard<'a, T> {
        figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Quality;

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

    /// Half an hour, a second at a time: 30 pictures, and two in a hundred packets that were missing and repaired, each
    /// with two copies.
    #[test]
    fn the_minute_forgets_and_the_link_is_judged() {
        let start = Instant::now();
        let figures = Figures::new(start);
        figures.shows(Slate::Hidden, start);
        let mut told = Vec::new();
        for second in 0..1800 {
            let now = start + Duration::from_secs(second);
            for n in 0..30 {
                // In the 600th second the picture stands still for half a second.
                if second != 600 || n < 15 {
                    figures.presented(None, now + Duration::from_millis(33 * n));
                }
            }
            figures.incoming.packets.add(98 + 6);
            figures.incoming.repair_packets.add(6);
            figures.incoming.recovered_packets.add(2);
            told.extend(figures.tick(now).map(|change| (second, change.to)));
            let minute = figures.snapshot(now).minute;
            assert!(minute.freezes == u64::from((601..661).contains(&second)), "{second} {minute:?}");
            assert!(minute.seconds <= 60.0);
        }
        let snapshot = figures.snapshot(start + Duration::from_secs(1800));
        assert_eq!((snapshot.minute.packets, snapshot.minute.missing()), (60 * 98, 0.02));
        assert_eq!((snapshot.incoming.freezes, snapshot.incoming.frozen_ms), (1, 538));
        assert_eq!(told, [(3, Quality::Good), (604, Quality::Weak), (631, Quality::Good)]);
        assert_eq!(snapshot.quality, Quality::Good);
    }

    #[test]
    fn an_outage_is_frozen_up_to_the_slate_and_interrupted_from_then_on() {
        let start = Instant::now();
        let figures = Figures::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        figures.shows(Slate::Hidden, start);
        for n in 0..30 {
            figures.presented(None, at(33 * n));
        }
        figures.shows(Slate::Paused, at(2000));
        for n in 0..3000 {
            // Pieces that are not whole milliseconds.
            figures.tick(at(2000) + Duration::from_micros(n * 1_333));
        }
        figures.shows(Slate::Hidden, at(6000));
        let incoming = figures.snapshot(at(6000)).incoming;
        assert_eq!((incoming.freezes, incoming.frozen_ms, incoming.interrupted_ms), (1, 1043, 4000));
    }
}
