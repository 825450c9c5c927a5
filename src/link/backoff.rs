//! How long to wait before the next attempt.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(15);
/// The delay is spread by this share both ways, so that two portals that failed together do not go on in step.
const JITTER: f64 = 0.2;

/// The delay after `failures` attempts in a row without a picture (none: at once): 0.5 s, doubling to 15 s. `random` is from
/// 0 to 1.
pub(super) fn delay(failures: u32, random: f64) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let delay = FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST);
    delay.mul_f64(1.0 + JITTER * (2.0 * random.clamp(0.0, 1.0) - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_fifteen_seconds_and_stays() {
        let seconds = |failures| delay(failures, 0.5).as_secs_f64();
        let table =
            [(0, 0.0), (1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 8.0), (6, 15.0), (7, 15.0), (u32::MAX, 15.0)];
        for (failures, expected) in table {
            assert_eq!(seconds(failures), expected, "{failures}");
        }
        assert_eq!(delay(6, 0.0), Duration::from_secs(12));
        assert_eq!(delay(6, 9.0), Duration::from_secs(18));
    }
}
