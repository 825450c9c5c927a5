//! What one portal tells the other of its opening hours: its next intervals as moments, so that neither needs the other's rules or zones.

use super::schedule::{Interval, Schedule};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// So many intervals are told: little enough for one small message.
pub const MOST_ANNOUNCED: usize = 12;
/// So many of them are the next ones; the rest are those around the first opening of the far end after these, so that a place that is closed for
/// weeks learns whether the other one is open then.
const NEXT: usize = MOST_ANNOUNCED / 2;
/// The far end's openings are looked at so far ahead, as our own are: its clock, or its word, may be wrong.
const AHEAD: SignedDuration = SignedDuration::from_hours(400 * 24);

/// An interval as it is told: seconds since 1970 of its first moment and of the one after its last, and by how many seconds the clocks
/// of that place are ahead of UTC at its first. As an array, because it is sent again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced(i64, i64, i32);

impl Announced {
    /// What is to be told at `now`, to a far end that told `far` itself. Of a place that never closes, that it is open at all times: also by the
    /// clock of a machine that has not heard yet what year it is.
    pub fn of(schedule: &Schedule, far: Option<&[Self]>, now: Timestamp) -> Vec<Self> {
        if schedule.is_always() {
            return Self::parts(schedule, [Interval { from: Timestamp::MIN, to: Timestamp::MAX }].into_iter(), now)
                .collect();
        }
        let mut told: Vec<Self> = Self::parts(schedule, schedule.open_from(now), now).take(NEXT).collect();
        let Some(&Self(_, until_s, _)) = told.last() else { return told };
        let until = Timestamp::from_second(until_s).unwrap_or(now);
        let horizon = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        let theirs = far.map(Self::read).unwrap_or_default().into_iter().map(|(open, _)| open);
        let later =
            theirs.filter(|open| open.from < horizon).find(|open| open.to > until).map_or(until, |open| open.from);
        let later = Self::parts(schedule, schedule.open_from(later.max(until)), later.max(until));
        told.extend(later.filter(|part| part.0 >= until_s).take(NEXT));
        told
    }

    /// Intervals as they are told, of a place that looks at them at `at`.
    fn parts(
        schedule: &Schedule,
        intervals: impl Iterator<Item = Interval>,
        at: Timestamp,
    ) -> impl Iterator<Item = Self> {
        intervals.flat_map(move |open| {
            let begins = open.from.max(at);
            let whole = |from: Timestamp, to: Timestamp, at| {
                Self(from.as_second(), to.as_second(), schedule.offset(at).seconds())
            };
            // Where the clocks change meanwhile, one ends and another begins: what the slate says after that is by the new time.
            match schedule.clocks_change(begins).filter(|at| *at < open.to) {
                Some(at) => [Some(whole(open.from, at, begins)), Some(whole(at, open.to, at))],
                None => [Some(whole(open.from, open.to, begins)), None],
            }
            .into_iter()
            .flatten()
        })
    }

    /// What was told, as far as it can be: nothing that is no interval, no more than [`MOST_ANNOUNCED`], and none before the end of the one before.
    pub fn read(told: &[Self]) -> Vec<(Interval, Offset)> {
        let mut read: Vec<(Interval, Offset)> = Vec::new();
        for &Self(from, to, offset) in told.iter().take(MOST_ANNOUNCED) {
            let (Ok(from), Ok(to)) = (Timestamp::from_second(from), Timestamp::from_second(to)) else { continue };
            let Ok(offset) = Offset::from_seconds(offset) else { continue };
            if from < to && read.last().is_none_or(|(last, _)| last.to <= from) {
                read.push((Interval { from, to }, offset));
            }
        }
        read
    }
}
