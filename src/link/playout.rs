//! When a picture is due: as soon as the network allows it, and no sooner than at its pace (pure).
//!
//! A picture's *transit* is the time from its capture to the moment when it is whole and can be decoded. The shortest transit of the
//! last seconds is the base; what others take longer is their lateness: jitter, queues, and repairs of lost packets. The hold is
//! that lateness which all but a few in a hundred keep to, and each picture is due at its capture time + base + hold. So motion is
//! even, and the delay is no longer than this network makes necessary: none at all where pictures come within a few milliseconds.
//! Lateness that does not come again is no reason for a hold: a path that has narrowed drains its queue once, within a second.
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
/// Lateness counts from the third of the last seconds on in which it was seen.
const RECURRING: usize = 3;
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
        let recurring_us = recurring(&self.transits, now).unwrap_or(base_us);
        let lateness_us = (recurring_us.min(*usual) - base_us).min(MAX_HOLD.as_micros() as i64);
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

/// The longest transit that was reached in [`RECURRING`] of the last seconds; `None` before there were so many.
fn recurring(transits: &VecDeque<(Instant, i64)>, now: Instant) -> Option<i64> {
    let mut longest = [i64::MIN; MEMORY.as_secs() as usize + 1];
    for (came, transit_us) in transits {
        let second = now.saturating_duration_since(*came).as_secs() as usize;
        if let Some(longest) = longest.get_mut(second) {
            *longest = (*longest).max(*transit_us);
        }
    }
    longest.sort_unstable();
    Some(longest[longest.len() - RECURRING]).filter(|transit_us| *transit_us != i64::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    const INTERVAL_MS: u64 = 33;

    /// Pictures at 30 a second from 1 s on, each `late_ms` of its number after it was taken (on another clock). Returns, for each,
    /// the age at which it was passed on, and the playout at the end.
    fn play(count: u64, late_ms: impl Fn(u64) -> u64) -> (Vec<u64>, Playout) {
        let start = Instant::now();
        let ms = |at: u64| start + Duration::from_millis(at);
        let (mut playout, mut ages, mut next) = (Playout::new(start), vec![], 0);
        let mut came = 0;
        for now in 1_000.. {
            while next < count {
                // What came before it holds a picture back, as in the assembler.
                came = came.max(1_000 + next * INTERVAL_MS + late_ms(next));
                if came > now {
                    break;
                }
                let timestamp = (next * INTERVAL_MS * 90) as u32;
                let (data, captured) = (Bytes::new(), Some(Duration::from_millis(1_000 + next * INTERVAL_MS)));
                playout.push(
                    Unit { data, keyframe: next == 0, captured, dependency: None, timestamp, first_arrived: ms(now) },
                    ms(now),
                );
                next += 1;
            }
            while let Some(unit) = playout.pop(ms(now)) {
                ages.push(now - unit.captured.unwrap().as_millis() as u64);
            }
            if ages.len() as u64 == count {
                break;
            }
        }
        (ages, playout)
    }

    #[test]
    fn on_a_lan_nothing_waits() {
        // Encoding takes 5 to 9 ms, and the first picture, which is large, 60 more.
        let late = |n: u64| if n == 0 { 65 } else { 5 + n * 7 % 5 };
        let (ages, playout) = play(900, late);
        assert_eq!(playout.hold(), Duration::ZERO);
        assert!((10..900).all(|n| ages[n] == late(n as u64)), "{ages:?}");
    }

    #[test]
    fn a_queue_that_drains_once_is_no_reason_for_a_hold() {
        // The path narrows: for 0.8 s each picture waits, up to 0.4 s.
        let late = |n: u64| if (300..325).contains(&n) { 20 + (n - 300).min(325 - n) * 33 } else { 20 };
        let (ages, playout) = play(600, late);
        assert_eq!(playout.hold(), Duration::ZERO);
        assert!(ages[345..].iter().all(|age| *age <= 21), "{:?}", &ages[300..360]);
    }

    #[test]
    fn the_hold_covers_jitter_and_no_more() {
        // 20 to 80 ms.
        let (ages, playout) = play(900, |n| 20 + n * 37 % 61);
        assert!((40..=60).contains(&playout.hold().as_millis()), "{:?}", playout.hold());
        let steady = &ages[300..];
        assert!(steady.iter().all(|age| (70..=85).contains(age)), "{steady:?}");
    }

    #[test]
    fn repairs_are_covered_where_they_are_usual() {
        let usual = |n: u64| if n.is_multiple_of(10) { 130 } else { 20 };
        let rare = |n: u64| if n.is_multiple_of(200) { 120 } else { 20 };
        assert!((100..=112).contains(&play(600, usual).1.hold().as_millis()));
        assert_eq!(play(600, rare).1.hold(), Duration::ZERO);
    }

    #[test]
    fn what_came_too_late_is_played_faster_and_none_is_left_out() {
        // The path stops for 100 ms.
        let (ages, _) = play(200, |n| if (100..103).contains(&n) { 20 + (103 - n) * INTERVAL_MS } else { 20 });
        assert_eq!(ages.len(), 200);
        let made_up = ages.iter().skip(100).position(|age| *age == 20).unwrap();
        assert!((5..9).contains(&made_up), "{:?}", &ages[98..120]);
        let gaps = ages.windows(2).map(|pair| INTERVAL_MS + pair[1] - pair[0]);
        assert!(gaps.skip(100).all(|gap| gap >= INTERVAL_MS / 2), "no two at once: {:?}", &ages[98..120]);
    }

    #[test]
    fn the_hold_rises_when_lateness_recurs_and_is_given_up_within_seconds() {
        let (ages, _) = play(900, |n| if (300..600).contains(&n) { 20 + n * 97 % 121 } else { 20 });
        // From the third second on.
        assert!(ages[390..600].iter().all(|age| *age >= 100), "{:?}", &ages[390..600]);
        assert!(ages[790..].iter().all(|age| *age == 20), "{:?}", &ages[750..800]);
    }

    #[test]
    fn never_more_than_the_limit_is_added() {
        let (ages, playout) = play(900, |n| 20 + n * 97 % 1_000);
        assert!(playout.hold() <= MAX_HOLD);
        assert!(ages.iter().all(|age| *age <= 20 + 1_000 + 400));
    }

    #[test]
    fn a_clock_that_jumps_begins_anew() {
        let start = Instant::now();
        let mut playout = Playout::new(start);
        for (n, timestamp) in [0, 3_000, 6_000, 4_000_000_000, 4_000_003_000, 10].into_iter().enumerate() {
            let now = start + Duration::from_millis(33 * n as u64);
            let unit = Unit {
                data: Bytes::new(),
                keyframe: false,
                captured: None,
                dependency: None,
                timestamp,
                first_arrived: now,
            };
            playout.push(unit, now);
            assert!(playout.pop(now + Duration::from_millis(20)).is_some(), "picture {n}");
        }
    }
}
