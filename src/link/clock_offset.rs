//! How far apart the two portals' clocks are, from pings.
//!
//! As in NTP (RFC 5905, section 8): a ping leaves here at t0, arrives there at t1; the answer leaves there at t2 and arrives here
//! at t3. If both ways take equally long, the far clock is ahead by ((t1 − t0) + (t2 − t3)) / 2; if not, the error is at most
//! half the round trip. So of the samples of the last while the one with the shortest round trip is believed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples that are believed; at two a second, the last 20 seconds. Two quartz clocks part by less than 2 ms in that time.
const WINDOW: usize = 40;
/// Samples that tell the round trip: the last 4 seconds.
const RECENT: usize = 8;
/// The two times of the far end must not differ by more than this: nobody answers that late in good order.
const MAX_HELD_US: u64 = 5_000_000;

/// By how much two clocks may part while samples are kept, generously.
const DRIFT_US: u64 = 20_000;

/// One ping and its answer. All times in microseconds since 1970; t0 and t3 by our clock, t1 and t2 by the far end's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub sent_us: u64,
    pub far_received_us: u64,
    pub far_sent_us: u64,
    pub received_us: u64,
}

/// Estimates the offset of the far clock.
#[derive(Debug, Default)]
pub(super) struct ClockOffset {
    /// Round trip and offset, in microseconds.
    samples: VecDeque<(u64, i64)>,
    heard: Option<Instant>,
}

impl ClockOffset {
    /// Takes a sample in. `None` if its times are impossible; then it does not count. One that contradicts those before, even if all
    /// of its round trip and theirs had been spent in one direction, says that one of the clocks has been put: those before do not
    /// count any more.
    pub fn add(&mut self, sample: Sample, now: Instant) -> Option<()> {
        let elapsed = sample.received_us.checked_sub(sample.sent_us)?;
        let held = sample.far_sent_us.checked_sub(sample.far_received_us)?;
        if held > MAX_HELD_US {
            return None;
        }
        let round_trip_us = elapsed.checked_sub(held)?;
        let ahead = |far: u64, near: u64| i128::from(far) - i128::from(near);
        let offset =
            (ahead(sample.far_received_us, sample.sent_us) + ahead(sample.far_sent_us, sample.received_us)) / 2;
        let offset = i64::try_from(offset).ok()?;
        if self.samples.iter().any(|(other_us, other)| {
            let possible_us = (round_trip_us / 2).saturating_add(other_us / 2).saturating_add(DRIFT_US);
            offset.abs_diff(*other) > possible_us
        }) {
            self.samples.clear();
        }
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((round_trip_us, offset));
        self.heard = Some(now);
        Some(())
    }

    /// The round trip of the path: the shortest of the last few samples, because a ping may wait for much else.
    pub fn round_trip(&self) -> Option<Duration> {
        let shortest = self.samples.iter().rev().take(RECENT).map(|(round_trip_us, _)| *round_trip_us).min();
        shortest.map(Duration::from_micros)
    }

    /// By how many microseconds the far clock is ahead of ours (negative: behind).
    pub fn offset_us(&self) -> Option<i64> {
        self.samples.iter().min_by_key(|(round_trip, _)| *round_trip).map(|(_, offset)| *offset)
    }

    /// When the last good answer came.
    pub fn heard(&self) -> Option<Instant> {
        self.heard
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AHEAD_US: i64 = 7_654_321;

    fn ping(at_us: u64, there_us: u64, held_us: u64, back_us: u64) -> Sample {
        let far = |us: u64| us.wrapping_add_signed(AHEAD_US);
        let (arrived, left) = (at_us + there_us, at_us + there_us + held_us);
        Sample { sent_us: at_us, far_received_us: far(arrived), far_sent_us: far(left), received_us: left + back_us }
    }

    #[test]
    fn the_shortest_round_trip_wins() {
        let mut clock = ClockOffset::default();
        assert_eq!(clock.offset_us(), None);
        clock.add(ping(1_000_000_000, 90_000, 50, 2_000), Instant::now());
        assert!((clock.offset_us().unwrap() - AHEAD_US).abs() > 40_000, "one-sided delay misleads");
        clock.add(ping(1_000_500_000, 1_000, 3_000, 1_100), Instant::now());
        clock.add(ping(1_001_000_000, 2_000, 50, 90_000), Instant::now());
        assert_eq!(clock.round_trip(), Some(Duration::from_micros(2_100)));
        assert!((clock.offset_us().unwrap() - AHEAD_US).abs() <= 50);
    }

    #[test]
    fn old_samples_are_forgotten() {
        let mut clock = ClockOffset::default();
        clock.add(ping(1_000_000_000, 10, 0, 10), Instant::now());
        for n in 1..=WINDOW as u64 {
            let mut later = ping(1_000_000_000 + n * 500_000, 1_000, 0, 1_000);
            later.far_received_us += 5_000;
            later.far_sent_us += 5_000;
            clock.add(later, Instant::now());
        }
        assert_eq!(clock.offset_us(), Some(AHEAD_US + 5_000));
    }

    #[test]
    fn a_clock_that_was_put_is_believed_at_once() {
        // An hour either way, as after a sleep of one of the two machines; and less than anybody would notice, which is drift.
        for (step_us, seen) in [(3_600_000_000, true), (-3_600_000_000, true), (200_000, true), (10_000, false)] {
            let mut clock = ClockOffset::default();
            for n in 0..20 {
                clock.add(ping(10_000_000_000 + n * 500_000, 10_000, 0, 12_000), Instant::now());
            }
            let mut after = ping(10_010_000_000, 40_000, 0, 42_000);
            after.far_received_us = after.far_received_us.wrapping_add_signed(step_us);
            after.far_sent_us = after.far_sent_us.wrapping_add_signed(step_us);
            clock.add(after, Instant::now());
            let expected = if seen { AHEAD_US + step_us } else { AHEAD_US };
            assert_eq!((clock.offset_us().unwrap() - expected) / 2_000, 0, "{step_us}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(times: [u64; 4]) {
            let [sent_us, far_received_us, far_sent_us, received_us] = times;
            let sample = Sample { sent_us, far_received_us, far_sent_us, received_us };
            ClockOffset::default().add(sample, Instant::now());
        }
    }
}
