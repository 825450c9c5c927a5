//! A connection to a guest: somebody who looks at this portal's camera and is not its far end. Pictures go out, and nothing comes in.
//!
//! Guests have browsers and apps, not this program. So the connection negotiates nothing that only portals understand; it has a certificate
//! made for it alone, which tells nobody by which fingerprint the portal is known; and whom it belongs to is for whoever passed the
//! descriptions on to say (see [`crate::guests`]). How fast to send is learnt as on the link, from the guest's transport-wide feedback;
//! who gives none gets a fixed rate, with repairs. Each connection counts in figures of its own: the link's do not notice it.

pub(crate) mod description;

use super::congestion::{Controller, Limits, Published};
use super::ice::Ice;
use super::ice::trickle::{Gathered, MOST_TAKEN};
use super::interceptors::backlog::Backlog;
use super::interceptors::keyframe_requests::Said;
use super::packetizer::{Packetizer, Stream};
use super::runtime::TunedRuntime;
use super::{Config, Error, addresses, media_engine, peer};
use crate::codec::AccessUnit;
use crate::media::PortalClock;
use crate::ops::Figures;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder, RTCIceTransportPolicy,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, RTCSessionDescription,
};
use webrtc::rtp_transceiver::{RtpSender, RtpTransceiver};

/// A guest of whom nothing was heard for so long has lost the path, and after as long again is given up: a telephone in a lift comes back
/// within this.
const LOST: Duration = Duration::from_secs(4);
const GIVEN_UP: Duration = Duration::from_secs(6);

/// What all guests have in common.
pub(crate) struct Setup {
    config: Config,
    ice: Arc<Ice>,
    bitrate: Limits,
    clock: PortalClock,
}

impl Setup {
    /// Guests are reached by the link's servers, ports and addresses. Each is sent from `least_bps` to `most_bps`.
    ///
    /// # Errors
    /// The link's certificates for its servers cannot be had.
    pub fn new(config: Config, least_bps: u32, most_bps: u32) -> Result<Self, Error> {
        let most = f64::from(most_bps);
        let bitrate = Limits { floor_bps: f64::from(least_bps), start_bps: most, ceiling_bps: most };
        Ok(Self { ice: Arc::new(Ice::new(&config)?), config, bitrate, clock: PortalClock::start() })
    }
}

/// What happens to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Pictures can be sent.
    Connected,
    /// A way to reach us that was found after the description was sent.
    Candidate(String),
    /// The guest needs a keyframe.
    Keyframe,
    /// It is over.
    Closed(&'static str),
}

/// One connection. Dropping it closes it in the background.
pub(crate) struct Guest {
    connection: Arc<dyn PeerConnection>,
    transceiver: Arc<dyn RtpTransceiver>,
    sender: Arc<dyn RtpSender>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    clock: PortalClock,
    taken: AtomicUsize,
    shared: Arc<Shared>,
}

struct Shared {
    events: mpsc::Sender<Event>,
    candidates: Mutex<Gathered>,
    backlog: Arc<Backlog>,
    /// What the path to the guest carries, in bits per second.
    target_bps: AtomicU32,
    figures: Arc<Figures>,
    closing: AtomicBool,
}

impl Guest {
    /// Opens the sockets. What happens then is told to `events`; it must be read, or some of it is lost. `offers` is whether this end makes
    /// the offer.
    pub async fn new(setup: &Setup, offers: bool, events: mpsc::Sender<Event>) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            events,
            candidates: Mutex::default(),
            backlog: Arc::default(),
            target_bps: AtomicU32::new(setup.bitrate.start_bps as u32),
            figures: Arc::default(),
            closing: AtomicBool::new(false),
        });
        setup.ice.prepare().await;
        let connection = build(setup, &shared).await?;
        let ssrc = rand::random::<u32>() | 1;
        let track = Arc::new(TrackLocalStaticRTP::new(media_engine::track(ssrc)));
        // The library takes an offer that would also send for one that a sender alone does not fit; `answer` narrows it.
        let direction =
            if offers { RTCRtpTransceiverDirection::Sendonly } else { RTCRtpTransceiverDirection::Sendrecv };
        let init = RTCRtpTransceiverInit { direction, streams: vec!["camera".into()], send_encodings: vec![] };
        let added = add(&*connection, track.clone(), init).await;
        let (transceiver, sender) = match added {
            Ok(added) => added,
            Err(error) => {
                peer::close(connection).await;
                return Err(error);
            }
        };
        let (clock, taken) = (setup.clock, AtomicUsize::new(0));
        Ok(Self { connection, transceiver, sender, track, ssrc, clock, taken, shared })
    }

    /// Our offer: pictures, one way.
    pub async fn offer(&self) -> Result<String, Error> {
        let offer = self.connection.create_offer(None).await?;
        self.connection.set_local_description(offer).await?;
        self.described().await
    }

    /// Takes a guest's offer, which was [checked](description::check_offer), and answers it. Whatever it offers to send is declined.
    pub async fn answer(&self, offer: String) -> Result<String, Error> {
        self.connection.set_remote_description(RTCSessionDescription::offer(offer)?).await?;
        self.transceiver.set_direction(RTCRtpTransceiverDirection::Sendonly).await?;
        for other in self.connection.get_transceivers().await {
            if other.id() != self.transceiver.id() {
                other.set_direction(RTCRtpTransceiverDirection::Inactive).await?;
            }
        }
        let answer = self.connection.create_answer(None).await?;
        self.connection.set_local_description(answer).await?;
        self.described().await
    }

    /// Takes the answer to our offer.
    pub async fn accept(&self, answer: String) -> Result<(), Error> {
        Ok(self.connection.set_remote_description(RTCSessionDescription::answer(answer)?).await?)
    }

    async fn described(&self) -> Result<String, Error> {
        let sdp = self.connection.local_description().await.ok_or(Error::NoDescription)?.sdp;
        self.shared.candidates().described(&sdp);
        Ok(sdp)
    }

    /// Our description was sent: what was found since can be sent too, and from now on comes as [`Event::Candidate`].
    pub fn release_candidates(&self) -> Vec<String> {
        self.shared.candidates().release()
    }

    /// Takes a way to reach the guest. What cannot be used is left out: others may do. `false`: there were too many.
    pub async fn add_candidate(&self, candidate: String) -> bool {
        if self.taken.fetch_add(1, Relaxed) >= MOST_TAKEN {
            return false;
        }
        // There is one transport, that of the pictures; in which media section a candidate came says nothing more.
        let candidate = RTCIceCandidateInit { candidate, sdp_mline_index: Some(0), ..Default::default() };
        if let Err(error) = self.connection.add_ice_candidate(candidate).await {
            tracing::debug!(%error, "a candidate of a guest cannot be used");
        }
        true
    }

    /// Where pictures go, once connected.
    pub async fn outlet(&self) -> Result<Outlet, Error> {
        let parameters = self.sender.get_parameters().await?.rtp_parameters;
        let codec = parameters.codecs.first().ok_or(Error::NoCodec)?;
        let stream = Stream { ssrc: self.ssrc, payload_type: codec.payload_type, capture_time_id: None };
        let (track, backlog, clock) = (self.track.clone(), self.shared.backlog.clone(), self.clock);
        Ok(Outlet { track, packetizer: Packetizer::new(stream), backlog, clock, packets: Vec::new() })
    }

    /// What the path carries, as far as the guest lets us know, in bits per second.
    pub fn target_bps(&self) -> u32 {
        self.shared.target_bps.load(Relaxed)
    }

    /// Where the guest is: its address, or that of a relay in between.
    pub async fn address(&self) -> Option<String> {
        let ice = self.sender.transport().await.ok()??.ice_transport();
        let pair = ice.get_selected_candidate_pair().await.ok()??;
        Some(pair.remote().address.clone())
    }

    /// Closes the connection; the guest is told by DTLS. Bounded in time.
    pub async fn close(&self) {
        if !self.shared.closing.swap(true, Relaxed) {
            peer::close(self.connection.clone()).await;
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if !self.shared.closing.swap(true, Relaxed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(peer::close(self.connection.clone()));
        }
    }
}

/// The way of pictures into one connection.
pub(crate) struct Outlet {
    track: Arc<TrackLocalStaticRTP>,
    packetizer: Packetizer,
    backlog: Arc<Backlog>,
    clock: PortalClock,
    packets: Vec<rtc::rtp::Packet>,
}

impl Outlet {
    /// Waits while what was sent before still waits for the network.
    pub async fn room(&self) {
        while self.backlog.is_enough() {
            self.backlog.less().await;
        }
    }

    /// Sends a picture. After an error nothing more can be sent.
    pub async fn send(&mut self, unit: &AccessUnit) -> Result<(), Error> {
        let captured = self.clock.since_unix(unit.captured.unwrap_or_else(Instant::now));
        self.packetizer.packets(&unit.data, captured, &mut self.packets);
        for packet in self.packets.drain(..) {
            self.track.write_rtp(packet).await?;
        }
        Ok(())
    }
}

async fn add(
    connection: &dyn PeerConnection,
    track: Arc<TrackLocalStaticRTP>,
    init: RTCRtpTransceiverInit,
) -> Result<(Arc<dyn RtpTransceiver>, Arc<dyn RtpSender>), Error> {
    let transceiver = connection.add_transceiver_from_track(track as Arc<dyn TrackLocal>, Some(init)).await?;
    let sender = transceiver.sender().await?.ok_or(Error::NoCodec)?;
    Ok((transceiver, sender))
}

async fn build(setup: &Setup, shared: &Arc<Shared>) -> Result<Arc<dyn PeerConnection>, Error> {
    let config = &setup.config;
    let told = shared.clone();
    let estimator = Published {
        estimator: Controller::new(setup.bitrate),
        ceiling_bps: Arc::new((setup.bitrate.ceiling_bps as u32).into()),
        publish: move |target_bps: f64, _loss: f64| told.target_bps.store(target_bps as u32, Relaxed),
    };
    let asked = shared.clone();
    let on_said = Arc::new(move |said| {
        // What portals tell each other besides means nothing here.
        if said == Said::Keyframe {
            // Full: somebody asks without end, and will ask again.
            let _ = asked.events.try_send(Event::Keyframe);
        }
    });
    let registry = media_engine::interceptors(estimator, shared.backlog.clone(), on_said, &shared.figures);
    let policy = if config.relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
    let configuration = RTCConfigurationBuilder::new()
        .with_ice_servers(setup.ice.for_webrtc())
        .with_ice_transport_policy(policy)
        .build();
    let ended = shared.clone();
    let on_panic = Arc::new(move || {
        // It cannot be closed in order: whoever would send the goodbye is gone.
        ended.closing.store(true, Relaxed);
        ended.tell(Event::Closed("a bug has ended the connection"));
    });
    let (udp, tcp) = setup.ice.bind_to(&addresses::local(&config.addresses, config.loopback))?;
    let connection = PeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(media_engine::for_guests()?)
        .with_setting_engine(peer::settings(config.relay_only, LOST, GIVEN_UP))
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(Handler(shared.clone())))
        .with_udp_addrs(udp)
        .with_tcp_addrs(tcp)
        .with_runtime(Arc::new(TunedRuntime {
            socket_buffer_bytes: config.socket_buffer_bytes,
            ice: setup.ice.clone(),
            on_panic,
        }))
        .build()
        .await?;
    Ok(Arc::new(connection))
}

impl Shared {
    fn candidates(&self) -> std::sync::MutexGuard<'_, Gathered> {
        self.candidates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Callbacks run on the driver's task, which must not wait.
    fn tell(self: &Arc<Self>, event: Event) {
        let shared = self.clone();
        // Fails only when nobody wants to know any more.
        tokio::spawn(async move { drop(shared.events.send(event).await) });
    }
}

struct Handler(Arc<Shared>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let Ok(candidate) = event.candidate.to_json() else { return };
        let found = self.0.candidates().found(candidate.candidate);
        if let Some(candidate) = found {
            self.0.tell(Event::Candidate(candidate));
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected => self.0.tell(Event::Connected),
            RTCPeerConnectionState::Failed => self.0.tell(Event::Closed("nothing is heard of it any more")),
            RTCPeerConnectionState::Closed => self.0.tell(Event::Closed("it has closed the connection")),
            _ => {}
        }
    }
}
