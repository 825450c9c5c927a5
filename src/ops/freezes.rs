//! When the picture stood still: the freezes that a viewer sees, by the definition that browsers use.
//!
//! A gap between two pictures is a freeze if it is at least three usual gaps and at least 150 ms longer than a usual one; usual is
//! the mean of the last 30 gaps, this one included (`freezeCount` and `totalFreezesDuration` of W3C webrtc-stats; that a gap counts in
//! its own mean, that the whole of a freeze counts as frozen, and that nothing is judged before there are five gaps is Chromium's
//! reading of it, taken over so that figures can be put beside a browser's).
//!
//! Where a browser goes on showing the stale picture, a portal puts a slate over it. From then on nothing stands still:
//!
//! | the slate says | what counts |
//! |---|---|
//! | connecting, no far end, paused | the gap up to the slate as a freeze, if it is long enough; the slate's time as *interrupted* |
//! | the far end's camera is missing, private or off; ours is private; closed; not paired | nothing: that is on purpose, or known to be no matter of the link |
//!
//! Frozen and interrupted time together are what a browser would call frozen.

use super::Slate;
use std::time::{Duration, Instant};

/// Gaps that the mean is of.
const WINDOW: usize = 30;
/// Gaps before which nothing is judged.
const FEWEST: usize = 5;
/// What a freeze is longer than the mean, at least.
const LONGER: Duration = Duration::from_millis(150);
/// How many means a freeze is long, at least.
const TIMES: u32 = 3;

/// Watches the gaps between presented pictures. Pure: time is told.
#[derive(Debug, Default)]
pub(super) struct Freezes {
    gaps: [Duration; WINDOW],
    /// How many gaps there were, up to [`WINDOW`], and where the next one goes.
    known: usize,
    next: usize,
    /// Since when the picture that is seen now has been there. `None` while a slate is.
    seen: Option<Instant>,
    cover: Option<Cover>,
    /// There has been a picture to see. Before that nothing can be interrupted.
    begun: bool,
}

#[derive(Clone, Copy, Debug)]
struct Cover {
    interrupts: bool,
    /// Up to when its time is accounted for.
    since: Instant,
}

impl Freezes {
    /// Nothing is shown yet: a portal begins with a slate.
    pub fn new(now: Instant) -> Self {
        Self { cover: Some(Cover { interrupts: true, since: now }), ..Self::default() }
    }

    /// A new picture was presented. Returns how long the one before it stood frozen, if it did.
    pub fn presented(&mut self, now: Instant) -> Option<Duration> {
        if self.cover.is_some() {
            return None;
        }
        self.seen.replace(now).and_then(|since| self.frozen(now.saturating_duration_since(since)))
    }

    /// A slate is shown from now on, or none. Returns how long the picture that it covers stood frozen, if it did.
    pub fn shows(&mut self, slate: Slate, now: Instant) -> Option<Duration> {
        let interrupts = match slate {
            Slate::Hidden => {
                if self.cover.take().is_some() {
                    self.begun = true;
                    self.seen = Some(now);
                }
                return None;
            }
            Slate::Connecting | Slate::NoFarEnd | Slate::Paused => true,
            Slate::NotPaired
            | Slate::FarCameraMissing
            | Slate::FarPrivate
            | Slate::FarOff
            | Slate::Closed
            | Slate::Private => false,
        };
        self.cover = Some(Cover { interrupts, since: now });
        let since = self.seen.take()?;
        if interrupts { self.frozen(now.saturating_duration_since(since)) } else { None }
    }

    /// How long a slate has stood in for the picture because of the link, since the last call or the slate's beginning. The time before
    /// the first picture ever is not counted. Must be called before [`shows`](Self::shows) too, or the last piece is missing.
    pub fn interrupted(&mut self, now: Instant) -> Duration {
        let Some(cover) = &mut self.cover else { return Duration::ZERO };
        let passed = now.saturating_duration_since(cover.since);
        cover.since = cover.since.max(now);
        if cover.interrupts && self.begun { passed } else { Duration::ZERO }
    }

    /// Takes a gap into the mean and judges it.
    fn frozen(&mut self, gap: Duration) -> Option<Duration> {
        self.gaps[self.next] = gap;
        self.next = (self.next + 1) % WINDOW;
        self.known = (self.known + 1).min(WINDOW);
        if self.known < FEWEST {
            return None;
        }
        let mean = self.gaps[..self.known].iter().sum::<Duration>() / self.known as u32;
        (gap >= (mean * TIMES).max(mean + LONGER)).then_some(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What happens in a scenario, after so many milliseconds.
    enum Step {
        Picture(u64),
        Slate(u64, Slate),
    }
    use Step::{Picture, Slate as Shows};

    /// Runs steps after 40 pictures at 30 a second, the first of them uncovered by the slate's end.
    /// Returns (freezes, frozen ms, interrupted ms).
    fn run(steps: &[Step]) -> (u64, u64, u64) {
        let mut now = Instant::now();
        let mut freezes = Freezes::new(now);
        let mut result = (0, 0, Duration::ZERO);
        let mut go = |after: u64, slate: Option<Slate>| {
            now += Duration::from_millis(after);
            result.2 += freezes.interrupted(now);
            let frozen = match slate {
                Some(slate) => freezes.shows(slate, now),
                None => freezes.presented(now),
            };
            if let Some(frozen) = frozen {
                result.0 += 1;
                result.1 += frozen.as_millis() as u64;
            }
        };
        go(5_000, Some(Slate::Hidden));
        for _ in 0..40 {
            go(33, None);
        }
        for step in steps {
            match step {
                Picture(after) => go(*after, None),
                Shows(after, slate) => go(*after, Some(*slate)),
            }
        }
        (result.0, result.1, result.2.as_millis() as u64)
    }

    #[test]
    fn scenarios() {
        let scenarios = [
            ("even", vec![Picture(33)], (0, 0, 0)),
            // (29 x 33 + gap) / 30 + 150 = gap at 188 ms.
            ("a short gap", vec![Picture(187)], (0, 0, 0)),
            ("a long gap", vec![Picture(189)], (1, 189, 0)),
            ("all of a freeze counts, each by itself", vec![Picture(400), Picture(33), Picture(600)], (2, 1000, 0)),
            ("slower from now on is no freeze", vec![Picture(100), Picture(100), Picture(100)], (0, 0, 0)),
            (
                "an outage: frozen up to the slate, interrupted from then on",
                vec![Shows(1000, Slate::Paused), Shows(5000, Slate::NoFarEnd), Shows(7000, Slate::Hidden), Picture(33)],
                (1, 1000, 12_000),
            ),
            (
                "pictures that come while the slate is still there end nothing by themselves",
                vec![Shows(1000, Slate::Paused), Picture(500), Shows(50, Slate::Hidden), Picture(33)],
                (1, 1000, 550),
            ),
            (
                "what stands still after the slate counts from its end",
                vec![Shows(1000, Slate::Paused), Picture(500), Shows(50, Slate::Hidden), Picture(700)],
                (2, 1700, 550),
            ),
            ("on purpose", vec![Shows(800, Slate::FarPrivate), Shows(60_000, Slate::Hidden), Picture(33)], (0, 0, 0)),
            (
                "our own privacy, under which pictures may go on being decoded",
                vec![Shows(20, Slate::Private), Picture(33), Picture(3000), Shows(10, Slate::Hidden), Picture(33)],
                (0, 0, 0),
            ),
            (
                "a far camera that is found to be missing only after the slate said paused",
                vec![Shows(1000, Slate::Paused), Shows(2000, Slate::FarCameraMissing), Shows(9000, Slate::Hidden)],
                (1, 1000, 2000),
            ),
        ];
        for (name, steps, expected) in scenarios {
            assert_eq!(run(&steps), expected, "{name}");
        }
    }

    #[test]
    fn the_start_is_neither_frozen_nor_interrupted() {
        let start = Instant::now();
        let mut freezes = Freezes::new(start);
        let later = start + Duration::from_secs(20);
        assert_eq!(freezes.interrupted(later), Duration::ZERO);
        // The first picture is presented a little before the slate goes.
        assert_eq!(freezes.presented(later), None);
        let later = later + Duration::from_millis(200);
        assert_eq!(freezes.interrupted(later), Duration::ZERO);
        assert_eq!(freezes.shows(Slate::Hidden, later), None);
        // Four gaps say nothing about what is usual.
        for n in 1..=3 {
            assert_eq!(freezes.presented(later + Duration::from_millis(33 * n)), None);
        }
        assert_eq!(freezes.presented(later + Duration::from_secs(3)), None);
    }

    #[test]
    fn time_that_runs_backwards_is_survived() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut freezes = Freezes::new(start);
        assert_eq!(freezes.interrupted(start - Duration::from_secs(5)), Duration::ZERO);
        freezes.shows(Slate::Hidden, start);
        for n in 0..20 {
            assert_eq!(freezes.presented(start - Duration::from_millis(n)), None);
        }
    }
}
