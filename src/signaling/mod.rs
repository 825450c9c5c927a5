//! How two portals find each other and agree on a connection, before any media flows.
//!
//! *Direct* signalling needs no third machine: each portal listens for WebSocket connections and dials the far end's address if
//! it knows it; one of the two being reachable is enough. Who connects must prove that it holds the key of the pinned
//! certificate ([`hello`]); only then [`Message`]s pass. `docs/signaling.md` describes what goes over the wire.
//!
//! Where neither reaches the other, both meet in a room of a hub or at a broker ([`relay`]): the same handshake and the same messages, but sealed, since
//! somebody else carries them.
//!
//! Direct signalling is not encrypted, and need not be trusted: media is tied to the pinned fingerprints by DTLS, whatever somebody on
//! the way makes of the messages. Such a one can refuse service and see addresses, no more.
//!
//! | | |
//! |---|---|
//! | [`Message`], [`SessionId`] | what passes |
//! | [`hello`] | the handshake, without a socket |
//! | `backoff`, `choice`, `limits` | the policies: when to dial again, which of two connections to use, how much is too much |
//! | `connection` | one WebSocket connection: handshake, keep-alive, limits |
//! | `listener`, `caller`, `dialler`, `switchboard` | accept, dial, and present all connections as one |
//! | [`relay`], `socket`, [`sealing`] | connections through a hub or a broker, whose owner reads nothing |
//! | [`pair`] | how two portals that do not know each other yet come to do so |

mod backoff;
mod caller;
mod choice;
mod config;
mod connection;
mod dialler;
pub mod hello;
mod limits;
mod listener;
mod message;
pub mod pair;
mod probe;
pub mod relay;
pub mod sealing;
mod socket;
mod switchboard;

pub use config::{Config, PORT, is_host_and_port};
pub use message::{Goodbye, LONGEST_MESSAGE, LONGEST_SDP, Malformed, Message, SessionId};
pub(crate) use message::{for_people, hex, read, to_json};
pub use probe::probe;

use crate::ops::Figures;
use crate::pairing::{Fingerprint, Identity};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use switchboard::Switchboard;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

/// What signalling tells the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The far end is connected and has proved who it is. Follows a `Down` with a new session when the far end was started again.
    /// Comes again with the same session when a connection took another's place that may have been dead for a while: what was
    /// said lately may be lost.
    Up {
        /// Names the far end's run: another value than last time means that it was started again.
        session: SessionId,
    },
    /// The far end says something. Comes between `Up` and `Down` only.
    Message(Message),
    /// The last connection to the far end has ended.
    Down {
        /// Why, for people.
        reason: String,
    },
    /// Dialling failed while nothing was connected. Told once for each new reason; dialling goes on.
    Unreachable {
        /// Why, for people.
        reason: String,
    },
}

/// Why signalling cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be had.
    #[error(
        "signalling cannot listen on {listen}: {source}; if another portal runs here, stop it, or choose another port \
         with --listen or [signaling] listen"
    )]
    Bind {
        /// The configured address.
        listen: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The far end is ourselves.
    #[error(
        "the far end's fingerprint is this portal's own; put there what `screen-portal identity` prints at the far end"
    )]
    PairedWithOurselves,
    /// A way through another machine can never work.
    #[error("signalling: {0}")]
    Relay(#[from] relay::Error),
}

/// Events that wait for the link, and messages that wait for the network: more than a few means that somebody is stuck.
const QUEUE: usize = 32;

/// How long an orderly end may take.
const CLOSING: Duration = Duration::from_millis(300);

/// Direct signalling, running. Dropping it ends everything at once; [`Signaling::close`] in order.
#[derive(Debug)]
pub struct Signaling {
    /// To the far end. While nobody is connected, messages are dropped: what they are about starts anew with the next `Up`.
    pub outgoing: mpsc::Sender<Message>,
    /// From the far end.
    pub events: mpsc::Receiver<Event>,
    controls: Controls,
    listening_on: Option<SocketAddr>,
    tasks: JoinSet<()>,
}

/// Cheap to clone, for those who do not own signalling.
#[derive(Clone, Debug)]
pub struct Controls {
    dial_now: Arc<Notify>,
    doubts: Arc<watch::Sender<u64>>,
    stop: Arc<watch::Sender<bool>>,
}

impl Controls {
    /// Dials at once if nobody is connected, whatever the back-off says.
    pub fn dial_now(&self) {
        self.dial_now.notify_one();
    }

    /// The connections may be dead without knowing it: the far end is not heard by other ways, or this machine's addresses have
    /// changed. Each has to prove within a second that it lives, and another is dialled beside them at once: TCP would notice
    /// after minutes.
    pub fn doubt(&self) {
        self.doubts.send_modify(|doubts| *doubts = doubts.wrapping_add(1));
    }
}

/// What every connection needs to know of this portal.
#[derive(Debug)]
struct Local {
    identity: Identity,
    far_end: Fingerprint,
    session: SessionId,
    figures: Arc<Figures>,
    /// Whether of the two portals we are the one that dials when both could.
    dials_first: bool,
}

/// Starts to listen and to dial. To be called inside a tokio runtime; listens when it returns.
pub fn start(
    config: &Config,
    identity: &Identity,
    far_end: Fingerprint,
    figures: Arc<Figures>,
) -> Result<Signaling, Error> {
    let addresses = watch::channel(config.dial_address().into_iter().collect()).1;
    start_dialling(config, identity, far_end, figures, addresses)
}

/// As [`start`], but dials the far end at these addresses (`HOST:PORT`, at most 16, the best first), which may change, instead of the configured one.
pub fn start_dialling(
    config: &Config,
    identity: &Identity,
    far_end: Fingerprint,
    figures: Arc<Figures>,
    addresses: watch::Receiver<Vec<String>>,
) -> Result<Signaling, Error> {
    if far_end == identity.fingerprint() {
        return Err(Error::PairedWithOurselves);
    }
    let dials_first = identity.fingerprint() < far_end;
    let room = relay::room_of(identity.fingerprint(), far_end);
    let relays = relay::enter(config, &room, &figures)?;
    let local =
        Arc::new(Local { identity: identity.clone(), far_end, session: SessionId::random(), figures, dials_first });
    let bound = config.listen_address().map(bind).transpose()?;
    let listening_on = bound.as_ref().map(|(_, address)| *address);

    let (outgoing, outgoing_out) = mpsc::channel(QUEUE);
    let (events_in, events) = mpsc::channel(QUEUE);
    let (notes_in, notes) = mpsc::channel(QUEUE);
    let (connected_in, connected) = watch::channel(false);
    let (stop, stopped) = watch::channel(false);
    let (doubts_in, doubts) = watch::channel(0);
    let dial_now = Arc::new(Notify::new());

    let mut tasks = relays.tasks;
    let switchboard = Switchboard::new(dials_first, outgoing_out, notes, connected_in);
    tasks.spawn(switchboard.run(events_in, doubts.clone(), stopped.clone()));
    if let Some(address) = listening_on {
        tracing::info!(%address, "listening for the far end");
    }
    let listener = bound.map(|(listener, _)| listener);
    tasks.spawn(listener::run(listener, relays.accepted, local.clone(), notes_in.clone(), stopped.clone()));
    let (dial, arrivals) = (dial_now.clone(), relays.arrivals);
    let signs = dialler::Signs { addresses, relays: relays.ways, arrivals, connected, dial_now: dial, doubts, stopped };
    tasks.spawn(dialler::run(local, notes_in, signs));
    let controls = Controls { dial_now, doubts: Arc::new(doubts_in), stop: Arc::new(stop) };
    Ok(Signaling { outgoing, events, controls, listening_on, tasks })
}

/// Binds before anything is spawned, so that a taken port is an error of the start.
fn bind(listen: &str) -> Result<(tokio::net::TcpListener, SocketAddr), Error> {
    let bound = TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((tokio::net::TcpListener::from_std(listener)?, address))
    });
    bound.map_err(|source| Error::Bind { listen: listen.into(), source })
}

impl Signaling {
    /// Where the far end can reach us, if we listen; tells the port if the configuration leaves it to the system.
    pub fn listening_on(&self) -> Option<SocketAddr> {
        self.listening_on
    }

    /// For those who do not own signalling.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// Takes the two channels out, for the link; what is left keeps signalling running.
    pub fn split(self) -> (mpsc::Sender<Message>, mpsc::Receiver<Event>, Running) {
        (self.outgoing, self.events, Running { controls: self.controls, tasks: self.tasks })
    }

    /// Sends what waits in `outgoing`, says goodbye to the connection and ends; takes 300 ms at most.
    pub async fn close(self) {
        self.split().2.close().await;
    }
}

/// Keeps signalling running; see [`Signaling::split`].
#[derive(Debug)]
pub struct Running {
    controls: Controls,
    tasks: JoinSet<()>,
}

impl Running {
    /// For those who do not own signalling.
    pub fn controls(&self) -> Controls {
        self.controls.clone()
    }

    /// As [`Signaling::close`].
    pub async fn close(mut self) {
        self.controls.stop.send_replace(true);
        let all_ended = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(CLOSING, all_ended).await.is_err() {
            tracing::debug!("signalling did not end in order in time");
        }
    }
}
