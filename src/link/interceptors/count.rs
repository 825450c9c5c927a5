//! Counts packets where they cross the wire.

use super::Stage;
use crate::ops::Figures;
use rtc::interceptor::{Attribute, Packet, TaggedPacket};
use std::sync::Arc;

/// Fills the packet counters of [`Figures`]. Stands nearest to the wire, so that it sees what really crosses it.
pub(in crate::link) struct Count {
    pub figures: Arc<Figures>,
}

impl Stage for Count {
    fn read(&mut self, packet: TaggedPacket) -> Option<TaggedPacket> {
        match packet.message.packet {
            Packet::Rtp(_) => self.figures.incoming.packets.one(),
            Packet::Rtcp(_) => self.figures.incoming.reports.one(),
            _ => {}
        }
        Some(packet)
    }

    fn write(&mut self, packet: TaggedPacket) -> Option<TaggedPacket> {
        if packet.message.has(&Attribute::Retransmission) {
            self.figures.outgoing.retransmitted_packets.one();
        }
        Some(packet)
    }
}
