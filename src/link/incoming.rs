//! The far end's pictures on their way in: a task that drains the track, hands whole access units to the decoder when they
//! are due. What is waited for, and when a keyframe is asked for, is [`super::reception`]'s to say.
//!
//! The track's own queue holds 256 packets and drops when it is full, so it is drained by this task alone, which never decodes
//! and never waits for the decoder.

use super::assembler::Packet;
use super::interceptors::rtx::is_repair;
use super::media_engine::PAYLOAD_TYPE;
use super::peer::{Setup, Shared};
use super::reception::Reception;
use super::{capture_time, dependency};
use crate::codec::AccessUnit;
use crate::media::{self, Era};
use crossbeam_channel::{Sender, TrySendError};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

/// Units that wait for a decoder whose queue is full. A repair releases at once all that came behind the gap: half a second of
/// pictures at 60 a second. More than that means that the decoder is really behind.
const BACKLOG: usize = 32;
/// How soon a full queue is tried again: about the time that decoding one picture takes.
const RETRY: Duration = Duration::from_millis(2);

/// Where access units of all connections end. A newer one takes over with its first keyframe.
pub(super) struct Delivery {
    units: Sender<AccessUnit>,
    era: Era,
    newest: AtomicU64,
    number: AtomicU64,
}

impl Delivery {
    pub fn new(units: Sender<AccessUnit>, era: Era) -> Self {
        Self { units, era, newest: AtomicU64::new(0), number: AtomicU64::new(0) }
    }

    /// Whether a unit of the connection `id` is still wanted. What comes through an older one than the newest is not.
    fn wants(&self, id: u64, unit: &AccessUnit) -> bool {
        if unit.keyframe {
            self.newest.fetch_max(id, Ordering::Relaxed);
        }
        id >= self.newest.load(Ordering::Relaxed)
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The state of one remote track.
pub(super) struct Incoming {
    shared: Arc<Shared>,
    track: Arc<dyn TrackRemote>,
    reception: Reception,
    /// The sequence numbers to ask for, as long as they are being asked for.
    missing: Vec<u16>,
    backlog: VecDeque<AccessUnit>,
}

impl Incoming {
    pub fn new(shared: Arc<Shared>, track: Arc<dyn TrackRemote>) -> Self {
        let reception = Reception::new(Instant::now());
        Self { shared, track, reception, missing: Vec::new(), backlog: VecDeque::new() }
    }

    /// Runs until the track ends.
    pub async fn run(mut self) {
        let ssrc = self.track.ssrcs().await.first().copied().unwrap_or_default();
        let shared = self.shared.clone();
        let track = self.track.clone();
        loop {
            let now = Instant::now();
            let retry = (!self.backlog.is_empty()).then(|| now + RETRY);
            let wake = [self.reception.deadline(), retry].into_iter().flatten().min();
            let wake = wake.unwrap_or(now + Duration::from_secs(3600));
            tokio::select! {
                event = track.poll() => match event {
                    Some(TrackRemoteEvent::OnRtpPacket(packet)) => self.packet(packet),
                    Some(_) => {}
                    None => return,
                },
                () = tokio::time::sleep_until(wake.into()) => {}
                () = shared.keyframe_wanted.notified() => self.reception.request_keyframe(),
            }
            self.collect();
            self.deliver();
            self.ask(ssrc).await;
        }
    }

    fn packet(&mut self, packet: rtc::rtp::Packet) {
        let extension = |id: &AtomicU8| match id.load(Ordering::Relaxed) {
            0 => None,
            id => packet.header.get_extension(id),
        };
        let time = extension(&self.shared.capture_time_id);
        let dependency = extension(&self.shared.dependency_id);
        self.reception.push(Packet {
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            captured: time.and_then(|bytes| capture_time::read(&bytes)),
            dependency: dependency.and_then(|bytes| dependency::read(&bytes)),
            repair: is_repair(&packet.header),
            payload: packet.payload,
            arrived: Instant::now(),
        });
    }

    /// Takes the units that are due.
    fn collect(&mut self) {
        let Setup { delivery, figures, .. } = &*self.shared.setup;
        let (shared, backlog) = (&self.shared, &mut self.backlog);
        let verified = shared.verified.load(Ordering::Relaxed);
        let (now, mut stale) = (Instant::now(), 0);
        self.reception.set_round_trip(Duration::from_micros(figures.link.round_trip_us.get()));
        self.reception.poll(now, &mut |unit| {
            if !verified {
                return;
            }
            figures.assemble_time.record(now.saturating_duration_since(unit.first_arrived), now);
            let unit = AccessUnit {
                data: unit.data,
                keyframe: unit.keyframe,
                captured: unit.captured.and_then(|far| shared.local_time(far)),
                number: delivery.next_number(),
                era: delivery.era.now(),
                dependency: unit.dependency,
            };
            let old = unit.captured.is_some_and(|captured| media::is_stale(captured, now));
            if old || (stale > 0 && !unit.keyframe) {
                // It waited in this machine, or on the way, while we could not read it: while we were stopped, for one.
                stale += 1;
                return;
            }
            figures.incoming.received.one();
            figures.incoming.bytes.add(unit.data.len() as u64);
            if unit.keyframe {
                figures.incoming.keyframes.one();
            }
            backlog.push_back(unit);
        });
        if stale > 0 {
            figures.incoming.dropped_before_decode.add(stale);
            self.reception.require_keyframe();
        }
        if !verified {
            // The handshake is done, but nobody has compared the certificate yet.
            self.reception.require_keyframe();
        }
        let losses = self.reception.take_losses();
        figures.incoming.lost_packets.add(losses.packets);
        figures.incoming.recovered_packets.add(losses.repaired);
        figures.incoming.damaged.add(losses.units);
        let playout = self.reception.playout();
        figures.incoming.jitter_us.set(playout.jitter().as_micros() as u64);
        figures.incoming.playout_delay_us.set(playout.hold().as_micros() as u64);
        figures.incoming.late_pictures.add(playout.take_late());
    }

    /// Hands to the decoder what it has room for.
    fn deliver(&mut self) {
        let Setup { delivery, figures, .. } = &*self.shared.setup;
        while let Some(unit) = self.backlog.pop_front() {
            if !delivery.wants(self.shared.id, &unit) {
                continue;
            }
            match delivery.units.try_send(unit) {
                Ok(()) => {}
                Err(TrySendError::Full(unit)) if self.backlog.len() < BACKLOG => {
                    self.backlog.push_front(unit);
                    return;
                }
                Err(TrySendError::Full(_)) => {
                    figures.incoming.dropped_before_decode.add(1 + self.backlog.len() as u64);
                    self.backlog.clear();
                    self.reception.require_keyframe();
                }
                // The decoder has ended, the program is about to.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// Tells the far end what is missing here.
    async fn ask(&mut self, ssrc: u32) {
        let now = Instant::now();
        let figures = &self.shared.setup.figures;
        let mut requests: Vec<Box<dyn rtc::rtcp::Packet>> = Vec::new();
        self.reception.repairs_due(now, &mut self.missing);
        if !self.missing.is_empty() {
            figures.incoming.repair_requests.add(self.missing.len() as u64);
            let nacks = nack_pairs_from_sequence_numbers(&self.missing);
            requests.push(Box::new(TransportLayerNack { sender_ssrc: 0, media_ssrc: ssrc, nacks }));
            self.missing.clear();
        }
        if let Some(feedback) = self.reception.feedback_due(now) {
            if feedback.lost {
                figures.incoming.recovery_requests.one();
            }
            requests.push(Box::new(feedback.packet(ssrc, PAYLOAD_TYPE)));
        }
        if self.reception.keyframe_due(now) {
            figures.incoming.keyframe_requests.one();
            requests.push(Box::new(PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc }));
        }
        if requests.is_empty() {
            return;
        }
        if let Err(error) = self.track.write_rtcp(requests).await {
            tracing::debug!(connection = self.shared.id, %error, "nothing asked for");
        }
    }
}
