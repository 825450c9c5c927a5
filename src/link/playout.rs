//! When a picture is due: as soon as the network allows it, and no sooner than at its pace (pure).
//!
//! A picture's *transit* is the time from its capture to the moment when it is whole and can be decoded. The shortest transit of the
//! last seconds is the base; what others take longer is their lateness: jitter, queues, and repairs of lost packets. The hold is
//! that lateness which all but a few in a hundred keep to, and each picture is due at its capture time + base + hold. So motion is
//! even, and the delay is no longer than this network makes necessary: none at all where pictures come within a few milliseconds.
//! The capture time comes from the RTP timestamp; what the two clocks differ by is in every transit alike and cancels out.
//!
//! The hold rises within a few pictures and falls slowly, by less than is seen. Pictures that come after they were due, as behind a
//! repair, are played at twice their pace until time is made up for: none is left out, the decoder needs them all, and motion goes
//! on where a jump would be seen. Only when far behind, as after an outage, are they passed on at once, so that the display shows
//! the newest.

use super::assembler::Unit;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The most that is added to the delay of the path.
pub(super) const MAX_HOLD: Duration = Duration::from_millis(400);
/// How long a transit is remembered. Longer: steadier, but slower to give up a hold.
const MEMORY: Duration = Duration::from_secs(4);
/// Transits remembered at most, those of [`MEMORY`] at 60 pictures a second.
const TRANSITS: usize = 240;
/// The share of pictures that may come later than the hold.
const LATE_SHARE: f64 = 0.03;
/// Lateness below this is not worth a hold: two thirds of a refresh of the display.
const NEGLIGIBLE_US: i64 = 10_000;
/// How fast the hold falls, as a part of the pace: 125 ms in a second. Without sound, that pictures follow each other by an eighth
/// faster for a while is not noticed.
const DECAY: i64 = 8;
/// Pictures that are overdue by more than this are passed on at once.
const HOPELESS_US: i64 = 250_000;
/// Pictures further apart than this are not neighbours: some between them were lost.
const MAX_INTERVAL_US: i64 = 100_000;
/// Media time and arrival differ by more than this from one picture to the next: the sender's clock has jumped, or the stream has
/// been away so long that nothing of before is worth knowing.
const JUMP_US: i64 = 2_000_000;
/// Pictures that may wait; more than fit in [`MAX_HOLD`] at 60 a second. When it is full, the oldest is due at once.
const WAITING: usize = 64;

/// Whole access units that wait until they are due, and what was learnt about when they come.
#[derive(Debug)]
pub struct Playout {
    waiting: VecDeque<Waiting>,
    epoch: Instant,
    last: Option<Last>,
    /// When a picture came, and its transit in µs, the clocks' difference included.
    transits: VecDeque<(Instant, i64)>,
    sorted: Vec<i64>,
    base_us: i64,
    hold_us: i64,
    /// RFC 3550, section 6.4.1, of whole pictures instead of packets.
    jitter_us: f64,
    /// When the last picture was passed on.
    released: Option<Instant>,
    late: u64,
}

#[derive(Debug)]
struct Waiting {
    unit: Unit,
    /// Capture time by the sender's clock, from the stream's first picture.
    media_us: i64,
    /// To the picture before it.
    interval_us: i64,
    came: Instant,
}

/// The picture that came last.
#[derive(Clone, Copy, Debug)]
struct Last {
    timestamp: u32,
    media_us: i64,
    transit_us: i64,
}

impl Playout {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            waiting: VecDeque::new(),
            epoch: now,
            last: None,
            transits: VecDeque::with_capacity(TRANSITS),
            sorted: Vec::with_capacity(TRANSITS),
            base_us: 0,
            hold_us: 0,
            jitter_us: 0.0,
            released: None,
            late: 0,
        }
    }

    /// A unit became decodable at `now`. Units come in the order of decoding.
    pub(super) fn push(&mut self, unit: Unit, now: Instant) {
        let arrival_us = now.saturating_duration_since(self.epoch).as_micros() as i64;
        let mut step_us = 0;
        if let Some(last) = self.last {
            // 90 kHz (RFC 6184); the difference on the circle of timestamps, up to 6.6 hours either way.
            step_us = i64::from(unit.timestamp.wrapping_sub(last.timestamp) as i32) * 100 / 9;
            let transit_us = arrival_us - last.media_us - step_us;
            if step_us <= 0 || (transit_us - last.transit_us).abs() > JUMP_US {
                self.forget();
                step_us = 0;
            }
        }
        let media_us = self.last.map_or(0, |last| last.media_us + step_us);
        let transit_us = arrival_us - media_us;
        if let Some(last) = self.last {
            self.jitter_us += ((transit_us - last.transit_us).abs() as f64 - self.jitter_us) / 16.0;
        }
        self.last = Some(Last { timestamp: unit.timestamp, media_us, transit_us });
        self.learn(transit_us, step_us, now);
        if transit_us > self.base_us + self.hold_us + NEGLIGIBLE_US {
            self.late += 1;
        }
        self.waiting.push_back(Waiting { unit, media_us, interval_us: step_us, came: now });
    }

    /// The stream starts anew; what waits is due at once.
    fn forget(&mut self) {
        self.last = None;
        self.transits.clear();
        self.hold_us = 0;
        for waiting in &mut self.waiting {
            // Before every time that will be asked for.
            waiting.media_us = i64::MIN / 2;
        }
    }

    fn learn(&mut self, transit_us: i64, interval_us: i64, now: Instant) {
        let old = |came: Instant| now.saturating_duration_since(came) > MEMORY;
        while self.transits.len() >= TRANSITS || self.transits.front().is_some_and(|(came, _)| old(*came)) {
            self.transits.pop_front();
        }
        self.transits.push_back((now, transit_us));
        self.sorted.clear();
        self.sorted.extend(self.transits.iter().map(|(_, transit_us)| *transit_us));
        // Two may always be late, so that the first keyframe, which is large, or one that a change of size needs, is no reason.
        let late = ((self.sorted.len() as f64 * LATE_SHARE) as usize).max(2);
        let kept = (self.sorted.len() - 1).saturating_sub(late);
        let (before, usual, _) = self.sorted.select_nth_unstable(kept);
        let base_us = before.iter().copied().min().unwrap_or(*usual).min(*usual);
        let lateness_us = (*usual - base_us).min(MAX_HOLD.as_micros() as i64);
        let wanted_us = if lateness_us > NEGLIGIBLE_US { lateness_us } else { 0 };
        if self.transits.len() > 1 && base_us > self.base_us {
            // The path has become longer and all pictures come later: they are not to wait twice for that.
            self.hold_us = (self.hold_us + self.base_us - base_us).max(0);
        }
        self.base_us = base_us;
        // Up: each picture is shown for at most twice its time. Down: too slow to be seen.
        let interval_us = interval_us.min(MAX_INTERVAL_US);
        let step_us = (wanted_us - self.hold_us).clamp(-interval_us / DECAY, interval_us);
        self.hold_us += step_us;
    }

    /// When the first unit that waits is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let first = self.waiting.front()?;
        if self.waiting.len() > WAITING {
            return Some(first.came);
        }
        let due_us = first.media_us.saturating_add(self.base_us + self.hold_us);
        let due = self.epoch + Duration::from_micros(due_us.max(0) as u64);
        let late_us = first.came.saturating_duration_since(due).as_micros() as i64;
        // At most twice the pace.
        let pause = Duration::from_micros(if late_us > HOPELESS_US {
            0
        } else {
            first.interval_us.min(MAX_INTERVAL_US) as u64 / 2
        });
        let paced = self.released.map_or(due, |released| due.max(released + pause));
        Some(paced.min(first.came + MAX_HOLD))
    }

    /// Takes out the first unit if it is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<Unit> {
        self.deadline().filter(|due| *due <= now)?;
        self.released = Some(now);
        self.waiting.pop_front().map(|waiting| waiting.unit)
    }

    /// Whether a keyframe waits.
    pub(super) fn has_keyframe(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.unit.keyframe)
    }

    /// Drops all that waits.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// What the hold adds now to the delay of the path.
    pub fn hold(&self) -> Duration {
        Duration::from_micros(self.hold_us as u64)
    }

    /// The jitter of whole pictures.
    pub fn jitter(&self) -> Duration {
        Duration::from_micros(self.jitter_us as u64)
    }

    /// Pictures that came after they were due, since the last call.
    pub fn take_late(&mut self) -> u64 {
        std::mem::take(&mut self.late)
    }
}
