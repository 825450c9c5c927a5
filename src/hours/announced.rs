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
        if schedule.is_always() {
            let offset = schedule.offset(now).seconds();
            return vec![Self(Timestamp::MIN.as_second(), Timestamp::MAX.as_second(), offset)];
        }
        let told = schedule.open_from(now).take(MOST_ANNOUNCED);
        told.map(|open| {
            let begins = open.from.max(now);
            Self(open.from.as_second(), open.to.as_second(), schedule.offset(begins).seconds())
        })
        .collect()
    }

    /// What was told, as far as it can be: nothing that is no interval, no more than [`MOST_ANNOUNCED`], and each after the one before.
    pub fn read(told: &[Self]) -> Vec<(Interval, Offset)> {
        let mut read: Vec<(Interval, Offset)> = Vec::new();
        for &Self(from, to, offset) in told.iter().take(MOST_ANNOUNCED) {
            let (Ok(from), Ok(to)) = (Timestamp::from_second(from), Timestamp::from_second(to)) else { continue };
            let Ok(offset) = Offset::from_seconds(offset) else { continue };
            if from < to && read.last().is_none_or(|(last, _)| last.to < from) {
                read.push((Interval { from, to }, offset));
            }
        }
        read
    }
}
