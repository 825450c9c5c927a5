//! One clock for a portal's whole life, that never steps.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Relates the monotonic clock to a time line that can be sent to another machine: wall-clock time as it was when the portal
/// started, carried on by the monotonic clock. A step of the wall clock (NTP, an operator) never shows in it.
#[derive(Clone, Copy, Debug)]
pub struct PortalClock {
    origin: Instant,
    origin_unix: Duration,
}

impl PortalClock {
    /// A clock that starts now.
    pub fn start() -> Self {
        let origin_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { origin: Instant::now(), origin_unix }
    }

    /// The moment on the sendable time line, since 1970.
    pub fn since_unix(&self, at: Instant) -> Duration {
        match at.checked_duration_since(self.origin) {
            Some(after) => self.origin_unix + after,
            None => self.origin_unix.saturating_sub(self.origin - at),
        }
    }

    /// The other way round; `None` for what this machine's monotonic clock cannot express.
    pub fn instant(&self, since_unix: Duration) -> Option<Instant> {
        if since_unix >= self.origin_unix {
            self.origin.checked_add(since_unix - self.origin_unix)
        } else {
            self.origin.checked_sub(self.origin_unix - since_unix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let clock = PortalClock::start();
        for at in [Instant::now(), clock.origin + Duration::from_secs(9), clock.origin - Duration::from_millis(3)] {
            assert_eq!(clock.instant(clock.since_unix(at)), Some(at));
        }
    }
}
