//! Losses, and pictures that refer to what arrived before them, with openh264 at both ends.

use super::decode::Decoder;
use super::encode::{Config, Encoder};
use super::moving::Moving;
use super::nal;
use super::native::{self, Coded, Settings};
use super::slice::Slice;
use super::sps::Sps;
use super::{AccessUnit, Dependency};
use crate::media::{Colour, Exhausted, Frame, Pool, Size};
use proptest::prelude::*;
use std::collections::{HashSet, VecDeque};

/// How many pictures later the encoder hears of what the decoder has, or lacks.
const ROUND_TRIP: u64 = 5;

fn encoder() -> Encoder {
    let config = Config { bitrate_bps: 800_000, ..Config::default() };
    Encoder::new(config, Size::new(320, 180), 30.0).unwrap()
}

fn dependency(unit: &AccessUnit) -> Dependency {
    unit.dependency.expect("the encoder says it of each picture")
}

fn recovers(unit: &AccessUnit) -> bool {
    let Dependency { number, on } = dependency(unit);
    on + 1 < number
}

/// A far end that decodes nothing but what can be decoded, going by the pictures' dependencies.
struct FarEnd {
    decoder: Decoder,
    pool: Pool,
    has: HashSet<u32>,
    broken: bool,
}

impl FarEnd {
    fn new() -> Self {
        Self { decoder: Decoder::new(), pool: Pool::new(4), has: HashSet::new(), broken: true }
    }

    fn take(&mut self, unit: &AccessUnit) -> Option<Vec<u8>> {
        let Dependency { number, on } = dependency(unit);
        if unit.keyframe {
            self.has.clear();
        } else if self.broken && !self.has.contains(&on) {
            return None;
        }
        self.broken = false;
        self.has.insert(number);
        let shown = self.decoder.decode(unit, &mut self.pool).unwrap_or_else(|error| panic!("{number}: {error}"));
        Some(shown.expect("each picture comes out at once").data().to_vec())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    /// The keyframe arrives; then pictures are lost at random, and so is a third of what the far end says.
    #[test]
    fn whatever_is_lost_what_is_shown_is_whole_and_no_keyframe_is_needed(
        lost in prop::collection::vec((prop::bool::weighted(0.1), prop::bool::weighted(0.3)), 400)
    ) {
        let (mut encoder, mut source) = (encoder(), Moving::new(320, 180));
        let (mut lossless, mut far_end) = (FarEnd::new(), FarEnd::new());
        let (mut reports, mut asked, mut keyframes, mut recoveries) = (VecDeque::new(), 0, 0, 0);
        let mut newest = 0;
        for (n, (lost, report_lost)) in (1u64..).zip(lost) {
            while let Some((_, has, broken)) = reports.pop_front_if(|(at, ..): &mut (u64, u32, bool)| *at <= n) {
                encoder.far_end_has(has);
                if broken && n >= asked + ROUND_TRIP {
                    asked = n;
                    prop_assert!(encoder.recover(), "the keyframe had arrived");
                }
            }
            // What moves as much as this makes recoveries dear, and the picture behind one may be left out.
            let Some(unit) = encoder.encode(&source.next(), false).unwrap() else { continue };
            keyframes += usize::from(unit.keyframe);
            let whole = lossless.take(&unit).unwrap();
            recoveries += usize::from(recovers(&unit));
            // The first one is always there: without it only a keyframe helps.
            if lost && n > 1 {
                far_end.broken = true;
            } else if let Some(shown) = far_end.take(&unit) {
                newest = dependency(&unit).number;
                prop_assert!(shown == whole, "picture {n} is broken");
            }
            if !report_lost {
                reports.push_back((n + ROUND_TRIP, newest, far_end.broken));
            }
        }
        prop_assert_eq!(keyframes, 1);
        prop_assert!(recoveries > 0 || asked == 0);
    }

    #[test]
    fn any_bytes_give_an_answer(data in prop::collection::vec(any::<u8>(), 0..80)) {
        let unit = encoder().encode(&Moving::new(320, 180).next(), false).unwrap().unwrap();
        let sps = nal::units(&unit.data).find_map(|unit| Sps::parse(unit).ok()).unwrap();
        Slice::of(&[&[0, 0, 1, 0x61][..], &data].concat(), &sps);
        Slice::of(&data, &sps);
    }
}

#[test]
fn where_little_moves_a_recovery_picture_is_much_smaller_than_a_keyframe() {
    let bytes = |recover: bool| {
        let mut encoder = encoder();
        let (picture, mut pool) = (Moving::new(320, 180).next(), Pool::new(2));
        let mut last = 0;
        for n in 1..=60 {
            if n > 5 {
                encoder.far_end_has(n - 5);
            }
            let force = n == 60 && !(recover && encoder.recover());
            let fill = |frame: &mut Frame| {
                frame.data_mut().copy_from_slice(picture.data());
                // A tenth of it changes with each picture.
                frame.data_mut()[..320 * 18].iter_mut().for_each(|sample| *sample = sample.wrapping_add(n as u8) / 2);
                frame.number = n.into();
                Ok::<_, Exhausted>(())
            };
            let (frame, ()) = pool.fill(picture.format, fill).unwrap();
            let unit = encoder.encode(&frame, force).unwrap().unwrap();
            assert_eq!((unit.keyframe, recovers(&unit)), (n == 1 || force, n == 60 && !force), "{n}");
            last = unit.data.len();
        }
        last
    };
    let (recovery, keyframe) = (bytes(true), bytes(false));
    assert!(recovery * 3 < keyframe * 2, "{recovery} bytes instead of {keyframe}");
}

#[test]
fn another_size_is_another_stream() {
    let (mut encoder, mut source) = (encoder(), Moving::new(320, 180));
    for _ in 0..3 {
        encoder.encode(&source.next(), false).unwrap().unwrap();
    }
    encoder.far_end_has(3);
    assert!(encoder.recover());
    let mut smaller = Moving::new(160, 96);
    let unit = encoder.encode(&smaller.next(), false).unwrap().unwrap();
    assert!(unit.keyframe);
    assert_eq!(dependency(&unit), Dependency { number: 4, on: 4 });
    let unit = encoder.encode(&smaller.next(), false).unwrap().unwrap();
    assert_eq!(dependency(&unit), Dependency { number: 5, on: 4 });
    assert!(!encoder.recover(), "of the smaller ones the far end has none");
}

/// `WelsBuildRefList` finds nothing then: the keyframe becomes a long-term reference only with the picture behind it.
#[test]
fn where_openh264_finds_nothing_to_refer_to_it_makes_a_keyframe_and_no_error() {
    let colour = Colour::BT709_LIMITED;
    let settings =
        Settings { size: Size::new(320, 180), colour, fps: 30.0, bitrate_bps: 800_000, complexity: 0, threads: 1 };
    let (mut native, mut source) = (native::Encoder::new(&settings).unwrap(), Moving::new(320, 180));
    assert_eq!(native.encode(&source.next(), 0).unwrap(), Coded::Keyframe);
    native.recover().unwrap();
    assert_eq!(native.encode(&source.next(), 33).unwrap(), Coded::Keyframe);
    assert!(native.parts().map(<[u8]>::len).sum::<usize>() > 1000);
    assert_eq!(native.encode(&source.next(), 66).unwrap(), Coded::Predicted);
    native.recover().unwrap();
    assert_eq!(native.encode(&source.next(), 100).unwrap(), Coded::Predicted, "its keyframe is the second one");
}

/// Where nobody says what pictures refer to, their numbers must tell: openh264 by itself takes a loss for a gap that is allowed.
#[test]
fn a_gap_that_nobody_explains_is_damage() {
    let (mut encoder, mut source) = (encoder(), Moving::new(320, 180));
    let mut units: Vec<_> = (0..8).map(|_| encoder.encode(&source.next(), false).unwrap().unwrap()).collect();
    units.iter_mut().for_each(|unit| unit.dependency = None);
    for lost in 1..7 {
        let (mut decoder, mut pool) = (Decoder::new(), Pool::new(4));
        for (n, unit) in units.iter().enumerate().filter(|(n, _)| *n != lost) {
            let result = decoder.decode(unit, &mut pool);
            let expected = match n {
                _ if n < lost => matches!(result, Ok(Some(_))),
                _ if n == lost + 1 => matches!(result, Err(super::decode::Error::Damaged(2))),
                _ => matches!(result, Ok(None)),
            };
            assert!(expected, "picture {n} without {lost}: {result:?}");
        }
    }
}
