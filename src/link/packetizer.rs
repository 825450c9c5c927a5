//! Cuts access units into RTP packets (RFC 6184, packetization mode 1).
//!
//! Small NAL units in front of a picture (parameter sets, SEI) travel together in one STAP-A, slices alone or in FU-A
//! fragments. The capture time goes into the first packet of each access unit, and the RTP timestamp follows it, so that the
//! far end sees the pictures' true spacing, whatever the encoder and the scheduler did meanwhile.

use super::capture_time;
use crate::codec::nal;
use bytes::{BufMut, Bytes, BytesMut};
use rtc::rtp::header::Header;
use std::time::Duration;

/// The largest RTP payload. With RTP header and extensions, SRTP tag, UDP, and IPv6, it stays below the 1,280 bytes that each
/// path must carry, a VPN's overhead included.
const MAX_PAYLOAD: usize = 1160;
/// Buffers are made in pieces of this size, each for many access units.
const CHUNK: usize = 256 * 1024;

const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// What was negotiated for the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub ssrc: u32,
    pub payload_type: u8,
    /// The id of the abs-capture-time extension, if the far end takes it.
    pub capture_time_id: Option<u8>,
}

/// Keeps one stream's sequence numbers.
#[derive(Debug)]
pub(super) struct Packetizer {
    stream: Stream,
    sequence: u16,
    /// Added to each timestamp; random, as RFC 3550 wants.
    timestamp_offset: u32,
    buffer: BytesMut,
}

impl Packetizer {
    pub fn new(stream: Stream) -> Self {
        Self::beginning(stream, rand::random(), rand::random())
    }

    /// Begins with this sequence number; the offset is added to each timestamp.
    pub fn beginning(stream: Stream, sequence: u16, timestamp_offset: u32) -> Self {
        Self { stream, sequence, timestamp_offset, buffer: BytesMut::new() }
    }

    /// The packets of one access unit in Annex B form, taken at `captured` since 1970 on the portal's clock. Without NAL units
    /// there are no packets.
    pub fn packets(&mut self, annex_b: &[u8], captured: Duration, into: &mut Vec<rtc::rtp::Packet>) {
        let first = into.len();
        // RFC 6184: 90 kHz. The product wraps after 2^32 ticks, as RTP timestamps do.
        let timestamp = (captured.as_micros().wrapping_mul(9) / 100) as u32;
        let timestamp = timestamp.wrapping_add(self.timestamp_offset);
        // Room for the whole unit and for the headers of aggregation and fragments.
        let wanted = annex_b.len() + annex_b.len() / 64 + 64;
        if self.buffer.capacity() < wanted {
            self.buffer = BytesMut::with_capacity(wanted.max(CHUNK));
        }
        let mut nals = nal::units(annex_b).filter(|nal| worth_sending(nal)).peekable();
        while let Some(nal) = nals.next() {
            if nal.len() > MAX_PAYLOAD {
                self.fragment(nal, timestamp, into);
                continue;
            }
            let mut size = 1 + 2 + nal.len();
            let mut together = false;
            self.buffer.put_u8(0);
            put_sized(&mut self.buffer, nal);
            let mut importance = nal[0] & 0x60;
            while let Some(next) = nals.next_if(|next| size + 2 + next.len() <= MAX_PAYLOAD) {
                size += 2 + next.len();
                importance = importance.max(next[0] & 0x60);
                put_sized(&mut self.buffer, next);
                together = true;
            }
            let mut payload = self.buffer.split();
            if together {
                payload[0] = importance | STAP_A;
                self.push(payload.freeze(), timestamp, into);
            } else {
                self.push(payload.freeze().slice(3..), timestamp, into);
            }
        }
        let packets = &mut into[first..];
        if let (Some(packet), Some(id)) = (packets.first_mut(), self.stream.capture_time_id) {
            let time = Bytes::copy_from_slice(&capture_time::write(captured));
            // Fails only for ids that no negotiation yields.
            let _ = packet.header.set_extension(id, time);
        }
        if let Some(packet) = packets.last_mut() {
            packet.header.marker = true;
        }
    }

    /// FU-A fragments of equal size: a picture of 1,200 bytes makes two of 600, not one full and one tiny.
    fn fragment(&mut self, nal: &[u8], timestamp: u32, into: &mut Vec<rtc::rtp::Packet>) {
        let (header, body) = (nal[0], &nal[1..]);
        let size = body.len().div_ceil(body.len().div_ceil(MAX_PAYLOAD - 2));
        let last = body.len().div_ceil(size) - 1;
        for (n, chunk) in body.chunks(size).enumerate() {
            self.buffer.put_u8(header & 0xe0 | FU_A);
            self.buffer.put_u8(u8::from(n == 0) << 7 | u8::from(n == last) << 6 | header & 0x1f);
            self.buffer.put_slice(chunk);
            let payload = self.buffer.split().freeze();
            self.push(payload, timestamp, into);
        }
    }

    fn push(&mut self, payload: Bytes, timestamp: u32, into: &mut Vec<rtc::rtp::Packet>) {
        let header = Header {
            version: 2,
            payload_type: self.stream.payload_type,
            sequence_number: self.sequence,
            timestamp,
            ssrc: self.stream.ssrc,
            ..Default::default()
        };
        self.sequence = self.sequence.wrapping_add(1);
        into.push(rtc::rtp::Packet { header, payload });
    }
}

fn put_sized(buffer: &mut BytesMut, nal: &[u8]) {
    buffer.put_u16(nal.len() as u16);
    buffer.put_slice(nal);
}

/// Delimiters and filler say nothing that RTP does not say already.
fn worth_sending(nal: &[u8]) -> bool {
    nal.first().is_some_and(|header| !matches!(header & 0x1f, 9 | 12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STREAM: Stream = Stream { ssrc: 9, payload_type: 125, capture_time_id: Some(3) };

    fn annex_b(nals: &[Vec<u8>]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], &nal[..]].concat()).collect()
    }

    #[test]
    fn parameter_sets_together_and_slices_in_fragments() {
        let nals = vec![vec![0x67; 20], vec![0x68; 5], [vec![0x65], vec![7; 3000]].concat()];
        let (mut packetizer, mut packets) = (Packetizer::new(STREAM), vec![]);
        let captured = Duration::from_millis(1_800_000_000_123);
        packetizer.packets(&annex_b(&nals), captured, &mut packets);
        let kinds: Vec<u8> = packets.iter().map(|packet| packet.payload[0] & 0x1f).collect();
        assert_eq!(kinds, [24, 28, 28, 28]);
        assert_eq!(packets[0].payload.len(), 1 + 2 + 20 + 2 + 5);
        assert_eq!(packets[1].payload[..2], [0x7c, 0x85]);
        assert_eq!(packets[3].payload[..2], [0x7c, 0x45]);
        assert_eq!(packets.iter().map(|packet| packet.header.marker).collect::<Vec<_>>(), [false, false, false, true]);
        let time = packets[0].header.get_extension(3).and_then(|bytes| capture_time::read(&bytes)).unwrap();
        assert!(time.abs_diff(captured) < Duration::from_micros(1));
        assert!(packets[1..].iter().all(|packet| packet.header.extensions.is_empty()));
        assert!(
            packets
                .windows(2)
                .all(|pair| { pair[1].header.sequence_number == pair[0].header.sequence_number.wrapping_add(1) })
        );
    }

    #[test]
    fn timestamps_follow_the_capture_time() {
        let (mut packetizer, mut packets) = (Packetizer::new(STREAM), vec![]);
        for ms in [1_800_000_000_000, 1_800_000_000_050] {
            packetizer.packets(&annex_b(&[vec![0x41, 1, 2]]), Duration::from_millis(ms), &mut packets);
        }
        assert_eq!(packets[1].header.timestamp.wrapping_sub(packets[0].header.timestamp), 4500);
    }

    #[test]
    fn no_units_no_packets() {
        let (mut packetizer, mut packets) = (Packetizer::new(STREAM), vec![]);
        for nothing in [&[][..], &[0, 0, 1], &[0, 0, 0, 1, 0], &[1, 2, 3], &[0, 0, 1, 9, 16], &[0, 0]] {
            packetizer.packets(nothing, Duration::ZERO, &mut packets);
            assert!(packets.is_empty(), "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn every_payload_fits_and_nothing_panics(data: Vec<u8>, long in 0..5000_usize) {
            let mut unit = annex_b(&[data]);
            unit.extend([0, 0, 1, 0x65]);
            unit.extend(std::iter::repeat_n(0xab, long));
            let (mut packetizer, mut packets) = (Packetizer::new(STREAM), vec![]);
            packetizer.packets(&unit, Duration::ZERO, &mut packets);
            prop_assert!(packets.iter().all(|packet| (1..=MAX_PAYLOAD).contains(&packet.payload.len())));
        }
    }
}
