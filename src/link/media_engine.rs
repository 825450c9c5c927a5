//! What is negotiated, and the list of interceptors that each packet passes.
//!
//! ```text
//! wire    900  Count             packets, repairs
//!        3000  Sender            paces, numbers, remembers; drives super::congestion
//!        4000  Repairs           keeps what was sent, repairs what is missed
//!        8000  Feedback          arrival times for the far end          (stock, at times of our choice)
//!        8500  Rtx               repairs become what they repair
//!       10000  ReceiverReport                                           (stock)
//!       11000  SenderReport                                             (stock)
//! app   14000  KeyframeRequests  PLI, FIR and what the far end has decoded reach the encoder
//! ```
//!
//! Who asks for missing packets stands behind the chain, where pictures are assembled: only there is known what is still worth
//! asking for (see [`super::reception`]).

use super::congestion::Estimator;
use super::interceptors::backlog::Backlog;
use super::interceptors::count::Count;
use super::interceptors::feedback::feedback;
use super::interceptors::keyframe_requests::{KeyframeRequests, Said};
use super::interceptors::repairs::Repairs;
use super::interceptors::rtx::Rtx;
use super::interceptors::sender::Sender;
use super::interceptors::{TWCC_URI, Through};
use super::{capture_time, dependency};
use crate::ops::Figures;
use rtc::interceptor::{ReceiverReportBuilder, Registry, SenderReportBuilder, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RTCRtpHeaderExtensionCapability, RTCRtpRtxParameters, RtpCodecKind,
};
use rtc::shared::error::Error;
use std::sync::Arc;
use webrtc::peer_connection::MediaEngine;

pub(super) const PAYLOAD_TYPE: u8 = 125;
pub(super) const RTX_PAYLOAD_TYPE: u8 = 107;

/// H.264, constrained baseline, level 4.0 (1080p30), non-interleaved (RFC 6184).
pub(super) fn codec() -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.into(), parameter: parameter.into() };
    RTCRtpCodec {
        mime_type: "video/H264".into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e028".into(),
        rtcp_feedback: vec![
            feedback("ccm", "fir"),
            feedback("nack", ""),
            feedback("nack", "pli"),
            feedback("transport-cc", ""),
        ],
    }
}

/// What two portals negotiate: the codec with its repair stream, and three header extensions.
pub(super) fn media_engine() -> Result<MediaEngine, Error> {
    with_extensions(&[TWCC_URI, capture_time::URI, dependency::URI])
}

/// What is negotiated with a guest: nothing that only portals understand.
pub(super) fn for_guests() -> Result<MediaEngine, Error> {
    with_extensions(&[TWCC_URI])
}

fn with_extensions(extensions: &[&str]) -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let rtx = RTCRtpCodec {
        mime_type: "video/rtx".into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: format!("apt={PAYLOAD_TYPE}"),
        rtcp_feedback: vec![],
    };
    for (rtp_codec, payload_type) in [(codec(), PAYLOAD_TYPE), (rtx, RTX_PAYLOAD_TYPE)] {
        engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, RtpCodecKind::Video)?;
    }
    for uri in extensions {
        let extension = RTCRtpHeaderExtensionCapability { uri: (*uri).into() };
        engine.register_header_extension(extension, RtpCodecKind::Video, None)?;
    }
    Ok(engine)
}

/// The interceptors of one peer connection. `backlog` tells how much waits to be sent, `on_said` hears what the
/// far end wants of the encoder.
pub(super) fn interceptors(
    estimator: impl Estimator + 'static,
    backlog: Arc<Backlog>,
    on_said: Arc<dyn Fn(Said) + Send + Sync>,
    figures: &Arc<Figures>,
) -> Registry {
    Registry::new()
        .with(Slot::from(900), Through::new(Count { figures: figures.clone() }))
        .with(Slot::Pacer, Sender::new(estimator, figures.clone(), backlog))
        .with(Slot::NackResponder, Repairs::new(figures.clone()))
        .with(Slot::TwccReceiver, feedback())
        .with(Slot::from(8_500), Through::new(Rtx::new(figures.clone())))
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
        .with(Slot::from(14_000), Through::new(KeyframeRequests::new(on_said, figures.clone())))
}

/// The SSRC of the repairs of our stream `ssrc`: any other would do.
pub(super) fn rtx_ssrc(ssrc: u32) -> u32 {
    ssrc ^ 0x5555_0000
}

/// Our video track, with the SSRC of its packets and one for their repairs: `rtc` sends no RTX unless it is given one.
pub(super) fn track(ssrc: u32) -> MediaStreamTrack {
    let coding = RTCRtpCodingParameters {
        ssrc: Some(ssrc),
        rtx: Some(RTCRtpRtxParameters { ssrc: rtx_ssrc(ssrc) }),
        ..Default::default()
    };
    let encoding = RTCRtpEncodingParameters { rtp_coding_parameters: coding, codec: codec(), ..Default::default() };
    MediaStreamTrack::new("portal".into(), "camera".into(), "camera".into(), RtpCodecKind::Video, vec![encoding])
}
