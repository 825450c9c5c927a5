//! Pictures that refer to what was delivered, behind a loss: which are let through, when they are asked for, what the sender hears.

use super::assembler::{Assembler, Packet};
use super::packetizer::{Packetizer, Stream};
use super::reception::Reception;
use crate::codec::Dependency;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

const PICTURE: Duration = Duration::from_millis(33);
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// The packets of pictures, 30 a second, by their numbers and those that they refer to; a keyframe refers to itself.
fn packets(start: Instant, pictures: impl IntoIterator<Item = (u32, u32)>) -> Vec<Vec<Packet>> {
    let stream = Stream { ssrc: 1, payload_type: 125, capture_time_id: None };
    let mut packetizer = Packetizer::beginning(stream, 65_500, 0);
    let picture = |(number, on): (u32, u32)| {
        let mut data = vec![];
        if number == on {
            data.extend([0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 5]);
        }
        data.extend([0, 0, 0, 1, if number == on { 0x65 } else { 0x41 }, 0x88]);
        data.resize(1500, 7);
        let (mut made, mut dependency) = (vec![], Some(Dependency { number, on }));
        packetizer.packets(&data, PICTURE * number, &mut made);
        let packet = |packet: rtc::rtp::Packet| Packet {
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            captured: None,
            dependency: dependency.take(),
            repair: false,
            payload: packet.payload,
            arrived: start + PICTURE * number,
        };
        made.into_iter().map(packet).collect()
    };
    pictures.into_iter().map(picture).collect()
}

/// The pictures that an assembler delivers which waits for nothing.
fn assembled(pictures: &[(u32, u32)], lost: &[u32], require_keyframe_before: u32) -> Vec<u32> {
    let start = Instant::now();
    let (mut assembler, mut units) = (Assembler::new(Duration::ZERO), vec![]);
    for (picture, (number, _)) in packets(start, pictures.iter().copied()).into_iter().zip(pictures) {
        if *number == require_keyframe_before {
            assembler.require_keyframe();
        }
        for packet in picture.into_iter().filter(|_| !lost.contains(number)) {
            let now = packet.arrived;
            assembler.push(packet, &mut units);
            assembler.expire(now, &mut units);
        }
    }
    units.iter().map(|unit| unit.dependency.expect("each was sent with one").number).collect()
}

#[test]
fn behind_a_loss_comes_what_refers_to_a_delivered_picture() {
    let chain = [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4)];
    // (what is sent, which of it is lost, before which a consumer drops something, what is delivered)
    type Row<'a> = (&'a [(u32, u32)], &'a [u32], u32, &'a [u32]);
    let rows: [Row; 7] = [
        (&chain, &[], 0, &[1, 2, 3, 4, 5]),
        (&chain, &[3], 0, &[1, 2]),
        (&[(1, 1), (2, 1), (3, 2), (4, 3), (5, 2), (6, 5)], &[3], 0, &[1, 2, 5, 6]),
        // It refers to what was lost.
        (&[(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 5)], &[3], 0, &[1, 2]),
        // Nothing of the new stream is there.
        (&[(1, 1), (2, 1), (3, 3), (4, 3), (5, 3), (6, 6)], &[3], 0, &[1, 2, 6]),
        // A keyframe makes decoders forget.
        (&[(1, 1), (2, 1), (3, 3), (4, 3), (5, 2), (6, 5)], &[4], 0, &[1, 2, 3]),
        // What was delivered did not reach the decoder.
        (&[(1, 1), (2, 1), (3, 2), (4, 2), (5, 5)], &[], 3, &[1, 2, 5]),
    ];
    for (row, (pictures, lost, dropped, delivered)) in rows.into_iter().enumerate() {
        assert_eq!(assembled(pictures, lost, dropped), delivered, "row {row}");
    }
}

proptest! {
    #[test]
    fn nothing_is_delivered_that_refers_to_something_else(
        sent in prop::collection::vec((0..20_u32, prop::bool::weighted(0.15)), 1..150)
    ) {
        let mut pictures = vec![(1, 1)];
        let mut lost = vec![];
        for (number, (kind, is_lost)) in (2_u32..).zip(sent) {
            // A keyframe now and then; else the picture before, or some other.
            pictures.push((number, match kind { 0 => number, 1..5 => number.saturating_sub(kind * 3).max(1), _ => number - 1 }));
            lost.extend(is_lost.then_some(number));
        }
        let mut has = BTreeSet::new();
        for number in assembled(&pictures, &lost, 0) {
            let on = pictures[number as usize - 1].1;
            if on == number {
                has.clear();
            } else {
                prop_assert!(has.contains(&on), "{} refers to {}, there are {:?}", number, on, has);
            }
            has.insert(number);
        }
    }
}

/// What a reception does with packets: delivered pictures, requests of a recovery and of a keyframe in ms from the start, and the
/// pictures that the sender hears of.
#[derive(Default)]
struct Done {
    delivered: Vec<u32>,
    recoveries: Vec<u64>,
    keyframes: Vec<u64>,
    heard: Vec<u32>,
}

fn run(pictures: &[(u32, u32)], lost: &[u32], decoder_fails_at_ms: Option<u64>) -> Done {
    let start = Instant::now();
    let (mut reception, mut done) = (Reception::new(start), Done::default());
    reception.set_round_trip(ROUND_TRIP);
    let mut waiting: Vec<_> = packets(start, pictures.iter().copied()).into_iter().flatten().collect();
    waiting.retain(|packet| !lost.contains(&((packet.arrived - start).as_millis() as u32 / 33)));
    let mut waiting = waiting.into_iter().peekable();
    for ms in 0..2300 {
        let now = start + Duration::from_millis(ms);
        while let Some(packet) = waiting.next_if(|packet| packet.arrived <= now) {
            reception.push(packet);
        }
        if decoder_fails_at_ms == Some(ms) {
            reception.request_keyframe();
        }
        reception.poll(now, &mut |unit| done.delivered.extend(unit.dependency.map(|dependency| dependency.number)));
        reception.repairs_due(now, &mut vec![]);
        if let Some(feedback) = reception.feedback_due(now) {
            done.heard.push(feedback.decoded);
            done.recoveries.extend(feedback.lost.then_some(ms));
        }
        done.keyframes.extend(reception.keyframe_due(now).then_some(ms));
    }
    done
}

/// One after the other, but for these.
fn chain(until: u32, but: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let on = |number: u32| but.iter().find(|(other, _)| *other == number).map_or((number - 1).max(1), |(_, on)| *on);
    (1..=until).map(|number| (number, on(number))).collect()
}

#[test]
fn the_sender_hears_a_few_times_a_second_what_was_delivered() {
    let done = run(&chain(60, &[]), &[], None);
    assert_eq!(done.delivered.len(), 60);
    assert!(done.recoveries.is_empty() && done.keyframes.is_empty());
    assert!((9..=12).contains(&done.heard.len()), "{:?}", done.heard);
    assert_eq!(done.heard.last(), Some(&60));
}

#[test]
fn a_recovery_is_asked_for_once_then_a_keyframe() {
    let done = run(&chain(60, &[]), &[20], None);
    assert_eq!(done.delivered, (1..20).collect::<Vec<_>>());
    let [first, again] = done.recoveries[..] else { panic!("{:?}", done.recoveries) };
    assert!(again == first + 10 && done.heard.contains(&19), "{first}, {again}, {:?}", done.heard);
    // A round trip and 200 ms later, and so on.
    assert_eq!(done.keyframes[..2], [again + 300, again + 310]);
}

#[test]
fn a_recovery_ends_the_waiting_and_the_next_one_is_asked_for_as_the_first() {
    // The pictures 20 and 45 are lost; the sender answers with 33 and 58.
    let done = run(&chain(60, &[(33, 16), (58, 40)]), &[20, 45], None);
    let expected: Vec<u32> = (1..20).chain(33..45).chain(58..=60).collect();
    assert_eq!(done.delivered, expected);
    assert_eq!(done.recoveries.len(), 4, "{:?}", done.recoveries);
    assert!(done.keyframes.is_empty(), "{:?}", done.keyframes);
}

#[test]
fn a_decoder_that_has_failed_needs_a_keyframe() {
    let done = run(&chain(60, &[]), &[], Some(700));
    assert!(done.recoveries.is_empty());
    assert_eq!(done.keyframes, [700, 710]);
}
