//! The least of the last while, in constant space.

use std::time::{Duration, Instant};

/// Values are remembered for between one and two of these.
const MEMORY: Duration = Duration::from_secs(10);

/// The least value of the last 10 to 20 seconds; of what came before a longer pause, nothing.
#[derive(Debug, Default)]
pub(super) struct Least {
    now: Option<f64>,
    before: Option<f64>,
    turned: Option<Instant>,
}

impl Least {
    pub fn add(&mut self, now: Instant, value: f64) {
        let passed = now.saturating_duration_since(*self.turned.get_or_insert(now));
        if passed > MEMORY {
            self.turned = Some(now);
            // During a night without pictures the clocks of two machines part by seconds.
            self.before = self.now.take().filter(|_| passed <= 2 * MEMORY);
        }
        self.now = Some(self.now.map_or(value, |least| least.min(value)));
    }

    /// Nothing is forgotten for another while.
    pub fn keep(&mut self, now: Instant) {
        self.turned = Some(now);
    }

    pub fn get(&self) -> Option<f64> {
        [self.now, self.before].into_iter().flatten().reduce(f64::min)
    }
}
