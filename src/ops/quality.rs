//! How good the link is, in one word, for the log and whoever watches many portals.
//!
//! | | at least one of |
//! |---|---|
//! | bad | a second of the last ten without motion; 15 % of the packets missing, either way; a round trip of a second |
//! | weak | a freeze in the last ten seconds; 3 % missing; a round trip of 400 ms; pictures made smaller for the path |
//! | good | none of these |
//!
//! Missing is before repair: repair hides it, and it is what the site's network is to be judged by. A change is told when it has lasted:
//! 3 s for the worse, 20 s for the better, so that a link on the edge between two classes does not fill the log.

use super::SizeReason;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

/// The class of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// There has been no picture to judge by.
    #[default]
    Unknown,
    /// Nothing to complain about.
    Good,
    /// People may notice.
    Weak,
    /// People do notice.
    Bad,
}

impl Quality {
    /// Every one, for those who list or test them all.
    pub const ALL: [Self; 4] = [Self::Unknown, Self::Good, Self::Weak, Self::Bad];
}

impl fmt::Display for Quality {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Unknown => "unknown",
            Self::Good => "good",
            Self::Weak => "weak",
            Self::Bad => "bad",
        })
    }
}

/// What the link is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Signs {
    /// How long there was no motion in the last ten seconds, frozen or interrupted.
    pub still: Duration,
    /// Freezes in the last ten seconds.
    pub freezes: u64,
    /// The share of the far end's packets that were missing at first, in the last ten seconds.
    pub missing_in: f64,
    /// The same of ours, as the far end reports it.
    pub missing_out: f64,
    /// Zero while unknown.
    pub round_trip: Duration,
    /// Why our pictures have the size that they have.
    pub size: SizeReason,
}

/// A share above which the link is weak, and bad.
const MISSING: (f64, f64) = (0.03, 0.15);
/// A round trip above which it is.
const ROUND_TRIP: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(1));
/// Time without motion in ten seconds above which it is bad.
const STILL: Duration = Duration::from_secs(1);

/// The class of these signs, and what led to it, for people.
fn class(signs: &Signs) -> (Quality, String) {
    let of = |above_weak, above_bad| match (above_weak, above_bad) {
        (_, true) => Quality::Bad,
        (true, false) => Quality::Weak,
        (false, false) => Quality::Good,
    };
    let missing = |share| of(share >= MISSING.0, share >= MISSING.1);
    let percent = |share: f64| format!("{:.0} % of", 100.0 * share);
    let still = signs.still.as_secs_f64();
    let judged = [
        (
            of(signs.freezes > 0 || !signs.still.is_zero(), signs.still >= STILL),
            format!("{still:.1} of 10 s without motion"),
        ),
        (missing(signs.missing_in), percent(signs.missing_in) + " the far end's packets missing at first"),
        (missing(signs.missing_out), percent(signs.missing_out) + " our packets missing at first"),
        (
            of(signs.round_trip >= ROUND_TRIP.0, signs.round_trip >= ROUND_TRIP.1),
            format!("a round trip of {} ms", signs.round_trip.as_millis()),
        ),
        (of(signs.size == SizeReason::Path, false), "the path carries less than our full size needs".to_owned()),
    ];
    let class = judged.iter().map(|(class, _)| *class).max().unwrap_or_default();
    let reasons: Vec<_> =
        judged.into_iter().filter(|(class, _)| *class > Quality::Good).map(|(_, reason)| reason).collect();
    (class, reasons.join(", "))
}

/// A change of class, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QualityChange {
    /// What it was.
    pub from: Quality,
    /// What it is.
    pub to: Quality,
    /// What led to it; empty when all is well.
    pub reasons: String,
}

impl fmt::Display for QualityChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.from {
            Quality::Unknown => write!(out, "the link is {}", self.to)?,
            from => write!(out, "the link is {} now, it was {from}", self.to)?,
        }
        if self.reasons.is_empty() { Ok(()) } else { write!(out, ": {}", self.reasons) }
    }
}

/// For how long a worse class must last.
const WORSE_AFTER: Duration = Duration::from_secs(3);
/// For how long a better one must.
const BETTER_AFTER: Duration = Duration::from_secs(20);

/// A change that has not lasted long enough yet.
#[derive(Debug)]
struct Turn {
    /// Since when all signs have been on one side of the class in force.
    since: Instant,
    /// The class among theirs that is nearest to it: what the change would be to.
    to: Quality,
    /// What led to that class when it was last seen.
    reasons: String,
}

/// Tells changes that last from those that do not. Pure: time is told.
#[derive(Debug, Default)]
pub(super) struct Judge {
    quality: Quality,
    turning: Option<Turn>,
}

impl Judge {
    /// The class in force.
    pub fn quality(&self) -> Quality {
        self.quality
    }

    /// Takes the signs of this second; `None` while nothing is to be seen on purpose, which says nothing about the link.
    pub fn observe(&mut self, signs: Option<&Signs>, now: Instant) -> Option<QualityChange> {
        let Some(signs) = signs else {
            self.turning = None;
            return None;
        };
        let (seen, reasons) = class(signs);
        if seen == self.quality {
            self.turning = None;
            return None;
        }
        // Bad seconds among weak ones count as weak, so that the turn is neither forgotten nor exaggerated.
        let worse = seen > self.quality;
        let turn = match self.turning.take() {
            Some(turn) if (turn.to > self.quality) == worse => {
                let nearer = if worse { seen <= turn.to } else { seen >= turn.to };
                if nearer { Turn { to: seen, reasons, ..turn } } else { turn }
            }
            _ => Turn { since: now, to: seen, reasons },
        };
        let lasting = if worse { WORSE_AFTER } else { BETTER_AFTER };
        if now.saturating_duration_since(turn.since) < lasting {
            self.turning = Some(turn);
            return None;
        }
        let from = std::mem::replace(&mut self.quality, turn.to);
        Some(QualityChange { from, to: turn.to, reasons: turn.reasons })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes() {
        let ms = Duration::from_millis;
        let fine = Signs { round_trip: ms(40), ..Signs::default() };
        for (signs, expected, words) in [
            (fine, Quality::Good, ""),
            (Signs { freezes: 1, still: ms(300), ..fine }, Quality::Weak, "0.3 of 10 s without motion"),
            (Signs { still: ms(1000), ..fine }, Quality::Bad, "1.0 of 10 s"),
            (Signs { missing_in: 0.029, ..fine }, Quality::Good, ""),
            (Signs { missing_in: 0.031, ..fine }, Quality::Weak, "3 % of the far end's packets"),
            (Signs { missing_out: 0.2, ..fine }, Quality::Bad, "20 % of our packets"),
            (Signs { round_trip: ms(600), ..fine }, Quality::Weak, "600 ms"),
            (Signs { size: SizeReason::Path, ..fine }, Quality::Weak, "path carries less"),
            (Signs { missing_out: 0.2, freezes: 1, ..fine }, Quality::Bad, "0.0 of 10 s without motion, 20 % of our"),
        ] {
            let (class, reasons) = class(&signs);
            assert_eq!(class, expected, "{signs:?}");
            assert!(reasons.contains(words) && reasons.is_empty() == words.is_empty(), "{reasons}");
        }
    }

    const SECOND: Duration = Duration::from_secs(1);
    const FINE: Signs = Signs {
        still: Duration::ZERO,
        freezes: 0,
        missing_in: 0.0,
        missing_out: 0.0,
        round_trip: Duration::ZERO,
        size: SizeReason::Full,
    };
    const WEAK: Signs = Signs { missing_out: 0.05, ..FINE };
    const BAD: Signs = Signs { missing_out: 0.3, ..FINE };

    /// Each second's signs; returns the changes with the second at which they were told.
    fn run(seconds: &[(u64, Option<&Signs>)]) -> Vec<(u64, String)> {
        let (start, mut judge, mut second, mut changes) = (Instant::now(), Judge::default(), 0, Vec::new());
        for (times, signs) in seconds {
            for _ in 0..*times {
                if let Some(change) = judge.observe(*signs, start + Duration::from_secs(second)) {
                    changes.push((second, change.to.to_string()));
                }
                second += 1;
            }
        }
        changes
    }

    #[test]
    fn a_change_is_told_once_and_only_if_it_lasts() {
        let told = |changes: &[(u64, &str)]| changes.iter().map(|(at, to)| (*at, (*to).to_owned())).collect::<Vec<_>>();
        for (name, seconds, expected) in [
            ("steady", vec![(600, Some(&FINE))], vec![(3, "good")]),
            ("a hiccup", vec![(10, Some(&FINE)), (3, Some(&WEAK)), (60, Some(&FINE))], vec![(3, "good")]),
            ("worse", vec![(10, Some(&FINE)), (60, Some(&WEAK))], vec![(3, "good"), (13, "weak")]),
            ("better", vec![(10, Some(&BAD)), (60, Some(&FINE))], vec![(3, "bad"), (30, "good")]),
            (
                "bad seconds among weak ones are weak",
                vec![(10, Some(&FINE)), (2, Some(&BAD)), (1, Some(&WEAK)), (2, Some(&BAD))],
                vec![(3, "good"), (13, "weak")],
            ),
            ("nothing to be seen on purpose", vec![(10, Some(&FINE)), (600, None)], vec![(3, "good")]),
        ] {
            assert_eq!(run(&seconds), told(&expected), "{name}");
        }
    }

    #[test]
    fn the_reasons_are_those_of_the_class() {
        let start = Instant::now();
        let still = Signs { still: Duration::from_millis(700), freezes: 1, ..FINE };
        for (seconds, expected) in [
            ([&FINE, &FINE, &FINE, &still], "the link is good"),
            ([&still, &FINE, &still, &still], "the link is good"),
            ([&WEAK, &BAD, &BAD, &BAD], "the link is weak: 5 % of our packets missing at first"),
            ([&BAD, &BAD, &WEAK, &still], "the link is weak: 0.7 of 10 s without motion"),
        ] {
            let mut judge = Judge::default();
            let told = (0..).zip(seconds).filter_map(|(n, signs)| judge.observe(Some(signs), start + n * SECOND));
            assert_eq!(told.map(|change| change.to_string()).collect::<Vec<_>>(), [expected]);
        }
    }

    /// From bad to better the nearest class is the worst that was seen.
    #[test]
    fn the_reasons_for_the_better_are_those_of_the_class() {
        let (start, mut judge, mut told) = (Instant::now(), Judge::default(), vec![]);
        for second in 0..40 {
            let signs = if second < 5 {
                &BAD
            } else if second == 6 {
                &WEAK
            } else {
                &FINE
            };
            told.extend(judge.observe(Some(signs), start + second * SECOND).map(|change| change.to_string()));
        }
        let weak = "the link is weak now, it was bad: 5 % of our packets missing at first";
        assert_eq!(told, ["the link is bad: 30 % of our packets missing at first", weak]);
    }

    #[test]
    fn an_edge_does_not_fill_the_log() {
        let edge: Vec<_> = (0..600).map(|n| (1, Some(if n % 5 == 0 { &FINE } else { &WEAK }))).collect();
        assert!(run(&edge).len() <= 2, "{:?}", run(&edge));
    }
}
