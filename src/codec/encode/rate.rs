//! Small policies of the encode thread, with the time passed in: how fast pictures really come, which of them are encoded, and how
//! often and how large a keyframe may be.

use std::time::{Duration, Instant};

/// How many pictures a second really come. openh264's rate control gives each picture the target's share of one second, so a
/// camera that delivers 15 instead of 30 would use half the bitrate.
#[derive(Debug)]
pub struct FrameRate {
    fps: f32,
    window: Option<(Instant, u32)>,
}

/// How long pictures are counted for one figure.
const WINDOW: Duration = Duration::from_secs(1);
/// A smaller change than this is only jitter.
const CHANGE: f32 = 0.08;

impl FrameRate {
    /// Reckons with `fps` until it knows better.
    pub fn new(fps: f32) -> Self {
        Self { fps, window: None }
    }

    /// Pictures per second to reckon with.
    pub fn fps(&self) -> f32 {
        self.fps
    }

    /// A picture came at `now`. Gives the new rate when it has changed.
    pub fn observe(&mut self, now: Instant) -> Option<f32> {
        let (begin, count) = self.window.get_or_insert((now, 0));
        let passed = now.saturating_duration_since(*begin);
        if passed < WINDOW {
            *count += 1;
            return None;
        }
        let measured = *count as f32 / passed.as_secs_f32();
        // A gap (privacy, a stalled camera) says nothing about the rate.
        let steady = passed < WINDOW * 3 / 2;
        self.window = Some((now, 1));
        let changed = steady && (measured - self.fps).abs() > CHANGE * self.fps;
        changed.then(|| {
            self.fps = measured.clamp(1.0, 60.0);
            self.fps
        })
    }

    /// Pictures were left out on purpose: begins to count anew.
    pub fn pause(&mut self) {
        self.window = None;
    }
}

/// Picks pictures evenly where fewer are encoded than come.
#[derive(Debug, Default)]
pub struct Pace {
    next: Option<Instant>,
}

impl Pace {
    /// Whether the picture taken at `at` is encoded, when `fps` of the source's `source_fps` pictures a second are to be.
    pub fn takes(&mut self, at: Instant, fps: f32, source_fps: f32) -> bool {
        if fps >= source_fps * (1.0 - CHANGE) {
            self.next = None;
            return true;
        }
        let interval = Duration::from_secs_f32(1.0 / fps.max(1.0));
        let half = Duration::from_secs_f32(0.5 / source_fps.max(1.0));
        let due = self.next.unwrap_or(at);
        if at + half < due {
            return false;
        }
        // From when it was due, so that the mean holds; but a gap is not followed by a burst.
        let late = at.saturating_duration_since(due);
        self.next = Some(if late > interval { at } else { due } + interval);
        true
    }
}

/// What was spent beyond the bitrate and is not paid back yet: by a keyframe, by a size that is too large.
///
/// openh264 has an account of its own, which pays by leaving out every other picture behind each keyframe, and forgets what is left
/// eight pictures later. This one pays back with slightly coarser pictures over about a second, forgets nothing, and leaves
/// pictures out only when nothing else helps.
#[derive(Debug, Default)]
pub struct Debt {
    seconds: f64,
}

impl Debt {
    /// Beyond this many seconds' worth of bits, pictures are left out.
    const MOST_S: f64 = 0.5;
    /// The largest share of the bitrate that goes into paying back.
    const LARGEST_SHARE: f64 = 0.25;

    /// The bitrate to encode with, when `target_bps` is to be sent.
    pub fn bitrate(&self, target_bps: u32) -> u32 {
        (f64::from(target_bps) * (1.0 - self.seconds.min(Self::LARGEST_SHARE))) as u32
    }

    /// Whether a picture had better be left out.
    pub fn is_too_much(&self) -> bool {
        self.seconds > Self::MOST_S
    }

    /// A picture was encoded into so many bytes, or left out (0).
    pub fn spend(&mut self, bytes: usize, target_bps: u32, fps: f32) {
        let spent = bytes as f64 * 8.0 / f64::from(target_bps.max(1));
        // What is not spent is not saved for later: it would flood the path then.
        self.seconds = (self.seconds + spent - 1.0 / f64::from(fps)).max(0.0);
    }

    /// The bitrate has changed: what is owed takes that much longer to pay, or shorter. But no more is demanded than leaves room
    /// for the keyframe of a smaller size; the rest is the pacer's and the path's.
    pub fn change_bitrate(&mut self, from_bps: u32, to_bps: u32) {
        let seconds = self.seconds * f64::from(from_bps) / f64::from(to_bps.max(1));
        self.seconds = seconds.min(self.seconds.max(Self::LARGEST_SHARE));
    }
}

/// The most bytes that a keyframe should have, at a bitrate: what takes a quarter of a second to send. More is delay that everybody
/// sees; on a path that carries much, it is more than any keyframe needs.
pub fn keyframe_bytes(target_bps: u32) -> usize {
    target_bps as usize / 8 / 4
}

/// Keeps keyframes apart. Each costs four pictures' worth of bits; a far end that asks for one with every lost packet would
/// make the loss worse. A request that comes too early is answered later, never forgotten.
#[derive(Debug, Default)]
pub struct KeyframeSpacing {
    last: Option<Instant>,
}

impl KeyframeSpacing {
    /// The shortest time from one requested keyframe to the next.
    pub const SPACING: Duration = Duration::from_millis(250);

    /// Whether a requested keyframe may be made now.
    pub fn allows(&self, now: Instant) -> bool {
        self.last.is_none_or(|last| now.saturating_duration_since(last) >= Self::SPACING)
    }

    /// A keyframe was made.
    pub fn made(&mut self, now: Instant) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds pictures `gap_ms` apart and returns every change that was announced.
    fn changes(rate: &mut FrameRate, at: &mut Instant, gap_ms: &[u64], pictures: usize) -> Vec<f32> {
        let mut found = Vec::new();
        for n in 0..pictures {
            *at += Duration::from_millis(gap_ms[n % gap_ms.len()]);
            found.extend(rate.observe(*at));
        }
        found
    }

    #[test]
    fn the_rate_follows_the_camera() {
        // (what happens, gaps in ms, pictures, the changes announced, rounded)
        let steps: [(&str, &[u64], usize, &[f32]); 6] = [
            ("as expected", &[33, 34, 33], 200, &[]),
            ("jitter", &[20, 46, 34], 200, &[]),
            ("dim light halves it", &[66, 67, 67], 60, &[15.0]),
            ("a stalled camera", &[4000], 3, &[]),
            ("goes on as before", &[66, 67, 67], 60, &[]),
            ("light again", &[33, 34, 33], 120, &[30.0]),
        ];
        let (mut rate, mut at) = (FrameRate::new(30.0), Instant::now());
        for (what, gaps, pictures, expected) in steps {
            let found = changes(&mut rate, &mut at, gaps, pictures);
            let last = found.last().map(|fps| fps.round());
            assert_eq!(last.as_slice(), expected, "{what}: {found:?}");
        }
    }

    #[test]
    fn fewer_pictures_come_evenly() {
        // (source, wanted, pictures of 10 seconds, longest gap in pictures of the source)
        for (source_fps, fps, expected, gap) in [
            (30.0, 20.0, 200, 2),
            (30.0, 15.0, 150, 2),
            (25.0, 15.0, 150, 2),
            (15.0, 15.0, 150, 1),
            (60.0, 20.0, 200, 3),
        ] {
            let (mut pace, start) = (Pace::default(), Instant::now());
            let jitter = |n: u32| Duration::from_millis(u64::from(n * 7 % 5));
            let pictures =
                (0..10 * source_fps as u32).map(|n| start + Duration::from_secs(1) * n / source_fps as u32 + jitter(n));
            let taken: Vec<bool> = pictures.map(|at| pace.takes(at, fps, source_fps)).collect();
            let count = taken.iter().filter(|&&taken| taken).count();
            assert!(count.abs_diff(expected) <= 4, "{count} of {source_fps} instead of {fps}");
            let longest = taken.split(|&taken| taken).map(|left_out| left_out.len() + 1).max().unwrap();
            assert!(longest <= gap + 1, "{longest} pictures apart at {fps} of {source_fps}");
            let later = start + Duration::from_secs(60);
            let after: Vec<bool> = (0..3)
                .map(|n| pace.takes(later + Duration::from_secs(1) * n / source_fps as u32, fps, source_fps))
                .collect();
            assert!(after[0] && (source_fps == fps || after.contains(&false)), "no burst behind a gap: {after:?}");
        }
    }

    #[test]
    fn what_a_keyframe_costs_is_paid_back_within_seconds() {
        let (mut debt, target, fps) = (Debt::default(), 1_000_000, 30.0);
        debt.spend(keyframe_bytes(target), target, fps);
        let mut sent = keyframe_bytes(target);
        for n in 1..90 {
            assert!(!debt.is_too_much());
            let bytes = debt.bitrate(target) as usize / 8 / 30;
            sent += bytes;
            debt.spend(bytes, target, fps);
            assert!(bytes * 8 * 30 >= target as usize * 3 / 4, "picture {n} is starved");
        }
        assert!(sent * 8 < 3_020_000, "{sent} bytes in three seconds");
        assert!(debt.bitrate(target) > 980_000);
    }

    #[test]
    fn what_cannot_be_paid_is_left_out() {
        let (mut debt, target, fps) = (Debt::default(), 100_000, 30.0);
        let mut encoded = 0;
        for _ in 0..300 {
            let bytes = if debt.is_too_much() { 0 } else { 1250 };
            encoded += usize::from(bytes > 0);
            debt.spend(bytes, target, fps);
        }
        // Three times what there is: a third of the pictures, and half a second on credit.
        assert!((95..=110).contains(&encoded), "{encoded}");
        debt.change_bitrate(target, 1_000_000);
        assert!(!debt.is_too_much());
    }

    #[test]
    fn keyframes_keep_their_distance() {
        let (mut spacing, start) = (KeyframeSpacing::default(), Instant::now());
        assert!(spacing.allows(start));
        spacing.made(start);
        assert!(!spacing.allows(start + KeyframeSpacing::SPACING / 2));
        assert!(spacing.allows(start + KeyframeSpacing::SPACING));
    }
}
