//! Which changes of what is sent are told in the log, and in what words. Pure: the time is given.
//!
//! Each other size is told: it is seen at the far end. The number of pictures a second is the source's as a rule, and
//! sways with the light and with how busy the machine is; it is told when it has become quite another one for good.

use super::ladder::Step;
use crate::ops::SizeReason;
use std::time::{Duration, Instant};

/// A rate that differs from the one that was told by this share of it, and by so many pictures a second, is another
/// one. The ladder's own steps (30, 20, 15) are that far apart.
const SHARE: f32 = 0.24;
const PICTURES: f32 = 3.0;
/// When it has been for so long.
const LASTS: Duration = Duration::from_secs(10);

/// What was told last.
#[derive(Debug, Default)]
pub struct Telling {
    told: Option<Step>,
    /// Since when the rate has been another one.
    other_since: Option<Instant>,
}

impl Telling {
    /// Takes what a picture is sent as. What the log is to say of it, if anything.
    pub fn news(&mut self, step: Step, source_fps: f32, target_bps: u32, now: Instant) -> Option<String> {
        let is_news = match self.told {
            // As it should be.
            None if step.reason == SizeReason::Full => {
                self.told = Some(step);
                false
            }
            None => true,
            Some(told) if told.size != step.size => true,
            Some(told) if is_other(told.fps, step.fps) => {
                let since = *self.other_since.get_or_insert(now);
                now.saturating_duration_since(since) >= LASTS
            }
            Some(_) => {
                self.other_since = None;
                false
            }
        };
        if !is_news {
            return None;
        }
        self.other_since = None;
        let last = self.told.replace(step);
        let why = why(step, last, source_fps, target_bps);
        Some(format!("sending {} at {:.0} a second: {why}", step.size, step.fps))
    }
}

fn is_other(told: f32, fps: f32) -> bool {
    let apart = (told - fps).abs();
    apart >= SHARE * told && apart >= PICTURES
}

/// Why pictures are sent as they are from now on.
fn why(step: Step, last: Option<Step>, source_fps: f32, target_bps: u32) -> String {
    let mbps = f64::from(target_bps) / 1e6;
    let slowed = step.fps < source_fps;
    let resized = last.is_none_or(|last| last.size != step.size);
    match step.reason {
        // Only the rate is another.
        _ if !slowed && !resized => "as many as the source delivers".to_owned(),
        SizeReason::Full if !slowed => "as the source delivers them".to_owned(),
        SizeReason::Full => format!("more would be too coarse for {mbps:.1} Mb/s"),
        SizeReason::Path => format!("the path carries {mbps:.1} Mb/s"),
        SizeReason::Content => format!("much movement or noise for {mbps:.1} Mb/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Size;

    const FULL: Size = Size::new(1280, 720);

    /// For so many seconds pictures of this size, at a rate that depends on the picture's number.
    type Part<'a> = (u64, Size, &'a dyn Fn(u64) -> f32);

    /// Ten pictures a second of these sizes and rates, each so many seconds long; the seconds at which something was
    /// told, and what.
    fn told(parts: &[Part]) -> Vec<(u64, String)> {
        let (start, mut telling, mut picture, mut told) = (Instant::now(), Telling::default(), 0, Vec::new());
        for (seconds, size, fps) in parts {
            for _ in 0..seconds * 10 {
                let reason = if *size == FULL { SizeReason::Full } else { SizeReason::Path };
                let fps = fps(picture);
                let step = Step { size: *size, fps, reason };
                let words = telling.news(step, fps, 2_500_000, start + Duration::from_millis(100 * picture));
                told.extend(words.map(|words| (picture / 10, words)));
                picture += 1;
            }
        }
        told
    }

    #[test]
    fn a_rate_that_sways_is_told_of_when_it_is_another_one_for_good() {
        let about = |fps: f32| move |n: u64| fps + [0.0, 1.0, -1.0, 0.0, 1.0][n as usize % 5];
        for (name, parts, expected) in [
            ("steady", vec![(600, FULL, &about(30.0) as &dyn Fn(u64) -> f32)], &[][..]),
            // A camera in the dark: one more or less is a quarter.
            ("one more, one less", vec![(3600, FULL, &about(4.0))], &[]),
            (
                "busy for a moment",
                vec![(60, FULL, &about(30.0)), (8, FULL, &about(12.0)), (60, FULL, &about(30.0))],
                &[],
            ),
            ("each second another", vec![(3600, FULL, &|n| if n / 10 % 2 == 0 { 30.0 } else { 15.0 })], &[]),
            (
                "dusk and dawn",
                vec![(60, FULL, &about(30.0)), (600, FULL, &about(15.0)), (600, FULL, &about(30.0))],
                &[(70, "sending 1280x720 at 15 a second: as many"), (670, "sending 1280x720 at 30 a second: as many")],
            ),
        ] {
            let told = told(&parts);
            assert_eq!(told.len(), expected.len(), "{name}: {told:?}");
            for ((second, words), (at, begin)) in told.iter().zip(expected) {
                let rate = words.split(" a second").next().unwrap();
                assert!(second.abs_diff(*at) <= 1, "{name}: {told:?}");
                let near = |more: i32| {
                    let (head, number) = begin.split(" a second").next().unwrap().rsplit_once(' ').unwrap();
                    rate == format!("{head} {}", number.parse::<i32>().unwrap() + more)
                };
                assert!([-1, 0, 1].into_iter().any(near), "{name}: {words}");
            }
        }
    }

    #[test]
    fn each_size_is_told_at_once() {
        let (small, thirty) = (Size::new(640, 360), |_: u64| 30.0);
        let told = told(&[(5, FULL, &thirty), (5, small, &thirty), (5, FULL, &thirty)]);
        let expected = ["sending 640x360 at 30 a second: the path carries 2.5 Mb/s", "as the source delivers them"];
        assert_eq!(told.iter().map(|(second, _)| *second).collect::<Vec<_>>(), [5, 10]);
        assert!(told.iter().zip(expected).all(|((_, words), expected)| words.ends_with(expected)), "{told:?}");
    }

    #[test]
    fn the_ladders_own_rates_are_told() {
        let told = told(&[(20, FULL, &|_| 30.0), (20, FULL, &|_| 20.0), (20, FULL, &|_| 15.0), (20, FULL, &|_| 20.0)]);
        assert_eq!(told.len(), 3, "{told:?}");
    }

    #[test]
    fn the_path_is_blamed_only_for_what_it_does() {
        let step = |width, height, fps, reason| Step { size: Size::new(width, height), fps, reason };
        let (full, path, content) = (SizeReason::Full, SizeReason::Path, SizeReason::Content);
        for (now, last, source_fps, expected) in [
            (step(320, 180, 5.0, full), Some(step(320, 180, 30.0, full)), 5.0, "as many as the source delivers"),
            (step(320, 180, 5.0, path), Some(step(320, 180, 30.0, path)), 5.0, "as many as the source delivers"),
            (
                step(320, 180, 15.0, full),
                Some(step(320, 180, 30.0, full)),
                30.0,
                "more would be too coarse for 2.5 Mb/s",
            ),
            (step(320, 180, 15.0, path), Some(step(320, 180, 30.0, path)), 30.0, "the path carries 2.5 Mb/s"),
            (step(1280, 720, 30.0, full), Some(step(960, 540, 30.0, path)), 30.0, "as the source delivers them"),
            (step(960, 540, 30.0, path), None, 30.0, "the path carries 2.5 Mb/s"),
            (step(960, 540, 30.0, content), None, 30.0, "much movement or noise for 2.5 Mb/s"),
        ] {
            assert_eq!(why(now, last, source_fps, 2_500_000), expected, "{now:?} {last:?}");
        }
    }
}
