//! Tests of the receiving policy: what came when, as data, and what was delivered and asked for.

use super::assembler::Packet;
use super::packetizer::{Packetizer, Stream};
use super::reception::Reception;
use bytes::Bytes;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);
const ROUND_TRIP: Duration = Duration::from_millis(100);

/// A sender at 30 pictures a second, whose packets the test may lose or delay.
struct Sender {
    start: Instant,
    packetizer: Packetizer,
    made: Vec<rtc::rtp::Packet>,
}

impl Sender {
    fn new(start: Instant) -> Self {
        let stream = Stream { ssrc: 1, payload_type: 125, capture_time_id: None };
        Self { start, packetizer: Packetizer::new(stream), made: vec![] }
    }

    /// The packets of the picture that is taken `at_ms` after the start, of about five packets; they come at once.
    fn picture(&mut self, at_ms: u64, keyframe: bool) -> Vec<Packet> {
        let mut data = vec![];
        if keyframe {
            data.extend([0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 5]);
        }
        data.extend([0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x88]);
        data.extend(std::iter::repeat_n(7, 5_000));
        let at = Duration::from_millis(at_ms);
        self.packetizer.packets(&data, at, &mut self.made);
        let packet = |packet: rtc::rtp::Packet| Packet {
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            captured: Some(at),
            dependency: None,
            repair: false,
            payload: packet.payload,
            arrived: self.start + at,
        };
        self.made.drain(..).map(packet).collect()
    }
}

/// What a reception did, in milliseconds from the start.
#[derive(Default)]
struct Done {
    /// When each picture was taken and when it was delivered.
    delivered: Vec<(u64, u64)>,
    asked: Vec<u64>,
    /// When which packets were asked for, counted from the stream's first.
    repairs: Vec<(u64, u16)>,
}

/// Runs a reception over packets, waking it exactly when it wants to be woken.
fn run(reception: &mut Reception, start: Instant, mut packets: Vec<Packet>, until_ms: u64) -> Done {
    packets.sort_by_key(|packet| packet.arrived);
    let (mut done, mut packets) = (Done::default(), packets.into_iter().peekable());
    let (mut now, end) = (start, start + Duration::from_millis(until_ms));
    let ms = |at: Instant| (at - start).as_millis() as u64;
    let first = packets.peek().map_or(0, |packet| packet.sequence);
    let mut missing = vec![];
    while now < end {
        while let Some(packet) = packets.next_if(|packet| packet.arrived <= now) {
            reception.push(packet);
        }
        reception.poll(now, &mut |unit| {
            done.delivered.push((unit.captured.unwrap().as_millis() as u64, ms(now)));
        });
        reception.repairs_due(now, &mut missing);
        done.repairs.extend(missing.drain(..).map(|sequence| (ms(now), sequence.wrapping_sub(first))));
        if reception.keyframe_due(now) {
            done.asked.push(ms(now));
        }
        let next = [packets.peek().map(|packet| packet.arrived), reception.deadline()].into_iter().flatten().min();
        let next = next.unwrap_or(end);
        assert!(next > now, "woken at {} for nothing", ms(now));
        now = next;
    }
    done
}

#[test]
fn pictures_in_order_are_delivered_when_they_come() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(ROUND_TRIP);
    let packets = (0..90).flat_map(|n| sender.picture(n * 33, n == 0)).collect();
    let done = run(&mut reception, start, packets, 3000);
    assert_eq!(done.delivered, (0..90).map(|n| (n * 33, n * 33)).collect::<Vec<_>>());
    assert!(done.asked.is_empty(), "{:?}", done.asked);
}

#[test]
fn a_keyframe_is_asked_for_once_and_again_when_none_comes() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(ROUND_TRIP);
    let mut packets: Vec<_> = (0..90).flat_map(|n| sender.picture(n * 33, n == 0)).collect();
    packets.remove(40);
    let done = run(&mut reception, start, packets, 3000);
    // Each request is sent twice.
    let asked: Vec<u64> = done.asked.iter().copied().step_by(2).collect();
    assert!(done.asked.chunks(2).all(|pair| pair[1] == pair[0] + 10), "{:?}", done.asked);
    // Two repairs should have come, and a third would come too late.
    assert!((270..300).contains(&(asked[0] - 231)), "{asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] == 310), "{asked:?}");
    assert_eq!(done.delivered.len(), 7);
}

#[test]
fn a_keyframe_behind_a_gap_ends_the_waiting() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(ROUND_TRIP);
    let mut packets: Vec<_> = (0..90).flat_map(|n| sender.picture(n * 33, n == 0 || n == 20)).collect();
    packets.remove(40);
    let done = run(&mut reception, start, packets, 3000);
    assert_eq!(done.delivered[7], (660, 660));
    assert_eq!(done.delivered.len(), 7 + 70);
}

#[test]
fn what_is_missing_is_asked_for_at_once_and_once_per_round_trip() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(ROUND_TRIP);
    let mut packets: Vec<_> = (0..60).flat_map(|n| sender.picture(n * 33, n == 0)).collect();
    // In the middle of a picture; its request and the repetitions are lost, the next is answered.
    let repair = packets.remove(42);
    let (gone, noticed) = (42, repair.arrived - start);
    packets.push(Packet { arrived: repair.arrived + 228 * MS, ..repair });
    let done = run(&mut reception, start, packets, 3000);
    let noticed = noticed.as_millis() as u64;
    let after: Vec<_> = done.repairs.iter().map(|(at, sequence)| (at - noticed, *sequence)).collect();
    let expected = [0, 10, 20, 30, 135, 145, 155, 165].map(|at| (at, gone));
    assert_eq!(after, expected);
    assert_eq!(done.delivered.len(), 60, "nothing is lost");
    assert!(done.asked.is_empty());
}

#[test]
fn the_last_packet_of_a_picture_is_missed_before_the_next_picture_comes() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(ROUND_TRIP);
    let mut packets: Vec<_> = (0..30).flat_map(|n| sender.picture(n * 33, n == 0)).collect();
    let last = packets.iter().rposition(|packet| packet.marker && packet.arrived == start + 330 * MS).unwrap();
    packets.remove(last);
    let done = run(&mut reception, start, packets, 400);
    assert_eq!(done.repairs[0], (334, last as u16));
}

#[test]
fn a_path_that_reorders_is_not_asked_for_what_is_on_its_way() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(ROUND_TRIP);
    let pictures = 300;
    let late = |(n, packet): (usize, Packet)| Packet { arrived: packet.arrived + 20 * (n as u32 % 2) * MS, ..packet };
    let packets: Vec<_> = (0..pictures).flat_map(|n| sender.picture(n * 33, n == 0)).enumerate().map(late).collect();
    let count = packets.len();
    let done = run(&mut reception, start, packets, 20_000);
    assert_eq!(done.delivered.len() as u64, pictures);
    assert!(done.repairs.len() < count / 100, "{} of {count}", done.repairs.len());
}

#[test]
fn nothing_is_asked_for_while_a_keyframe_is_under_way() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(ROUND_TRIP);
    reception.request_keyframe();
    // It takes 200 ms to come, as on a narrow path, longer than until the next request.
    let packets = sender.picture(250, true).into_iter().enumerate();
    let packets =
        packets.map(|(n, packet)| Packet { arrived: packet.arrived + 40 * n as u32 * MS, ..packet }).collect();
    let done = run(&mut reception, start, packets, 2000);
    assert_eq!(done.delivered, [(250, 450)]);
    assert!(done.asked.is_empty(), "{:?}", done.asked);
}

#[test]
fn nothing_is_delivered_after_a_drop_before_the_next_keyframe() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    let packets = (0..10).flat_map(|n| sender.picture(n * 33, n == 0)).collect();
    run(&mut reception, start, packets, 330);
    reception.require_keyframe();
    let packets = (10..40).flat_map(|n| sender.picture(n * 33, n == 20)).collect();
    let done = run(&mut reception, start, packets, 1400);
    assert_eq!(done.delivered.first(), Some(&(660, 660)));
    assert_eq!(done.delivered.len(), 20);
}

#[test]
fn empty_packets_are_nothing() {
    let start = Instant::now();
    let mut reception = Reception::new(start);
    for sequence in 0..100 {
        let (payload, arrived) = (Bytes::new(), start);
        reception.push(Packet {
            sequence,
            timestamp: 0,
            marker: true,
            captured: None,
            dependency: None,
            repair: false,
            payload,
            arrived,
        });
    }
    reception.poll(start, &mut |_| panic!("a unit of nothing"));
}

#[test]
fn a_ping_that_waited_for_a_stopped_machine_does_not_silence_it() {
    let start = Instant::now();
    let (mut sender, mut reception) = (Sender::new(start), Reception::new(start));
    reception.set_round_trip(Duration::from_secs(20));
    // The keyframe at the beginning was lost.
    let packets = (0..150).flat_map(|n| sender.picture(n * 33, false)).collect();
    let done = run(&mut reception, start, packets, 5000);
    assert_eq!(done.asked, [1200, 1210, 2410, 2420, 3620, 3630, 4830, 4840]);
}
