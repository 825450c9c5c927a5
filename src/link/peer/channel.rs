//! The data channel `portal`: who speaks first, pings and their answers.
//!
//! It is negotiated in advance: no handshake of its own, and neither side has to open it for the other. It is neither
//! ordered nor repeated: a ping that waits for a repair measures nothing, and what matters is said again every second.
//!
//! That holds only if each side has opened its own end before the first message comes: `rtc` makes the stream of a
//! message that comes sooner, ordered and repeated, drops the message, and then cannot open the stream as it should be.
//! The offering side is the SCTP server, ready one way before the other, and its first words used to come just then. So
//! it waits for the first word of the answering side.

use super::{CLOCKS_UNRELATED, Event, Shared};
use crate::link::clock_offset::Sample;
use crate::link::control::Message;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use webrtc::data_channel::{DataChannel, DataChannelEvent, RTCDataChannelInit};
use webrtc::peer_connection::PeerConnection;

const NAME: &str = "portal";
const ID: u16 = 0;
/// The answering side's first word may be lost. After this it has been ready for long.
const FIRST_WORD: Duration = Duration::from_millis(300);
/// The first pings follow each other fast, to relate the clocks before the first picture is presented.
const FIRST_PINGS: u32 = 5;
const FIRST_PING_INTERVAL: Duration = Duration::from_millis(40);
const PING_INTERVAL: Duration = Duration::from_millis(500);

/// Our end of the channel, which opens by itself once the connection is up.
pub(super) async fn create(connection: &dyn PeerConnection) -> Result<Arc<dyn DataChannel>, webrtc::error::Error> {
    let init =
        RTCDataChannelInit { ordered: false, max_retransmits: Some(0), negotiated: Some(ID), ..Default::default() };
    connection.create_data_channel(NAME, Some(init)).await
}

/// Says something, if the channel is open and the far end ready; whether it was said.
pub(super) async fn say(shared: &Shared, channel: &dyn DataChannel, message: &Message) -> bool {
    shared.may_speak.load(Ordering::Relaxed) && channel.try_send_text(&message.write()).await.is_ok()
}

/// Listens. Pings are answered right here: what they measure is the path, not our business.
pub(super) async fn listen(shared: Arc<Shared>, channel: Arc<dyn DataChannel>) {
    while let Some(event) = channel.poll().await {
        match event {
            DataChannelEvent::OnOpen if shared.may_speak.load(Ordering::Relaxed) => {
                shared.report(Event::ChannelOpen).await;
            }
            DataChannelEvent::OnOpen => {
                let waiting = shared.clone();
                shared.spawn(async move {
                    tokio::time::sleep(FIRST_WORD).await;
                    waiting.is_ready().await;
                });
            }
            DataChannelEvent::OnMessage(message) => {
                shared.is_ready().await;
                hear(&shared, &*channel, &message.data).await;
            }
            // The far end has closed the connection: DTLS says so, which ends SCTP and with it the channel. The connection's
            // own state tells nothing.
            DataChannelEvent::OnClose => shared.report(Event::Closed("the far end closed the connection")).await,
            _ => {}
        }
    }
    // Whoever moves the connection's packets has ended; if we have not closed it, that was an error.
    shared.report(Event::Closed("the connection has ended by itself")).await;
}

async fn hear(shared: &Shared, channel: &dyn DataChannel, data: &[u8]) {
    let received_us = shared.now_us();
    match Message::read(data) {
        Some(Message::Ping { sent_us }) => {
            let pong = Message::Pong { ping_us: sent_us, received_us, sent_us: shared.now_us() };
            say(shared, channel, &pong).await;
        }
        Some(Message::Pong { ping_us, received_us: far_received_us, sent_us: far_sent_us }) => {
            let sample = Sample { sent_us: ping_us, far_received_us, far_sent_us, received_us };
            let mut clock = shared.clock_offset();
            let _ = clock.add(sample, Instant::now());
            if let Some(round_trip) = clock.round_trip() {
                shared.setup.figures.link.round_trip_us.set(round_trip.as_micros() as u64);
            }
            shared.clock_offset_us.store(clock.offset_us().unwrap_or(CLOCKS_UNRELATED), Ordering::Relaxed);
        }
        Some(other) => shared.report(Event::Control(other)).await,
        None => shared.setup.figures.link.rejected_messages.one(),
    }
}

/// Asks for an answer, again and again.
pub(super) async fn ping(shared: Arc<Shared>, channel: Arc<dyn DataChannel>) {
    let mut sent = 0;
    loop {
        let interval = if sent < FIRST_PINGS { FIRST_PING_INTERVAL } else { PING_INTERVAL };
        tokio::time::sleep(interval).await;
        if shared.verified.load(Ordering::Relaxed) {
            let ping = Message::Ping { sent_us: shared.now_us() };
            // Not open yet, or not any more.
            sent += u32::from(say(&shared, &*channel, &ping).await);
        }
    }
}

impl Shared {
    /// The far end is ready for what is said.
    async fn is_ready(&self) {
        if !self.may_speak.swap(true, Ordering::Relaxed) {
            self.report(Event::ChannelOpen).await;
        }
    }
}
