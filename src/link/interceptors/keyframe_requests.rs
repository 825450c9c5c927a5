//! Hands the far end's wishes for a keyframe to the encoder.

use super::Stage;
use crate::ops::Figures;
use rtc::interceptor::{Packet, TaggedPacket};
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Keyframes are several times as large as other pictures: a far end that asks more often than this gets no more of them.
const MIN_INTERVAL: Duration = Duration::from_millis(150);

/// While more than this waits to be sent, in microseconds at the path's rate, a further keyframe would only wait behind it; what is
/// asked for is most likely among it. At 300 kb/s the first keyframe takes longer than the far end's patience.
const ENOUGH_WAITS_US: u64 = 100_000;

/// Calls the encoder for each PLI (RFC 4585) or FIR (RFC 5104), at most every 150 ms. A far end that still needs a keyframe asks
/// again.
pub(in crate::link) struct KeyframeRequests {
    notify: Arc<dyn Fn() + Send + Sync>,
    figures: Arc<Figures>,
    last: Option<Instant>,
}

impl KeyframeRequests {
    pub(in crate::link) fn new(notify: Arc<dyn Fn() + Send + Sync>, figures: Arc<Figures>) -> Self {
        Self { notify, figures, last: None }
    }
}

impl Stage for KeyframeRequests {
    fn read(&mut self, packet: TaggedPacket) -> Option<TaggedPacket> {
        if let Packet::Rtcp(parts) = &packet.message.packet
            && parts.iter().any(|part| {
                let part = part.as_any();
                part.is::<PictureLossIndication>() || part.is::<FullIntraRequest>()
            })
        {
            self.figures.outgoing.keyframe_requests.one();
            let due = self.last.is_none_or(|last| packet.now.saturating_duration_since(last) >= MIN_INTERVAL);
            if due && self.figures.outgoing.pacer_queue_us.get() < ENOUGH_WAITS_US {
                self.last = Some(packet.now);
                (self.notify)();
            }
        }
        Some(packet)
    }
}
