//! What the fuzz targets (`fuzz/`) run of this module's private parts. Not for anybody else.
//!
//! Each function takes whatever bytes come, plays a scenario that they describe, and panics when something is not as it must be. The
//! tests below run each with random bytes and with what once made trouble, so that they neither rot nor forget.

use super::assembler::{Assembler, Packet as Received, Unit};
use super::congestion::{Controller, Limits};
use super::ice::framing;
use super::packetizer::{Packetizer, Stream};
use super::reception::Reception;
use super::{capture_time, control, guest, interceptors, media_engine, sdp};
use crate::codec::{Dependency, nal};
use crate::ops::Figures;
use crate::pairing::{Fingerprint, Identity};
use bytes::{Bytes, BytesMut};
use rtc::interceptor::{Interceptor, Packet, RTCPFeedback, RTPHeaderExtension, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::RTCConfigurationBuilder;
use rtc::peer_connection::{RTCPeerConnection, RTCPeerConnectionBuilder};
use rtc::sansio::Protocol;
use rtc::shared::marshal::{Marshal, Unmarshal};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Takes a scenario's numbers off its bytes; zeros when they are used up.
struct Tape<'a>(&'a [u8]);

impl<'a> Tape<'a> {
    fn byte(&mut self) -> u8 {
        let [first, rest @ ..] = self.0 else { return 0 };
        self.0 = rest;
        *first
    }
    fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A unit that the decoder may be given.
fn check(unit: &Unit) {
    let contents = nal::Contents::of(&unit.data);
    assert!(unit.data.starts_with(&[0, 0, 0, 1]), "no start code");
    assert!(unit.data.len() <= 5 * 1024 * 1024, "a unit of {} bytes", unit.data.len());
    assert!(!unit.keyframe || (contents.idr && contents.sps && contents.pps), "no keyframe: {contents:?}");
}

/// Packets of any kind in any order, and time: what reception delivers must be whole, in time, and it must never ask to
/// be polled in vain.
pub fn reception(bytes: &[u8]) {
    let mut tape = Tape(bytes);
    let start = Instant::now();
    let (mut now, mut sequence, mut timestamp) = (start, tape.word(), 0u32);
    let mut reception = Reception::new(now);
    let (mut requests, mut missing) = (0u32, vec![]);
    while !tape.is_empty() {
        let what = tape.byte();
        match what % 16 {
            0 => now += Duration::from_millis(u64::from(tape.word())),
            1 => reception.set_round_trip(Duration::from_millis(u64::from(tape.byte()) * 8)),
            2 => reception.request_keyframe(),
            3 => reception.require_keyframe(),
            4 => sequence = sequence.wrapping_add(tape.word()),
            5 => timestamp = timestamp.wrapping_add(u32::from(tape.word()) << (tape.byte() % 17)),
            kind => {
                let size = usize::from(tape.byte());
                let mut payload = Vec::with_capacity(size + 2);
                // Bytes that are worth trying: the kinds of NAL units and the edges of fragments.
                if kind > 8 {
                    let first = [0x67, 0x68, 0x65, 0x61, 0x78, 0x7c, 0x7c][usize::from(kind) - 9];
                    payload.push(first);
                    if first == 0x7c {
                        payload.push([0x85, 0x05, 0x45, 0x81, 0x01, 0x41, 0xc5, 0x87][usize::from(tape.byte()) % 8]);
                    }
                }
                payload.extend_from_slice(tape.take(size));
                let jump = tape.byte();
                let captured = (jump & 64 != 0).then(|| Duration::from_millis(u64::from(timestamp / 90)));
                let number = timestamp / 3000;
                let dependency =
                    (jump & 32 != 0).then(|| Dependency { number, on: number.wrapping_sub(jump as u32 % 8) });
                reception.push(Received {
                    sequence: sequence.wrapping_add_signed(i16::from(jump as i8 % 4)),
                    timestamp,
                    marker: what & 0x80 != 0,
                    captured,
                    dependency,
                    repair: false,
                    payload: Bytes::from(payload),
                    arrived: now,
                });
                sequence = sequence.wrapping_add(1);
                if what & 0x80 != 0 {
                    timestamp = timestamp.wrapping_add(3000);
                    now += Duration::from_millis(u64::from(jump % 64));
                }
            }
        }
        // What is done may make something else due, but not without end: its task would spin.
        let mut rounds = 0;
        loop {
            reception.poll(now, &mut |unit| check(&unit));
            missing.clear();
            reception.repairs_due(now, &mut missing);
            assert!(missing.len() <= 4096, "{} repairs asked for at once", missing.len());
            requests += u32::from(reception.feedback_due(now).is_some_and(|feedback| feedback.lost));
            requests += u32::from(reception.keyframe_due(now));
            if reception.deadline().is_none_or(|at| at > now) {
                break;
            }
            rounds += 1;
            assert!(rounds < 8, "asks to be polled in vain");
        }
    }
    // Each request goes out twice.
    let allowed = 2 * (now.saturating_duration_since(start).as_millis() / 200 + 1);
    assert!(u128::from(requests) <= allowed, "{requests} keyframes asked for, {allowed} allowed");
    // Nothing is kept for ever: a second later all that came whole is out.
    for _ in 0..64 {
        let Some(at) = reception.deadline() else { break };
        now = now.max(at) + Duration::from_millis(1);
        reception.poll(now, &mut |unit| check(&unit));
        missing.clear();
        reception.repairs_due(now, &mut missing);
        reception.feedback_due(now);
        reception.keyframe_due(now);
    }
}

/// Any access unit through packetiser and assembler: what comes out is what went in, whatever its NAL units are cut into.
pub fn round_trip(bytes: &[u8]) {
    let stream = Stream { ssrc: 1, payload_type: 125, capture_time_id: Some(2) };
    let mut packetizer = Packetizer::beginning(stream, 65_530, u32::MAX - 5_000);
    let mut assembler = Assembler::new(Duration::from_millis(100));
    let (now, mut packets, mut units) = (Instant::now(), vec![], vec![]);
    let keyframe =
        [&[0, 0, 0, 1, 0x67, 66, 0xc0, 31][..], &[0, 0, 0, 1, 0x68, 0xce], &[0, 0, 0, 1, 0x65, 0x88, 0x84]].concat();
    let mut tape = Tape(bytes);
    let made = if tape.byte() % 2 == 0 {
        // Whatever the bytes are.
        tape.take(usize::MAX).to_vec()
    } else {
        // Slices of any length, which must arrive. Bytes that look like start codes are what an encoder escapes.
        let mut unit = vec![];
        while !tape.is_empty() && unit.len() < 200_000 {
            let (length, fill) = (usize::from(tape.word()), tape.byte() | 1);
            unit.extend_from_slice(&[0, 0, 0, 1, 0x41, 0x9a]);
            unit.resize(unit.len() + length, fill);
        }
        unit
    };
    let whole = bytes.first().is_some_and(|first| first % 2 == 1) && !made.is_empty();
    for (n, data) in [&keyframe, &made, &keyframe].into_iter().enumerate() {
        packets.clear();
        packetizer.packets(data, Duration::from_millis(33 * n as u64), &mut packets);
        for (at, packet) in packets.iter().enumerate() {
            assert!(packet.payload.len() <= 1160, "a payload of {} bytes", packet.payload.len());
            assert_eq!(packet.header.marker, at + 1 == packets.len(), "the marker is on the last packet and no other");
            let buffer = packet.marshal().expect("our own packets can be written");
            let read = rtc::rtp::Packet::unmarshal(&mut &buffer[..]).expect("and read");
            let captured = read.header.get_extension(2).and_then(|bytes| capture_time::read(&bytes));
            assembler.push(
                Received {
                    sequence: read.header.sequence_number,
                    timestamp: read.header.timestamp,
                    marker: read.header.marker,
                    captured,
                    dependency: None,
                    repair: false,
                    payload: read.payload,
                    arrived: now,
                },
                &mut units,
            );
        }
    }
    units.iter().for_each(check);
    let same = |unit: &Unit, data: &[u8]| nal::units(&unit.data).eq(nal::units(data));
    assert!(units.len() >= 2 && same(&units[0], &keyframe), "the first keyframe came");
    assert!(units.last().is_some_and(|unit| same(unit, &keyframe)), "the last keyframe came");
    assert_eq!(assembler.take_losses().packets, 0);
    if whole {
        assert!(units.len() == 3 && same(&units[1], &made), "{} units", units.len());
    }
}

const OURS: u32 = 0x1111_1111;
const THEIRS: u32 = 0x2222_2222;
const RTX: u32 = 0x5555_0000;

/// Any RTP and RTCP from the far end into the real chain of interceptors, while we send: nothing panics, and what is
/// sent in answer is bounded.
pub fn chain(bytes: &[u8]) {
    let figures = Arc::new(Figures::default());
    let limits = Limits { floor_bps: 200_000.0, start_bps: 2_000_000.0, ceiling_bps: 2_500_000.0 };
    let mut chain =
        media_engine::interceptors(Controller::new(limits), Arc::default(), Arc::new(|_| {}), &figures).build();
    chain.bind_local_stream(&stream(OURS, true));
    chain.bind_remote_stream(&stream(THEIRS, true));
    chain.bind_remote_stream(&stream(THEIRS ^ RTX, false));
    let media = Stream { ssrc: OURS, payload_type: 125, capture_time_id: Some(2) };
    let mut packetizer = Packetizer::beginning(media, 65_000, 0);
    let start = Instant::now();
    let (mut now, mut tape, mut packets, mut sequence) = (start, Tape(bytes), vec![], 0u16);
    let tagged = |packet: Packet, now| TaggedPacket { now, transport: Default::default(), message: packet.into() };
    let (mut sent, mut came) = (0usize, 0usize);
    while !tape.is_empty() {
        let what = tape.byte();
        match what % 8 {
            // Up to two hours.
            0 => now += Duration::from_millis(u64::from(tape.byte()) << (what >> 4)),
            1 => {
                // A picture of ours, so that there is something to report on and to repair.
                let mut picture = vec![0, 0, 0, 1, 0x41];
                picture.resize(16 + usize::from(tape.byte()) * 40, 7);
                packetizer.packets(&picture, now - start, &mut packets);
                for packet in packets.drain(..) {
                    let _ = chain.handle_write(tagged(Packet::Rtp(packet), now));
                }
            }
            2 => {
                // RTCP as it comes off the wire.
                let length = usize::from(tape.byte()) * 2;
                feed_rtcp(&mut chain, tape.take(length), now);
                came += 1;
            }
            3 => {
                // A report that packets of ours arrived, in order, at any time that one can say: RTCP's 24 bits of 64 ms.
                let count = tape.byte() % 64;
                let mut packet = vec![0x8f, 205, 0, 0];
                packet.extend_from_slice(&[THEIRS.to_be_bytes(), OURS.to_be_bytes()].concat());
                packet.extend_from_slice(&[0, tape.byte(), 0, count, tape.byte(), tape.byte(), tape.byte(), what >> 4]);
                // One chunk: so many packets, each with a difference of one byte to the time before.
                packet.extend_from_slice(&[0x20, count]);
                packet.extend((0..count).map(|_| tape.byte()));
                packet.resize(packet.len().next_multiple_of(4), 0);
                packet[3] = (packet.len() / 4 - 1) as u8;
                feed_rtcp(&mut chain, &packet, now);
                came += 1;
            }
            4 | 5 => {
                // RTCP of a kind that the chain acts on, about a stream that it knows.
                let kinds =
                    [(1, 205), (15, 205), (1, 206), (4, 206), (0, 200), (1, 201), (15, 206), (11, 205), (3, 206)];
                let (format, kind) = kinds[usize::from(what >> 4) % kinds.len()];
                // Feedback per picture has one length.
                let length = if format == 3 { 2 } else { usize::from(tape.byte()) % 64 };
                let mut body =
                    [THEIRS.to_be_bytes(), if what & 8 == 0 { OURS } else { OURS ^ RTX }.to_be_bytes()].concat();
                body.extend_from_slice(tape.take(length * 4));
                body.resize(8 + length * 4, 0);
                let words = (body.len() / 4) as u16;
                let mut packet = vec![0x80 | format, kind];
                packet.extend_from_slice(&words.to_be_bytes());
                packet.extend_from_slice(&body);
                feed_rtcp(&mut chain, &packet, now);
                came += 1;
            }
            6 => {
                // RTP as it comes off the wire.
                let length = usize::from(tape.byte()) * 2;
                if let Ok(packet) = rtc::rtp::Packet::unmarshal(&mut &tape.take(length)[..]) {
                    let _ = chain.handle_read(tagged(Packet::Rtp(packet), now));
                    came += 1;
                }
            }
            _ => {
                // RTP of the streams that it knows, with extensions of any content.
                let jump = tape.byte();
                sequence = if jump & 64 == 0 { sequence.wrapping_add(1) } else { sequence.wrapping_add(tape.word()) };
                let mut packet = rtc::rtp::Packet::default();
                packet.header.ssrc = if jump & 128 == 0 { THEIRS } else { THEIRS ^ RTX };
                packet.header.payload_type = if jump & 128 == 0 { 125 } else { 107 };
                packet.header.sequence_number = sequence;
                packet.header.timestamp = u32::from(tape.word()) << 8;
                let length = usize::from(jump % 5);
                let _ = packet.header.set_extension(1, Bytes::copy_from_slice(tape.take(length)));
                packet.payload = Bytes::copy_from_slice(tape.take(usize::from(jump % 32)));
                let _ = chain.handle_read(tagged(Packet::Rtp(packet), now));
                came += 1;
            }
        }
        if chain.poll_timeout().is_some_and(|at| at <= now) {
            let _ = chain.handle_timeout(now);
        }
        while chain.poll_read().is_some() {}
        while let Some(packet) = chain.poll_write() {
            sent += written(packet.message.packet);
        }
    }
    // A NACK packet asks for at most 17 packets a word, and each of ours is at most 1.3 kB; nothing else is answered with more.
    assert!(sent <= (bytes.len() + came + 64) * 17 * 1_400, "{sent} bytes in answer to {}", bytes.len());
}

fn feed_rtcp(chain: &mut impl Interceptor, bytes: &[u8], now: Instant) {
    // As `rtc` does after decryption.
    let Ok(parts) = rtc::rtcp::packet::unmarshal(&mut BytesMut::from(bytes)) else { return };
    if parts.is_empty() {
        return;
    }
    let packet = TaggedPacket { now, transport: Default::default(), message: Packet::Rtcp(parts).into() };
    let _ = chain.handle_read(packet);
}

/// Writes a packet as `rtc` does before encryption; returns its length.
fn written(packet: Packet) -> usize {
    match packet {
        Packet::Rtp(packet) => packet.marshal().map_or(0, |bytes| bytes.len()),
        Packet::Rtcp(parts) => {
            let _ = rtc::rtcp::packet::marshal(&parts);
            parts.iter().map(|part| part.marshal_size()).sum()
        }
        _ => 0,
    }
}

/// What `rtc` tells the interceptors of a stream.
fn stream(ssrc: u32, media: bool) -> StreamInfo {
    let codec = media_engine::codec();
    let extension = |uri: &str, id| RTPHeaderExtension { uri: uri.into(), id };
    let feedback = |one: &rtc::rtp_transceiver::rtp_sender::RTCPFeedback| RTCPFeedback {
        typ: one.typ.clone(),
        parameter: one.parameter.clone(),
    };
    StreamInfo {
        ssrc,
        ssrc_rtx: media.then_some(ssrc ^ RTX),
        payload_type: if media { 125 } else { 107 },
        payload_type_rtx: media.then_some(107),
        rtp_header_extensions: vec![extension(interceptors::TWCC_URI, 1), extension(capture_time::URI, 2)],
        rtcp_feedback: codec.rtcp_feedback.iter().map(feedback).collect(),
        mime_type: codec.mime_type,
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        sdp_fmtp_line: codec.sdp_fmtp_line,
        ..StreamInfo::default()
    }
}

/// Any message on the control channel; what is understood can be said again.
pub fn control_message(bytes: &[u8]) {
    if let Some(message) = control::Message::read(bytes) {
        assert_eq!(control::Message::read(message.write().as_bytes()), Some(message));
    }
}

/// Any session description, up to the decision whether it announces the pinned certificate.
pub fn description(text: &str, pinned: Fingerprint) -> bool {
    sdp::check_fingerprint(text, pinned).is_ok()
}

/// Any session description of a guest, up to the decision whether the library sees it.
pub fn guests_description(text: &str) {
    let taken = guest::description::check_offer(text).is_ok() || guest::description::check_answer(text).is_ok();
    assert!(!taken || text.len() <= guest::description::MOST_BYTES, "a large one is taken");
    let _ = guest::description::place(text);
}

/// What a TURN server, or what poses as one, sends over TCP or TLS, in pieces of any size; what is understood can be sent.
pub fn turn_stream(bytes: &[u8]) {
    let Some((cut, stream)) = bytes.split_first() else { return };
    let mut messages = framing::Messages::default();
    for piece in stream.chunks(usize::from(*cut) + 1) {
        messages.space().extend_from_slice(piece);
        loop {
            match messages.next() {
                Ok(Some(message)) => assert!(framing::append(&message, &mut BytesMut::new())),
                Ok(None) => break,
                Err(framing::NotTurn) => return,
            }
        }
    }
}

/// A connection as the link makes it, without sockets: for descriptions and datagrams.
pub fn connection(now: Instant) -> RTCPeerConnection {
    static CERTIFICATE: OnceLock<webrtc::peer_connection::RTCCertificate> = OnceLock::new();
    let certificate = CERTIFICATE
        .get_or_init(|| super::certificate(&Identity::make().expect("an identity can be made")).expect("and be used"));
    let limits = Limits { floor_bps: 200_000.0, start_bps: 2_000_000.0, ceiling_bps: 2_500_000.0 };
    let figures = Arc::new(Figures::default());
    let configuration = RTCConfigurationBuilder::new().with_certificates(vec![certificate.clone()]).build();
    let mut connection = RTCPeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(media_engine::media_engine().expect("our own codecs are accepted"))
        .with_interceptor_registry(media_engine::interceptors(
            Controller::new(limits),
            Arc::default(),
            Arc::new(|_| {}),
            &figures,
        ))
        .build(now)
        .expect("a connection can be made");
    connection.add_track(media_engine::track(OURS)).expect("our own track is accepted");
    connection
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    // PROPTEST_CASES=100000 makes it a fuzzer of sorts, for machines without nightly Rust.
    proptest! {
        #[test]
        fn random_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            reception(&bytes);
            round_trip(&bytes);
            chain(&bytes);
            control_message(&bytes);
            turn_stream(&bytes);
        }
    }
}
