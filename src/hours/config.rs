//! The section `[hours]`, and how its lines are read.

use super::schedule::{DAY_MIN, Dates, Schedule, Span};
use crate::config::Invalid;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// When this place is open. Default: always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The week, one line for some of its days: `mon-fri = 08:00-18:00`, `sat = 10:00-12:00, 14:00-16:00`, `fri = 20:00-02:00` (past
    /// midnight), `daily = 00:00-24:00`. Days that are not named are closed. Default: empty, always open.
    pub week: Vec<String>,
    /// Days that differ, at most 200 lines: `2026-12-24 = closed`, `12-25 = closed` (each year), `2026-07-01/2026-07-31 = 10:00-14:00`. A line
    /// for a date counts more than one for each year, and both more than the week; of several for one day, one that closes it. Default: none.
    pub dates: Vec<String>,
    /// The time zone of these hours, by its name in the IANA database: `Europe/Oslo`. Default: empty, the system's.
    pub time_zone: String,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// More lines are no opening hours.
const MOST_LINES: usize = 200;
/// Opened and closed more often in a day, it is a machine's doing.
const MOST_SPANS: usize = 8;

impl Config {
    /// Whether every line can be understood.
    pub fn check(&self) -> Result<(), Invalid> {
        self.schedule().map(drop)
    }

    /// What the lines mean.
    ///
    /// # Errors
    /// The first line that cannot be understood, and how one is written.
    pub fn schedule(&self) -> Result<Schedule, Invalid> {
        let zone = self.zone()?;
        let mut week: [Option<Vec<Span>>; 7] = [const { None }; 7];
        for line in limited("week", &self.week)? {
            let wrong = |problem: &str| invalid("week", line, problem, "`mon-fri = 08:00-18:00`");
            let (days, spans) = line.split_once('=').ok_or_else(|| wrong("has no ="))?;
            let spans = spans_of(spans).map_err(|problem| wrong(&problem))?;
            for day in weekdays(days).map_err(|problem| wrong(&problem))? {
                if week[day].replace(spans.clone()).is_some() {
                    return Err(wrong(&format!("names {} a second time", DAYS[day])));
                }
            }
        }
        let mut dates = Vec::new();
        for line in limited("dates", &self.dates)? {
            let wrong = |problem: &str| invalid("dates", line, problem, "`2026-12-24 = closed`");
            let (days, spans) = line.split_once('=').ok_or_else(|| wrong("has no ="))?;
            let spans = spans_of(spans).map_err(|problem| wrong(&problem))?;
            dates.push((dates_of(days.trim()).map_err(|problem| wrong(&problem))?, spans));
        }
        // What is said of dates counts more than what is said of each year, and of several lines for a day one that closes it: on doubt it
        // is closed.
        dates.sort_by_key(|(days, spans)| (matches!(days, Dates::Yearly { .. }), !spans.is_empty()));
        let whole = || vec![Span { from_min: 0, to_min: DAY_MIN }];
        let week = match self.week.is_empty() {
            true => [(); 7].map(|()| whole()),
            false => week.map(Option::unwrap_or_default),
        };
        Ok(Schedule::new(week, dates, zone))
    }

    fn zone(&self) -> Result<TimeZone, Invalid> {
        if self.time_zone.is_empty() {
            return Ok(TimeZone::system());
        }
        TimeZone::get(&self.time_zone).map_err(|_| Invalid {
            key: "time_zone",
            problem: format!("`{}` is not known here: write one such as Europe/Oslo", self.time_zone),
        })
    }
}

fn invalid(key: &'static str, line: &str, problem: &str, example: &str) -> Invalid {
    let line: String = line.chars().take(60).collect();
    Invalid { key, problem: format!("`{line}` {problem}; write for instance {example}") }
}

fn limited<'a>(key: &'static str, lines: &'a [String]) -> Result<&'a [String], Invalid> {
    match lines.len() {
        0..=MOST_LINES => Ok(lines),
        more => Err(Invalid { key, problem: format!("{more} lines are more than {MOST_LINES}") }),
    }
}

/// `mon`, `mon-fri`, `fri-mon` (over the weekend), `tue, thu`, `daily`: as numbers from Monday, 0.
fn weekdays(text: &str) -> Result<Vec<usize>, String> {
    let number = |name: &str| {
        let name = name.trim().to_lowercase();
        DAYS.iter().position(|day| *day == name).ok_or_else(|| format!("has `{name}` for a day (mon … sun, daily)"))
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        match part.split_once('-') {
            _ if part.trim().eq_ignore_ascii_case("daily") => days.extend(0..7),
            None => days.push(number(part)?),
            Some((first, last)) => {
                let (first, last) = (number(first)?, number(last)?);
                days.extend((0..=(last + 7 - first) % 7).map(|after| (first + after) % 7));
            }
        }
    }
    Ok(days)
}

/// `closed`, or spans in the order of their beginnings.
fn spans_of(text: &str) -> Result<Vec<Span>, String> {
    if text.trim().eq_ignore_ascii_case("closed") {
        return Ok(Vec::new());
    }
    let mut spans = Vec::new();
    for part in text.split(',') {
        let (from, to) = part.split_once('-').ok_or_else(|| format!("has `{}` for a time", part.trim()))?;
        let (from_min, to_min) = (minutes(from)?, minutes(to)?);
        if from_min == to_min || from_min == DAY_MIN {
            return Err(format!("has the empty time `{}` (the whole day is 00:00-24:00)", part.trim()));
        }
        // Past midnight.
        let to_min = if to_min < from_min { to_min + DAY_MIN } else { to_min };
        spans.push(Span { from_min, to_min });
    }
    if spans.len() > MOST_SPANS {
        return Err(format!("opens more than {MOST_SPANS} times a day"));
    }
    spans.sort_by_key(|span| span.from_min);
    Ok(spans)
}

/// `08:00` to minutes after midnight; up to `24:00`.
pub(crate) fn minutes(text: &str) -> Result<u16, String> {
    let text = text.trim();
    let wrong = || format!("has `{text}` for a time of day");
    let digits = |text: &str| {
        let plain = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten().ok_or_else(wrong)
    };
    let (hour, minute) = text.split_once(':').ok_or_else(wrong)?;
    match (digits(hour)?, digits(minute)?) {
        (hour @ 0..=23, minute @ 0..=59) => Ok(60 * hour + minute),
        (24, 0) => Ok(DAY_MIN),
        _ => Err(wrong()),
    }
}

/// `2026-12-24`, `2026-07-01/2026-07-31`, `12-25`.
fn dates_of(text: &str) -> Result<Dates, String> {
    let wrong = || format!("has `{text}` for a date");
    let date = |text: &str| match text.trim() {
        // jiff reads times and much else after a date; here nothing may follow.
        text if text.len() == 10 => text.parse::<Date>().map_err(|_| wrong()),
        _ => Err(wrong()),
    };
    if let Some((first, last)) = text.split_once('/') {
        let (first, last) = (date(first)?, date(last)?);
        return if first <= last { Ok(Dates::Between { first, last }) } else { Err(wrong()) };
    }
    if text.len() == 5 {
        // A leap year, so that 02-29 is a day.
        let day = date(&format!("2000-{text}"))?;
        return Ok(Dates::Yearly { month: day.month(), day: day.day() });
    }
    let day = date(text)?;
    Ok(Dates::Between { first: day, last: day })
}
