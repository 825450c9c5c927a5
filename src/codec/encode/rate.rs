//! Two small policies of the encode thread, with the time passed in: how fast pictures really come, and how often a keyframe
//! may be made.

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
    fn keyframes_keep_their_distance() {
        let (mut spacing, start) = (KeyframeSpacing::default(), Instant::now());
        assert!(spacing.allows(start));
        spacing.made(start);
        assert!(!spacing.allows(start + KeyframeSpacing::SPACING / 2));
        assert!(spacing.allows(start + KeyframeSpacing::SPACING));
    }
}
