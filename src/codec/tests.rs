//! Both directions together: what comes out is what went in, or nothing.

use super::AccessUnit;
use super::decode::{Decoder, Error};
use super::encode::{Config, Encoder};
use super::moving::{Moving, psnr};
use super::nal::{self, Kind};
use super::sps::{self, Sps};
use crate::media::{Colour, Frame, Pool, Size};
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::{Arc, OnceLock};

fn encoder(bitrate_bps: u32) -> Encoder {
    Encoder::new(Config { bitrate_bps, ..Config::default() }, Size::new(1280, 720), 30.0).unwrap()
}

fn kinds(unit: &AccessUnit) -> Vec<Kind> {
    nal::units(&unit.data).filter_map(Kind::of).collect()
}

fn sps(unit: &AccessUnit) -> Sps {
    let first = nal::units(&unit.data).find(|unit| Kind::of(unit) == Some(Kind::Sps)).unwrap();
    Sps::parse(first).unwrap()
}

#[test]
fn pictures_come_back_alike_with_all_that_belongs_to_them() {
    let (mut encoder, mut decoder, mut pool) = (encoder(2_500_000), Decoder::new(), Pool::new(4));
    let mut source = Moving::new(640, 360).with_colour(Colour::BT601_FULL);
    for n in 1..=12 {
        let frame = source.next();
        let unit = encoder.encode(&frame, n == 7).unwrap().unwrap();
        assert_eq!(unit.keyframe, n == 1 || n == 7);
        let expected: &[Kind] = if unit.keyframe { &[Kind::Sps, Kind::Pps, Kind::Idr] } else { &[Kind::Slice] };
        assert_eq!(kinds(&unit), expected, "picture {n}");
        let shown = decoder.decode(&unit, &mut pool).unwrap().expect("each picture comes out at once");
        assert_eq!((shown.format, shown.number, shown.captured), (frame.format, frame.number, frame.captured));
        assert!(psnr(&frame, &shown) > 34.0, "picture {n}: {:.1} dB", psnr(&frame, &shown));
    }
}

#[test]
fn the_stream_says_what_it_is() {
    for (width, height, fps, level) in
        [(1280, 720, 30.0, 31), (1920, 1080, 30.0, 40), (640, 360, 30.0, 30), (1280, 720, 60.0, 32)]
    {
        let mut encoder = Encoder::new(Config::default(), Size::new(width, height), fps).unwrap();
        let sps = sps(&encoder.encode(&Moving::new(width, height).next(), false).unwrap().unwrap());
        // Constrained baseline: profile 66 with constraint_set1_flag.
        assert_eq!((sps.profile_idc, sps.constraints & 0x40), (66, 0x40));
        assert_eq!((sps.size, sps.colour), (Size::new(width, height), Some(Colour::BT709_LIMITED)));
        assert!(sps.level_idc <= level, "level {} for {}x{} at {fps}", sps.level_idc, width, height);
    }
}

#[test]
fn another_size_or_colour_starts_with_a_keyframe_and_the_decoder_follows() {
    let (mut encoder, mut decoder, mut pool) = (encoder(8_000_000), Decoder::new(), Pool::new(4));
    let sources = [
        Moving::new(640, 360),
        Moving::new(320, 180),
        Moving::new(320, 180).with_colour(Colour::BT601_LIMITED),
        Moving::new(362, 642),
    ];
    for mut source in sources {
        for n in 0..3 {
            let frame = source.next();
            let unit = encoder.encode(&frame, false).unwrap().unwrap();
            assert_eq!(unit.keyframe, n == 0);
            let shown = decoder.decode(&unit, &mut pool).unwrap().unwrap();
            assert_eq!(shown.format, frame.format);
            assert!(psnr(&frame, &shown) > 30.0);
        }
    }
}

#[test]
fn sizes_that_cannot_be_encoded_are_refused_with_a_remedy() {
    for size in [Size::new(0, 0), Size::new(8, 8), Size::new(3840, 3840), Size::new(641, 360)] {
        let error = Encoder::new(Config::default(), size, 30.0).unwrap_err();
        assert!(error.to_string().contains("source.width"), "{error}");
    }
}

#[test]
fn the_bitrate_is_held_and_follows_at_once() {
    const PICTURES: usize = 30;
    let mut source = Moving::new(1280, 720);
    // Forth and back, so that there is always motion.
    let pictures: Vec<Arc<Frame>> = (0..8).map(|_| source.next()).collect();
    let mut encoder = encoder(2_500_000);
    let second = |encoder: &mut Encoder, bps: u32| {
        encoder.set_bitrate(bps);
        let mut bits = 0;
        for n in 0..PICTURES {
            let at = n % 14;
            let picture = &pictures[if at < 8 { at } else { 14 - at }];
            bits += encoder.encode(picture, false).unwrap().map_or(0, |unit| unit.data.len() * 8);
        }
        bits as f64
    };
    // (target, seconds until it counts, seconds that count)
    for (target, settle, hold) in [(2_500_000, 2, 2), (800_000, 1, 3), (2_500_000, 1, 3)] {
        for _ in 0..settle {
            second(&mut encoder, target);
        }
        let mean = (0..hold).map(|_| second(&mut encoder, target)).sum::<f64>() / f64::from(hold);
        let off = mean / f64::from(target) - 1.0;
        assert!(off.abs() < 0.10, "{:.0} kb/s instead of {:.0}", mean / 1e3, f64::from(target) / 1e3);
    }
}

#[test]
fn the_target_stays_within_what_was_configured() {
    let mut encoder = encoder(1_000_000);
    assert_eq!(encoder.set_bitrate(9_000_000), 1_000_000);
    assert_eq!(encoder.set_bitrate(0), 50_000);
}

/// 24 pictures with keyframes at 0, 10 and 18, and what a decoder makes of them when nothing is lost.
fn stream() -> &'static (Vec<AccessUnit>, Vec<Vec<u8>>) {
    static STREAM: OnceLock<(Vec<AccessUnit>, Vec<Vec<u8>>)> = OnceLock::new();
    STREAM.get_or_init(|| {
        let (mut encoder, mut decoder, mut pool) = (encoder(800_000), Decoder::new(), Pool::new(4));
        let mut source = Moving::new(320, 180);
        let encode = |n: u64| {
            let mut unit = encoder.encode(&source.next(), [10, 18].contains(&n)).unwrap().unwrap();
            unit.number = n;
            unit
        };
        let units: Vec<AccessUnit> = (0..24).map(encode).collect();
        let show = |unit: &AccessUnit| decoder.decode(unit, &mut pool).unwrap().unwrap().data().to_vec();
        let shown = units.iter().map(show).collect();
        (units, shown)
    })
}

/// Decodes whatever it is given; every picture shown must be exactly the one that an undamaged stream shows.
fn shown_numbers(units: &[AccessUnit]) -> Vec<u64> {
    let (mut decoder, mut pool) = (Decoder::new(), Pool::new(4));
    let mut numbers = Vec::new();
    for unit in units {
        if let Ok(Some(frame)) = decoder.decode(unit, &mut pool) {
            assert!(frame.data() == stream().1[frame.number as usize], "picture {} is broken", frame.number);
            numbers.push(frame.number);
        }
    }
    numbers
}

#[test]
fn after_a_loss_nothing_is_shown_until_a_keyframe() {
    let units = &stream().0;
    let without = |lost: usize| {
        let mut units = units.clone();
        units.remove(lost);
        shown_numbers(&units)
    };
    let all_but = |left_out: std::ops::Range<u64>| (0..24).filter(|n| !left_out.contains(n)).collect::<Vec<_>>();
    assert_eq!(without(4), all_but(4..10));
    assert_eq!(without(0), all_but(0..10));
    assert_eq!(without(10), all_but(10..18));
    let mut swapped = units.clone();
    swapped.swap(13, 14);
    assert_eq!(shown_numbers(&swapped), all_but(13..18));
}

#[test]
fn a_cut_picture_is_reported_and_not_shown() {
    let mut units = stream().0.clone();
    for cut in [5, 20, units[3].data.len() / 2, units[3].data.len() - 12] {
        let whole = units[3].data.clone();
        units[3].data = whole.slice(..cut);
        let (mut decoder, mut pool) = (Decoder::new(), Pool::new(4));
        let results: Vec<_> = units.iter().take(6).map(|unit| decoder.decode(unit, &mut pool)).collect();
        assert!(results[..3].iter().all(|result| matches!(result, Ok(Some(_)))));
        assert!(matches!(results[3], Err(Error::Damaged(_))), "cut at {cut}: {:?}", results[3]);
        assert!(decoder.needs_keyframe() && matches!((&results[4], &results[5]), (Ok(None), Ok(None))));
        units[3].data = whole;
    }
}

#[test]
fn a_stream_that_asks_for_huge_pictures_is_refused_before_it_is_decoded() {
    // Baseline, 65536x65536: ue(4095) is twelve zeros, a one and twelve zeros.
    let mut bits = Vec::new();
    for (value, length) in
        [(1u32, 1), (1, 1), (0b011, 3), (0b010, 3), (0, 1), (4096, 25), (4096, 25), (0b11, 2), (0, 2), (1, 1)]
    {
        bits.extend((0..length).rev().map(|bit| value >> bit & 1 == 1));
    }
    let mut data = vec![0, 0, 0, 1, 0x67, 66, 0xc0, 52];
    data.extend(
        bits.chunks(8).map(|byte| byte.iter().enumerate().fold(0u8, |sum, (n, bit)| sum | u8::from(*bit) << (7 - n))),
    );
    data.extend([0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84]);
    let unit = AccessUnit { data: data.into(), keyframe: true, captured: None, number: 0, era: 0, dependency: None };
    let error = Decoder::new().decode(&unit, &mut Pool::new(1)).unwrap_err();
    assert_eq!(error, Error::Refused(sps::Error::TooLarge { width: 65536, height: 65536 }));
}

#[test]
fn a_display_that_keeps_all_pictures_costs_pictures_but_not_the_stream() {
    let (mut decoder, mut pool) = (Decoder::new(), Pool::new(2));
    let mut kept = Vec::new();
    for unit in &stream().0[..4] {
        match decoder.decode(unit, &mut pool) {
            Ok(frame) => kept.extend(frame),
            Err(error) => assert!(!error.is_damage(), "{error}"),
        }
    }
    assert_eq!(kept.len(), 2);
    kept.clear();
    assert!(decoder.decode(&stream().0[4], &mut pool).unwrap().is_some());
}

/// What a network, or somebody who means harm, may do to a stream.
#[derive(Clone, Debug)]
enum Harm {
    Lose(usize),
    Swap(usize, usize),
    Repeat(usize),
    Cut(usize, usize),
    Flip(usize, Vec<(usize, u8)>),
    Garbage(usize, Vec<u8>),
}

fn harm() -> impl Strategy<Value = Harm> {
    let at = 0usize..24;
    prop_oneof![
        at.clone().prop_map(Harm::Lose),
        (at.clone(), at.clone()).prop_map(|(a, b)| Harm::Swap(a, b)),
        at.clone().prop_map(Harm::Repeat),
        (at.clone(), any::<usize>()).prop_map(|(a, cut)| Harm::Cut(a, cut)),
        (at.clone(), prop::collection::vec((any::<usize>(), any::<u8>()), 1..8))
            .prop_map(|(a, flips)| Harm::Flip(a, flips)),
        (at, prop::collection::vec(any::<u8>(), 0..64)).prop_map(|(a, bytes)| Harm::Garbage(a, bytes)),
    ]
}

fn apply(units: &mut Vec<AccessUnit>, harm: &Harm) {
    let count = units.len();
    match harm {
        Harm::Lose(at) => drop(units.remove(at % count)),
        Harm::Swap(a, b) => units.swap(a % count, b % count),
        Harm::Repeat(at) => units.insert(at % count, units[at % count].clone()),
        Harm::Cut(at, cut) => {
            let unit = &mut units[at % count];
            unit.data.truncate(cut % unit.data.len().max(1));
        }
        Harm::Flip(at, flips) => {
            let unit = &mut units[at % count];
            let mut data = unit.data.to_vec();
            for (place, mask) in flips {
                let place = place % data.len().max(1);
                if let Some(byte) = data.get_mut(place) {
                    *byte ^= mask;
                }
            }
            unit.data = data.into();
        }
        Harm::Garbage(at, bytes) => {
            let mut data = vec![0, 0, 0, 1];
            data.extend(bytes);
            units[at % count].data = Bytes::from(data);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_harm_done_to_a_stream_crashes_the_decoder(harms in prop::collection::vec(harm(), 1..6)) {
        let mut units = stream().0.clone();
        for harm in &harms {
            apply(&mut units, harm);
        }
        let (mut decoder, mut pool) = (Decoder::new(), Pool::new(2));
        for unit in &units {
            if let Ok(Some(frame)) = decoder.decode(unit, &mut pool) {
                prop_assert!(frame.format.size.is_valid());
            }
        }
        // Whatever happened: from a good keyframe on, pictures come again.
        let again = decoder.decode(&stream().0[18], &mut pool);
        let again = if matches!(again, Ok(Some(_))) { again } else { decoder.decode(&stream().0[0], &mut pool) };
        prop_assert!(matches!(again, Ok(Some(_))), "{again:?}");
    }

    // Not: pictures that change places with such of another keyframe's followers. H.264 numbers pictures from keyframe to
    // keyframe, so those cannot be told apart; putting RTP packets in order is the link's part.
    #[test]
    fn what_loss_leaves_is_shown_whole_or_not_at_all(
        harms in prop::collection::vec(harm().prop_filter("may look right", |harm| {
            matches!(harm, Harm::Lose(_) | Harm::Cut(..))
        }), 1..4)
    ) {
        let mut units = stream().0.clone();
        for harm in &harms {
            apply(&mut units, harm);
        }
        shown_numbers(&units);
    }
}
