//! One end of a peer connection's media: the real interceptors, packetizer and reception, without WebRTC around them.
//!
//! `rtc` would encrypt, so what it does of consequence on the way is done here: replayed packets are dropped (SRTP's window), the
//! streams are bound as it binds them, timers fire at most once a millisecond.

use super::encoder::{Picture, Wishes};
use crate::link::assembler::{self, Unit};
use crate::link::congestion::{Controller, Limits, Published};
use crate::link::interceptors::keyframe_requests::Said;
use crate::link::interceptors::rtx::is_repair;
use crate::link::interceptors::{TWCC_URI, backlog::Backlog};
use crate::link::media_engine::{self, PAYLOAD_TYPE, RTX_PAYLOAD_TYPE, rtx_ssrc};
use crate::link::packetizer::{Packetizer, Stream};
use crate::link::peer::REPLAY_WINDOW;
use crate::link::reception::Reception;
use crate::link::{capture_time, dependency};
use crate::ops::Figures;
use bytes::Bytes;
use rtc::interceptor::{Interceptor, Packet, RTCPFeedback, RTPHeaderExtension, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::sansio::Protocol;
use rtc::shared::marshal::MarshalSize;
use rtc::shared::replay_detector::{ReplayDetector, SlidingWindowDetector};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// The driver's timer.
const TIMER: Duration = Duration::from_millis(1);
const TWCC_ID: u16 = 1;
const CAPTURE_TIME_ID: u8 = 2;
const DEPENDENCY_ID: u8 = 3;
/// What SRTP (AES-GCM), UDP and IP add to each packet, and SRTCP, UDP and IP.
const RTP_OVERHEAD: usize = 16 + 28;
const RTCP_OVERHEAD: usize = 20 + 28;

/// What the ends of a connection are configured with.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub ceiling_bps: f64,
    pub floor_bps: f64,
    pub start_bps: f64,
    /// Both ends know what a long-term reference is.
    pub recovers: bool,
}

impl Setup {
    /// As `link::Config` and `encode::Config` have it by default, but for the bitrate.
    pub fn with_ceiling(mbps: f64) -> Self {
        Self { ceiling_bps: mbps * 1e6, floor_bps: 200_000.0, start_bps: mbps * 0.8e6, recovers: true }
    }
}

pub struct Connection {
    base: Instant,
    chain: Box<dyn Interceptor>,
    packetizer: Packetizer,
    recovers: bool,
    started: bool,
    backlog: Arc<Backlog>,
    far_ssrc: u32,
    reception: Reception,
    missing: Vec<u16>,
    replays: BTreeMap<u32, (SlidingWindowDetector, u64)>,
    figures: Arc<Figures>,
    packets: Vec<rtc::rtp::Packet>,
    units: Vec<Unit>,
}

impl Connection {
    /// The SSRC is this end's, the far end's is the other.
    pub fn new(
        setup: &Setup,
        (ssrc, far_ssrc): (u32, u32),
        first_sequence: u16,
        wishes: &Arc<Wishes>,
        figures: &Arc<Figures>,
        base: Instant,
        now: Instant,
    ) -> Self {
        let limits = Limits { floor_bps: setup.floor_bps, start_bps: setup.start_bps, ceiling_bps: setup.ceiling_bps };
        let (counts, target) = (figures.clone(), wishes.clone());
        let estimator = Published {
            estimator: Controller::new(limits),
            ceiling_bps: Arc::new((setup.ceiling_bps as u32).into()),
            publish: move |target_bps: f64, loss: f64| {
                counts.outgoing.target_bps.set(target_bps as u64);
                counts.outgoing.loss_ppm.set((loss * 1e6) as u64);
                target.target_bps.store(target_bps as u32, Relaxed);
            },
        };
        wishes.target_bps.store(setup.start_bps as u32, Relaxed);
        let backlog = Arc::<Backlog>::default();
        let requested = wishes.clone();
        let on_said = Arc::new(move |said| match said {
            Said::Keyframe => requested.keyframe.store(true, Relaxed),
            Said::Feedback(feedback) => {
                requested.far_end_has.fetch_max(feedback.decoded, Relaxed);
                requested.recovery.fetch_or(feedback.lost, Relaxed);
            }
        });
        let mut chain = Box::new(media_engine::interceptors(estimator, backlog.clone(), on_said, figures).build());
        chain.bind_local_stream(&stream(ssrc, true));
        chain.bind_remote_stream(&stream(far_ssrc, true));
        chain.bind_remote_stream(&stream(rtx_ssrc(far_ssrc), false));
        let media = Stream { ssrc, payload_type: PAYLOAD_TYPE, capture_time_id: Some(CAPTURE_TIME_ID) };
        Self {
            base,
            chain,
            packetizer: Packetizer::beginning(media, first_sequence, 0),
            recovers: setup.recovers,
            started: false,
            backlog,
            far_ssrc,
            reception: Reception::new(now),
            missing: vec![],
            replays: BTreeMap::new(),
            figures: figures.clone(),
            packets: vec![],
            units: vec![],
        }
    }

    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.figures.link.round_trip_us.set(round_trip.as_micros() as u64);
    }

    /// Sends a picture, as `outgoing` does: on a new connection nothing before a keyframe.
    pub fn send(&mut self, picture: &Picture, now: Instant) {
        if !self.started && !picture.keyframe {
            return;
        }
        self.started = true;
        let captured = Duration::from_secs(1_800_000_000) + (picture.captured - self.base);
        self.packetizer.packets(&picture.data, captured, &mut self.packets);
        if self.recovers {
            let dependency = Bytes::copy_from_slice(&dependency::write(picture.dependency));
            self.packets[0].header.set_extension(DEPENDENCY_ID, dependency).expect("a valid id");
        }
        for packet in self.packets.drain(..) {
            handle_write(&mut *self.chain, Packet::Rtp(packet), now);
        }
    }

    /// Whether enough waits in the pacer, as `outgoing` asks before it takes a picture.
    pub fn is_behind(&self) -> bool {
        self.backlog.is_enough()
    }

    /// A packet from the network; duplicates end here.
    pub fn receive(&mut self, packet: Packet, now: Instant) {
        if let Packet::Rtp(rtp) = &packet
            && !self.is_new(rtp.header.ssrc, rtp.header.sequence_number)
        {
            return;
        }
        let packet = TaggedPacket { now, transport: Default::default(), message: packet.into() };
        self.chain.handle_read(packet).expect("the chain takes every packet");
        self.read(now);
    }

    fn is_new(&mut self, ssrc: u32, sequence: u16) -> bool {
        let begin = || (SlidingWindowDetector::new(REPLAY_WINDOW, u64::MAX >> 16), 1 << 16 | u64::from(sequence));
        let (detector, newest) = self.replays.entry(ssrc).or_insert_with(begin);
        let index = newest.wrapping_add_signed(i64::from(sequence.wrapping_sub(*newest as u16) as i16));
        let new = detector.check(index);
        detector.accept();
        *newest = index.max(*newest);
        new
    }

    /// What the chain lets through goes to the assembler.
    fn read(&mut self, now: Instant) {
        while let Some(packet) = self.chain.poll_read() {
            let Packet::Rtp(rtp) = packet.message.packet else { continue };
            if rtp.header.ssrc != self.far_ssrc {
                continue;
            }
            let captured = rtp.header.get_extension(CAPTURE_TIME_ID).and_then(|bytes| capture_time::read(&bytes));
            let packet = assembler::Packet {
                sequence: rtp.header.sequence_number,
                timestamp: rtp.header.timestamp,
                marker: rtp.header.marker,
                captured,
                dependency: rtp.header.get_extension(DEPENDENCY_ID).and_then(|bytes| dependency::read(&bytes)),
                repair: is_repair(&rtp.header),
                payload: rtp.payload,
                arrived: now,
            };
            self.reception.push(packet);
        }
    }

    /// The decoder or the state machine wants a keyframe.
    pub fn want_keyframe(&mut self) {
        self.reception.request_keyframe();
    }

    /// Does what time demands. To be called after everything that happens, too.
    pub fn wake(&mut self, now: Instant) {
        if self.chain.poll_timeout().is_some_and(|at| at <= now) {
            self.chain.handle_timeout(now).expect("the chain's timers never fail");
            self.read(now);
        }
        self.reception.set_round_trip(Duration::from_micros(self.figures.link.round_trip_us.get()));
        self.reception.poll(now, &mut |unit| self.units.push(unit));
        let losses = self.reception.take_losses();
        self.figures.incoming.lost_packets.add(losses.packets);
        self.figures.incoming.recovered_packets.add(losses.repaired);
        self.figures.incoming.damaged.add(losses.units);
        self.reception.repairs_due(now, &mut self.missing);
        if !self.missing.is_empty() {
            self.figures.incoming.repair_requests.add(self.missing.len() as u64);
            let nacks = nack_pairs_from_sequence_numbers(&self.missing);
            let request = TransportLayerNack { sender_ssrc: 0, media_ssrc: self.far_ssrc, nacks };
            handle_write(&mut *self.chain, Packet::Rtcp(vec![Box::new(request)]), now);
            self.missing.clear();
        }
        if let Some(feedback) = self.reception.feedback_due(now) {
            if feedback.lost {
                self.figures.incoming.recovery_requests.one();
            }
            let packet = feedback.packet(self.far_ssrc, PAYLOAD_TYPE);
            handle_write(&mut *self.chain, Packet::Rtcp(vec![Box::new(packet)]), now);
        }
        if self.reception.keyframe_due(now) {
            self.figures.incoming.keyframe_requests.one();
            let request = PictureLossIndication { sender_ssrc: 0, media_ssrc: self.far_ssrc };
            handle_write(&mut *self.chain, Packet::Rtcp(vec![Box::new(request)]), now);
        }
    }

    /// When [`Connection::wake`] should be called.
    pub fn next(&mut self, now: Instant) -> Option<Instant> {
        let next = [self.chain.poll_timeout(), self.reception.deadline()];
        let next = next.into_iter().flatten().min()?.max(now + Duration::from_nanos(1));
        // Up to the timer's next tick.
        let ticks = (next - self.base).as_nanos().div_ceil(TIMER.as_nanos());
        Some(self.base + TIMER * ticks as u32)
    }

    /// A packet for the network, and its size on the wire.
    pub fn poll_packet(&mut self) -> Option<(Packet, usize)> {
        let packet = self.chain.poll_write()?.message.packet;
        let bytes = match &packet {
            Packet::Rtp(rtp) => rtp.marshal_size() + RTP_OVERHEAD,
            Packet::Rtcp(parts) => parts.iter().map(|part| part.marshal_size()).sum::<usize>() + RTCP_OVERHEAD,
            _ => RTCP_OVERHEAD,
        };
        Some((packet, bytes))
    }

    /// A whole picture.
    pub fn poll_unit(&mut self) -> Option<Unit> {
        (!self.units.is_empty()).then(|| self.units.remove(0))
    }
}

fn handle_write(chain: &mut dyn Interceptor, packet: Packet, now: Instant) {
    let packet = TaggedPacket { now, transport: Default::default(), message: packet.into() };
    chain.handle_write(packet).expect("the chain takes every packet");
}

/// What `rtc` tells the interceptors of a stream; of the repair stream, too, which it binds by itself.
fn stream(ssrc: u32, media: bool) -> StreamInfo {
    let codec = media_engine::codec();
    let extension = |uri: &str, id| RTPHeaderExtension { uri: uri.into(), id };
    let feedback = codec.rtcp_feedback.iter();
    let feedback = feedback.map(|one| RTCPFeedback { typ: one.typ.clone(), parameter: one.parameter.clone() });
    StreamInfo {
        ssrc,
        ssrc_rtx: media.then(|| rtx_ssrc(ssrc)),
        payload_type: if media { PAYLOAD_TYPE } else { RTX_PAYLOAD_TYPE },
        payload_type_rtx: media.then_some(RTX_PAYLOAD_TYPE),
        rtp_header_extensions: vec![
            extension(TWCC_URI, TWCC_ID),
            extension(capture_time::URI, CAPTURE_TIME_ID.into()),
            extension(dependency::URI, DEPENDENCY_ID.into()),
        ],
        mime_type: codec.mime_type,
        clock_rate: codec.clock_rate,
        channels: codec.channels,
        sdp_fmtp_line: codec.sdp_fmtp_line,
        rtcp_feedback: feedback.collect(),
        ..StreamInfo::default()
    }
}
