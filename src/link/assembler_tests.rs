//! Tests of the assembler.

use super::assembler::{Assembler, Losses, Packet, Unit};
use super::packetizer::{Packetizer, Stream};
use bytes::Bytes;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const HOLD: Duration = Duration::from_millis(100);

/// Access unit `n`: a keyframe every 10, with about `slice` bytes of picture.
fn unit(n: usize, slice: usize) -> Vec<u8> {
    let mut data = vec![];
    if n.is_multiple_of(10) {
        data.extend([0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 5]);
    }
    data.extend([0, 0, 0, 1, if n.is_multiple_of(10) { 0x65 } else { 0x41 }, 0x88, n as u8 | 1, n as u8 | 2]);
    data.extend((0..slice).map(|at| (at * 7 + n) as u8 | 2));
    data
}

/// The packets of `units` access units at 30 a second.
fn packets(units: usize, slice: usize, start: Instant) -> Vec<Packet> {
    let stream = Stream { ssrc: 1, payload_type: 125, capture_time_id: None };
    let (mut packetizer, mut made, mut all) = (Packetizer::new(stream), vec![], vec![]);
    for n in 0..units {
        let at = Duration::from_millis(33 * n as u64);
        packetizer.packets(&unit(n, slice), at, &mut made);
        all.extend(made.drain(..).map(|packet| Packet {
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            captured: Some(at),
            dependency: None,
            repair: false,
            payload: packet.payload,
            arrived: start + at,
        }));
    }
    all
}

fn assemble(packets: impl IntoIterator<Item = Packet>) -> (Vec<Unit>, Losses) {
    let (mut assembler, mut units) = (Assembler::new(HOLD), vec![]);
    for packet in packets {
        assembler.expire(packet.arrived, &mut units);
        assembler.push(packet, &mut units);
    }
    (units, assembler.take_losses())
}

fn numbers(units: &[Unit], slice: usize) -> Vec<usize> {
    units.iter().map(|it| (0..200).find(|n| unit(*n, slice) == it.data).expect("not a unit that was sent")).collect()
}

#[test]
fn what_was_sent_comes_out_at_once() {
    for slice in [1, 500, 1158, 1159, 1160, 30_000] {
        let sent = packets(12, slice, Instant::now());
        let (mut assembler, mut units) = (Assembler::new(HOLD), vec![]);
        for (n, packet) in sent.into_iter().enumerate() {
            let (before, last) = (units.len(), packet.marker);
            assembler.push(packet, &mut units);
            assert_eq!(units.len() - before, usize::from(last), "packet {n}");
            assert_eq!(assembler.deadline(), None, "nothing is missing, so nothing waits");
        }
        assert_eq!(numbers(&units, slice), (0..12).collect::<Vec<_>>());
        assert_eq!(units.iter().map(|unit| unit.keyframe).filter(|it| *it).count(), 2);
        assert_eq!(units[3].captured, Some(Duration::from_millis(99)));
    }
}

#[test]
fn starts_with_a_keyframe() {
    let sent = packets(12, 3000, Instant::now());
    let (units, losses) = assemble(sent.into_iter().skip(3));
    assert_eq!(numbers(&units, 3000), [10, 11]);
    assert_eq!(losses, Losses { packets: 0, repaired: 0, units: 10 });
}

#[test]
fn each_single_loss_costs_all_up_to_the_next_keyframe_and_no_more() {
    let sent = packets(21, 3000, Instant::now());
    let per_unit = |timestamp: u32| sent.iter().position(|it| it.timestamp == timestamp).unwrap();
    for lost in 0..sent.len() {
        let hit = sent.iter().filter(|it| it.marker && per_unit(it.timestamp) <= lost).count() - 1;
        let mut rest = sent.clone();
        rest.remove(lost);
        // Time for the hold to pass behind the last packet.
        let (mut units, mut assembler) = (vec![], Assembler::new(HOLD));
        for packet in rest {
            assembler.expire(packet.arrived, &mut units);
            assembler.push(packet, &mut units);
        }
        assembler.expire(sent[0].arrived + Duration::from_secs(9), &mut units);
        let gone = if lost + 1 == sent.len() { 20..20 } else { hit..hit / 10 * 10 + 10 };
        let expected: Vec<usize> = (0..21).filter(|n| !(gone.contains(n) || hit == 20 && *n == 20)).collect();
        assert_eq!(numbers(&units, 3000), expected, "packet {lost} of unit {hit} lost");
    }
}

#[test]
fn repairs_within_the_hold_mend_everything() {
    let sent = packets(20, 3000, Instant::now());
    let mut order = sent.clone();
    let mut late = order.remove(7);
    late.arrived += HOLD - Duration::from_millis(1);
    let at = order.iter().position(|it| it.arrived > late.arrived).unwrap();
    order.insert(at, late);
    let (units, losses) = assemble(order);
    assert_eq!(numbers(&units, 3000), (0..20).collect::<Vec<_>>());
    assert_eq!(losses, Losses::default());
}

#[test]
fn duplicates_and_padding_change_nothing() {
    let sent = packets(10, 3000, Instant::now());
    let twice = sent.iter().flat_map(|packet| [packet.clone(), packet.clone()]);
    assert_eq!(numbers(&assemble(twice).0, 3000), (0..10).collect::<Vec<_>>());
    let shift = sent[0].sequence;
    let padded = sent.iter().flat_map(|packet| {
        let at = shift.wrapping_add(2 * packet.sequence.wrapping_sub(shift));
        let padding = Packet { sequence: at.wrapping_add(1), payload: Bytes::new(), marker: false, ..packet.clone() };
        [Packet { sequence: at, ..packet.clone() }, padding]
    });
    assert_eq!(numbers(&assemble(padded).0, 3000), (0..10).collect::<Vec<_>>());
}

#[test]
fn a_sender_whose_numbers_jump_is_followed() {
    for jump in [300_u16, 5_000, 30_000, 40_000, 60_000] {
        let mut sent = packets(120, 8000, Instant::now());
        let half = sent.len() / 2;
        for packet in &mut sent[half..] {
            packet.sequence = packet.sequence.wrapping_add(jump);
        }
        let units = assemble(sent).0;
        assert_eq!(numbers(&units, 8000).last(), Some(&119), "jump {jump}");
    }
}

/// What a figure says that is shown to people: only what the path lost counts, however many copies come.
#[test]
fn a_repair_counts_once_and_only_for_what_was_missing() {
    let start = Instant::now();
    let all = packets(10, 5_000, start);
    let copies =
        |packet: &Packet| std::iter::repeat_n(Packet { repair: true, ..packet.clone() }, 3).collect::<Vec<_>>();
    let count = |packets: Vec<Packet>| {
        let (units, losses) = assemble(packets);
        assert_eq!(units.len(), 10);
        (losses.packets, losses.repaired)
    };
    // One is lost, and three copies come behind the next.
    let mut lossy = all.clone();
    let gone = lossy.remove(20);
    lossy.splice(21..21, copies(&gone));
    assert_eq!(count(lossy), (0, 1));
    // Nothing is lost, and of each packet come three copies.
    let unasked = all.iter().flat_map(|packet| [vec![packet.clone()], copies(packet)].concat()).collect();
    assert_eq!(count(unasked), (0, 0));
    // One comes late by itself, and then its repair.
    let mut late = all;
    let packet = late.remove(20);
    let repair = Packet { repair: true, ..packet.clone() };
    late.splice(22..22, [packet, repair]);
    assert_eq!(count(late), (0, 0));
}

#[test]
fn units_without_end_are_dropped() {
    let start = Instant::now();
    let (mut assembler, mut units) = (Assembler::new(HOLD), vec![]);
    for n in 0..10_000_u32 {
        let payload = Bytes::from(vec![if n == 0 { 0x67 } else { 0x41 }; 1200]);
        let packet = Packet {
            sequence: n as u16,
            timestamp: 1,
            marker: false,
            captured: None,
            dependency: None,
            repair: false,
            payload,
            arrived: start,
        };
        assembler.push(packet, &mut units);
    }
    let whole = packets(1, 100, start).into_iter().enumerate();
    for (n, packet) in whole {
        assembler.push(Packet { sequence: 10_000 + n as u16, timestamp: 2, ..packet }, &mut units);
    }
    assert_eq!(units.len(), 1);
    assert_eq!(assembler.take_losses().units, 1);
}

#[test]
fn malformed_payloads_damage_only_their_unit() {
    let start = Instant::now();
    for payload in
        [&[24][..], &[24, 0], &[24, 0, 9, 1], &[24, 255, 255, 1], &[28], &[28, 0x05], &[25, 1], &[0, 1], &[31]]
    {
        let bad = Packet {
            sequence: 0,
            timestamp: 1,
            marker: true,
            captured: None,
            dependency: None,
            repair: false,
            payload: Bytes::copy_from_slice(payload),
            arrived: start,
        };
        let good = packets(1, 3000, start).into_iter().enumerate();
        let good = good.map(|(n, packet)| Packet { sequence: 1 + n as u16, timestamp: 2, ..packet });
        assert_eq!(numbers(&assemble(std::iter::once(bad).chain(good)).0, 3000), [0], "{payload:?}");
    }
}

proptest! {
    #[test]
    fn any_packets_give_some_units_and_no_panic(
        raw in proptest::collection::vec((any::<u16>(), 0..4_u32, any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..300),
        narrow: bool,
    ) {
        let start = Instant::now();
        let (mut assembler, mut units) = (Assembler::new(HOLD), vec![]);
        for (n, (sequence, timestamp, marker, payload)) in raw.into_iter().enumerate() {
            let arrived = start + Duration::from_millis(n as u64);
            let sequence = if narrow { n as u16 ^ (sequence & 3) } else { sequence };
            let payload = Bytes::from(payload);
            assembler.push(Packet { sequence, timestamp, marker, captured: None, dependency: None, repair: false, payload, arrived }, &mut units);
            assembler.expire(arrived, &mut units);
        }
    }

    #[test]
    fn loss_and_disorder_never_yield_a_wrong_unit(
        lost in proptest::collection::hash_set(0..90_usize, 0..8),
        swaps in proptest::collection::vec(0..85_usize, 0..10),
    ) {
        let mut sent: Vec<_> = packets(25, 3000, Instant::now()).into_iter().enumerate().collect();
        let count = sent.len();
        for at in swaps.into_iter().filter(|at| at + 1 < count) {
            sent.swap(at, at + 1);
        }
        let units = assemble(sent.into_iter().filter(|(n, _)| !lost.contains(n)).map(|(_, packet)| packet)).0;
        let got = numbers(&units, 3000);
        // In order, and each follows its predecessor unless a keyframe starts anew.
        for pair in got.windows(2) {
            prop_assert!(pair[1] == pair[0] + 1 || (pair[1] > pair[0] && pair[1] % 10 == 0), "{got:?}");
        }
    }
}
