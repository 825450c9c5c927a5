//! Scenario tables: hours in words, moments, and what is true then.

use super::*;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

fn config(week: &[&str], dates: &[&str], zone: &str) -> Config {
    let owned = |lines: &[&str]| lines.iter().map(|line| line.to_string()).collect();
    Config { week: owned(week), dates: owned(dates), time_zone: zone.into() }
}

fn schedule(week: &[&str], dates: &[&str], zone: &str) -> Schedule {
    config(week, dates, zone).schedule().unwrap()
}

/// A moment by the clock in a zone; of two the first.
fn at(zone: &str, clock: &str) -> Timestamp {
    let zone = TimeZone::get(zone).unwrap();
    zone.to_ambiguous_timestamp(clock.parse::<DateTime>().unwrap()).compatible().unwrap()
}

fn utc(clock: &str) -> Timestamp {
    at("UTC", clock)
}

fn is_open(schedule: &Schedule, now: Timestamp) -> bool {
    schedule.open_from(now).next().is_some_and(|open| open.from <= now)
}

#[test]
fn lines_are_read_or_refused_in_words() {
    for (week, dates, zone, words) in [
        ("mon-fri 8-18", "", "", "has no ="),
        ("mon-fry = 08:00-18:00", "", "", "`fry` for a day"),
        ("mon = 8-18", "", "", "`8` for a time"),
        ("mon = 08:00", "", "", "`08:00` for a time"),
        ("mon = 08:60-09:00", "", "", "`08:60`"),
        ("mon = 24:01-25:00", "", "", "`24:01`"),
        ("mon = +8:00-9:00", "", "", "`+8:00`"),
        ("mon = 08:00-08:00", "", "", "the whole day is 00:00-24:00"),
        ("mon = 24:00-08:00", "", "", "empty"),
        ("mon-wed, tue = 08:00-18:00", "", "", "names tue a second time"),
        (
            "mon = 1:00-2:00,3:00-4:00,5:00-6:00,7:00-8:00,9:00-10:00,11:00-12:00,13:00-14:00,15:00-16:00,17:00-18:00",
            "",
            "",
            "more than 8",
        ),
        ("", "2026-02-30 = closed", "", "`2026-02-30` for a date"),
        ("", "2026-02-03T10:00 = closed", "", "for a date"),
        ("", "2026-07-31/2026-07-01 = closed", "", "for a date"),
        ("", "13-01 = closed", "", "for a date"),
        ("", "", "Europe/Atlantis", "Europe/Oslo"),
    ] {
        let lines = |line: &str| if line.is_empty() { vec![] } else { vec![line.to_owned()] };
        let config = Config { week: lines(week), dates: lines(dates), time_zone: zone.into() };
        let invalid = config.check().unwrap_err();
        assert!(invalid.problem.contains(words), "{week} {dates} {zone}: {invalid}");
    }
    let many = Config { dates: vec!["12-25 = closed".into(); 201], ..Config::default() };
    assert_eq!(many.check().unwrap_err().key, "dates");
    config(&["Mon - Fri = 8:00 - 18:00", "SAT,sun = closed"], &["02-29 = closed"], "Asia/Kathmandu").check().unwrap();
    let long = config(&[&"x".repeat(5000)], &[], "");
    assert!(long.check().unwrap_err().problem.len() < 200, "a long line is not repeated whole");
}

#[test]
fn an_ordinary_week() {
    let hours = schedule(
        &["mon-thu = 08:00-18:00", "fri = 08:00-12:00, 20:00-02:00", "sat = 10:00-16:00"],
        &["2026-12-24/2026-12-26 = closed", "2026-12-25 = 10:00-11:00", "01-01 = closed", "2027-01-01 = 12:00-13:00"],
        "Europe/Oslo",
    );
    for (clock, open) in [
        ("2026-11-16 07:59:59", false), // a Monday
        ("2026-11-16 08:00", true),
        ("2026-11-16 17:59:59", true),
        ("2026-11-16 18:00", false),
        ("2026-11-20 11:59", true), // a Friday
        ("2026-11-20 12:00", false),
        ("2026-11-20 20:00", true),
        ("2026-11-21 01:59", true), // Friday's night
        ("2026-11-21 02:00", false),
        ("2026-11-21 10:00", true),
        ("2026-11-22 12:00", false), // Sunday: not named
        ("2026-12-24 12:00", false),
        ("2026-12-25 10:30", false), // the first line that has the date counts
        ("2028-01-01 12:00", false), // each year, a Saturday
        ("2027-01-01 12:30", true),  // but not this one
    ] {
        assert_eq!(is_open(&hours, at("Europe/Oslo", clock)), open, "{clock}");
    }
    assert!(is_open(&schedule(&[], &[], ""), Timestamp::now()), "nothing said: always");
    let holiday = schedule(&[], &["2026-12-24 = closed"], "Europe/Oslo");
    assert!(!is_open(&holiday, at("Europe/Oslo", "2026-12-24 12:00")));
    assert!(is_open(&holiday, at("Europe/Oslo", "2026-12-25 00:00")));
    let weekend = schedule(&["fri-mon = 22:00-04:00"], &[], "UTC");
    assert!(is_open(&weekend, utc("2026-11-17 03:59")), "Monday's night, into Tuesday");
    assert!(!is_open(&weekend, utc("2026-11-17 23:00")));
}

/// Clocks put forward and back, in zones of all sorts: the first interval after a moment, as UTC.
#[test]
fn clocks_that_change() {
    for (zone, line, now, from, to) in [
        // Night hours over the night in which an hour is missing, and over the one that has it twice.
        ("Europe/Oslo", "daily = 22:00-04:00", "2026-03-28 20:00", "2026-03-28 21:00", "2026-03-29 02:00"),
        ("Europe/Oslo", "daily = 22:00-04:00", "2026-10-24 19:00", "2026-10-24 20:00", "2026-10-25 03:00"),
        // Opening in the hour that does not exist: when the clocks are put forward, 02:00 that becomes 03:00.
        ("Europe/Oslo", "daily = 02:30-05:00", "2026-03-29 00:00", "2026-03-29 01:00", "2026-03-29 03:00"),
        // Closing in it: the same moment.
        ("Europe/Oslo", "daily = 01:00-02:30", "2026-03-28 23:30", "2026-03-29 00:00", "2026-03-29 01:00"),
        // Hours that lie in it as a whole: not that day.
        ("Europe/Oslo", "daily = 02:10-02:50", "2026-03-28 12:00", "2026-03-30 00:10", "2026-03-30 00:50"),
        // In the hour that comes twice: opened at the first time, closed at the second, never in between.
        ("Europe/Oslo", "daily = 02:15-02:45", "2026-10-24 12:00", "2026-10-25 00:15", "2026-10-25 01:45"),
        ("America/New_York", "daily = 08:00-18:00", "2026-03-08 00:00", "2026-03-08 12:00", "2026-03-08 22:00"),
        ("America/New_York", "daily = 08:00-18:00", "2026-11-01 00:00", "2026-11-01 13:00", "2026-11-01 23:00"),
        // The south, where summer is in January; half an hour of summer time; odd offsets.
        ("Australia/Sydney", "daily = 09:00-17:00", "2026-10-03 08:00", "2026-10-03 22:00", "2026-10-04 06:00"),
        ("Australia/Lord_Howe", "daily = 02:10-03:00", "2026-10-03 12:00", "2026-10-03 15:30", "2026-10-03 16:00"),
        ("Asia/Kathmandu", "daily = 09:00-17:00", "2026-06-01 00:00", "2026-06-01 03:15", "2026-06-01 11:15"),
        ("Pacific/Chatham", "daily = 09:00-17:00", "2026-06-01 05:00", "2026-06-01 20:15", "2026-06-02 04:15"),
        ("Pacific/Kiritimati", "mon = 09:00-17:00", "2026-06-01 12:00", "2026-06-07 19:00", "2026-06-08 03:00"),
        // Samoa went without 30 December 2011: night hours into it end where the day is left out.
        ("Pacific/Apia", "thu = 20:00-04:00", "2011-12-29 12:00", "2011-12-30 06:00", "2011-12-30 10:00"),
        ("Pacific/Apia", "fri = 08:00-12:00", "2011-12-29 12:00", "2012-01-05 18:00", "2012-01-05 22:00"),
        // Midnight itself is left out: Santiago puts clocks forward from 24:00 to 01:00.
        ("America/Santiago", "sun = 00:00-06:00", "2026-09-06 00:00", "2026-09-06 04:00", "2026-09-06 09:00"),
    ] {
        let hours = schedule(&[line], &[], zone);
        let open = hours.open_from(utc(now)).next().unwrap();
        assert_eq!((open.from, open.to), (utc(from), utc(to)), "{zone}: {line} after {now}");
    }
}

/// Every quarter of an hour of four years: open exactly when the clock on the wall says so, where it says anything unambiguous.
#[test]
fn four_years_by_the_clock_on_the_wall() {
    for zone in ["Europe/Oslo", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC"]
    {
        let hours = schedule(&["daily = 08:00-18:00"], &[], zone);
        let mut now = utc("2026-01-01 00:00");
        let end = utc("2030-01-01 00:00");
        let mut opened = 0;
        let mut was_open = is_open(&hours, now);
        while now < end {
            let open = is_open(&hours, now);
            let hour = hours.offset(now).to_datetime(now).hour();
            assert_eq!(open, (8..18).contains(&hour), "{zone} {now}");
            opened += u32::from(open && !was_open);
            was_open = open;
            now += 15.minutes();
        }
        assert!((1460..=1462).contains(&opened), "{zone}: once a day, {opened}");
    }
}

#[test]
fn never_closed_is_one_interval() {
    let hours = schedule(&["daily = 00:00-24:00"], &[], "Europe/Oslo");
    let now = utc("2026-10-20 12:00");
    let mut open = hours.open_from(now);
    assert!(open.next().unwrap().to > now + (300 * 24).hours(), "over the end of summer time, too");
    assert_eq!(open.next(), None);
    assert_eq!(schedule(&["mon = closed"], &[], "UTC").open_from(now).next(), None);
}

#[test]
fn open_only_when_both_are() {
    let oslo = schedule(&["mon-fri = 08:00-18:00"], &[], "Europe/Oslo");
    let tokyo = schedule(&["mon-sat = 09:00-20:00"], &[], "Asia/Tokyo");
    let york = schedule(&["daily = 09:00-21:00"], &[], "America/New_York");
    let always = schedule(&[], &[], "UTC");
    let weekend = schedule(&["sat-sun = 10:00-16:00"], &[], "Europe/Oslo");
    let never = schedule(&["mon = closed"], &[], "UTC");
    let closed = |text: &str| Verdict::Closed(text.to_owned());
    for (own, far, clock, wanted) in [
        // In winter Tokyo is eight hours ahead: both are open from 08:00 to 12:00 in Oslo.
        (&oslo, &tokyo, "2026-11-20 07:00", closed("Opens today 08:00 here, 16:00 at Hilltop.")),
        (&oslo, &tokyo, "2026-11-20 08:00", Verdict::Open),
        (&oslo, &tokyo, "2026-11-20 11:59", Verdict::Open),
        (&oslo, &tokyo, "2026-11-20 12:00", closed("Opens Monday 08:00 here, 16:00 at Hilltop.")),
        (&tokyo, &oslo, "2026-11-20 12:00", closed("Opens Monday 16:00 here, 08:00 at Hilltop.")),
        // In summer seven.
        (&oslo, &tokyo, "2026-06-19 12:59", Verdict::Open),
        (&oslo, &tokyo, "2026-06-19 13:00", closed("Opens Monday 08:00 here, 15:00 at Hilltop.")),
        // New York's clocks go back a week later than Oslo's: for that week it opens an hour earlier by Oslo's.
        (&oslo, &york, "2026-10-23 18:30", closed("Opens Monday 14:00 here, 09:00 at Hilltop.")),
        (&oslo, &york, "2026-10-30 18:30", closed("Opens Monday 15:00 here, 09:00 at Hilltop.")),
        (&oslo, &always, "2026-11-20 18:30", closed("Opens Monday 08:00 here, 07:00 at Hilltop.")),
        (&always, &oslo, "2026-11-20 18:30", closed("Opens Monday 07:00 here, 08:00 at Hilltop.")),
        (&oslo, &oslo, "2026-11-20 18:30", closed("Opens Monday 08:00.")),
        // Never both: no opening is promised.
        (&oslo, &weekend, "2026-11-20 18:30", closed("The picture comes back by itself.")),
        (&oslo, &never, "2026-11-20 18:30", closed("The picture comes back by itself.")),
    ] {
        let now = at("Europe/Oslo", clock);
        let told = Announced::of(far, None, now);
        assert!(told.len() <= MOST_ANNOUNCED);
        assert_eq!(verdict(own, Some(&told), Some("Hilltop"), now), wanted, "{clock}");
    }
    let friday = at("Europe/Oslo", "2026-11-20 18:30");
    assert_eq!(verdict(&oslo, None, None, friday), closed("Opens Monday 08:00."), "nothing was heard of the far end");
    let day = at("Europe/Oslo", "2026-11-20 12:00");
    assert_eq!(verdict(&oslo, None, None, day), Verdict::Open);
    let told = Announced::of(&tokyo, None, day);
    assert_eq!(verdict(&always, Some(&told), None, day), closed("Opens Saturday 00:00 here, 09:00 at the other side."));
    let honolulu = schedule(&["daily = 20:00-22:00"], &[], "Pacific/Honolulu");
    let told = Announced::of(&honolulu, None, day);
    let said = closed("Opens Monday 08:00 here, Sunday 21:00 at Hilltop.");
    assert_eq!(
        verdict(&oslo, Some(&told), Some("Hilltop"), at("Europe/Oslo", "2026-11-20 18:30")),
        said,
        "another day there"
    );
    let summer = schedule(&["mon-fri = 08:00-18:00"], &["2026-07-01/2026-07-31 = closed"], "Europe/Oslo");
    let said = closed("Opens Monday 3 August 08:00.");
    assert_eq!(verdict(&summer, None, None, at("Europe/Oslo", "2026-07-01 12:00")), said);
    assert_eq!(verdict(&never, None, None, day), closed("The picture comes back by itself."));
}

/// Told to each other, both ends come to the same verdict at every moment of a year.
#[test]
fn both_ends_agree_for_a_year() {
    let oslo = schedule(&["mon-fri = 08:00-18:00"], &["12-25 = closed"], "Europe/Oslo");
    let york = schedule(&["mon-sat = 09:00-17:00", "sun = 22:00-03:00"], &[], "America/New_York");
    let mut now = utc("2026-01-01 00:00");
    let mut open = 0;
    while now < utc("2027-01-01 00:00") {
        // What was told is up to an hour old.
        let before = now - 1.hours();
        let from_oslo = verdict(&york, Some(&Announced::of(&oslo, None, before)), None, now) == Verdict::Open;
        let from_york = verdict(&oslo, Some(&Announced::of(&york, None, before)), None, now) == Verdict::Open;
        let truly = is_open(&oslo, now) && is_open(&york, now);
        assert_eq!((from_oslo, from_york), (truly, truly), "{now}");
        open += u32::from(truly);
        now += 30.minutes();
    }
    assert!(open > 1500, "{open}");
}

/// Who is closed for weeks has told what comes after them; the other one tells what it does then.
#[test]
fn the_next_opening_is_known_at_both_ends_however_far_away_it_is() {
    let closed = |from: &str| format!("{from} = closed");
    for (dates, far_dates, wanted) in [
        ("2026-02-01", "2026-11-22/2026-12-31", "Friday 1 January"),
        ("2027-01-01/2027-01-10", "2026-11-22/2026-12-31", "Monday 11 January"),
        ("2026-12-20/2027-02-07", "2026-11-22/2026-12-31", "Monday 8 February"),
        ("2026-11-22/2027-08-31", "2026-11-22/2026-12-31", "Wednesday 1 September"),
    ] {
        let one = schedule(&["mon-fri = 08:00-18:00"], &[&closed(dates)], "Europe/Oslo");
        let other = schedule(&["mon-fri = 09:00-17:00"], &[&closed(far_dates)], "America/New_York");
        let mut now = utc("2026-11-22 12:00");
        let (mut from_one, mut from_other) = (Announced::of(&one, None, now), Announced::of(&other, None, now));
        for round in 0..40 {
            // A day later each time: nothing that was agreed on is lost again.
            (from_one, from_other) =
                (Announced::of(&one, Some(&from_other), now), Announced::of(&other, Some(&from_one), now));
            assert!(from_one.len() <= MOST_ANNOUNCED && from_other.len() <= MOST_ANNOUNCED);
            now += 24.hours();
            if round < 3 || now > utc("2026-12-24 00:00") {
                continue;
            }
            for (own, far, there) in [(&one, &from_other, "09:00 at X"), (&other, &from_one, "15:00 at X")] {
                let Verdict::Closed(said) = verdict(own, Some(far), Some("X"), now) else { panic!("{now}") };
                assert!(said.contains(wanted) && said.contains(there), "{wanted}: {said}");
            }
        }
    }
}

#[test]
fn what_the_far_end_tells_is_bounded() {
    let read = |json: &str| Announced::read(&serde_json::from_str::<Vec<Announced>>(json).unwrap());
    assert!(read("[]").is_empty());
    assert!(read("[[5,5,0],[9,3,0],[9223372036854775807,9223372036854775807,0],[0,9,9999999]]").is_empty());
    assert_eq!(read("[[10,20,0],[15,30,0],[40,50,3600]]").len(), 2, "what overlaps is left out");
    let many: Vec<_> = (0..100).map(|n| format!("[{},{},0]", 10 * n, 10 * n + 5)).collect();
    assert_eq!(read(&format!("[{}]", many.join(","))).len(), MOST_ANNOUNCED);
    let own = schedule(&[], &[], "UTC");
    let now = utc("2026-11-20 12:00");
    let silly: Vec<Announced> = serde_json::from_str("[[-377705023201,253402207200,93599]]").unwrap();
    assert_eq!(verdict(&own, Some(&silly), Some("x"), now), Verdict::Open, "the ends of all time");
    assert_eq!(verdict(&own, Some(&[]), None, now), Verdict::Closed("The picture comes back by itself.".into()));
}

#[test]
fn clocks_that_differ_do_not_close_what_is_open() {
    let always = schedule(&[], &[], "UTC");
    // (the far end's week, its clock, ours)
    for (far, their_clock, our_clock) in [
        (vec![], "2026-11-22 00:00:02", "2026-11-21 23:59:58"),
        (vec![], "2026-11-22 00:39", "2026-11-21 23:39"),
        (vec![], "2026-11-22 00:39", "1970-01-01 00:01"),
        (vec![], "1970-01-01 00:01", "2026-11-22 00:39"),
        (vec!["fri-sat = 08:00-02:00"], "2026-11-22 00:00:02", "2026-11-21 23:59:58"),
    ] {
        let told = Announced::of(&schedule(&far, &[], "UTC"), None, utc(their_clock));
        assert_eq!(
            verdict(&always, Some(&told), None, utc(our_clock)),
            Verdict::Open,
            "{far:?} {their_clock} {our_clock}"
        );
    }
}

#[test]
fn of_several_lines_for_a_day_one_that_closes_it_counts() {
    let now = at("UTC", "2026-11-22T12:00");
    let is_open = |dates: &[&str]| {
        schedule(&["daily = 08:00-18:00"], dates, "UTC").open_from(now).next().is_some_and(|open| open.from <= now)
    };
    assert!(is_open(&[]));
    for dates in [
        ["2026-11-01/2026-11-30 = 00:00-24:00", "2026-11-22 = closed"],
        ["2026-11-22 = 00:00-24:00", "2026-11-22 = closed"],
        ["11-22 = 00:00-24:00", "2026-11-01/2026-11-30 = closed"],
        ["2026-11-01/2026-11-30 = closed", "2026-11-22 = 10:00-14:00"],
    ] {
        let reversed = [dates[1], dates[0]];
        assert!(!is_open(&dates) && !is_open(&reversed), "{dates:?}");
    }
    assert!(is_open(&["11-22 = closed", "2026-11-22 = 10:00-14:00"]), "one date is no doubt");
}
