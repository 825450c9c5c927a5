//! The rate of sources that have no clock of their own.

use std::time::{Duration, Instant};

/// Absolute deadlines, so that waking late once never shifts what follows and the rate does not drift.
#[derive(Clone, Debug)]
pub struct Pace {
    start: Option<Instant>,
    period: Duration,
    tick: u32,
}

impl Pace {
    /// One tick every `period`, beginning at the first wait.
    pub fn new(period: Duration) -> Self {
        Self { start: None, period: period.max(Duration::from_micros(1)), tick: 0 }
    }

    /// `fps` ticks per second.
    pub fn per_second(fps: u32) -> Self {
        Self::new(Duration::from_secs(1) / fps.max(1))
    }

    /// The time from one tick to the next.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// When the next tick is due. Ticks that passed while nobody asked are left out, not made up for in a burst.
    pub fn next(&mut self, now: Instant) -> Instant {
        let start = *self.start.get_or_insert(now);
        let passed = (now.saturating_duration_since(start).as_nanos() / self.period.as_nanos()) as u32;
        let due = start + self.period * self.tick.max(passed);
        self.tick = self.tick.max(passed).saturating_add(1);
        if self.tick >= 1 << 20 {
            // Multiplying stays far from overflow, and a portal runs for months.
            (self.start, self.tick) = (Some(due + self.period), 0);
        }
        due
    }

    /// Sleeps until the next tick and returns the moment of waking.
    pub fn wait(&mut self) -> Instant {
        let due = self.next(Instant::now());
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn late_wakings_do_not_shift_the_rest_and_gaps_are_not_made_up_for() {
        let (mut pace, start) = (Pace::new(Duration::from_millis(10)), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        // (asked at, due at)
        for (now, due) in [(0, 0), (1, 10), (14, 20), (20, 30), (38, 40), (95, 90), (95, 100), (101, 110)] {
            assert_eq!(pace.next(at(now)), at(due), "asked at {now} ms");
        }
    }

    #[test]
    fn months_do_not_overflow() {
        let (mut pace, start) = (Pace::per_second(30), Instant::now());
        pace.next(start);
        pace.tick = (1 << 20) - 1;
        let due = pace.next(start);
        assert_eq!(pace.next(start), due + pace.period());
    }
}
