//! What is done to each RTP and RTCP packet on its way between the wire and the application.
//!
//! `rtc` moves packets along a list of interceptors, ordered by their distance from the wire. Ours stand between the stock ones
//! (see [`super::media_engine`] for the whole list). Those that neither delay nor generate packets are a [`Stage`]: one function
//! per direction.

pub(super) mod backlog;
pub(super) mod count;
pub(super) mod feedback;
pub(super) mod keyframe_requests;
pub(super) mod pacer;
pub(super) mod repairs;
pub(super) mod rtx;
pub(super) mod sender;

use rtc::interceptor::{Interceptor, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use std::collections::VecDeque;
use std::time::Instant;

/// The header extension that numbers packets across streams (draft-holmer-rmcat-transport-wide-cc-extensions-01).
pub(super) const TWCC_URI: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// A step that looks at each packet, may change it, and may swallow it by returning `None`.
pub(super) trait Stage: Send + Sync + 'static {
    /// A packet from the network.
    fn read(&mut self, packet: TaggedPacket) -> Option<TaggedPacket> {
        Some(packet)
    }
    /// A packet to the network.
    fn write(&mut self, packet: TaggedPacket) -> Option<TaggedPacket> {
        Some(packet)
    }
    /// A stream of the far end has been negotiated.
    fn bind_remote(&mut self, _stream: &StreamInfo) {}
    /// A stream of the far end is over.
    fn unbind_remote(&mut self, _stream: &StreamInfo) {}
}

/// Makes an interceptor of a [`Stage`]: keeps what it lets through until the chain asks for it. The chain asks after each
/// packet, so the queues hold one.
pub(super) struct Through<S> {
    stage: S,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl<S: Stage> Through<S> {
    pub(super) fn new(stage: S) -> Self {
        Self { stage, reads: VecDeque::new(), writes: VecDeque::new() }
    }
}

impl<S: Stage> Protocol<TaggedPacket, TaggedPacket, ()> for Through<S> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.reads.extend(self.stage.read(packet));
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.writes.extend(self.stage.write(packet));
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl<S: Stage> Interceptor for Through<S> {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, stream: &StreamInfo) {
        self.stage.bind_remote(stream);
    }
    fn unbind_remote_stream(&mut self, stream: &StreamInfo) {
        self.stage.unbind_remote(stream);
    }
}
