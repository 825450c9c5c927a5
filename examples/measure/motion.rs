//! How smoothly pictures followed each other.

/// How many intervals the mean is taken over, as in Chromium.
const WINDOW: usize = 30;
/// With fewer intervals nothing is called a freeze, as in Chromium.
const LEAST: usize = 5;

/// What a stretch of time looked like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Motion {
    /// Pictures a second.
    pub fps: f64,
    /// Intervals that were freezes.
    pub freezes: u32,
    /// How long they were together, in seconds.
    pub frozen_s: f64,
    /// The longest interval, in milliseconds.
    pub longest_ms: f64,
}

impl Motion {
    /// Of pictures shown at `times_ms`, in order, between two moments. The interval that is under way at `to_ms` counts too.
    ///
    /// A freeze is an interval of at least max(3 × mean, mean + 150 ms) (`freezeCount` of the W3C's webrtc-stats); the mean is that of
    /// the last 30 intervals, this one included (libwebrtc's `VideoQualityObserver`).
    pub fn of(times_ms: &[f64], from_ms: f64, to_ms: f64) -> Self {
        let mut motion = Self::default();
        let seconds = ((to_ms - from_ms) / 1e3).max(1e-3);
        let inside = |at: f64| (from_ms..to_ms).contains(&at);
        motion.fps = times_ms.iter().filter(|&&at| inside(at)).count() as f64 / seconds;
        let mut recent = std::collections::VecDeque::with_capacity(WINDOW + 1);
        let mut ends: Vec<f64> = times_ms.iter().copied().filter(|&at| at < to_ms).collect();
        let under_way = ends.last().is_some_and(|&last| to_ms - last > 1e3);
        if under_way {
            ends.push(to_ms);
        }
        for pair in ends.windows(2) {
            let interval = pair[1] - pair[0];
            recent.push_back(interval);
            if recent.len() > WINDOW {
                recent.pop_front();
            }
            if pair[1] < from_ms {
                continue;
            }
            motion.longest_ms = motion.longest_ms.max(interval);
            let mean = recent.iter().sum::<f64>() / recent.len() as f64;
            if recent.len() >= LEAST && interval >= (3.0 * mean).max(mean + 150.0) {
                motion.freezes += 1;
                // Of a freeze that began earlier, what is inside.
                motion.frozen_s += (pair[1] - pair[0].max(from_ms)) / 1e3;
            }
        }
        motion
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_30(from: u32, to: u32) -> impl Iterator<Item = f64> {
        (from..to).map(|n| f64::from(n) * 100.0 / 3.0)
    }

    #[test]
    fn steady_is_smooth() {
        let motion = Motion::of(&at_30(0, 300).collect::<Vec<_>>(), 1000.0, 9000.0);
        assert!((motion.fps - 30.0).abs() < 0.2, "{motion:?}");
        assert_eq!((motion.freezes, motion.longest_ms.round()), (0, 33.0));
    }

    #[test]
    fn a_long_gap_is_a_freeze_and_a_short_one_is_not() {
        let gap = |pictures: u32| at_30(0, 150).chain(at_30(150 + pictures, 300)).collect::<Vec<_>>();
        assert_eq!(Motion::of(&gap(4), 0.0, 1e4).freezes, 0, "167 ms");
        let motion = Motion::of(&gap(8), 0.0, 1e4);
        assert_eq!(motion.freezes, 1, "{motion:?}");
        assert!((motion.frozen_s - 0.3).abs() < 1e-3, "{motion:?}");
    }

    #[test]
    fn a_picture_that_stopped_is_frozen_until_the_end() {
        let motion = Motion::of(&at_30(0, 150).collect::<Vec<_>>(), 0.0, 1e4);
        assert!(motion.freezes == 1 && (motion.frozen_s - 5.0).abs() < 0.1, "{motion:?}");
    }
}
