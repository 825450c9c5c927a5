//! When to go back to a camera that is preferred to the one in use: a pure policy.
//!
//! The list in the configuration is the installer's word on which view is the right one, and at a kiosk nobody is there to switch
//! back by hand: so a better camera that has returned is taken back. But going back is a gap of about half a second in the picture,
//! and a camera that returned may go again (a loose cable, a tired hub): so only after it has been there for a while without a break,
//! and after each return that did not last, only after twice as long.

use std::time::{Duration, Instant};

/// How often somebody looks whether a better camera is there.
const LOOK: Duration = Duration::from_secs(2);
/// How long a better camera must have been there.
const CALM: Duration = Duration::from_secs(10);
/// The longest that one which never lasts is left alone.
const LONGEST: Duration = Duration::from_secs(600);
/// A return that held for so long was a good one.
const LASTING: Duration = Duration::from_secs(120);

/// See the module.
#[derive(Debug)]
pub(super) struct Failback {
    looked: Option<Instant>,
    /// Since when a better camera has been there.
    there_since: Option<Instant>,
    wait: Duration,
    returned: Option<Instant>,
}

impl Default for Failback {
    fn default() -> Self {
        Self { looked: None, there_since: None, wait: CALM, returned: None }
    }
}

impl Failback {
    /// Whether it is time to look for better cameras. Asked for each picture; true at most every two seconds.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= LOOK);
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// What was seen: whether a better camera is there. True when it is to be taken now.
    pub fn saw(&mut self, better: bool, now: Instant) -> bool {
        if !better {
            if self.returned.is_some_and(|at| now.saturating_duration_since(at) >= LASTING) {
                self.wait = CALM;
            }
            self.there_since = None;
            return false;
        }
        let since = *self.there_since.get_or_insert(now);
        if now.saturating_duration_since(since) < self.wait {
            return false;
        }
        // Taken for one that does not last until it has lasted.
        self.wait = (2 * self.wait).min(LONGEST);
        (self.there_since, self.returned) = (None, Some(now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a day, second by second; returns when the better camera was taken.
    fn taken(seconds: u64, is_there: impl Fn(u64, Option<u64>) -> bool) -> Vec<u64> {
        let (mut failback, start) = (Failback::default(), Instant::now());
        let mut taken: Vec<u64> = Vec::new();
        for second in 0..seconds {
            let now = start + Duration::from_secs(second);
            if failback.is_due(now) && failback.saw(is_there(second, taken.last().copied()), now) {
                taken.push(second);
            }
        }
        taken
    }

    #[test]
    fn a_camera_that_returned_is_taken_back_after_ten_calm_seconds() {
        // There from the 100th second on, and in use from when it was taken.
        assert_eq!(taken(1000, |second, last| second >= 100 && last.is_none()), [110]);
        // A cable that makes contact for eight seconds at a time.
        assert_eq!(taken(1000, |second, _| second % 10 < 8), Vec::<u64>::new());
    }

    #[test]
    fn one_that_never_lasts_is_tried_ever_more_seldom() {
        // It is there and never works, so it is better than the one in use at each look.
        let taken = taken(86_400, |_, _| true);
        assert_eq!(taken[..4], [10, 32, 74, 156], "10, 20, 40, 80 s after it was seen again");
        let last = taken[taken.len() - 1] - taken[taken.len() - 2];
        assert!((600..=604).contains(&last) && taken.len() < 155, "{} times a day", taken.len());
    }

    #[test]
    fn after_a_return_that_lasted_it_begins_with_a_short_wait() {
        // It goes for a minute every hour.
        let taken = taken(6 * 3600, |second, last| {
            let away = second % 3600 >= 3540;
            let in_use = last.is_some_and(|last| last / 3600 == second / 3600);
            !away && !in_use
        });
        assert_eq!(taken, [10, 3610, 7210, 10810, 14410, 18010]);
    }
}
