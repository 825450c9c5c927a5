//! One peer connection: one attempt to reach the far end, from its first description to its close.
//!
//! It carries one H.264 track each way and the data channel `portal`. Its certificate is the portal's identity. The far end's
//! certificate is checked twice against the pin: as its description announces it, before the description is applied, and as
//! DTLS has seen it, before any media is sent or delivered.

mod candidates;
mod channel;

use super::capture_time;
use super::clock_offset::ClockOffset;
use super::congestion::{Controller, Limits, Published};
use super::control;
use super::dependency;
use super::ice::Ice;
use super::incoming::{Delivery, Incoming};
use super::interceptors::backlog::Backlog;
use super::interceptors::keyframe_requests::Said;
use super::media_engine;
use super::outgoing::Path;
use super::packetizer::Stream;
use super::runtime::TunedRuntime;
use super::{Config, Error, addresses, sdp};
use crate::media::PortalClock;
use crate::ops::Figures;
use crate::pairing::Fingerprint;
use candidates::Candidates;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use webrtc::data_channel::DataChannel;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCCertificate, RTCConfigurationBuilder,
    RTCIceConnectionState, RTCIceGatheringState, RTCIceTransportPolicy, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, RTCSessionDescription, SettingEngine, SettingEngineBuilder,
};
use webrtc::rtp_transceiver::RtpSender;

/// ICE timers. Checks every 20 ms connect within a few round trips (the stock 200 ms would cost most of the time to the first
/// picture); consent is asked for every 200 ms (RFC 7675 allows far less often), so that a path that is back is found at once.
pub(super) const ICE_CHECK: Duration = Duration::from_millis(20);
pub(super) const ICE_KEEPALIVE: Duration = Duration::from_millis(200);
/// Nothing at all of the far end for so long, not even its checks, is a lost path.
pub(super) const ICE_DISCONNECTED: Duration = Duration::from_millis(600);
/// Checks for each pair of addresses before it is given up: far longer than any attempt lives.
const ICE_MAX_CHECKS: u16 = 1000;
/// How long a valid path waits for a better one, by how it was found: this machine's own addresses do not wait. (The stock 0.5, 1 and
/// 2 s would be most of the time to the first picture.) A path once nominated is kept, so a relay leaves time for two round trips.
const REFLEXIVE_WAIT: Duration = Duration::from_millis(100);
const PEER_REFLEXIVE_WAIT: Duration = Duration::from_millis(200);
const RELAY_WAIT: Duration = Duration::from_millis(600);
/// A description waits so long for candidates. This machine's own are there at once; what servers find later follows by itself.
const GATHERING: Duration = Duration::from_millis(20);
/// A connection that does not close within this is left to its own end.
const CLOSING: Duration = Duration::from_millis(400);
/// SRTP packets that repairs may be late by. The stock 64 would drop repairs of larger pictures.
pub(super) const REPLAY_WINDOW: usize = 1024;
const CLOCKS_UNRELATED: i64 = i64::MIN;

/// What all attempts have in common.
pub(super) struct Setup {
    pub config: Config,
    pub ice: Arc<Ice>,
    /// The most that is sent, in bits per second.
    pub ceiling_bps: Arc<AtomicU32>,
    pub certificate: RTCCertificate,
    pub pinned: Fingerprint,
    pub clock: PortalClock,
    pub figures: Arc<Figures>,
    pub on_keyframe_request: Arc<dyn Fn() + Send + Sync>,
    pub on_decoded: Arc<dyn Fn(u32, bool) + Send + Sync>,
    pub on_target_bps: Arc<dyn Fn(u32) + Send + Sync>,
    pub delivery: Arc<Delivery>,
    /// What peers report, each with its id.
    pub events: mpsc::Sender<(u64, Event)>,
}

/// What happens to a peer connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// DTLS is done and the far end's certificate is the pinned one: media may flow.
    Connected,
    /// ICE has lost (`false`) or found again the path to the far end.
    Path(bool),
    /// The connection is over: closed by the far end, failed, or its certificate was not the pinned one.
    Closed(&'static str),
    /// A way to reach us that was found after the description was sent.
    Candidate(String),
    /// The data channel is open, and the far end is ready for what is said on it.
    ChannelOpen,
    /// The far end says something (pings are answered here and not reported).
    Control(control::Message),
}

/// A peer connection and what belongs to it. Dropping it closes it in the background.
pub(super) struct Peer {
    connection: Open,
    sender: Arc<dyn RtpSender>,
    track: Arc<TrackLocalStaticRTP>,
    ssrc: u32,
    channel: Arc<dyn DataChannel>,
    shared: Arc<Shared>,
}

/// A connection of the library's. One that is dropped without being closed would keep its driver running.
struct Open {
    connection: Arc<dyn PeerConnection>,
    shared: Arc<Shared>,
}

/// What the connection's callbacks and tasks share.
pub(super) struct Shared {
    /// The connection's own, never used twice: not the number of the attempt, by which the two ends know it.
    pub id: u64,
    pub setup: Arc<Setup>,
    sender: OnceLock<Arc<dyn RtpSender>>,
    /// The far end's certificate was compared with the pin after the handshake.
    pub verified: AtomicBool,
    closing: AtomicBool,
    /// The far end is ready for what is said on the data channel.
    may_speak: AtomicBool,
    gathered: Notify,
    /// What waits to be sent.
    backlog: Arc<Backlog>,
    candidates: Candidates,
    /// Somebody wants a keyframe of the far end.
    pub keyframe_wanted: Notify,
    /// 0: not negotiated.
    pub capture_time_id: AtomicU8,
    /// The same for what pictures refer to.
    pub dependency_id: AtomicU8,
    /// By how many microseconds the far clock is ahead.
    clock_offset_us: AtomicI64,
    clock_offset: Mutex<ClockOffset>,
    tasks: Mutex<JoinSet<()>>,
}

impl Peer {
    /// Opens the sockets and prepares everything that can be prepared without the far end.
    pub async fn new(setup: &Arc<Setup>, id: u64) -> Result<Self, Error> {
        let shared = Arc::new(Shared {
            id,
            setup: setup.clone(),
            sender: OnceLock::new(),
            verified: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            may_speak: AtomicBool::new(false),
            gathered: Notify::new(),
            backlog: Arc::default(),
            candidates: Candidates::default(),
            keyframe_wanted: Notify::new(),
            capture_time_id: AtomicU8::new(0),
            dependency_id: AtomicU8::new(0),
            clock_offset_us: AtomicI64::new(CLOCKS_UNRELATED),
            clock_offset: Mutex::default(),
            tasks: Mutex::default(),
        });
        setup.ice.prepare().await;
        // Whoever wants this connection may change his mind at each of the points where it is waited for.
        let connection = Open { connection: build(setup, &shared).await?, shared: shared.clone() };
        let ssrc = rand::random::<u32>() | 1;
        let track = Arc::new(TrackLocalStaticRTP::new(media_engine::track(ssrc)));
        let sender = connection.add_track(track.clone() as Arc<dyn TrackLocal>).await?;
        let channel = channel::create(&*connection).await?;
        let _ = shared.sender.set(sender.clone());
        shared.spawn(channel::listen(shared.clone(), channel.clone()));
        shared.spawn(channel::ping(shared.clone(), channel.clone()));
        Ok(Self { connection, sender, track, ssrc, channel, shared })
    }

    /// The offer that starts the attempt, with all candidates.
    pub async fn offer(&self) -> Result<String, Error> {
        let offer = self.connection.create_offer(None).await?;
        self.connection.set_local_description(offer).await?;
        self.gathered_description().await
    }

    /// Takes an offer and answers it. The offer's fingerprint is checked before anything else happens.
    pub async fn answer(&self, offer: String) -> Result<String, Error> {
        sdp::check_fingerprint(&offer, self.shared.setup.pinned)?;
        self.shared.may_speak.store(true, Ordering::Relaxed);
        self.connection.set_remote_description(RTCSessionDescription::offer(offer.clone())?).await?;
        self.connect_tcp(&offer).await;
        let answer = self.connection.create_answer(None).await?;
        self.connection.set_local_description(answer).await?;
        self.gathered_description().await
    }

    /// Takes the answer to our offer; its fingerprint is checked first.
    pub async fn accept(&self, answer: String) -> Result<(), Error> {
        sdp::check_fingerprint(&answer, self.shared.setup.pinned)?;
        self.connection.set_remote_description(RTCSessionDescription::answer(answer.clone())?).await?;
        self.connect_tcp(&answer).await;
        Ok(())
    }

    async fn gathered_description(&self) -> Result<String, Error> {
        if tokio::time::timeout(GATHERING, self.shared.gathered.notified()).await.is_err() {
            tracing::debug!(connection = self.shared.id, "going on with the candidates found so far");
        }
        let sdp = self.connection.local_description().await.ok_or(Error::NoDescription)?.sdp;
        self.shared.candidates.described(&sdp);
        Ok(sdp)
    }

    /// Where to send pictures, once connected.
    pub async fn path(&self) -> Result<Path, Error> {
        let parameters = self.sender.get_parameters().await?.rtp_parameters;
        let codec = parameters.codecs.first().ok_or(Error::NoCodec)?;
        let id_of = |uri| {
            let extension = parameters.header_extensions.iter().find(|extension| extension.uri == uri)?;
            u8::try_from(extension.id).ok()
        };
        let (capture_time_id, dependency_id) = (id_of(capture_time::URI), id_of(dependency::URI));
        // One media section, so the same numbers hold both ways.
        self.shared.capture_time_id.store(capture_time_id.unwrap_or(0), Ordering::Relaxed);
        self.shared.dependency_id.store(dependency_id.unwrap_or(0), Ordering::Relaxed);
        let stream = Stream { ssrc: self.ssrc, payload_type: codec.payload_type, capture_time_id };
        let (track, backlog) = (self.track.clone(), self.shared.backlog.clone());
        Ok(Path { connection: self.shared.id, track, stream, dependency_id, backlog })
    }

    /// Asks the far end for a keyframe soon.
    pub fn request_keyframe(&self) {
        self.shared.keyframe_wanted.notify_one();
    }

    /// Says something to the far end. What cannot be said now is not said: the channel is not open, or the connection gone.
    pub async fn say(&self, message: &control::Message) {
        if !channel::say(&self.shared, &*self.channel, message).await {
            tracing::debug!(connection = self.shared.id, "nothing said on the data channel: it is not open");
        }
    }

    /// When the far end last answered a ping.
    pub fn heard(&self) -> Option<Instant> {
        self.shared.clock_offset().heard()
    }

    /// The two clocks are not related any more as they were: this machine has slept.
    pub fn forget_clocks(&self) {
        *self.shared.clock_offset() = ClockOffset::default();
        self.shared.clock_offset_us.store(CLOCKS_UNRELATED, Ordering::Relaxed);
    }

    /// Closes the connection; the far end is told by DTLS. Bounded in time.
    pub async fn close(&self) {
        if !self.shared.closing.swap(true, Ordering::Relaxed) {
            close(self.connection.connection.clone()).await;
        }
    }
}

impl Deref for Open {
    type Target = dyn PeerConnection;

    fn deref(&self) -> &Self::Target {
        &*self.connection
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.tasks().abort_all();
        if !self.shared.closing.swap(true, Ordering::Relaxed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(close(self.connection.clone()));
        }
    }
}

/// Closes a connection, within bounded time.
pub(super) async fn close(connection: Arc<dyn PeerConnection>) {
    match tokio::time::timeout(CLOSING, connection.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "closing the peer connection"),
        Err(_) => tracing::debug!("closing the peer connection takes too long; left to itself"),
    }
}

async fn build(setup: &Arc<Setup>, shared: &Arc<Shared>) -> Result<Arc<dyn PeerConnection>, Error> {
    let config = &setup.config;
    let (figures, on_target_bps) = (setup.figures.clone(), setup.on_target_bps.clone());
    let ceiling_bps = setup.ceiling_bps.load(Ordering::Relaxed);
    let limits = Limits {
        floor_bps: f64::from(config.min_bps.min(ceiling_bps)),
        start_bps: start_bps(setup),
        ceiling_bps: f64::from(ceiling_bps),
    };
    let estimator = Published {
        estimator: Controller::new(limits),
        ceiling_bps: setup.ceiling_bps.clone(),
        publish: move |target_bps: f64, loss: f64| {
            figures.outgoing.target_bps.set(target_bps as u64);
            figures.outgoing.loss_ppm.set((loss * 1e6) as u64);
            on_target_bps(target_bps as u32);
        },
    };
    let engine = media_engine::media_engine()?;
    let (on_keyframe, on_decoded) = (setup.on_keyframe_request.clone(), setup.on_decoded.clone());
    let on_said = Arc::new(move |said| match said {
        Said::Keyframe => on_keyframe(),
        Said::Feedback(feedback) => on_decoded(feedback.decoded, feedback.lost),
    });
    let registry = media_engine::interceptors(estimator, shared.backlog.clone(), on_said, &setup.figures);
    // Never "failed": a path that comes back after minutes is used again. Who gives up is the link's state machine.
    let settings = settings(config.relay_only, ICE_DISCONNECTED, Duration::ZERO);
    let policy = if config.relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
    let configuration = RTCConfigurationBuilder::new()
        .with_certificates(vec![setup.certificate.clone()])
        .with_ice_servers(setup.ice.for_webrtc())
        .with_ice_transport_policy(policy)
        .build();
    let ended = shared.clone();
    let on_panic = Arc::new(move || {
        // It cannot be closed in order: whoever would send the goodbye is gone.
        ended.closing.store(true, Ordering::Relaxed);
        let shared = ended.clone();
        ended.spawn(async move { shared.report(Event::Closed("a bug has ended the connection")).await });
    });
    let (udp, tcp) = setup.ice.bind_to(&addresses::local(&config.addresses, config.loopback))?;
    let connection = PeerConnectionBuilder::new()
        .with_configuration(configuration)
        .with_media_engine(engine)
        .with_setting_engine(settings)
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

/// The library's settings. Without a word of the other end for the first of the two times the path counts as lost, for both as failed: never,
/// if the second is zero.
pub(super) fn settings(relay_only: bool, disconnected: Duration, failed: Duration) -> SettingEngine {
    SettingEngineBuilder::new()
        // The stock mode resolves a name at build time, which fails while there is no network, as at a kiosk's boot.
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .with_include_loopback_candidate(true)
        .with_srtp_replay_protection_window(REPLAY_WINDOW)
        .with_ice_connection_attempts(Some(ICE_CHECK), Some(ICE_MAX_CHECKS))
        .with_srflx_acceptance_min_wait(Some(REFLEXIVE_WAIT))
        .with_prflx_acceptance_min_wait(Some(PEER_REFLEXIVE_WAIT))
        .with_relay_acceptance_min_wait(Some(if relay_only { Duration::ZERO } else { RELAY_WAIT }))
        .with_ice_timeouts(Some(disconnected), Some(failed), Some(ICE_KEEPALIVE))
        .build()
}

/// Where the estimate begins. What the last connection found is believed where it is less: most often the path is the same, and if
/// it has become a better one, that shows within a second.
fn start_bps(setup: &Setup) -> f64 {
    let configured =
        f64::from(setup.ceiling_bps.load(Ordering::Relaxed)) * f64::from(setup.config.start_percent) / 100.0;
    match setup.figures.outgoing.estimate_bps.get() {
        0 => configured,
        known => configured.min(known as f64),
    }
}

impl Shared {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        // Forgets those that have ended.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clock_offset(&self) -> std::sync::MutexGuard<'_, ClockOffset> {
        self.clock_offset.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn report(&self, event: Event) {
        // Fails only when the link itself has ended.
        let _ = self.setup.events.send((self.id, event)).await;
    }

    fn now_us(&self) -> u64 {
        self.setup.clock.since_unix(Instant::now()).as_micros() as u64
    }

    /// The moment on our clock that the far end calls `far`, once the clocks are related.
    pub fn local_time(&self, far: Duration) -> Option<Instant> {
        let offset_us = self.clock_offset_us.load(Ordering::Relaxed);
        let far_us = i64::try_from(far.as_micros()).ok()?;
        let local_us = (offset_us != CLOCKS_UNRELATED).then(|| far_us.checked_sub(offset_us))??;
        self.setup.clock.instant(Duration::from_micros(u64::try_from(local_us).ok()?))
    }

    /// Compares the certificate that DTLS has seen with the pin.
    async fn verify(&self) -> bool {
        let Some(sender) = self.sender.get() else { return false };
        let Ok(Some(transport)) = sender.transport().await else { return false };
        let chain = transport.get_remote_certificates().await.unwrap_or_default();
        chain.first().is_some_and(|certificate| Fingerprint::of(certificate) == self.setup.pinned)
    }
}

struct Handler(Arc<Shared>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.gathered.notify_one();
        }
    }

    // Callbacks run on the driver's task, so whatever waits is spawned.

    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Some(candidate) = self.0.candidates.found(&self.0.setup.ice, &event) {
            let shared = self.0.clone();
            self.0.spawn(async move { shared.report(Event::Candidate(candidate)).await });
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        let found = match state {
            RTCIceConnectionState::Disconnected => false,
            RTCIceConnectionState::Connected => true,
            _ => return,
        };
        let shared = self.0.clone();
        self.0.spawn(async move { shared.report(Event::Path(found)).await });
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let shared = self.0.clone();
        tracing::debug!(connection = shared.id, %state, "peer connection");
        match state {
            RTCPeerConnectionState::Connected if !shared.verified.load(Ordering::Relaxed) => {
                self.0.spawn(async move {
                    if shared.verify().await {
                        shared.verified.store(true, Ordering::Relaxed);
                        shared.report(Event::Connected).await;
                    } else {
                        shared.setup.figures.link.rejected_identities.one();
                        shared.report(Event::Closed("the far end's certificate is not the pinned one")).await;
                    }
                });
            }
            RTCPeerConnectionState::Failed | RTCPeerConnectionState::Closed => {
                self.0.spawn(async move { shared.report(Event::Closed("the connection has failed")).await });
            }
            _ => {}
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.0.spawn(Incoming::new(self.0.clone(), track).run());
    }
}
