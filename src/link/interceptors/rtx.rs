//! Takes repair packets (RTX, RFC 4588) out of their wrapping, early.
//!
//! `rtc` unwraps RTX after the whole chain. Here it is done behind the TWCC recorder, which must see the packet as it came, so that
//! repairs are told from what was sent first, and probes, which are RTX packets without content, go no further. Whether a repair
//! mends anything is seen where pictures are assembled: copies of what is there already mend nothing.

use super::Stage;
use crate::ops::Figures;
use rtc::interceptor::{Packet, StreamInfo, TaggedPacket};
use rtc::rtp::header::Header;
use std::collections::HashMap;
use std::sync::Arc;

/// Whether a packet that [`Rtx`] let through came as a repair. Its mark is the bit for padding: what was padded has lost its padding
/// when it was parsed, so that the bit says nothing any more, and no other part of a packet reaches the application as we leave it.
pub(in crate::link) fn is_repair(header: &Header) -> bool {
    header.padding
}

/// Unwraps RTX packets and swallows empty ones (bandwidth probes).
pub(in crate::link) struct Rtx {
    figures: Arc<Figures>,
    /// From the SSRC of repairs to the SSRC and payload type of what they repair. One entry per negotiated stream.
    repairs: HashMap<u32, (u32, u8)>,
}

impl Rtx {
    pub(in crate::link) fn new(figures: Arc<Figures>) -> Self {
        Self { figures, repairs: HashMap::new() }
    }
}

impl Stage for Rtx {
    fn read(&mut self, mut packet: TaggedPacket) -> Option<TaggedPacket> {
        let Packet::Rtp(rtp) = &mut packet.message.packet else { return Some(packet) };
        let repairs = self.repairs.get(&rtp.header.ssrc);
        // What `is_repair` reads.
        rtp.header.padding = repairs.is_some();
        if let Some(&(ssrc, payload_type)) = repairs {
            self.figures.incoming.repair_packets.one();
            // RFC 4588, section 4: the original sequence number, then the original payload.
            let original = [*rtp.payload.first()?, *rtp.payload.get(1)?];
            rtp.header.sequence_number = u16::from_be_bytes(original);
            rtp.header.ssrc = ssrc;
            rtp.header.payload_type = payload_type;
            rtp.payload = rtp.payload.slice(2..);
        }
        Some(packet)
    }

    fn bind_remote(&mut self, stream: &StreamInfo) {
        if let Some(repair) = stream.ssrc_rtx {
            self.repairs.insert(repair, (stream.ssrc, stream.payload_type));
        }
    }

    fn unbind_remote(&mut self, stream: &StreamInfo) {
        if let Some(repair) = stream.ssrc_rtx {
            self.repairs.remove(&repair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use rtc::interceptor::AttributedPacket;
    use std::time::Instant;

    fn stage() -> Rtx {
        let mut stage = Rtx::new(Arc::new(Figures::default()));
        stage.bind_remote(&StreamInfo { ssrc: 7, ssrc_rtx: Some(8), payload_type: 125, ..Default::default() });
        stage
    }

    fn packet(ssrc: u32, payload: &'static [u8]) -> TaggedPacket {
        let mut rtp = rtc::rtp::Packet { payload: Bytes::from_static(payload), ..Default::default() };
        rtp.header.ssrc = ssrc;
        TaggedPacket {
            now: Instant::now(),
            transport: Default::default(),
            message: AttributedPacket::new(Packet::Rtp(rtp)),
        }
    }

    #[test]
    fn repairs_become_what_they_repair() {
        let mut stage = stage();
        let out = stage.read(packet(8, &[0x12, 0x34, 0x65, 0x66])).unwrap();
        let Packet::Rtp(rtp) = out.message.packet else { panic!("not RTP") };
        assert!(is_repair(&rtp.header));
        assert_eq!((rtp.header.ssrc, rtp.header.sequence_number, rtp.header.payload_type), (7, 0x1234, 125));
        assert_eq!(&rtp.payload[..], &[0x65, 0x66]);
        assert_eq!(stage.figures.incoming.repair_packets.get(), 1);
    }

    #[test]
    fn probes_are_swallowed_and_media_passes() {
        let mut stage = stage();
        for short in [&[][..], &[1][..]] {
            assert!(stage.read(packet(8, short)).is_none());
        }
        assert_eq!(stage.figures.incoming.repair_packets.get(), 2);
        let mut padded = packet(7, &[]);
        if let Packet::Rtp(rtp) = &mut padded.message.packet {
            rtp.header.padding = true;
        }
        let out = stage.read(padded).unwrap();
        assert!(matches!(out.message.packet, Packet::Rtp(rtp) if !is_repair(&rtp.header)));
        assert_eq!(stage.figures.incoming.repair_packets.get(), 2);
    }
}
