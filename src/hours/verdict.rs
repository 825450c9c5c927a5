//! Whether both places are open, and what the slate says if not.

use super::announced::Announced;
use super::schedule::{Interval, Schedule};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::Offset;

/// What opening hours mean now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both places are open, as far as is known of the other.
    Open,
    /// One is closed, or both are; what people are told of the next opening.
    Closed(String),
}

/// Judges the moment `now` by our own hours and by those that the far end told us, if it told any: a far end that says nothing
/// (nothing heard yet, or an older program) is taken for open. `site` is the far end's name, if known.
pub fn verdict(own: &Schedule, far: Option<&[Announced]>, site: Option<&str>, now: Timestamp) -> Verdict {
    let far = far.map(Announced::read);
    let Some(far) = far else {
        return match own.open_from(now).next() {
            Some(open) if open.from <= now => Verdict::Open,
            next => Verdict::Closed(sentence(next.map(|open| open.from), now, own, None)),
        };
    };
    match common(own, &far, now) {
        Some((at, _)) if at <= now => Verdict::Open,
        Some((at, offset)) => Verdict::Closed(sentence(Some(at), now, own, Some((offset, site)))),
        // None in common is known: nothing is promised that the far end has said will not be.
        None => Verdict::Closed(sentence(None, now, own, None)),
    }
}

/// The first moment from `now` on at which both are open, and the far end's clocks then.
fn common(own: &Schedule, far: &[(Interval, Offset)], now: Timestamp) -> Option<(Timestamp, Offset)> {
    let last = far.last()?.0.to;
    for ours in own.open_from(now) {
        let meets = far.iter().find(|(theirs, _)| theirs.from.max(ours.from).max(now) < theirs.to.min(ours.to));
        if let Some((theirs, offset)) = meets {
            return Some((theirs.from.max(ours.from).max(now), *offset));
        }
        if ours.from >= last {
            break;
        }
    }
    None
}

/// "Opens Monday 08:00 here, 15:00 at Hilltop."
fn sentence(at: Option<Timestamp>, now: Timestamp, own: &Schedule, far: Option<(Offset, Option<&str>)>) -> String {
    let Some(at) = at else { return "The picture comes back by itself.".to_owned() };
    let here = own.offset(at).to_datetime(at);
    let today = own.offset(now).to_datetime(now).date();
    let when = format!("{}{}", day(here.date(), today), clock(here));
    match far.filter(|(offset, _)| *offset != own.offset(at)) {
        None => format!("Opens {when}."),
        Some((offset, site)) => {
            let there = offset.to_datetime(at);
            let day = if there.date() == here.date() { String::new() } else { day(there.date(), today) };
            let place = site.map_or_else(|| "at the other side".to_owned(), |site| format!("at {site}"));
            format!("Opens {when} here, {day}{} {place}.", clock(there))
        }
    }
}

fn clock(at: DateTime) -> String {
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// The day in words, with a blank after it: `today`, a weekday within the week, else the date too.
fn day(date: Date, today: Date) -> String {
    let name = match date.weekday() {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    };
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    match today.until(date).map_or(i32::MAX, |span| span.get_days()) {
        0 => "today ".to_owned(),
        -6..=6 => format!("{name} "),
        _ => {
            let month = MONTHS.get(date.month() as usize - 1).copied().unwrap_or_default();
            format!("{name} {} {month} ", date.day())
        }
    }
}
