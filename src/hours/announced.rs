//! What one portal tells the other of its opening hours: its next intervals as moments, so that neither needs the other's rules or zones.

use super::schedule::{Interval, Schedule};
use jiff::Timestamp;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

/// So many intervals are told: for most places two weeks, and little enough for one small message.
pub const MOST_ANNOUNCED: usize = 12;

/// An interval as it is told: seconds since 1970 of its first moment and of the one after its last, and by how many seconds the clocks
/// of that place are ahead of UTC at its first. As an array, because it is sent again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Announced(i64, i64, i32);

impl Announced {
    /// What is to be told at `now`. Of a place that never closes, that it is open at all times: also by the clock of a machine that has not
    /// heard yet what year it is.
    pub fn of(schedule: &Schedule, now: Timestamp) -> Vec<Self> {
        let always = schedule.is_always().then_some(Interval { from: Timestamp::MIN, to: Timestamp::MAX });
        let intervals = always.into_iter().chain(schedule.open_from(now).filter(|_| always.is_none()));
        let told = intervals.flat_map(|open| {
            let begins = open.from.max(now);
            let whole = |from: Timestamp, to: Timestamp, at| {
                Self(from.as_second(), to.as_second(), schedule.offset(at).seconds())
            };
            // Where the clocks change meanwhile, one ends and another begins: what the slate says after that is by the new time.
            match schedule.clocks_change(begins).filter(|at| *at < open.to) {
                Some(at) => [Some(whole(open.from, at, begins)), Some(whole(at, open.to, at))],
                None => [Some(whole(open.from, open.to, begins)), None],
            }
        });
        told.flatten().take(MOST_ANNOUNCED).collect()
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
