//! How much is too much.

use std::time::{Duration, Instant};

/// How many messages may come: a bucket of [`Allowance::BURST`] that is filled again with [`Allowance::PER_SECOND`].
#[derive(Debug)]
pub struct Allowance {
    tokens: f64,
    at: Instant,
}

impl Allowance {
    /// A connection attempt takes two messages, and attempts come half a second apart at the most.
    pub const BURST: f64 = 64.0;
    /// What goes on for longer.
    pub const PER_SECOND: f64 = 16.0;

    /// A full bucket.
    pub fn new(now: Instant) -> Self {
        Self { tokens: Self::BURST, at: now }
    }

    /// Whether one more is allowed.
    pub fn take(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.tokens = (self.tokens + elapsed * Self::PER_SECOND).min(Self::BURST);
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

/// Keeps somebody outside from filling our log: one line in a while, with the number of those left out.
#[derive(Debug)]
pub struct Quiet {
    every: Duration,
    last: Option<Instant>,
    left_out: u64,
}

impl Quiet {
    /// One line in so long.
    pub fn every(every: Duration) -> Self {
        Self { every, last: None, left_out: 0 }
    }

    /// Whether to write a line now, and how many were left out since the last.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < self.every) {
            self.left_out += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        assert_eq!((0..1000).filter(|_| allowance.take(start)).count(), Allowance::BURST as usize);
        let flood = (0..10_000).map(|ms| start + Duration::from_millis(ms));
        let allowed = flood.filter(|at| allowance.take(*at)).count();
        assert!((159..=161).contains(&allowed), "{allowed}");
    }

    #[test]
    fn one_line_in_ten_seconds() {
        let start = Instant::now();
        let mut quiet = Quiet::every(Duration::from_secs(10));
        let lines: Vec<_> = (0..30).filter_map(|s| quiet.admit(start + Duration::from_secs(s))).collect();
        assert_eq!(lines, [0, 9, 9]);
    }
}
