//! Hands the far end's wishes to the encoder: for a keyframe, or a picture that refers to one that it has; and what it has.

use super::Stage;
use crate::link::dependency::Feedback;
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

/// What the far end says to the encoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link) enum Said {
    /// It needs a keyframe.
    Keyframe,
    /// What it has decoded, and whether it needs more than what comes.
    Feedback(Feedback),
}

/// Calls the encoder for each PLI (RFC 4585) or FIR (RFC 5104), and for each request of a recovery, at most every 150 ms. A far end
/// that still needs a picture asks again. What it has decoded is passed on at once.
pub(in crate::link) struct KeyframeRequests {
    notify: Arc<dyn Fn(Said) + Send + Sync>,
    figures: Arc<Figures>,
    last: Option<Instant>,
}

impl KeyframeRequests {
    pub(in crate::link) fn new(notify: Arc<dyn Fn(Said) + Send + Sync>, figures: Arc<Figures>) -> Self {
        Self { notify, figures, last: None }
    }

    /// Whether a request is answered.
    fn allows(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= MIN_INTERVAL);
        let answered = due && self.figures.outgoing.pacer_queue_us.get() < ENOUGH_WAITS_US;
        if answered {
            self.last = Some(now);
        }
        answered
    }
}

impl Stage for KeyframeRequests {
    fn read(&mut self, packet: TaggedPacket) -> Option<TaggedPacket> {
        let Packet::Rtcp(parts) = &packet.message.packet else { return Some(packet) };
        let mut keyframe = false;
        for part in parts {
            if let Some(feedback) = Feedback::read(&**part) {
                if feedback.lost {
                    self.figures.outgoing.recovery_requests.one();
                }
                let lost = feedback.lost && self.allows(packet.now);
                (self.notify)(Said::Feedback(Feedback { lost, ..feedback }));
            }
            let part = part.as_any();
            keyframe |= part.is::<PictureLossIndication>() || part.is::<FullIntraRequest>();
        }
        if keyframe {
            self.figures.outgoing.keyframe_requests.one();
            if self.allows(packet.now) {
                (self.notify)(Said::Keyframe);
            }
        }
        Some(packet)
    }
}
