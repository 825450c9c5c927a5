//! The ladder's scenarios: what the path and the picture do, and what is to be sent.

use super::ladder::{Ladder, Situation, Step};
use crate::media::Size;
use crate::ops::SizeReason;
use std::time::{Duration, Instant};

const HD: Size = Size::new(1280, 720);

/// What is in front of the camera: the quantiser at 1280x720, 30 pictures a second and 800 kb/s, and how it depends on bitrate (per
/// halving) and pixels (per doubling). Measured, see `docs/measurements/codec.md`; the ladder knows nothing of it.
#[derive(Clone, Copy)]
struct Content {
    quantiser: f64,
    per_rate: f64,
    per_pixels: f64,
}

const FILM: Content = Content { quantiser: 32.0, per_rate: 5.0, per_pixels: 3.5 };
const NOISE: Content = Content { quantiser: 36.0, per_rate: 3.0, per_pixels: 3.9 };
const PAN: Content = Content { quantiser: 34.0, per_rate: 6.0, per_pixels: 4.2 };
const ROOM: Content = Content { quantiser: 28.0, per_rate: 4.5, per_pixels: 3.5 };

impl Content {
    fn quantiser(self, step: Step, bps: f64) -> f64 {
        let rate = (800_000.0 / bps).log2() * self.per_rate;
        let pixels = (step.size.pixels() as f64 / HD.pixels() as f64).log2() * self.per_pixels;
        self.quantiser + rate + pixels + 2.0 * (f64::from(step.fps) / 30.0).log2()
    }
}

/// A ladder with an encoder that behaves as openh264 was seen to, in virtual time.
struct Run {
    ladder: Ladder,
    now: Instant,
    source: Size,
    last: Option<Step>,
    changes: Vec<(Instant, Step)>,
    pictures: u32,
}

impl Run {
    fn new(source: Size) -> Self {
        let now = Instant::now();
        Self { ladder: Ladder::default(), now, source, last: None, changes: Vec::new(), pictures: 0 }
    }

    /// Sends for so many seconds; `bps` by the picture's number.
    fn send_with(&mut self, seconds: f64, content: Content, mut bps: impl FnMut(u32) -> f64) -> Step {
        for n in 0..(seconds * 30.0) as u32 {
            self.picture(content, bps(n), false);
        }
        self.last.unwrap()
    }

    fn send(&mut self, seconds: f64, content: Content, kbps: f64) -> Step {
        self.send_with(seconds, content, |_| kbps * 1e3)
    }

    fn picture(&mut self, content: Content, bps: f64, keyframe: bool) -> Step {
        let situation = Situation { source: self.source, source_fps: 30.0, target_bps: bps as u32, keyframe };
        let step = self.ladder.choose(&situation, self.now);
        let changed = self.last.is_none_or(|last| last.size != step.size);
        if self.last.is_none_or(|last| (last.size, last.fps) != (step.size, step.fps)) {
            self.changes.push((self.now, step));
        }
        self.last = Some(step);
        // Pictures differ: the quantiser wavers by two.
        let quantiser = content.quantiser(step, bps) + 2.0 * (f64::from(self.pictures) * 0.7).sin();
        self.pictures += 1;
        self.now += Duration::from_nanos(33_333_333);
        if quantiser > 44.0 && self.pictures.is_multiple_of(2) {
            self.ladder.left_out();
        } else {
            let bytes = bps / 8.0 / f64::from(step.fps);
            self.ladder.encoded(bytes as usize, quantiser.clamp(12.0, 42.0) as u8, changed || keyframe);
        }
        step
    }

    fn changes_of(&mut self, act: impl FnOnce(&mut Self)) -> Vec<(f64, Step)> {
        let (begin, before) = (self.now, self.changes.len());
        act(self);
        self.changes[before..].iter().map(|(at, step)| ((*at - begin).as_secs_f64(), *step)).collect()
    }
}

#[test]
fn each_bitrate_ends_at_the_size_that_was_measured_to_look_best() {
    // (content, kb/s, heights that are within 0.01 SSIM of the best)
    let table: [(&str, Content, f64, &[u32]); 16] = [
        ("film", FILM, 2500.0, &[720]),
        ("film", FILM, 1200.0, &[720]),
        ("film", FILM, 800.0, &[720, 540]),
        ("film", FILM, 500.0, &[540, 360]),
        ("film", FILM, 300.0, &[360, 270]),
        ("film", FILM, 200.0, &[360, 270]),
        ("film", FILM, 100.0, &[270, 180]),
        ("noise", NOISE, 2500.0, &[720, 540]),
        ("noise", NOISE, 1200.0, &[720, 540]),
        ("noise", NOISE, 500.0, &[540, 360]),
        ("noise", NOISE, 300.0, &[360, 270]),
        ("camera movement", PAN, 800.0, &[720, 540, 360]),
        ("camera movement", PAN, 300.0, &[360, 270]),
        ("camera movement", PAN, 100.0, &[180]),
        ("quiet room", ROOM, 500.0, &[720]),
        ("quiet room", ROOM, 300.0, &[720, 540]),
    ];
    for (what, content, kbps, heights) in table {
        // From above and from below.
        for first in [4000.0, 60.0] {
            let mut run = Run::new(HD);
            run.send(5.0, content, first);
            let step = run.send(60.0, content, kbps);
            assert!(heights.contains(&step.size.height), "{what} at {kbps} kb/s from {first}: {step:?}");
            assert_eq!(step.reason == SizeReason::Full, step.size == HD);
            assert!(step.fps == 30.0 || step.size.height == 180, "fewer pictures come last: {step:?}");
        }
    }
}

#[test]
fn the_first_picture_has_the_size_for_the_bitrate() {
    for (kbps, source, size) in [
        (2000.0, HD, HD),
        (800.0, HD, HD),
        (300.0, HD, Size::new(640, 360)),
        (2500.0, Size::new(1920, 1080), Size::new(1920, 1080)),
        (800.0, Size::new(1920, 1080), Size::new(960, 540)),
        (300.0, Size::new(1920, 1080), Size::new(480, 270)),
        (300.0, Size::new(720, 1280), Size::new(360, 640)),
        (300.0, Size::new(640, 480), Size::new(480, 360)),
        (100.0, Size::new(640, 480), Size::new(320, 240)),
        (60.0, Size::new(320, 180), Size::new(320, 180)),
    ] {
        assert_eq!(Run::new(source).picture(FILM, kbps * 1e3, true).size, size, "{source} at {kbps} kb/s");
    }
}

#[test]
fn down_is_quick_and_up_is_slow_but_not_with_room_to_spare() {
    let mut run = Run::new(HD);
    run.send(30.0, FILM, 2500.0);
    assert_eq!(run.changes.len(), 1, "{:?}", run.changes);
    // Sharply: with the next picture, and no detour.
    let changes = run.changes_of(|run| _ = run.send(20.0, FILM, 300.0));
    assert_eq!((changes[0].0, changes[0].1.size.height), (0.0, 360), "{changes:?}");
    assert!(changes.len() <= 2, "{changes:?}");
    // Back to where there is room to spare: soon, and at once to the top.
    let changes = run.changes_of(|run| _ = run.send(20.0, FILM, 2500.0));
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert!((0.5..2.0).contains(&changes[0].0) && changes[0].1.size == HD);
    // A little too little: not before a second has passed.
    let changes = run.changes_of(|run| _ = run.send(20.0, FILM, 500.0));
    assert!(changes.len() == 1 && (0.9..3.0).contains(&changes[0].0), "{changes:?}");
    assert_eq!(changes[0].1.size.height, 540);
    // A little more than enough: later.
    let changes = run.changes_of(|run| _ = run.send(20.0, FILM, 1000.0));
    assert!(changes.len() == 1 && (3.9..6.0).contains(&changes[0].0), "{changes:?}");
}

#[test]
fn three_to_one_and_back_needs_no_change_for_film() {
    let mut run = Run::new(HD);
    for kbps in [2500.0, 850.0, 2500.0] {
        run.send(20.0, FILM, kbps);
    }
    assert_eq!(run.changes.len(), 1, "{:?}", run.changes);
}

#[test]
fn a_keyframe_that_is_made_anyway_is_taken() {
    let mut run = Run::new(HD);
    run.send(20.0, FILM, 500.0);
    assert_eq!(run.last.unwrap().size.height, 540);
    run.send(1.0, FILM, 1000.0);
    assert_eq!(run.picture(FILM, 1e6, true).size, HD);
}

#[test]
fn what_wavers_around_a_threshold_does_not_flap() {
    // Bitrates of every threshold, going up and down by a fifth every two seconds, as a controller that probes does.
    for content in [FILM, NOISE, PAN, ROOM] {
        for kbps in (10..60).map(|n| 50.0 * f64::from(n)) {
            let mut run = Run::new(HD);
            run.send(10.0, content, kbps);
            let wavering = |n: u32| if (n / 60).is_multiple_of(2) { kbps * 1.1e3 } else { kbps * 0.9e3 };
            let changes = run.changes_of(|run| _ = run.send_with(300.0, content, wavering));
            assert!(changes.len() <= 3, "{kbps} kb/s: {changes:?}");
        }
    }
}

#[test]
fn content_that_comes_and_goes_is_tried_less_and_less_often() {
    // Somebody walks through the room every ten seconds.
    let mut run = Run::new(HD);
    let changes = run.changes_of(|run| {
        for _ in 0..60 {
            run.send(6.0, ROOM, 900.0);
            run.send(4.0, NOISE, 900.0);
        }
    });
    assert!(changes.len() < 40, "{} changes in ten minutes: {changes:?}", changes.len());
    assert!(changes.iter().any(|(_, step)| step.reason == SizeReason::Content), "{changes:?}");
}

#[test]
fn fewer_pictures_come_last() {
    let mut run = Run::new(HD);
    run.send(20.0, FILM, 300.0);
    assert_eq!(run.last.unwrap().fps, 30.0);
    let step = run.send(20.0, PAN, 60.0);
    assert_eq!((step.size, step.fps), (Size::new(320, 180), 15.0));
    let step = run.send(20.0, FILM, 2500.0);
    assert_eq!((step.size, step.fps), (HD, 30.0));
}

#[test]
fn a_keyframe_that_is_too_large_costs_one_size_and_content_decides_the_rest() {
    let mut run = Run::new(HD);
    run.picture(NOISE, 800e3, true);
    assert!(run.ladder.keyframe_too_large(run.now));
    assert_eq!(run.picture(NOISE, 800e3, true).size.height, 540);
    assert_eq!(run.send(60.0, NOISE, 800.0).size.height, 540);
    // There is an end to it.
    let lower = (0..10).filter(|_| run.ladder.keyframe_too_large(run.now)).count();
    assert_eq!(lower, 3);
}

#[test]
fn every_size_is_even_small_enough_and_of_the_same_shape() {
    for source in [
        HD,
        Size::new(1920, 1080),
        Size::new(720, 1280),
        Size::new(640, 480),
        Size::new(3840, 2160),
        Size::new(854, 480),
        Size::new(2, 2),
    ] {
        let mut last = source;
        for kbps in (1..200).rev().map(|n| f64::from(n) * 25.0) {
            let step = Run::new(source).picture(NOISE, kbps * 1e3, true);
            assert!(step.size.is_valid() && step.size.pixels() <= last.pixels(), "{source}: {step:?}");
            let shape = |size: Size| f64::from(size.width) / f64::from(size.height);
            assert!((shape(step.size) / shape(source) - 1.0).abs() < 0.01, "{source}: {step:?}");
            last = step.size;
        }
    }
}
