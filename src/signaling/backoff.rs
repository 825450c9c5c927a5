//! When to dial again.

use std::time::{Duration, Instant};

/// For so long after a loss (or the start) the dialler is eager: a far end that was killed and started again, and a network that
/// was gone for a minute, are to be met again within a fraction of a second, and one attempt costs a few packets.
const EAGER: Duration = Duration::from_secs(120);
const EAGER_DELAYS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(250));

/// After that the delay doubles from the first to the last.
const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// A connection that ended sooner did not mend anything: two programs with the same identity, or a far end that has pinned
/// somebody else, must not make us dial eagerly for long.
const LASTING: Duration = Duration::from_secs(10);
const EAGER_IN_VAIN: Duration = Duration::from_secs(10);

/// How long to wait before each attempt to dial; for ever, never longer than 5 s.
#[derive(Debug)]
pub struct Backoff {
    eager_until: Instant,
    /// The upper end of the next delay once eagerness is over.
    delay: Duration,
}

impl Backoff {
    /// Nothing has been dialled yet; the first attempt needs no delay.
    pub fn new(now: Instant) -> Self {
        Self { eager_until: now + EAGER, delay: FIRST_DELAY }
    }

    /// An attempt failed, or a connection ended; `random` is from 0 to 1 and keeps two portals out of step.
    pub fn next_delay(&mut self, now: Instant, random: f64) -> Duration {
        let random = random.clamp(0.0, 1.0);
        if now < self.eager_until {
            let (shortest, longest) = EAGER_DELAYS;
            return shortest + (longest - shortest).mul_f64(random);
        }
        let longest = self.delay;
        self.delay = (self.delay * 2).min(LONGEST_DELAY);
        longest.mul_f64(0.75 + 0.25 * random)
    }

    /// A connection (whoever made it) that came up at `since` ended at `now`.
    pub fn connection_ended(&mut self, since: Instant, now: Instant) {
        if now.saturating_duration_since(since) >= LASTING {
            *self = Self::new(now);
        } else {
            self.refused(now);
        }
    }

    /// The far end was reached, and it was no use.
    pub fn refused(&mut self, now: Instant) {
        self.eager_until = self.eager_until.min(now + EAGER_IN_VAIN);
    }

    /// This machine has other addresses, or the path is doubted: what failed before may work now, but perhaps not in the first
    /// instant, as before the new route is there. The delays begin anew, eagerness does not.
    pub fn doubted(&mut self) {
        self.delay = FIRST_DELAY;
    }

    /// Somebody asked to dial now: as after a loss.
    pub fn begin_anew(&mut self, now: Instant) {
        *self = Self::new(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dials at a host that never answers (each attempt fails at once) for `seconds`; the delays in milliseconds.
    fn delays(backoff: &mut Backoff, start: Instant, seconds: u64, random: f64) -> Vec<u128> {
        let (mut now, mut delays) = (start, Vec::new());
        while now < start + Duration::from_secs(seconds) {
            let delay = backoff.next_delay(now, random);
            delays.push(delay.as_millis());
            now += delay;
        }
        delays
    }

    #[test]
    fn eager_then_doubling_to_five_seconds_for_ever() {
        for (random, eager, later) in [
            (1.0, 250, vec![250, 500, 1000, 2000, 4000, 5000, 5000]),
            (0.0, 100, vec![187, 375, 750, 1500, 3000, 3750, 3750]),
        ] {
            let start = Instant::now();
            let delays = delays(&mut Backoff::new(start), start, 86_400, random);
            let first = EAGER.as_millis() as usize / eager as usize;
            assert!(delays[..first].iter().all(|delay| *delay == eager), "{random}");
            assert_eq!(&delays[first..][..7], later, "{random}");
            assert!(delays[first + 7..].iter().all(|delay| *delay == later[6]), "{random}");
        }
    }

    #[test]
    fn eager_again_after_a_connection_that_lasted() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(start);
        delays(&mut backoff, start, 300, 1.0);
        let lost = start + 500 * second;
        backoff.connection_ended(start + 400 * second, lost);
        assert!(backoff.next_delay(lost, 1.0) <= Duration::from_millis(250));
    }

    /// Found on a busy machine: another address was seen a moment before its route was there, and dialling failed once more.
    #[test]
    fn a_doubt_makes_the_delays_begin_anew() {
        let start = Instant::now();
        let mut backoff = Backoff::new(start);
        delays(&mut backoff, start, 600, 1.0);
        let now = start + Duration::from_secs(600);
        backoff.doubted();
        assert_eq!(delays(&mut backoff, now, 4, 1.0), [250, 500, 1000, 2000, 4000]);
    }

    #[test]
    fn connections_that_do_not_last_are_made_less_and_less_often() {
        let start = Instant::now();
        let mut backoff = Backoff::new(start);
        let (mut now, mut connections) = (start, 0);
        while now < start + Duration::from_secs(600) {
            let up = now;
            now += Duration::from_millis(20);
            backoff.connection_ended(up, now);
            now += backoff.next_delay(now, 0.5);
            connections += 1;
        }
        assert!(connections < 10_000 / 175 + 600 / 4, "{connections}");
    }
}
