//! Takes repair packets (RTX, RFC 4588) out of their wrapping, early.
//!
//! `rtc` unwraps RTX after the whole chain. Here it is done behind the TWCC recorder, which must see the packet as it came, so that
//! repairs are counted, and probes, which are RTX packets without content, go no further.

use super::Stage;
use crate::ops::Figures;
use rtc::interceptor::{Packet, StreamInfo, TaggedPacket};
use std::collections::HashMap;
use std::sync::Arc;

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
        if let Packet::Rtp(rtp) = &mut packet.message.packet
            && let Some(&(ssrc, payload_type)) = self.repairs.get(&rtp.header.ssrc)
        {
            // RFC 4588, section 4: the original sequence number, then the original payload.
            let original = [*rtp.payload.first()?, *rtp.payload.get(1)?];
            rtp.header.sequence_number = u16::from_be_bytes(original);
            rtp.header.ssrc = ssrc;
            rtp.header.payload_type = payload_type;
            rtp.header.padding = false;
            rtp.payload = rtp.payload.slice(2..);
            self.figures.incoming.recovered_packets.one();
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
        assert_eq!((rtp.header.ssrc, rtp.header.sequence_number, rtp.header.payload_type), (7, 0x1234, 125));
        assert_eq!(&rtp.payload[..], &[0x65, 0x66]);
        assert_eq!(stage.figures.incoming.recovered_packets.get(), 1);
    }

    #[test]
    fn probes_are_swallowed_and_media_passes() {
        let mut stage = stage();
        for short in [&[][..], &[1][..]] {
            assert!(stage.read(packet(8, short)).is_none());
        }
        assert!(stage.read(packet(7, &[])).is_some());
        assert_eq!(stage.figures.incoming.recovered_packets.get(), 0);
    }
}
