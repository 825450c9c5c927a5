//! Which code is shown, for how long, and when strangers have tried too often. Plain data; the time is passed in.

use super::code::Code;
use super::exchange::LIMIT;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A code counts for so long.
pub const CODE_LIFE: Duration = Duration::from_secs(600);
/// So many codes may be burnt ...
pub const BURNT: usize = 5;
/// ... within this time. One more has to wait.
pub const WITHIN: Duration = Duration::from_secs(3600);

/// What is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// This code, until then.
    Code(Code, Instant),
    /// None until then: too many were burnt.
    Paused(Instant),
}

/// Why somebody may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Somebody else is at it.
    #[error("it is being paired with another portal at this moment; try again in half a minute")]
    Busy,
    /// Too many codes were burnt.
    #[error("too many wrong codes were tried there; it shows a new code within the hour")]
    Paused,
}

impl Refusal {
    /// As [`super::exchange::Failure::close_code`].
    pub fn close_code(self) -> u16 {
        match self {
            Self::Busy => 4013,
            Self::Paused => 4014,
        }
    }
}

/// What one portal that waits for pairing remembers.
#[derive(Debug)]
pub struct Attempts {
    code: Option<(Code, Instant)>,
    burnt: VecDeque<Instant>,
    /// When the exchange under way is over at the latest.
    running: Option<Instant>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { code: None, burnt: VecDeque::with_capacity(BURNT), running: None }
    }
}

impl Attempts {
    /// What is to be seen now. `fresh` makes a code where one is needed.
    pub fn look(&mut self, now: Instant, fresh: impl FnOnce() -> Code) -> Showing {
        self.burnt.retain(|at| now.saturating_duration_since(*at) < WITHIN);
        self.running = self.running.filter(|until| now < *until);
        if let Some((code, until)) = self.code
            // Whoever is at it in the last moment may finish.
            && (now < until || self.running.is_some())
        {
            return Showing::Code(code, until);
        }
        if let Some(oldest) = self.burnt.front().filter(|_| self.burnt.len() >= BURNT) {
            self.code = None;
            return Showing::Paused(*oldest + WITHIN);
        }
        let (code, until) = (fresh(), now + CODE_LIFE);
        self.code = Some((code, until));
        Showing::Code(code, until)
    }

    /// Somebody begins an exchange: with this code, if he may.
    pub fn begin(&mut self, now: Instant, fresh: impl FnOnce() -> Code) -> Result<Code, Refusal> {
        match self.look(now, fresh) {
            _ if self.running.is_some() => Err(Refusal::Busy),
            Showing::Paused(_) => Err(Refusal::Paused),
            Showing::Code(code, _) => {
                self.running = Some(now + LIMIT);
                Ok(code)
            }
        }
    }

    /// The exchange is over. `spent`: a code was tried. Whatever came of it, this code is not used again.
    pub fn end(&mut self, now: Instant, spent: bool) {
        self.running = None;
        if spent {
            self.code = None;
            if self.burnt.len() >= BURNT {
                self.burnt.pop_front();
            }
            self.burnt.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Act {
        /// A code is shown, the n-th since the start.
        Shows(usize),
        /// Nothing is shown until this second.
        Paused(u64),
        /// Somebody begins, and gets in with the n-th code.
        Begins(usize),
        Busy,
        TooMany,
        /// The one who began leaves without a guess.
        Leaves,
        Guesses,
    }
    use Act::*;

    #[test]
    fn scenarios() {
        type Scenario<'a> = (&'a str, &'a [(u64, Act)]);
        let scenarios: &[Scenario] = &[
            (
                "a code lives ten minutes",
                &[(0, Shows(1)), (599, Shows(1)), (600, Shows(2)), (1199, Shows(2)), (1200, Shows(3))],
            ),
            ("a code that nobody asked for in a long time is over", &[(0, Shows(1)), (5000, Begins(2))]),
            (
                "a wrong guess burns it",
                &[(0, Shows(1)), (9, Begins(1)), (10, Guesses), (10, Shows(2)), (609, Shows(2)), (610, Shows(3))],
            ),
            ("one who leaves does not", &[(0, Shows(1)), (9, Begins(1)), (10, Leaves), (10, Shows(1))]),
            ("one at a time", &[(0, Shows(1)), (9, Begins(1)), (10, Busy), (20, Leaves), (20, Begins(1))]),
            (
                "one who stays away is forgotten after 30 s",
                &[(0, Shows(1)), (9, Begins(1)), (38, Busy), (39, Begins(1))],
            ),
            (
                "an exchange in the last second may finish",
                &[(0, Shows(1)), (599, Begins(1)), (610, Shows(1)), (611, Guesses), (611, Shows(2))],
            ),
            (
                "five an hour",
                &[
                    (0, Shows(1)),
                    (10, Begins(1)),
                    (10, Guesses),
                    (20, Begins(2)),
                    (20, Guesses),
                    (30, Begins(3)),
                    (30, Guesses),
                    (40, Begins(4)),
                    (40, Guesses),
                    (50, Begins(5)),
                    (50, Guesses),
                    (51, Paused(3610)),
                    (51, TooMany),
                    (3609, TooMany),
                    (3610, Begins(6)),
                    (3611, Guesses),
                    (3612, TooMany),
                    (3612, Paused(3620)),
                    (3620, Shows(7)),
                ],
            ),
        ];
        for (what, acts) in scenarios {
            let start = Instant::now();
            let (mut attempts, mut codes) = (Attempts::default(), Vec::new());
            for (second, act) in *acts {
                let now = start + Duration::from_secs(*second);
                let mut fresh = || {
                    codes.push(Code::random());
                    codes[codes.len() - 1]
                };
                match act {
                    Shows(n) => {
                        let Showing::Code(code, until) = attempts.look(now, &mut fresh) else {
                            panic!("{what}: {second}")
                        };
                        assert_eq!((codes.len(), code), (*n, codes[n - 1]), "{what}: {second}");
                        assert!(until <= now + CODE_LIFE);
                    }
                    Paused(until) => {
                        let expected = Showing::Paused(start + Duration::from_secs(*until));
                        assert_eq!(attempts.look(now, &mut fresh), expected, "{what}: {second}");
                    }
                    Begins(n) => {
                        let code = attempts.begin(now, &mut fresh).unwrap();
                        assert_eq!((codes.len(), code), (*n, codes[n - 1]), "{what}: {second}");
                    }
                    Busy => assert_eq!(attempts.begin(now, &mut fresh), Err(Refusal::Busy), "{what}: {second}"),
                    TooMany => assert_eq!(attempts.begin(now, &mut fresh), Err(Refusal::Paused), "{what}: {second}"),
                    Leaves => attempts.end(now, false),
                    Guesses => attempts.end(now, true),
                }
            }
        }
    }

    /// A stranger who tries without a pause, for a day.
    #[test]
    fn no_more_than_five_guesses_in_any_hour() {
        let (start, mut attempts, mut guesses) = (Instant::now(), Attempts::default(), Vec::new());
        for second in 0..86_400 {
            let now = start + Duration::from_secs(second);
            if attempts.begin(now, Code::random).is_ok() {
                attempts.end(now, true);
                guesses.push(second);
            }
        }
        assert_eq!(guesses.len(), 5 * 24);
        assert!(guesses.windows(6).all(|six| six[5] - six[0] >= 3600));
    }
}
