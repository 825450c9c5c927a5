//! Our pictures on their way out: a task that gives each access unit of the encoder to the peer connection in use.

use super::dependency;
use super::interceptors::backlog::Backlog;
use super::packetizer::{Packetizer, Stream};
use crate::codec::AccessUnit;
use crate::media::{Era, PortalClock};
use crate::ops::Figures;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;

/// Where pictures are sent.
#[derive(Clone)]
pub(super) struct Path {
    /// The connection's id.
    pub connection: u64,
    pub track: Arc<TrackLocalStaticRTP>,
    pub stream: Stream,
    /// The id of the extension that says what a picture refers to, if the far end takes it.
    pub dependency_id: Option<u8>,
    pub backlog: Arc<Backlog>,
}

/// Sends until the encoder's queue ends. Without a path, and on a new one until a keyframe comes, units are dropped and counted; so are
/// those of an era that is over.
/// When the network is behind, nothing is taken out of the encoder's queue, and the encoder is told to leave pictures out (`on_held`).
pub(super) async fn run(
    mut units: mpsc::Receiver<AccessUnit>,
    paths: watch::Receiver<Option<Path>>,
    on_held: Arc<dyn Fn(bool) + Send + Sync>,
    era: Era,
    figures: Arc<Figures>,
    clock: PortalClock,
) {
    let mut packetizer: Option<(u64, Packetizer)> = None;
    let mut started = false;
    let mut packets = Vec::new();
    loop {
        while let Some(backlog) = behind(&paths) {
            on_held(true);
            backlog.less().await;
        }
        on_held(false);
        let Some(unit) = units.recv().await else { break };
        // Also what was taken before our privacy began and is encoded only now that it has ended.
        let path = paths.borrow().clone().filter(|_| era.holds(unit.era));
        let Some(path) = path else {
            started = false;
            figures.outgoing.dropped_before_send.one();
            continue;
        };
        // One packetizer for the whole life of a connection, pauses included: its sequence numbers must not jump.
        if packetizer.as_ref().is_none_or(|(connection, _)| *connection != path.connection) {
            packetizer = Some((path.connection, Packetizer::new(path.stream)));
            started = false;
        }
        let Some((_, packetizer)) = packetizer.as_mut().filter(|_| started || unit.keyframe) else {
            figures.outgoing.dropped_before_send.one();
            continue;
        };
        started = true;
        let captured = clock.since_unix(unit.captured.unwrap_or_else(Instant::now));
        packetizer.packets(&unit.data, captured, &mut packets);
        if let (Some(first), Some(id), Some(dependency)) = (packets.first_mut(), path.dependency_id, unit.dependency) {
            // Fails only for ids that no negotiation yields.
            let _ = first.header.set_extension(id, Bytes::copy_from_slice(&dependency::write(dependency)));
        }
        for packet in packets.drain(..) {
            if let Err(error) = path.track.write_rtp(packet).await {
                tracing::debug!(connection = path.connection, %error, "the picture cannot be sent");
                // The next one starts anew; if the connection is gone, the state machine will see to it.
                started = false;
                break;
            }
        }
        if started {
            figures.outgoing.sent.one();
            figures.outgoing.bytes.add(unit.data.len() as u64);
        } else {
            figures.outgoing.dropped_before_send.one();
        }
    }
}

/// The connection's backlog, if enough waits there.
fn behind(paths: &watch::Receiver<Option<Path>>) -> Option<Arc<Backlog>> {
    let path = paths.borrow();
    path.as_ref().map(|path| &path.backlog).filter(|backlog| backlog.is_enough()).cloned()
}
