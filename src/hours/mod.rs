//! Opening hours: when this place is open, when both are, and what people are told of it. Pure: the time is given.
//!
//! | | |
//! |---|---|
//! | [`Config`] | section `[hours]`, and how its lines are read |
//! | [`Schedule`] | the intervals of time that it means, across the changes of a zone's clocks |
//! | [`Announced`] | the next of these, as the far end is told |
//! | [`verdict`] | whether both are open now, and the sentence for the slate |
//!
//! The zones come from [`jiff`]: the system's database first (`/usr/share/zoneinfo`), because governments change the rules while a portal
//! hangs on its wall and the system's updates follow them; jiff's own copy where a small system has none.
//!
//! Nothing here waits for a moment: who uses it asks again each minute what is true now. So a clock that is set at the first NTP
//! synchronisation, a machine that slept, and the change to summer time need no care of their own.

mod announced;
mod config;
mod schedule;
mod verdict;

pub use announced::{Announced, MOST_ANNOUNCED};
pub use config::Config;
pub(crate) use config::minutes;
pub use schedule::{Interval, Schedule};
pub use verdict::{Verdict, verdict};

#[cfg(test)]
mod tests;
