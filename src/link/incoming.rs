//! The far end's pictures on their way in: a task that drains the track, assembles access units and hands them to the decoder.
//!
//! The track's own queue holds 256 packets and drops when it is full, so it is drained by this task alone, which never decodes
//! and never waits for the decoder.

use super::assembler::{Assembler, Packet, Unit};
use super::capture_time;
use super::peer::{Setup, Shared};
use crate::codec::AccessUnit;
use crossbeam_channel::{Sender, TrySendError};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

/// Keyframes are asked for at most this often, plus a round trip: until then the one asked for may be on its way.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(200);
/// Bounds of the time that packets wait for a repair: four round trips and some, so that a repair may be lost twice.
const HOLD: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(600));

/// Units that wait for a decoder whose queue is full. A repair releases at once all that came behind the gap: half a second of
/// pictures at 60 a second. More than that means that the decoder is really behind.
const BACKLOG: usize = 32;
/// How soon a full queue is tried again: about the time that decoding one picture takes.
const RETRY: Duration = Duration::from_millis(2);

/// Where access units of all attempts end. A newer attempt takes over with its first keyframe.
pub(super) struct Delivery {
    units: Sender<AccessUnit>,
    newest: AtomicU64,
    number: AtomicU64,
}

impl Delivery {
    pub fn new(units: Sender<AccessUnit>) -> Self {
        Self { units, newest: AtomicU64::new(0), number: AtomicU64::new(0) }
    }

    /// Whether a unit of an attempt is still wanted. What comes through an older connection than the newest is not.
    fn wants(&self, attempt: u64, unit: &AccessUnit) -> bool {
        if unit.keyframe {
            self.newest.fetch_max(attempt, Ordering::Relaxed);
        }
        attempt >= self.newest.load(Ordering::Relaxed)
    }

    fn next_number(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// The state of one remote track.
pub(super) struct Incoming {
    shared: Arc<Shared>,
    track: Arc<dyn TrackRemote>,
    assembler: Assembler,
    /// When a keyframe was last asked for. The far end sends one by itself at the beginning.
    asked: Instant,
    /// Somebody else wants a keyframe: the decoder, the state machine.
    wanted: bool,
    units: Vec<Unit>,
    backlog: VecDeque<AccessUnit>,
}

impl Incoming {
    pub fn new(shared: Arc<Shared>, track: Arc<dyn TrackRemote>) -> Self {
        let assembler = Assembler::new(HOLD.0);
        Self {
            shared,
            track,
            assembler,
            asked: Instant::now(),
            wanted: false,
            units: Vec::new(),
            backlog: VecDeque::new(),
        }
    }

    /// Runs until the track ends.
    pub async fn run(mut self) {
        let ssrc = self.track.ssrcs().await.first().copied().unwrap_or_default();
        let shared = self.shared.clone();
        let track = self.track.clone();
        loop {
            let now = Instant::now();
            let retry = (!self.backlog.is_empty()).then(|| now + RETRY);
            let wake = [self.assembler.deadline(), self.keyframe_due(), retry].into_iter().flatten().min();
            let wake = wake.unwrap_or(now + Duration::from_secs(3600));
            tokio::select! {
                event = track.poll() => match event {
                    Some(TrackRemoteEvent::OnRtpPacket(packet)) => self.packet(packet),
                    Some(_) => {}
                    None => return,
                },
                () = tokio::time::sleep_until(wake.into()) => {}
                () = shared.keyframe_wanted.notified() => self.wanted = true,
            }
            self.assembler.expire(Instant::now(), &mut self.units);
            self.collect();
            self.deliver();
            self.ask_for_keyframe(ssrc).await;
        }
    }

    fn packet(&mut self, packet: rtc::rtp::Packet) {
        let id = self.shared.capture_time_id.load(Ordering::Relaxed);
        let time = (id != 0).then(|| packet.header.get_extension(id)).flatten();
        let packet = Packet {
            sequence: packet.header.sequence_number,
            timestamp: packet.header.timestamp,
            marker: packet.header.marker,
            captured: time.and_then(|bytes| capture_time::read(&bytes)),
            payload: packet.payload,
            arrived: Instant::now(),
        };
        self.assembler.push(packet, &mut self.units);
    }

    /// Takes what the assembler has finished.
    fn collect(&mut self) {
        let delivery = &self.shared.setup.delivery;
        let figures = &self.shared.setup.figures;
        let losses = self.assembler.take_losses();
        figures.incoming.lost_packets.add(losses.packets);
        figures.incoming.damaged.add(losses.units);
        let verified = self.shared.verified.load(Ordering::Relaxed);
        for unit in self.units.drain(..) {
            if !verified {
                // The handshake is done, but nobody has compared the certificate yet.
                self.assembler.require_keyframe();
                continue;
            }
            let now = Instant::now();
            figures.assemble_time.record(now.saturating_duration_since(unit.first_arrived), now);
            let unit = AccessUnit {
                data: unit.data,
                keyframe: unit.keyframe,
                captured: unit.captured.and_then(|far| self.shared.local_time(far)),
                number: delivery.next_number(),
            };
            figures.incoming.received.one();
            figures.incoming.bytes.add(unit.data.len() as u64);
            if unit.keyframe {
                figures.incoming.keyframes.one();
            }
            self.backlog.push_back(unit);
        }
    }

    /// Hands to the decoder what it has room for.
    fn deliver(&mut self) {
        let Setup { delivery, figures, .. } = &*self.shared.setup;
        while let Some(unit) = self.backlog.pop_front() {
            if !delivery.wants(self.shared.attempt, &unit) {
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
                    self.assembler.require_keyframe();
                }
                // The decoder has ended, the program is about to.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    fn round_trip(&self) -> Duration {
        Duration::from_micros(self.shared.setup.figures.link.round_trip_us.get())
    }

    fn keyframe_due(&self) -> Option<Instant> {
        let wanted = self.wanted || self.assembler.wants_keyframe();
        wanted.then(|| self.asked + KEYFRAME_INTERVAL + self.round_trip())
    }

    async fn ask_for_keyframe(&mut self, ssrc: u32) {
        self.assembler.set_hold((self.round_trip() * 4 + HOLD.0 / 2).clamp(HOLD.0, HOLD.1));
        let now = Instant::now();
        if self.keyframe_due().is_none_or(|due| due > now) {
            return;
        }
        self.wanted = false;
        self.asked = now;
        self.shared.setup.figures.incoming.keyframe_requests.one();
        let request = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
        if let Err(error) = self.track.write_rtcp(vec![Box::new(request)]).await {
            tracing::debug!(attempt = self.shared.attempt, %error, "no keyframe asked for");
        }
    }
}
