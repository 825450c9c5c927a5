//! Decoder and display, emulated: what a passer-by sees, counted.

use super::encoder::Content;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Decoding and drawing of one picture.
const DECODING: Duration = Duration::from_millis(5);
/// Pictures that the mean interval is taken over, as in W3C's and Chromium's definition of a freeze.
const MEAN_OF: usize = 30;

/// A picture that was shown.
#[derive(Clone, Copy, Debug)]
struct Shown {
    at: Instant,
    latency: Duration,
}

/// What was seen during some time.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub seconds: f64,
    pub pictures: usize,
    /// Gaps of more than three mean intervals, or one and 150 ms, whichever is longer; and the sum of them.
    pub freezes: usize,
    pub frozen_s: f64,
    pub longest_gap_s: f64,
    /// Of each picture, sorted, in milliseconds.
    pub latencies_ms: Vec<f64>,
    /// From the beginning to the first picture.
    pub first_s: Option<f64>,
}

impl Seen {
    pub fn fps(&self) -> f64 {
        self.pictures as f64 / self.seconds
    }

    /// Within 0 to 1; 0 without pictures.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        let last = self.latencies_ms.len().saturating_sub(1);
        self.latencies_ms.get((quantile * last as f64).round() as usize).copied().unwrap_or(0.0)
    }
}

pub struct Screen {
    base: Instant,
    since: Instant,
    shown: Vec<Shown>,
    /// The last one before that time, and the intervals before it.
    before: Option<Instant>,
    intervals: VecDeque<Duration>,
    decoded: Option<(u64, u64)>,
    /// The decoder's long-term references.
    kept: [u64; 2],
    last: Option<Instant>,
    /// What must never happen.
    pub violations: Vec<String>,
}

impl Screen {
    /// `base` is what times are counted from.
    pub fn new(base: Instant, now: Instant) -> Self {
        Self {
            base,
            since: now,
            shown: vec![],
            before: None,
            intervals: VecDeque::new(),
            decoded: None,
            kept: [0; 2],
            last: None,
            violations: vec![],
        }
    }

    /// The clock has stood still for so long. What is shown next is as old as it is.
    pub fn shift(&mut self, time: Duration) {
        let earlier = |at: Instant| at - time;
        (self.base, self.since) = (earlier(self.base), earlier(self.since));
        self.before = self.before.map(earlier);
        self.shown.iter_mut().for_each(|shown| shown.at = earlier(shown.at));
    }

    /// The same screen behind a portal that was started anew.
    pub fn restarted(self) -> Self {
        Self { decoded: None, last: None, ..self }
    }

    /// When a picture was last shown.
    pub fn last(&self) -> Option<Instant> {
        self.last
    }

    /// The decoder gets an access unit.
    pub fn show(&mut self, unit: &[u8], keyframe: bool, now: Instant) {
        let Some(content) = Content::read(unit, keyframe) else {
            self.violations.push(format!("a damaged picture at {:?}", now - self.base));
            return;
        };
        let of_this_run = self.decoded.filter(|(run, _)| *run == content.run);
        if keyframe {
            self.kept = [0; 2];
        } else if of_this_run
            .is_none_or(|(_, before)| before != content.reference && !self.kept.contains(&content.reference))
        {
            let missing = format!("a picture without its reference at {:?}: {content:?}", now - self.base);
            self.violations.push(format!("{missing}, decoded {:?}, kept {:?}", self.decoded, self.kept));
        }
        if let Some(kept) = (content.place as usize).checked_sub(1).and_then(|place| self.kept.get_mut(place)) {
            *kept = content.number;
        }
        self.decoded = Some((content.run, content.number));
        let at = self.last.map_or(now, |last| last.max(now)).max(now) + DECODING;
        self.last = Some(now);
        self.shown.push(Shown { at, latency: (at - self.base).saturating_sub(content.captured) });
    }

    /// What was seen since the last call. A picture that is missing until now is a gap, too.
    pub fn take_seen(&mut self, now: Instant) -> Seen {
        let mut seen = Seen { seconds: (now - self.since).as_secs_f64(), ..Seen::default() };
        let since = self.since;
        for shown in std::mem::take(&mut self.shown) {
            seen.pictures += 1;
            seen.latencies_ms.push(shown.latency.as_secs_f64() * 1e3);
            seen.first_s.get_or_insert((shown.at.saturating_duration_since(since)).as_secs_f64());
            if let Some(before) = self.before {
                let interval = shown.at.saturating_duration_since(before);
                self.note_gap(interval, before.max(since), shown.at, &mut seen);
                self.intervals.push_back(interval);
                if self.intervals.len() > MEAN_OF {
                    self.intervals.pop_front();
                }
            } else {
                seen.longest_gap_s = seen.longest_gap_s.max((shown.at - since.min(shown.at)).as_secs_f64());
            }
            self.before = Some(shown.at);
        }
        if let Some(before) = self.before {
            self.note_gap(now.saturating_duration_since(before), before.max(since), now, &mut seen);
        } else {
            seen.longest_gap_s = seen.seconds;
        }
        seen.latencies_ms.sort_by(f64::total_cmp);
        self.since = now;
        seen
    }

    /// A gap counts as far as it lies in the time that is looked at.
    fn note_gap(&self, interval: Duration, from: Instant, to: Instant, seen: &mut Seen) {
        let count = self.intervals.len().max(1) as u32;
        let mean = self.intervals.iter().sum::<Duration>() / count;
        let within = to.saturating_duration_since(from).as_secs_f64();
        seen.longest_gap_s = seen.longest_gap_s.max(within);
        if !self.intervals.is_empty() && interval > (mean * 3).max(mean + Duration::from_millis(150)) {
            seen.freezes += 1;
            seen.frozen_s += within;
        }
    }
}
