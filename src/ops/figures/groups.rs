//! The figures themselves, by direction: what there is to count, with the words that `/metrics` explains it in.

use crate::ops::measure::{Counter, Gauge};
use serde::{Deserialize, Serialize};

/// One figure, for those who list them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its name within its group.
    pub name: &'static str,
    /// What it counts, in words.
    pub help: &'static str,
    /// Its value.
    pub value: u64,
    /// Whether it only grows.
    pub is_counter: bool,
}

macro_rules! figures {
    ($(#[$doc:meta])* $name:ident, $values:ident { $($(#[doc = $field_doc:literal])* $kind:ident $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name { $($(#[doc = $field_doc])* pub $field: $kind,)* }

        /// The values of the figures of the same name at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $values { $($(#[doc = $field_doc])* pub $field: u64,)* }

        impl $name {
            pub(super) fn values(&self) -> $values {
                $values { $($field: self.$field.get(),)* }
            }
        }

        impl $values {
            /// All of them, for exporters.
            pub fn list(&self) -> Vec<Figure> {
                vec![$(Figure {
                    name: stringify!($field),
                    help: concat!($($field_doc),*),
                    value: self.$field,
                    is_counter: stringify!($kind) == "Counter",
                },)*]
            }
        }
    };
}

figures! {
    /// From our camera to the network.
    Outgoing, OutgoingValues {
        /// Pictures that came from the source.
        Counter captured,
        /// Pictures that the source delivered damaged or in a wrong size.
        Counter capture_damaged,
        /// Pictures that the source left out, judged by gaps in time. A camera that halves its rate in poor light counts here.
        Counter capture_missed,
        /// Times the source was opened.
        Counter source_opens,
        /// Whether the capture thread has a camera open now: 1, or 0.
        Gauge camera_open,
        /// Times the lens seemed covered.
        Counter covers,
        /// Pictures that were blurred because the lens seemed covered.
        Counter blurred,
        /// Captured pictures that a newer one replaced before the encoder took them.
        Counter dropped_before_encode,
        /// Pictures encoded.
        Counter encoded,
        /// Pictures that the rate control left out.
        Counter skipped_by_rate_control,
        /// Failures of the encoder.
        Counter encode_errors,
        /// Keyframes encoded.
        Counter keyframes,
        /// Keyframes that the far end asked for (PLI or FIR).
        Counter keyframe_requests,
        /// Pictures left out because the link was behind, or dropped because there was none.
        Counter dropped_before_send,
        /// Access units handed to the network.
        Counter sent,
        /// Their bytes, without RTP headers.
        Counter bytes,
        /// RTP packets sent again, on request or unasked, each copy counted.
        Counter retransmitted_packets,
        /// The bitrate in bits per second that the encoder is asked for now.
        Gauge target_bps,
        /// Width of the encoded picture in pixels.
        Gauge width,
        /// Height of the encoded picture in pixels.
        Gauge height,
        /// The share in millionths of our packets that the far end reports lost.
        Gauge loss_ppm,
        /// The bitrate in bits per second that the congestion controller thinks the path carries.
        Gauge estimate_bps,
        /// The rate in bits per second of all RTP really sent, repairs included.
        Gauge send_rate_bps,
        /// The time in microseconds that a packet waits in the pacer now.
        Gauge pacer_queue_us,
        /// The time in microseconds that what is sent now waits in front of the path's bottleneck, whoever fills it.
        Gauge path_queue_us,
        /// Pictures per second that the encoder is to make now.
        Gauge fps,
        /// Why pictures have the size that they have: the code of a [`SizeReason`].
        Gauge size_reason,
        /// Times the encoded size was changed.
        Counter size_changes,
        /// Repairs, further copies included, that were not sent because the path has no room for them.
        Counter repairs_refused,
        /// Recoveries that the far end asked for: it has lost something for good, and knows what a long-term reference is.
        Counter recovery_requests,
        /// Pictures that refer to a long-term reference because the far end has lost what came since.
        Counter recoveries,
    }
}

figures! {
    /// From the network to our display.
    Incoming, IncomingValues {
        /// RTP packets that came, repairs and probes included.
        Counter packets,
        /// RTCP packets that came: reports on what we send, requests, and reports of the sender.
        Counter reports,
        /// RTP packets that never came, repair included.
        Counter lost_packets,
        /// RTP packets that came as repairs: asked for, unasked, further copies, and probes.
        Counter repair_packets,
        /// RTP packets that were missing at first and came as a repair, each counted once.
        Counter recovered_packets,
        /// Access units that came whole.
        Counter received,
        /// Their bytes.
        Counter bytes,
        /// Access units that were damaged by loss and not decoded.
        Counter damaged,
        /// Access units that were dropped because the decoder was behind, or they were too old when they came.
        Counter dropped_before_decode,
        /// Pictures decoded.
        Counter decoded,
        /// Failures of the decoder.
        Counter decode_errors,
        /// Keyframes that came.
        Counter keyframes,
        /// Keyframes that we asked for (PLI).
        Counter keyframe_requests,
        /// Pictures that we asked for that refer to what we have, instead of a keyframe.
        Counter recovery_requests,
        /// Decoded pictures that a newer one replaced before the display took them.
        Counter dropped_before_present,
        /// Pictures presented (an agent without display counts decoded pictures).
        Counter presented,
        /// Age of the picture presented last when it was presented, from its capture at the far end, in microseconds.
        Gauge latency_us,
        /// Width of the picture presented last.
        Gauge width,
        /// Height of the picture presented last.
        Gauge height,
        /// RTP packets that we asked to be sent again, each request of each packet counted.
        Counter repair_requests,
        /// Jitter in microseconds of whole pictures, repair included: how unevenly they become decodable, smoothed as in RFC 3550.
        Gauge jitter_us,
        /// The time in microseconds that whole pictures are held back now so that they are shown evenly.
        Gauge playout_delay_us,
        /// Times the picture stood still: a gap between two pictures of at least three usual gaps, and of at least a usual gap and 150 ms.
        Counter freezes,
        /// The time in milliseconds that the picture stood still.
        Counter frozen_ms,
        /// The time in milliseconds that a slate stood in for the picture because the link was stalled or down. With the frozen time it is what a browser would call frozen.
        Counter interrupted_ms,
        /// Pictures that came whole, but after the time at which they were to be shown.
        Counter late_pictures,
    }
}

figures! {
    /// The link as a whole.
    LinkFigures, LinkValues {
        /// Connection attempts.
        Counter attempts,
        /// Connections that came up.
        Counter connects,
        /// Times the far end's picture stopped for more than a second.
        Counter stalls,
        /// Offers, answers or certificates that did not carry the pinned fingerprint.
        Counter rejected_identities,
        /// Signalling messages that were refused: malformed, too large, too many, out of turn.
        Counter rejected_messages,
        /// Round-trip time of the media path in microseconds; 0 while unknown.
        Gauge round_trip_us,
        /// Failures of the display's device that were recovered from.
        Counter display_recoveries,
        /// Turns of the display's loop: at least one a second while there is a window system, whatever there is to show.
        Counter display_updates,
        /// Images handed to the window system: pictures, slates and overlays.
        Counter display_presents,
        /// Windows made: the first one, and one each time it or its monitor came back.
        Counter display_windows,
        /// 1 while there is a window system without a monitor: nothing can be presented, and nobody is to blame.
        Gauge display_without_monitor,
        /// 1 while there is no window system or no graphics device and the display waits for it; then its loop does not turn.
        Gauge display_waiting,
    }
}

figures! {
    /// What the watchdog did, see [`crate::ops::watchdog`].
    WatchdogFigures, WatchdogValues {
        /// Times that a source that hung was closed and opened again.
        Counter sources_reopened,
        /// Encoders put in the place of one that hung.
        Counter new_encoders,
        /// Decoders put in the place of one that hung or failed.
        Counter new_decoders,
        /// Keyframes asked for because pictures came and could not be used.
        Counter keyframes,
        /// Connections begun because pictures came and could not be used.
        Counter new_connections,
        /// Windows made because pictures did not reach the glass.
        Counter new_windows,
        /// Graphics devices opened again because pictures did not reach the glass.
        Counter new_devices,
        /// Stages that went on after a remedy.
        Counter healed,
        /// Stages that stand still now, for longer than they may.
        Gauge standing,
        /// 1 while the configuration is not kept: the thread that follows its files and the settings page hangs. Nothing is begun again for that.
        Gauge configuration_hangs,
    }
}

figures! {
    /// What comes of pairing, see [`crate::signaling::pair`].
    PairingFigures, PairingValues {
        /// Codes shown.
        Counter codes,
        /// Exchanges begun by somebody.
        Counter exchanges,
        /// Codes burnt: one was tried, and nobody was paired by it.
        Counter burnt_codes,
        /// Connections that came to nothing before a code was tried: malformed, too many, too slow, or none is shown.
        Counter refused,
        /// Exchanges by which a far end was pinned.
        Counter completed,
        /// 1 while no code is shown because too many were burnt.
        Gauge paused,
    }
}

figures! {
    /// Guests: who looks at our camera and is not the far end, see [`crate::guests`].
    GuestFigures, GuestValues {
        /// Guests who are sent pictures now.
        Gauge watching,
        /// 1 while this portal is in the hub's room as a camera.
        Gauge joined,
        /// 1 while this portal is at the broker as a device.
        Gauge at_broker,
        /// Guests who came: whose connection came up.
        Counter arrivals,
        /// Guests who left again, in whatever way.
        Counter departures,
        /// Who wanted to look and was told why not: too many, too often, an offer that asks for no pictures.
        Counter refused,
        /// Guests with whom no connection came up.
        Counter unreached,
        /// Messages of guests that were not taken: too many candidates, answers to nothing, descriptions that cannot be used.
        Counter rejected_messages,
        /// Pictures encoded for all guests together, slates included.
        Counter encoded,
        /// Of these, slates: what guests see instead of the camera.
        Counter slates,
        /// Keyframes encoded for guests.
        Counter keyframes,
        /// Keyframes that guests asked for.
        Counter keyframe_requests,
        /// Failures of the guests' encoder.
        Counter encode_errors,
        /// Pictures sent, each counted once for each guest.
        Counter sent,
        /// Their bytes, without RTP headers.
        Counter bytes,
        /// Pictures left out for a guest whose path is behind.
        Counter dropped_before_send,
        /// The bitrate in bits per second that each guest's pictures aim for now.
        Gauge target_bps,
        /// The time in milliseconds that encoding for guests took, waiting for the processor included.
        Counter encode_ms,
    }
}

/// Why pictures are encoded in the size that they have. The figure `size_reason` holds its code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SizeReason {
    /// The full size of the source: nothing stands in its way.
    #[default]
    Full,
    /// The path carries too little for a larger size.
    Path,
    /// What is to be seen needs more bits than most: noise, or much movement. For most pictures the bitrate would do for a larger size.
    Content,
}

impl SizeReason {
    /// Every one, for those who list or test them all.
    pub const ALL: [Self; 3] = [Self::Full, Self::Path, Self::Content];

    /// The figure that stands for it.
    pub const fn code(self) -> u64 {
        match self {
            Self::Full => 0,
            Self::Path => 1,
            Self::Content => 2,
        }
    }

    /// Whom a figure stands for; `None` if it is nobody's.
    pub fn from_code(code: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}
