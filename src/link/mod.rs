//! The link: the WebRTC connection to the far end, and what keeps it alive.
//!
//! ```text
//!  encoder ── units_out ──► outgoing ──► packetizer ──┐            ┌── signalling (offer, answer, bye)
//!                                                     ▼            ▼
//!                      peer (one per attempt): interceptors ◄── session ── state (pure)
//!                                                     │            ▲
//!  decoder ◄── units_in ─── incoming ◄── assembler ◄──┘            └── figures: pictures presented
//! ```
//!
//! [`start`] spawns a session: a task that tells a pure state machine what happens and does what it says. The
//! machine knows when to connect, when to ask for a keyframe, when to begin a new connection beside a stalled one, and
//! what to show meanwhile; its own documentation has the table. A peer is one WebRTC connection. Its certificate is this portal's
//! identity, and the far end's must be the pinned one, both as its description announces it and as DTLS sees it, before a single
//! picture is sent or delivered.
//!
//! *Live* means that a remote picture was presented within the last second, whatever ICE or packets say. While the far end says
//! that its camera is missing or private, there is no picture to wait for: then an answered ping on the data channel is life,
//! and [`Status::slate`] says why nothing is to be seen.
//!
//! | | |
//! |---|---|
//! | `state`, `backoff` | when to do what (pure) |
//! | `session`, `peer`, `sleep`, `handshakes` | the tasks and the connections; the machine's sleep; handshakes on a path that loses packets |
//! | `guest` | a connection to somebody who only looks on |
//! | `media_engine`, `interceptors` | what is negotiated, what each packet passes |
//! | `packetizer`, `assembler` | access units to packets and back (pure) |
//! | `reception`, `nack`, `playout` | what is waited for, asked for, and presented when (pure) |
//! | `congestion` | how fast to send (pure) |
//! | `clock_offset`, `capture_time` | how old a picture is |
//! | `dependency` | what a picture refers to, and what of it the far end has |
//! | `sdp`, `control`, `own`, `addresses` | whose description it is, what portals say to each other, where we can be reached |
//! | `ice` | STUN, TURN over UDP, TCP and TLS, ICE-TCP: a path through address translation and firewalls |
//!
//! Queues: packets to the network wait in the pacer; while more than 15 ms of them do, pictures wait in the encoder's queue of
//! one, and the encoder leaves out what does not fit. Access units to the decoder wait until they are due, 64 of them and 400 ms
//! at most; then in the decoder's bounded queue and, for bursts after a repair, in a backlog of 32; when both are full they are
//! dropped up to a keyframe, which is asked for.

#[cfg(test)]
mod absence_tests;
mod addresses;
pub mod assembler;
#[cfg(test)]
mod assembler_tests;
mod backoff;
mod capture_time;
mod clock_offset;
mod config;
mod congestion;
mod control;
mod dependency;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub(crate) mod guest;
mod handshakes;
mod ice;
mod incoming;
mod interceptors;
mod media_engine;
mod nack;
mod outgoing;
mod own;
mod packetizer;
mod peer;
#[cfg(test)]
mod peer_tests;
mod playout;
pub mod reception;
#[cfg(test)]
mod reception_tests;
#[cfg(test)]
mod recovery_tests;
#[cfg(test)]
mod repair_tests;
#[cfg(test)]
mod return_tests;
mod runtime;
mod sdp;
mod session;
#[cfg(test)]
mod simulation;
mod sleep;
mod state;
#[cfg(test)]
mod state_tests;
mod status;
#[cfg(test)]
mod two_ends;

pub use config::{Config, IceServer};
pub use ice::server::Reach;
pub use ice::survey::{Answer, Mapping, Refusal, Survey, Surveyed, survey};
pub use status::Status;

use crate::codec::AccessUnit;
use crate::hours::Announced;
use crate::media::{Eras, PortalClock};
use crate::ops::{FarCamera, Figures, LinkState, Slate};
use crate::pairing::{Fingerprint, Identity};
use crate::signaling;
use own::{Introductions, Own};
use session::{Inputs, Session};
use state::Role;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use webrtc::peer_connection::RTCCertificate;

/// An orderly end takes no longer than this.
const CLOSING: Duration = Duration::from_millis(500);
/// Wishes that wait for the session; more than a few mean that it is stuck, and are dropped.
const COMMANDS: usize = 16;
/// What peers report waits here; they wait when it is full.
const PEER_EVENTS: usize = 64;

/// Why a connection cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The WebRTC library refuses or fails.
    #[error("WebRTC: {0}")]
    WebRtc(#[from] webrtc::error::Error),
    /// This portal's own certificate is refused by the WebRTC library.
    #[error("this portal's certificate cannot be used for DTLS: {0}; delete the identity and pair again")]
    Certificate(String),
    /// The far end's description does not announce the pinned certificate, or is malformed.
    #[error("{0}")]
    Description(String),
    /// No local description was made.
    #[error("WebRTC made no session description")]
    NoDescription,
    /// The two ends have no codec in common.
    #[error("the far end takes no H.264; is it the same program?")]
    NoCodec,
    /// ICE cannot be prepared as configured.
    #[error(transparent)]
    Ice(#[from] ice::Error),
}

impl From<sdp::Error> for Error {
    fn from(error: sdp::Error) -> Self {
        Self::Description(error.to_string())
    }
}

/// What the link is connected to inside the portal. The calls must not block.
pub struct Ports {
    /// Encoded pictures to be sent. Bounded; the link takes them out at once unless the network is behind.
    pub units_out: mpsc::Receiver<AccessUnit>,
    /// Received pictures for the decoder. Bounded; when it is full, units are dropped up to the next keyframe.
    pub units_in: crossbeam_channel::Sender<AccessUnit>,
    /// The most that is sent, in bits per second: the encoder's configured bitrate.
    pub ceiling_bps: u32,
    /// The far end needs a keyframe.
    pub on_keyframe_request: Arc<dyn Fn() + Send + Sync>,
    /// The far end has decoded the picture with this number ([`crate::codec::Dependency`]), and all that it refers to. With `true` it
    /// has lost something after that for good, and needs a picture that refers to what it has, or a keyframe.
    pub on_decoded: Arc<dyn Fn(u32, bool) + Send + Sync>,
    /// The encoder should aim at this bitrate, in bits per second.
    pub on_target_bps: Arc<dyn Fn(u32) + Send + Sync>,
    /// Whether there is somebody to send to. At the beginning there is not.
    pub on_active: Arc<dyn Fn(bool) + Send + Sync>,
    /// Whether a picture that is encoded now would have to wait in front of the network, and is better left out.
    pub on_held: Arc<dyn Fn(bool) + Send + Sync>,
    /// The link's status has changed.
    pub on_view: Box<dyn Fn(Status) + Send + Sync>,
    /// To and from the far end's signalling.
    pub signaling: (mpsc::Sender<signaling::Message>, mpsc::Receiver<signaling::Event>),
    /// Signalling may be dead without knowing it: the path is, or this machine has other addresses.
    pub on_doubt: Arc<dyn Fn() + Send + Sync>,
    /// Where to count.
    pub figures: Arc<Figures>,
    /// Relates this machine's monotonic clock to what is sent.
    pub clock: PortalClock,
    /// Our own pictures are sent only while their era holds; the far end's are stamped with the present one as they come.
    pub eras: Eras,
}

/// What the rest of the portal may want of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Reconnect,
    RequestKeyframe,
    Close,
}

/// The running link. Dropping it ends everything at once, without a goodbye.
pub struct Link {
    commands: mpsc::Sender<Command>,
    own: watch::Sender<Own>,
    ceiling_bps: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

/// Tries what a new configuration needs besides allowed values: the certificates that it names.
///
/// # Errors
/// Those of [`start`] with it.
pub fn try_config(config: &Config) -> Result<(), Error> {
    ice::Ice::new(config)?;
    Ok(())
}

/// This machine's addresses that are offered to the far end.
pub fn own_addresses(config: &Config) -> Vec<std::net::IpAddr> {
    addresses::local(&config.addresses, config.loopback)
}

/// Starts the link; to be called inside a tokio runtime. Without a far end it only says that the portal is not paired.
pub fn start(
    config: Config,
    ports: Ports,
    identity: &Identity,
    far_end: Option<Fingerprint>,
    site: String,
) -> Result<Link, Error> {
    let (commands, commands_out) = mpsc::channel(COMMANDS);
    let (own, own_out) = watch::channel(Own::new(site));
    let ceiling_bps = Arc::new(AtomicU32::new(ports.ceiling_bps));
    let task = match far_end {
        None => tokio::spawn(unpaired(ports, commands_out)),
        Some(far_end) => {
            let (events, peer_events) = mpsc::channel(PEER_EVENTS);
            let setup = peer::Setup {
                ice: Arc::new(ice::Ice::new(&config)?),
                config,
                ceiling_bps: ceiling_bps.clone(),
                certificate: certificate(identity)?,
                pinned: far_end,
                clock: ports.clock,
                figures: ports.figures.clone(),
                on_keyframe_request: ports.on_keyframe_request.clone(),
                on_decoded: ports.on_decoded.clone(),
                on_target_bps: ports.on_target_bps.clone(),
                delivery: session::delivery(&ports),
                events,
            };
            // Both ends come to the same result, so they never offer at the same time.
            let role = if identity.fingerprint() < far_end { Role::Offers } else { Role::Answers };
            let inputs = Inputs { commands: commands_out, peer_events };
            tokio::spawn(Session::run(Arc::new(setup), role, ports, Introductions::new(own_out), inputs))
        }
    };
    Ok(Link { commands, own, ceiling_bps, task })
}

fn certificate(identity: &Identity) -> Result<RTCCertificate, Error> {
    let refused = |error: String| Error::Certificate(error);
    let provider = rtc::crypto::default_provider().map_err(|error| refused(error.to_string()))?;
    RTCCertificate::from_pem(&identity.pem(), provider.crypto()).map_err(|error| refused(error.to_string()))
}

/// Nobody to talk to; keeps the ports open until the end.
async fn unpaired(ports: Ports, mut commands: mpsc::Receiver<Command>) {
    (ports.on_view)(Status { state: LinkState::Idle, slate: Slate::NotPaired, ..Status::default() });
    while let Some(command) = commands.recv().await {
        if command == Command::Close {
            break;
        }
    }
}

impl Link {
    /// Starts a new connection at once, whatever the back-off says. The one in use goes on until the new one is up.
    pub fn reconnect(&self) {
        self.command(Command::Reconnect);
    }

    /// The decoder met damage: asks the far end for a keyframe, at most five times a second.
    pub fn request_keyframe(&self) {
        self.command(Command::RequestKeyframe);
    }

    fn command(&self, command: Command) {
        if let Err(error) = self.commands.try_send(command) {
            tracing::debug!(%error, "the link takes no command now");
        }
    }

    /// Our camera's state, for the far end. Pictures are sent whatever is said here.
    pub fn set_camera(&self, camera: FarCamera) {
        self.set_own(|own| own.camera = camera);
    }

    /// Our privacy key: nothing is sent, and the far end is told why.
    pub fn set_private(&self, private: bool) {
        self.set_own(|own| own.private = private);
    }

    /// Outside opening hours: nothing is sent, and the far end is told why. The connection stays, so that it opens at once.
    pub fn set_closed(&self, closed: bool) {
        self.set_own(|own| own.closed = closed);
    }

    /// Our opening hours, for the far end, which is told them again and again.
    pub fn set_hours(&self, hours: Vec<Announced>) {
        self.set_own(|own| own.hours = Some(hours));
    }

    /// The most that is sent from now on, in bits per second: see [`Ports::ceiling_bps`].
    pub fn set_ceiling_bps(&self, bps: u32) {
        self.ceiling_bps.store(bps, Relaxed);
    }

    /// The name of this place, for the far end.
    pub fn set_site(&self, site: String) {
        self.set_own(|own| own.site = site);
    }

    fn set_own(&self, set: impl FnOnce(&mut Own)) {
        self.own.send_if_modified(|own| {
            let before = own.clone();
            set(own);
            *own != before
        });
    }

    /// Says goodbye and ends; within half a second.
    pub async fn close(&self) {
        let _ = self.commands.send(Command::Close).await;
        // The session holds the other end until it has ended.
        if tokio::time::timeout(CLOSING, self.own.closed()).await.is_err() {
            tracing::debug!("the link does not end in time; left to itself");
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}
