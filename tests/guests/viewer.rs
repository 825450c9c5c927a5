//! A viewer that is not this program's: the stock WebRTC library with its stock codecs and interceptors, which decodes what it gets and says
//! what is to be seen in it.

use screen_portal::codec::AccessUnit;
use screen_portal::codec::decode::Decoder;
use screen_portal::hub::client::{Client, Event, Options};
use screen_portal::hub::message::{Candidate, ClientId, Content, Description, DescriptionKind, FromHub, Join, ToHub};
use screen_portal::link::assembler::{Assembler, Packet};
use screen_portal::media::{Frame, Plane, Pool};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceCandidateInit,
    RTCPeerConnectionIceEvent, RTCSessionDescription, Registry, register_default_interceptors,
};

/// Who makes the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// `requestStream`, and the camera offers.
    Asks,
    /// The viewer offers to receive.
    Offers,
}

/// What is to be seen in a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The test pattern's bars.
    Camera,
    /// A slate: dark and without colour, but for a few words.
    Slate,
    /// Anything else, such as traces of one in the other.
    Other,
}

/// What has come so far.
#[derive(Debug, Default)]
pub struct Shown {
    pub camera: AtomicU64,
    pub slate: AtomicU64,
    pub other: AtomicU64,
    /// Pictures that came whole, and their bytes.
    pub whole: AtomicU64,
    pub bytes: AtomicU64,
    /// Width and height of the newest picture.
    pub size: Mutex<(u32, u32)>,
    pub refused: Mutex<Option<String>>,
}

impl Shown {
    pub fn count(&self, seen: Seen) -> u64 {
        match seen {
            Seen::Camera => self.camera.load(Relaxed),
            Seen::Slate => self.slate.load(Relaxed),
            Seen::Other => self.other.load(Relaxed),
        }
    }
}

/// A running viewer. Dropping it ends it, as a killed program ends.
pub struct Viewer {
    pub shown: Arc<Shown>,
    task: JoinHandle<()>,
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Viewer {
    pub fn start(hub: &str, room: &str, way: Way) -> Self {
        Self::start_with(hub, room, way, true)
    }

    /// Without `decodes` it only takes pictures, for measuring what they cost where they come from.
    pub fn start_with(hub: &str, room: &str, way: Way, decodes: bool) -> Self {
        let join = Join { room: room.into(), device_type: Some("viewer".into()), ..Join::default() };
        let client = Client::start(Options { url: hub.into(), join: Some(join), ..Options::default() }).unwrap();
        let shown = Arc::<Shown>::default();
        Self { task: tokio::spawn(watch(client, way, decodes, Arc::clone(&shown))), shown }
    }

    pub fn count(&self, seen: Seen) -> u64 {
        self.shown.count(seen)
    }

    /// Waits until so many more such pictures have come.
    pub async fn until(&self, seen: Seen, more: u64) -> Duration {
        let (start, wanted) = (Instant::now(), self.count(seen) + more);
        while self.count(seen) < wanted {
            assert!(start.elapsed() < Duration::from_secs(30), "{seen:?}: {:?}", self.shown);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        start.elapsed()
    }

    /// Waits until it is refused, and says how.
    pub async fn refusal(&self) -> String {
        let start = Instant::now();
        loop {
            if let Some(why) = self.shown.refused.lock().unwrap().take() {
                return why;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "not refused: {:?}", self.shown);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn watch(mut client: Client, way: Way, decodes: bool, shown: Arc<Shown>) {
    let mut peer: Option<(ClientId, Arc<dyn PeerConnection>)> = None;
    let mut candidates: Option<Candidates> = None;
    loop {
        let candidate = async {
            match &mut candidates {
                Some(candidates) => candidates.recv().await,
                None => std::future::pending().await,
            }
        };
        let event = tokio::select! {
            event = client.next() => event,
            Some(candidate) = candidate => {
                if let Some((target, _)) = &peer {
                    let content = Content::IceCandidate { candidate: Some(candidate) };
                    client.say(ToHub::Relay { target: *target, content }).await;
                }
                continue;
            }
        };
        let Event::Message(message) = event else { continue };
        match message {
            FromHub::CameraAvailable { camera_id, .. } if way == Way::Asks => {
                client.say(ToHub::RequestStream { camera_id }).await;
            }
            FromHub::CameraAvailable { client_id, .. } => {
                let (connection, found) = connect(&shown, decodes).await;
                candidates = Some(found);
                receive_only(&*connection).await;
                let offer = connection.create_offer(None).await.unwrap();
                connection.set_local_description(offer.clone()).await.unwrap();
                let sdp = Description { kind: DescriptionKind::Offer, sdp: offer.sdp };
                peer = Some((client_id, connection));
                client.say(ToHub::Relay { target: client_id, content: Content::Offer { sdp } }).await;
            }
            FromHub::Relayed { sender, content } => match content {
                Content::Offer { sdp } => {
                    let (connection, found) = connect(&shown, decodes).await;
                    candidates = Some(found);
                    connection.set_remote_description(RTCSessionDescription::offer(sdp.sdp).unwrap()).await.unwrap();
                    let answer = connection.create_answer(None).await.unwrap();
                    connection.set_local_description(answer.clone()).await.unwrap();
                    let sdp = Description { kind: DescriptionKind::Answer, sdp: answer.sdp };
                    peer = Some((sender, connection));
                    client.say(ToHub::Relay { target: sender, content: Content::Answer { sdp } }).await;
                }
                Content::Answer { sdp } => {
                    assert!(sdp.sdp.contains("a=sendonly") && !sdp.sdp.contains("a=sendrecv"), "{}", sdp.sdp);
                    let (_, connection) = peer.as_ref().unwrap();
                    connection.set_remote_description(RTCSessionDescription::answer(sdp.sdp).unwrap()).await.unwrap();
                }
                Content::IceCandidate { candidate: Some(it) } => {
                    let (_, connection) = peer.as_ref().unwrap();
                    let init = RTCIceCandidateInit {
                        candidate: it.candidate,
                        sdp_mid: it.sdp_mid,
                        sdp_mline_index: it.sdp_m_line_index,
                        ..RTCIceCandidateInit::default()
                    };
                    connection.add_ice_candidate(init).await.unwrap();
                }
                Content::Refused { message } => *shown.refused.lock().unwrap() = Some(message),
                _ => {}
            },
            _ => {}
        }
    }
}

/// Ways to reach a connection, as they are found.
pub type Candidates = mpsc::Receiver<Candidate>;

/// Says that it wants to see and shows nothing itself.
pub async fn receive_only(connection: &dyn PeerConnection) {
    let direction = rtc::rtp_transceiver::RTCRtpTransceiverDirection::Recvonly;
    let init = rtc::rtp_transceiver::RTCRtpTransceiverInit { direction, streams: vec![], send_encodings: vec![] };
    let video = rtc::rtp_transceiver::rtp_sender::RtpCodecKind::Video;
    connection.add_transceiver_from_kind(video, Some(init)).await.unwrap();
}

/// A connection whose pictures are looked at.
pub async fn connect(shown: &Arc<Shown>, decodes: bool) -> (Arc<dyn PeerConnection>, Candidates) {
    let (candidates, found) = mpsc::channel(64);
    let mut engine = MediaEngine::default();
    engine.register_default_codecs().unwrap();
    let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
    let settings = webrtc::peer_connection::SettingEngineBuilder::new()
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .build();
    let connection = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler { shown: Arc::clone(shown), decodes, candidates }))
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build()
        .await
        .unwrap();
    (Arc::new(connection), found)
}

struct Handler {
    shown: Arc<Shown>,
    decodes: bool,
    candidates: mpsc::Sender<Candidate>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let Ok(init) = event.candidate.to_json() else { return };
        let candidate = Candidate {
            candidate: init.candidate,
            sdp_mid: Some("0".into()),
            sdp_m_line_index: Some(0),
            username_fragment: None,
        };
        let _ = self.candidates.try_send(candidate);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        tokio::spawn(look(track, self.decodes, Arc::clone(&self.shown)));
    }
}

async fn look(track: Arc<dyn TrackRemote>, decodes: bool, shown: Arc<Shown>) {
    let mut assembler = Assembler::new(Duration::from_millis(200));
    let (mut decoder, mut pool, mut units, mut number) = (Decoder::new(), Pool::new(4), Vec::new(), 0);
    let mut asked = Instant::now();
    while let Some(event) = track.poll().await {
        let TrackRemoteEvent::OnRtpPacket(packet) = event else { continue };
        let now = Instant::now();
        assembler.push(
            Packet {
                sequence: packet.header.sequence_number,
                timestamp: packet.header.timestamp,
                marker: packet.header.marker,
                captured: None,
                dependency: None,
                payload: packet.payload,
                repair: false,
                arrived: now,
            },
            &mut units,
        );
        assembler.expire(now, &mut units);
        for unit in units.drain(..) {
            number += 1;
            shown.whole.fetch_add(1, Relaxed);
            shown.bytes.fetch_add(unit.data.len() as u64, Relaxed);
            if !decodes {
                continue;
            }
            let unit = AccessUnit {
                data: unit.data,
                keyframe: unit.keyframe,
                captured: None,
                number,
                era: 0,
                dependency: None,
            };
            let Ok(Some(frame)) = decoder.decode(&unit, &mut pool) else { continue };
            *shown.size.lock().unwrap() = (frame.format.size.width, frame.format.size.height);
            let counter = match judge(&frame) {
                Seen::Camera => &shown.camera,
                Seen::Slate => &shown.slate,
                Seen::Other => &shown.other,
            };
            counter.fetch_add(1, Relaxed);
        }
        let needs = assembler.wants_keyframe() || (decodes && decoder.needs_keyframe());
        if needs && asked.elapsed() > Duration::from_millis(300) {
            asked = now;
            let media_ssrc = track.ssrcs().await.first().copied().unwrap_or_default();
            let pli = rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication {
                sender_ssrc: 0,
                media_ssrc,
            };
            let _ = track.write_rtcp(vec![Box::new(pli)]).await;
        }
    }
}

/// By what the picture holds, not by its size. The bars: SMPTE's at 75 %, of which yellow, cyan and magenta are far from grey.
pub fn judge(frame: &Frame) -> Seen {
    let size = frame.format.size;
    let (width, height) = (size.width as usize, size.height as usize);
    let (u, v) = (frame.plane(Plane::U), frame.plane(Plane::V));
    let at = |bar: usize| {
        let (x, y) = ((2 * bar + 1) * width / 14, height / 5);
        let chroma = y / 2 * (width / 2) + x / 2;
        (u[chroma], v[chroma])
    };
    let near =
        |(u, v): (u8, u8), (wanted_u, wanted_v): (u8, u8)| u.abs_diff(wanted_u) < 20 && v.abs_diff(wanted_v) < 20;
    let bars = [(1, (44, 136)), (2, (147, 44)), (4, (193, 204)), (6, (212, 120))];
    if bars.iter().all(|(bar, colour)| near(at(*bar), *colour)) {
        return Seen::Camera;
    }
    // The slate's own tint is within this; traces of the bars are not.
    let is_grey = u.iter().chain(v).all(|chroma| chroma.abs_diff(128) < 14);
    let luma = frame.plane(Plane::Y);
    let bright = luma.iter().filter(|luma| **luma > 90).count();
    if is_grey && bright < luma.len() / 10 { Seen::Slate } else { Seen::Other }
}
