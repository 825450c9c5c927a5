//! What opening hours mean: intervals of time, across midnights, summer time and holidays.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// Minutes of a day by the clock on the wall.
pub(super) const DAY_MIN: u16 = 24 * 60;
/// How far ahead is looked, in days. Who is closed for longer than that has no next opening.
const AHEAD_DAYS: usize = 400;

/// Opening and closing by the clock on the wall, in minutes after the midnight on which the day begins; `to_min` is later than
/// `from_min`, on the next day if it is more than [`DAY_MIN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub from_min: u16,
    pub to_min: u16,
}

/// Days that differ from the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dates {
    /// From one date to another, both included.
    Between { first: Date, last: Date },
    /// Each year.
    Yearly { month: i8, day: i8 },
}

impl Dates {
    fn has(&self, date: Date) -> bool {
        match *self {
            Self::Between { first, last } => (first..=last).contains(&date),
            Self::Yearly { month, day } => (date.month(), date.day()) == (month, day),
        }
    }
}

/// A time without a break during which a place is open: from its first moment to the one at which it is closed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub to: Timestamp,
}

/// Opening hours that were understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// From Monday on.
    week: [Vec<Span>; 7],
    /// The first one that has a date counts.
    dates: Vec<(Dates, Vec<Span>)>,
    zone: TimeZone,
}

impl Schedule {
    pub(super) fn new(week: [Vec<Span>; 7], dates: Vec<(Dates, Vec<Span>)>, zone: TimeZone) -> Self {
        Self { week, dates, zone }
    }

    /// Open at all times.
    pub fn always() -> Self {
        let whole = || vec![Span { from_min: 0, to_min: DAY_MIN }];
        Self::new([(); 7].map(|()| whole()), Vec::new(), TimeZone::UTC)
    }

    /// Whether it never closes.
    pub(super) fn is_always(&self) -> bool {
        self.dates.is_empty() && self.week == Self::always().week
    }

    /// How far the clocks of this place are ahead of UTC at a moment.
    pub fn offset(&self, at: Timestamp) -> Offset {
        self.zone.to_offset(at)
    }

    /// When the clocks of this place will be changed next, if ever.
    pub(super) fn clocks_change(&self, after: Timestamp) -> Option<Timestamp> {
        self.zone.following(after).next().map(|change| change.timestamp())
    }

    /// The intervals that are not over at `now`, in their order and with time between them. Where it never closes there is one.
    pub fn open_from(&self, now: Timestamp) -> impl Iterator<Item = Interval> {
        let mut spans = self.spans(now).peekable();
        // Joined first: an interval does not begin anew at midnight, or somebody whose clock is a second behind would be told that it
        // has not begun.
        let mut intervals = std::iter::from_fn(move || {
            let mut open = spans.next()?;
            while let Some(next) = spans.next_if(|next| next.from <= open.to) {
                open.to = open.to.max(next.to);
            }
            Some(open)
        });
        std::iter::from_fn(move || intervals.find(|open| open.to > now))
    }

    /// Every span of the days around and after `now`, as time.
    fn spans(&self, now: Timestamp) -> impl Iterator<Item = Interval> {
        // Two days back: one for spans past midnight, one for zones that once left out a day (Samoa, 30 December 2011).
        let today = self.offset(now).to_datetime(now).date();
        let first = today.yesterday().and_then(Date::yesterday).unwrap_or(today);
        let days = std::iter::successors(Some(first), |day| day.tomorrow().ok()).take(AHEAD_DAYS);
        days.flat_map(move |day| {
            self.spans_of(day).iter().filter_map(move |span| {
                let from = self.moment(day, span.from_min, false)?;
                let to = self.moment(day, span.to_min, true)?;
                // Hours that the clocks leave out as a whole.
                (from < to).then_some(Interval { from, to })
            })
        })
    }

    fn spans_of(&self, date: Date) -> &[Span] {
        let exception = self.dates.iter().find(|(dates, _)| dates.has(date)).map(|(_, spans)| spans);
        let weekday = date.weekday().to_monday_zero_offset() as usize;
        exception.unwrap_or(&self.week[weekday])
    }

    /// When the clock on the wall shows this. Where it never does, because clocks are put forward over it, the moment at which that
    /// happens. Where it does twice, because they are put back, the first time for opening and the last for closing.
    fn moment(&self, day: Date, minute: u16, closing: bool) -> Option<Timestamp> {
        let day = if minute >= DAY_MIN { day.tomorrow().ok()? } else { day };
        let minute = minute % DAY_MIN;
        let shown = self.zone.to_ambiguous_timestamp(day.at((minute / 60) as i8, (minute % 60) as i8, 0, 0));
        if matches!(shown.offset(), AmbiguousOffset::Gap { .. }) {
            let before = shown.earlier().ok()?;
            return self.zone.following(before).next().map(|change| change.timestamp());
        }
        if closing { shown.later() } else { shown.earlier() }.ok()
    }
}
