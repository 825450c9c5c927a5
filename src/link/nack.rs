//! Which missing packets to ask for, and when (pure): negative acknowledgements, RFC 4585.
//!
//! A packet is missing when a later one has come. It is asked for at once, or, on paths that reorder, when it has been
//! away for longer than others that came by themselves. The request goes out up to four times, a few milliseconds
//! apart, because it may be lost as easily as its answer and costs almost nothing. If no repair has come when one
//! should have, it is asked for again; how long that is, is learnt as TCP learns its retransmission timeout (RFC 6298),
//! and only from packets that were asked for once (Karn's rule).
//!
//! When the *last* packets of a picture are lost, nothing later comes until the next picture. But a picture's last packet is marked,
//! so if the one that came last was not, and for longer than is usual within a picture nothing has followed it, the next one
//! is asked for unseen.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets that may be missing at a time. A larger gap is an outage, which a keyframe mends.
const MISSING: usize = 256;
/// A request is repeated after this, and so on for three quarters of a round trip within these bounds: then its answer
/// may be on its way already. That is longer than most bursts of loss.
const REPEAT: Duration = Duration::from_millis(10);
const REPEATING: (Duration, Duration) = (REPEAT, Duration::from_millis(35));
/// Bounds of the time that a repair may take beyond the round trip.
const MARGIN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(150));
/// The longest that a missing packet is waited for before it is asked for.
const MAX_REORDERING: Duration = Duration::from_millis(80);
/// A picture's next packet is waited for at least this long,
const MIN_PAUSE: Duration = Duration::from_millis(4);
/// and at most this long, before it is asked for unseen. Later the next picture tells.
const MAX_PAUSE: Duration = Duration::from_millis(30);
/// What was learnt about reordering and pauses halves in this time when nothing confirms it.
const HALF_LIFE: Duration = Duration::from_secs(2);

/// Keeps account of the missing packets of one stream.
#[derive(Debug, Default)]
pub(super) struct Nack {
    newest: Option<Newest>,
    /// In the order of their sequence numbers.
    missing: VecDeque<Missing>,
    round_trip: Duration,
    /// What a repair took beyond the round trip, smoothed, and its mean deviation; seconds. `None` before the first.
    response: Option<(f64, f64)>,
    /// How long packets were away that came by themselves.
    reordering: Fading,
    /// How long it takes within a picture from one packet to the next.
    pause: Fading,
}

/// The packet with the highest sequence number so far.
#[derive(Clone, Copy, Debug)]
struct Newest {
    sequence: u16,
    timestamp: u32,
    /// Nothing more of its picture is to come, or the next was asked for already.
    complete: bool,
    arrived: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Missing {
    sequence: u16,
    noticed: Instant,
    /// It is only thought to exist.
    unseen: bool,
    /// When it was asked for first, and last, with and without repetitions.
    first_asked: Option<Instant>,
    round: Option<Instant>,
    asked: Option<Instant>,
}

/// The greatest of the values seen, fading with time.
#[derive(Clone, Copy, Debug, Default)]
struct Fading {
    greatest: Option<(Duration, Instant)>,
}

impl Fading {
    fn see(&mut self, value: Duration, now: Instant) {
        if value > self.at(now) {
            self.greatest = Some((value, now));
        }
    }

    fn at(&self, now: Instant) -> Duration {
        self.greatest.map_or(Duration::ZERO, |(value, seen)| {
            let halvings = now.saturating_duration_since(seen).as_secs_f64() / HALF_LIFE.as_secs_f64();
            value.mul_f64((-halvings).exp2())
        })
    }
}

impl Nack {
    /// The round trip of the path; zero while it is unknown.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }

    /// How long a repair takes, from its request on, unless it or its request is lost.
    pub fn repair_time(&self) -> Duration {
        let margin = self.response.map_or(MARGIN.0 + self.round_trip / 4, |(mean, deviation)| {
            Duration::from_secs_f64((mean + 4.0 * deviation).clamp(0.0, 1.0))
        });
        self.round_trip + margin.clamp(MARGIN.0, MARGIN.1)
    }

    /// A packet came, as it was sent first or as a repair.
    pub fn received(&mut self, sequence: u16, timestamp: u32, marker: bool, now: Instant) {
        let came = Newest { sequence, timestamp, complete: marker, arrived: now };
        let Some(newest) = self.newest else {
            self.newest = Some(came);
            return;
        };
        let ahead = sequence.wrapping_sub(newest.sequence) as i16;
        if ahead <= 0 {
            let unseen = self.filled(sequence, now);
            if unseen && ahead == 0 {
                self.newest = Some(came);
            }
            return;
        }
        if let Some(last) = self.missing.back_mut() {
            // There is something behind it, so it exists.
            last.unseen = false;
        }
        if ahead == 1 && timestamp == newest.timestamp {
            self.pause.see(now.saturating_duration_since(newest.arrived), now);
        }
        for gone in 1..ahead {
            if self.missing.len() == MISSING {
                self.missing.clear();
            }
            let sequence = newest.sequence.wrapping_add(gone as u16);
            self.missing.push_back(Missing::new(sequence, now));
        }
        self.newest = Some(came);
    }

    /// Whether the packet was one that was only thought to exist.
    fn filled(&mut self, sequence: u16, now: Instant) -> bool {
        let Some(at) = self.missing.iter().position(|missing| missing.sequence == sequence) else { return false };
        let Some(missing) = self.missing.remove(at) else { return false };
        let took = missing.first_asked.map(|asked| now.saturating_duration_since(asked));
        match took.filter(|took| *took >= self.round_trip.mul_f64(0.8)) {
            Some(took) if missing.round == missing.first_asked => {
                let beyond = took.saturating_sub(self.round_trip).as_secs_f64();
                let (mean, deviation) = self.response.unwrap_or((beyond, beyond / 2.0));
                let deviation = 0.75 * deviation + 0.25 * (mean - beyond).abs();
                self.response = Some((0.875 * mean + 0.125 * beyond, deviation));
            }
            Some(_) => {}
            // Sooner than a repair can come: it was on its way.
            None if missing.unseen => {
                if let Some(newest) = self.newest {
                    self.pause.see(now.saturating_duration_since(newest.arrived), now);
                }
            }
            None => self.reordering.see(now.saturating_duration_since(missing.noticed), now),
        }
        missing.unseen
    }

    /// The stream goes on elsewhere: nothing of before is to be asked for.
    pub fn start_anew(&mut self) {
        self.missing.clear();
        self.newest = None;
    }

    /// What is before `sequence` is not waited for any more.
    pub fn forget_before(&mut self, sequence: u16) {
        while self.missing.front().is_some_and(|it| (it.sequence.wrapping_sub(sequence) as i16) < 0) {
            self.missing.pop_front();
        }
    }

    /// Forgets what has been missing since before `limit`.
    pub fn give_up(&mut self, limit: Instant) {
        while self.missing.front().is_some_and(|missing| missing.noticed < limit) {
            self.missing.pop_front();
        }
    }

    /// Since when the oldest missing packet has been known to be.
    pub fn oldest(&self) -> Option<Instant> {
        self.missing.front().filter(|missing| !missing.unseen).map(|missing| missing.noticed)
    }

    /// The packets to ask for now, in order. They count as asked for.
    pub fn due(&mut self, now: Instant, into: &mut Vec<u16>) {
        if self.unseen_at().is_some_and(|at| at <= now)
            && let Some(newest) = &mut self.newest
        {
            newest.complete = true;
            if self.missing.len() < MISSING {
                newest.sequence = newest.sequence.wrapping_add(1);
                self.missing.push_back(Missing { unseen: true, ..Missing::new(newest.sequence, now) });
            }
        }
        let times = self.times();
        for missing in &mut self.missing {
            let at = missing.at(&self.reordering, times);
            if at <= now {
                missing.asked = Some(now);
                missing.first_asked.get_or_insert(now);
                missing.round = missing.round.filter(|round| at <= *round + times.repeating).or(Some(now));
                into.push(missing.sequence);
            }
        }
    }

    /// When [`Nack::due`] has something to say.
    pub fn deadline(&self) -> Option<Instant> {
        let times = self.times();
        let missing = self.missing.iter().map(|missing| missing.at(&self.reordering, times));
        missing.chain(self.unseen_at()).min()
    }

    fn times(&self) -> Times {
        let repeating = (self.round_trip * 3 / 4).clamp(REPEATING.0, REPEATING.1);
        Times { repair: self.repair_time(), repeating }
    }

    fn unseen_at(&self) -> Option<Instant> {
        // With no room for one more it is never due: a time that has come and passes without anything being done would make the
        // receiving task spin.
        let newest = self.newest.filter(|newest| !newest.complete && self.missing.len() < MISSING)?;
        let pause = self.pause.at(newest.arrived).mul_f64(1.5) + MIN_PAUSE;
        (pause < MAX_PAUSE).then(|| newest.arrived + pause)
    }
}

/// When to ask again.
#[derive(Clone, Copy)]
struct Times {
    /// The repair should have come.
    repair: Duration,
    /// Until then the request is repeated.
    repeating: Duration,
}

impl Missing {
    fn new(sequence: u16, noticed: Instant) -> Self {
        Self { sequence, noticed, unseen: false, first_asked: None, round: None, asked: None }
    }

    /// When it is to be asked for next.
    fn at(&self, reordering: &Fading, times: Times) -> Instant {
        match self.round.zip(self.asked) {
            None if self.unseen => self.noticed,
            None => self.noticed + reordering.at(self.noticed).mul_f64(1.25).min(MAX_REORDERING),
            Some((round, asked)) if asked + REPEAT <= round + times.repeating => asked + REPEAT,
            Some((round, asked)) => (round + times.repair).max(asked + REPEAT),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When a packet that never comes is asked for, in milliseconds from when it was noticed.
    fn asked_for(round_trip_ms: u64) -> Vec<u128> {
        let (mut nack, start, mut due) = (Nack::default(), Instant::now(), vec![]);
        nack.set_round_trip(Duration::from_millis(round_trip_ms));
        nack.received(0, 0, true, start);
        nack.received(2, 3000, true, start);
        let mut times = vec![];
        while let Some(at) = nack.deadline().filter(|at| *at < start + Duration::from_millis(200)) {
            // The task is woken late by less than a millisecond.
            nack.due(at + Duration::from_micros(300), &mut due);
            times.push((at - start).as_millis());
        }
        assert!(due.iter().all(|sequence| *sequence == 1) && due.len() == times.len());
        times
    }

    #[test]
    fn requests_are_repeated_until_their_answer_may_be_on_its_way() {
        assert_eq!(asked_for(100), [0, 10, 20, 30, 135, 145, 155, 166]);
        assert_eq!(asked_for(20)[..5], [0, 10, 35, 45, 70]);
        assert_eq!(asked_for(1)[..5], [0, 10, 20, 30, 41]);
    }

    /// Found while a fuzz target was looked into: a gap that fills the account, and behind it a picture that is not complete.
    #[test]
    fn a_full_account_has_nothing_more_to_do() {
        let (mut nack, start, mut due) = (Nack::default(), Instant::now(), vec![]);
        nack.received(0, 0, true, start);
        nack.received(MISSING as u16 + 1, 3000, false, start);
        let later = start + MAX_PAUSE;
        nack.due(later, &mut due);
        assert_eq!(due.len(), MISSING);
        assert!(nack.deadline().is_some_and(|at| at > later), "asks to be polled in vain");
    }
}
