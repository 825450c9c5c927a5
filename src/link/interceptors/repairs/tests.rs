//! Requests and what is sent for them: how often, how many copies, what is left out.

use super::*;
use bytes::Bytes;
use rtc::interceptor::RTCPFeedback;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::NackPair;

fn stage(figures: &Arc<Figures>) -> Repairs {
    let mut stage = Repairs::new(figures.clone());
    stage.bind_local_stream(&StreamInfo {
        ssrc: 2,
        ssrc_rtx: Some(3),
        payload_type_rtx: Some(107),
        rtcp_feedback: vec![RTCPFeedback { typ: "nack".into(), parameter: String::new() }],
        ..Default::default()
    });
    stage
}

fn figures() -> Arc<Figures> {
    let figures = Arc::new(Figures::default());
    figures.outgoing.target_bps.set(2_500_000);
    figures
}

fn send(stage: &mut Repairs, sequence: u16, first: u8, now: Instant) {
    let mut rtp = rtc::rtp::Packet { payload: Bytes::from(vec![first; 1000]), ..Default::default() };
    (rtp.header.ssrc, rtp.header.sequence_number, rtp.header.timestamp) = (2, sequence, u32::from(sequence / 8));
    let message = AttributedPacket::new(Packet::Rtp(rtp));
    stage.handle_write(TaggedPacket { now, transport: Default::default(), message }).unwrap();
    while stage.poll_write().is_some() {}
}

/// The sequence numbers of the repairs that wait to be sent.
fn sent(stage: &mut Repairs) -> Vec<u16> {
    let repairs = std::iter::from_fn(|| stage.poll_write());
    let repaired = repairs.map(|packet| {
        assert!(packet.message.has(&Attribute::Retransmission));
        let Packet::Rtp(rtp) = packet.message.packet else { panic!("not RTP") };
        assert_eq!((rtp.header.ssrc, rtp.header.payload_type, rtp.payload.len()), (3, 107, 1002));
        u16::from_be_bytes([rtp.payload[0], rtp.payload[1]])
    });
    repaired.collect()
}

fn asked(stage: &mut Repairs, nacks: Vec<NackPair>, now: Instant) -> Vec<u16> {
    stage.answer(&TransportLayerNack { sender_ssrc: 1, media_ssrc: 2, nacks }, now);
    sent(stage)
}

fn pair(packet_id: u16, lost_packets: u16) -> Vec<NackPair> {
    vec![NackPair { packet_id, lost_packets }]
}

#[test]
fn each_loss_is_repaired_once_per_round_trip() {
    let figures = figures();
    figures.link.round_trip_us.set(100_000);
    let (mut stage, start) = (stage(&figures), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    for sequence in [65534, 65535, 0, 1, 2] {
        send(&mut stage, sequence, 0x41, at(0));
    }
    assert_eq!(asked(&mut stage, pair(65535, 0b101), at(60)), [65535, 0, 2]);
    assert_eq!(asked(&mut stage, pair(65535, 0b111), at(80)), [1]);
    assert!(asked(&mut stage, pair(65535, 0b101), at(140)).is_empty());
    assert_eq!(asked(&mut stage, pair(65535, 0b101), at(161)), [65535, 0, 2]);
}

#[test]
fn unless_losses_are_rare_repairs_and_keyframes_are_sent_twice() {
    let (mut stage, start) = (stage(&figures()), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    for sequence in 0..200 {
        send(&mut stage, sequence, 0x41, at(u64::from(sequence)));
        if sequence % 10 == 0 {
            asked(&mut stage, pair(sequence, 0), at(u64::from(sequence)));
        }
    }
    stage.handle_timeout(at(300)).unwrap();
    sent(&mut stage);
    assert_eq!(asked(&mut stage, pair(199, 0), at(300)), [199]);
    assert_eq!(stage.poll_timeout(), Some(at(310)));
    stage.handle_timeout(at(310)).unwrap();
    assert_eq!(sent(&mut stage), [199]);
    for sequence in 200..208 {
        send(&mut stage, sequence, if sequence == 200 { 0x67 } else { 0x7c }, at(320));
    }
    send(&mut stage, 208, 0x41, at(320));
    stage.handle_timeout(at(330)).unwrap();
    assert_eq!(sent(&mut stage), (200..208).collect::<Vec<_>>());
}

/// How often a repair is sent when this share of 600 packets is asked for, one after the other, and a queue stands.
fn times_sent(one_in: u16, queue_ms: u64) -> usize {
    let figures = figures();
    figures.outgoing.path_queue_us.set(queue_ms * 1000);
    let (mut stage, start) = (stage(&figures), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    for sequence in 0..600 {
        send(&mut stage, sequence, 0x41, at(4 * u64::from(sequence)));
        if sequence % one_in == 0 {
            asked(&mut stage, pair(sequence, 0), at(4 * u64::from(sequence)));
        }
        stage.handle_timeout(at(4 * u64::from(sequence))).unwrap();
        sent(&mut stage);
    }
    (0..5).for_each(|n| stage.handle_timeout(at(2500 + 10 * n)).unwrap());
    sent(&mut stage);
    let mut repairs = asked(&mut stage, pair(599, 0), at(2600)).len();
    for n in 0..10 {
        stage.handle_timeout(at(2600 + 10 * n)).unwrap();
        repairs += sent(&mut stage).len();
    }
    repairs
}

#[test]
fn the_more_is_lost_the_more_copies_are_sent_unless_the_path_is_full() {
    for (one_in, queue_ms, times) in [(200, 0, 1), (20, 0, 2), (5, 0, 3), (20, 29, 2), (20, 31, 1), (5, 200, 1)] {
        assert_eq!(times_sent(one_in, queue_ms), times, "one in {one_in} lost, {queue_ms} ms of queue");
    }
}

#[test]
fn copies_that_nobody_asked_for_do_not_overtake_their_keyframe() {
    let figures = figures();
    let (mut stage, start) = (stage(&figures), Instant::now());
    let at = |ms| start + Duration::from_millis(ms);
    stage.lost = 0.05;
    for sequence in 0..8 {
        send(&mut stage, sequence, if sequence == 0 { 0x67 } else { 0x7c }, at(0));
    }
    figures.outgoing.pacer_queue_us.set(40_000);
    stage.handle_timeout(at(10)).unwrap();
    assert!(sent(&mut stage).is_empty());
    assert_eq!(asked(&mut stage, pair(3, 0), at(15)), [3], "what is missed goes first");
    figures.outgoing.pacer_queue_us.set(700_000);
    assert!(asked(&mut stage, pair(4, 0), at(16)).is_empty(), "nobody waits for it");
    figures.outgoing.pacer_queue_us.set(0);
    stage.handle_timeout(at(20)).unwrap();
    assert_eq!(sent(&mut stage), (0..8).collect::<Vec<_>>());
}

#[test]
fn repairs_keep_to_their_budget() {
    let figures = figures();
    let (mut stage, start) = (stage(&figures), Instant::now());
    // Everything is lost, ten seconds long.
    let mut repairs = 0;
    for n in 0..2700_u16 {
        let now = start + Duration::from_micros(3700 * u64::from(n));
        send(&mut stage, n, 0x41, now);
        repairs += asked(&mut stage, pair(n, 0), now).len();
        stage.handle_timeout(now).unwrap();
        repairs += sent(&mut stage).len();
    }
    let bytes = repairs * 1014;
    assert!((1_800_000..2_050_000).contains(&bytes), "{bytes}");
    assert!(figures.outgoing.repairs_refused.get() > 1000);
}

#[test]
fn an_outage_is_not_repaired() {
    let (mut stage, start) = (stage(&figures()), Instant::now());
    for sequence in 0..300 {
        send(&mut stage, sequence, 0x41, start);
    }
    let nacks = (0..=MAX_AT_ONCE as u16).map(|packet_id| NackPair { packet_id, lost_packets: 0 }).collect();
    assert!(asked(&mut stage, nacks, start).is_empty());
    let later = start + Duration::from_millis(20);
    assert_eq!(asked(&mut stage, pair(MAX_AT_ONCE as u16, 0b11), later), [129, 130]);
}

#[test]
fn what_is_old_or_was_never_sent_is_not_repaired() {
    let (mut stage, start) = (stage(&figures()), Instant::now());
    for sequence in 0..3000 {
        send(&mut stage, sequence, 0x41, start + Duration::from_millis(u64::from(sequence)));
    }
    let now = start + Duration::from_millis(3000);
    assert_eq!(asked(&mut stage, pair(1975, 0b11), now), [1976, 1977], "remembered");
    assert!(asked(&mut stage, pair(2000, 0), now + Duration::from_millis(200)).is_empty(), "old");
    assert!(asked(&mut stage, pair(100, u16::MAX), now).is_empty());
    assert!(asked(&mut stage, pair(3000, u16::MAX), now).is_empty());
    let other = TransportLayerNack { sender_ssrc: 1, media_ssrc: 9, nacks: pair(2900, 0) };
    stage.answer(&other, now);
    assert!(sent(&mut stage).is_empty());
}

#[test]
fn one_request_for_many_does_not_queue_more_than_anybody_waits_for() {
    let figures = figures();
    figures.outgoing.estimate_bps.set(200_000);
    let (mut stage, start) = (stage(&figures), Instant::now());
    (0..64).for_each(|sequence| send(&mut stage, sequence, 0x41, start));
    let nacks = [0, 17, 34].map(|packet_id| NackPair { packet_id, lost_packets: u16::MAX });
    // 15 kB take 0.6 s.
    assert_eq!(asked(&mut stage, nacks.to_vec(), start).len(), 15);
    assert_eq!(asked(&mut stage, pair(55, 0), start), [55], "the pacer says that it has sent them");
}
