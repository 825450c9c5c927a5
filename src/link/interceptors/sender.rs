//! The last that our packets pass: paces them, numbers them, remembers them, and learns from the far end's feedback how fast to
//! go on.
//!
//! In place of three stock interceptors (pacer, transport-wide sequence numbers, send history) which cannot tell each other
//! what is needed here: how much is on its way when the next packet wants to leave.

use super::backlog::Backlog;
use super::pacer::{Pacer, size};
use crate::link::congestion::Estimator;
use crate::link::congestion::flight::Flight;
use crate::ops::Figures;
use rtc::interceptor::{Attribute, Interceptor, Packet, PacketReport, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_cc::TransportLayerCc;
use rtc::rtp::extension::transport_cc_extension::TransportCcExtension;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::Marshal;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Without news for a round trip and this long, what was sent is taken for gone: feedback comes behind each picture, and a queue is
/// rarely longer. A dead path is so tried with less and less, never with nothing.
const NO_NEWS: Duration = Duration::from_millis(300);
/// Rates are counted over this long.
const RATE_WINDOW: Duration = Duration::from_millis(250);
/// Nothing has come to be sent for so long: on purpose, or the path is dead.
const PAUSE: Duration = Duration::from_secs(1);

/// Bytes that came to be sent.
#[derive(Clone, Copy, Debug, Default)]
struct Offered {
    media_bytes: usize,
    repair_bytes: usize,
}

/// Paces, numbers and remembers; drives the estimator.
pub(in crate::link) struct Sender<E> {
    estimator: E,
    pacer: Pacer,
    flight: Flight,
    /// By SSRC, the id of the extension that carries the transport-wide sequence number.
    streams: HashMap<u32, u8>,
    figures: Arc<Figures>,
    backlog: Arc<Backlog>,
    reports: Vec<PacketReport>,
    /// Bytes since: what came to be sent, and what was sent.
    counted: Option<Instant>,
    offered: Offered,
    sent_bytes: usize,
    /// Since when the window keeps packets from leaving.
    held: Option<Instant>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl<E: Estimator> Sender<E> {
    pub(in crate::link) fn new(estimator: E, figures: Arc<Figures>, backlog: Arc<Backlog>) -> Self {
        Self {
            pacer: Pacer::new(estimator.allowance()),
            estimator,
            flight: Flight::default(),
            streams: HashMap::new(),
            figures,
            backlog,
            reports: Vec::new(),
            counted: None,
            offered: Offered::default(),
            sent_bytes: 0,
            held: None,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn learn(&mut self, feedback: &TransportLayerCc, now: Instant) {
        self.reports.clear();
        self.flight.feedback(feedback, now, &mut self.reports);
        if let Some(since) = self.held {
            self.estimator.held(now, now.saturating_duration_since(since));
        }
        self.estimator.on_reports(now, &self.reports);
        let refused = self.pacer.set_allowance(self.estimator.allowance());
        self.figures.outgoing.repairs_refused.add(refused);
        self.figures.outgoing.estimate_bps.set(self.estimator.estimate_bps() as u64);
        self.figures.outgoing.path_queue_us.set(self.estimator.queue().as_micros() as u64);
    }

    /// Lets go what may go.
    fn pump(&mut self, now: Instant) {
        while let Some(mut packet) = self.pacer.pop(now, self.flight.bytes()) {
            if let Packet::Rtp(rtp) = &mut packet.message.packet
                && let Some(&id) = self.streams.get(&rtp.header.ssrc)
            {
                let bytes = size_with_extension(rtp);
                let transport_sequence = self.flight.send(rtp.header.ssrc, bytes, now);
                if let Ok(extension) = (TransportCcExtension { transport_sequence }).marshal() {
                    // Fails only for ids that no negotiation yields.
                    let _ = rtp.header.set_extension(id, extension.freeze());
                }
                self.sent_bytes += bytes;
            }
            packet.now = now;
            self.writes.push_back(packet);
        }
        let since = self.held.unwrap_or(now);
        self.held = self.pacer.is_held(self.flight.bytes()).then_some(since);
        let waiting = self.pacer.waiting_bytes() as f64 * 8.0 / self.estimator.estimate_bps().max(1.0);
        let waiting = Duration::from_secs_f64(waiting);
        self.figures.outgoing.pacer_queue_us.set(waiting.as_micros() as u64);
        self.backlog.set(waiting);
    }

    fn count(&mut self, now: Instant) {
        let since = *self.counted.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed < RATE_WINDOW {
            return;
        }
        self.publish_rate(passed);
        self.estimator.offered(bps(self.offered.media_bytes, passed), bps(self.offered.repair_bytes, passed));
        (self.counted, self.offered, self.sent_bytes) = (Some(now), Offered::default(), 0);
    }

    /// What was sent since it was counted last, so long ago.
    fn publish_rate(&self, passed: Duration) {
        self.figures.outgoing.send_rate_bps.set(bps(self.sent_bytes, passed) as u64);
    }

    fn no_news(&self) -> Duration {
        NO_NEWS + self.estimator.round_trip()
    }
}

fn bps(bytes: usize, time: Duration) -> f64 {
    bytes as f64 * 8.0 / time.as_secs_f64()
}

/// Of the media, of its repairs and of its forward error correction.
fn ssrcs(stream: &StreamInfo) -> impl Iterator<Item = u32> {
    [Some(stream.ssrc), stream.ssrc_rtx, stream.ssrc_fec].into_iter().flatten()
}

/// With the extension that is about to be added: 2 bytes of content behind 1 of header, padded.
fn size_with_extension(rtp: &rtc::rtp::Packet) -> usize {
    use rtc::shared::marshal::MarshalSize;
    rtp.marshal_size() + 4
}

impl<E: Estimator> Protocol<TaggedPacket, TaggedPacket, ()> for Sender<E> {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(parts) = &packet.message.packet {
            let mut learned = false;
            for part in parts {
                if let Some(feedback) = part.as_any().downcast_ref::<TransportLayerCc>() {
                    self.learn(feedback, packet.now);
                    learned = true;
                }
            }
            if learned {
                self.pump(packet.now);
            }
        }
        self.reads.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        // Feedback is small and only useful while it is fresh.
        if matches!(packet.message.packet, Packet::Rtcp(_)) {
            self.writes.push_back(packet);
            return Ok(());
        }
        let now = packet.now;
        let offered = &mut self.offered;
        let repair = packet.message.has(&Attribute::Retransmission);
        *if repair { &mut offered.repair_bytes } else { &mut offered.media_bytes } += size(&packet);
        self.count(now);
        self.pacer.push(packet);
        self.pump(now);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if let Some(cutoff) = now.checked_sub(self.no_news()) {
            self.flight.expire(cutoff, now);
        }
        if self.pacer.waiting_bytes() > 0 {
            self.pump(now);
        }
        // Who counts is what comes to be sent; while nothing does, the figure would stay what it was.
        let passed = self.counted.map(|since| now.saturating_duration_since(since));
        if let Some(passed) = passed.filter(|passed| *passed >= PAUSE) {
            self.publish_rate(passed);
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        if self.pacer.waiting_bytes() == 0 {
            return None;
        }
        let flying = self.flight.bytes();
        // A millisecond more, so that the deadline is never one at which nothing could be done.
        self.pacer.due(flying).or_else(|| Some(self.flight.oldest()? + self.no_news() + Duration::from_millis(1)))
    }
}

impl<E: Estimator> Interceptor for Sender<E> {
    fn bind_local_stream(&mut self, stream: &StreamInfo) {
        let extension = stream.rtp_header_extensions.iter().find(|extension| extension.uri == super::TWCC_URI);
        if let Some(id) = extension.and_then(|extension| u8::try_from(extension.id).ok()).filter(|id| *id != 0) {
            // Repairs are no stream of their own for `rtc`, but they take their share of the path like any other packet.
            self.streams.extend(ssrcs(stream).map(|ssrc| (ssrc, id)));
        }
    }

    fn unbind_local_stream(&mut self, stream: &StreamInfo) {
        self.streams.retain(|ssrc, _| ssrcs(stream).all(|gone| gone != *ssrc));
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

impl<E> Drop for Sender<E> {
    /// What waited here waits no more; the next connection would take it for its own, and refuse keyframes and repairs for it.
    fn drop(&mut self) {
        self.backlog.set(Duration::ZERO);
        let figures = &self.figures.outgoing;
        for gauge in [&figures.pacer_queue_us, &figures.path_queue_us, &figures.send_rate_bps] {
            gauge.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::congestion::{Controller, Limits};
    use rtc::interceptor::RTPHeaderExtension;
    use rtc::shared::TransportContext;

    fn sender(figures: &Arc<Figures>) -> Sender<Controller> {
        let limits = Limits { floor_bps: 2e5, start_bps: 2e6, ceiling_bps: 2.5e6 };
        let mut sender = Sender::new(Controller::new(limits), figures.clone(), Arc::default());
        let extension = RTPHeaderExtension { uri: crate::link::interceptors::TWCC_URI.into(), id: 1 };
        let stream = StreamInfo { rtp_header_extensions: vec![extension], ..StreamInfo::default() };
        sender.bind_local_stream(&stream);
        sender
    }

    fn send(sender: &mut Sender<Controller>, now: Instant) {
        let packet = rtc::rtp::Packet { payload: vec![0; 1000].into(), ..Default::default() };
        let message = Packet::Rtp(packet).into();
        sender.handle_write(TaggedPacket { now, transport: TransportContext::default(), message }).unwrap();
        while sender.poll_write().is_some() {}
    }

    #[test]
    fn in_a_pause_nothing_counts_as_sent() {
        let (figures, start) = (Arc::<Figures>::default(), Instant::now());
        let (mut sender, ms) = (sender(&figures), Duration::from_millis(1));
        let rate_bps = || figures.outgoing.send_rate_bps.get();
        // As much as may be on its way before the far end is heard of.
        (0..=5).for_each(|n| send(&mut sender, start + n * 50 * ms));
        assert!((155_000..170_000).contains(&rate_bps()), "{}", rate_bps());
        sender.handle_timeout(start + 1000 * ms).unwrap();
        assert!(rate_bps() > 155_000, "that is no pause");
        sender.handle_timeout(start + 60_000 * ms).unwrap();
        assert!(rate_bps() < 1000, "{}", rate_bps());
    }

    #[test]
    fn what_waited_in_a_connection_does_not_wait_in_the_next() {
        let (figures, start) = (Arc::<Figures>::default(), Instant::now());
        let mut sender = sender(&figures);
        (0..100).for_each(|_| send(&mut sender, start));
        assert!(figures.outgoing.pacer_queue_us.get() > 100_000);
        drop(sender);
        assert_eq!(figures.outgoing.pacer_queue_us.get(), 0);
    }
}
