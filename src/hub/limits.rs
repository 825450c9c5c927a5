//! How fast a client may speak.

use std::time::{Duration, Instant};

/// A bucket of `burst` messages that is filled again with `per_s` a second. Who finds it empty has to wait; nothing is lost.
#[derive(Debug)]
pub struct Allowance {
    burst: f64,
    per_s: f64,
    left: f64,
    at: Instant,
}

impl Allowance {
    /// A full bucket.
    pub fn new(burst: u32, per_s: u32, now: Instant) -> Self {
        Self { burst: burst.into(), per_s: per_s.into(), left: burst.into(), at: now }
    }

    /// Takes one; returns how long to wait before the next.
    pub fn take(&mut self, now: Instant) -> Duration {
        let elapsed = now.saturating_duration_since(self.at).as_secs_f64();
        self.at = self.at.max(now);
        self.left = (self.left + elapsed * self.per_s).min(self.burst) - 1.0;
        // One message's time at most, since nobody takes a second one before that is over.
        Duration::from_secs_f64((-self.left / self.per_s).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_a_rate() {
        let start = Instant::now();
        let mut allowance = Allowance::new(100, 20, start);
        let (mut now, mut taken) = (start, 0);
        while now < start + Duration::from_secs(10) {
            now += allowance.take(now);
            taken += 1;
        }
        assert!((299..=302).contains(&taken), "{taken}");
        let mut allowance = Allowance::new(100, 20, start);
        assert!((0..100).all(|_| allowance.take(start).is_zero()));
        assert_eq!(allowance.take(start), Duration::from_millis(50));
    }
}
