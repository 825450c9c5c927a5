//! The task that feeds the state machine and does what it says.

use super::ice::trickle::Early;
use super::incoming::Delivery;
use super::outgoing::{self, Path};
use super::own::Introductions;
use super::peer::{self, Peer, Setup};
use super::sleep::SleepWatch;
use super::state::{Action, Event, Machine, Role};
use super::{Command, Error, Ports, Status, addresses, control, sdp};
use crate::hours::Announced;
use crate::ops::{self, Figures};
use crate::signaling::{self, Goodbye, Message};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};

/// How often presented pictures are looked for: the picture's absence is noticed with this much delay at most.
pub(super) const TICK: Duration = Duration::from_millis(50);
/// How often the machine's addresses are looked at, in ticks: four times a second, at less than 0.3 ms each.
pub(super) const ADDRESS_TICKS: u32 = 5;
/// How often the far end is told who we are, in ticks: once a second.
pub(super) const SLOW_TICKS: u32 = 20;
/// A replaced connection goes on receiving for this long, until the new one delivers.
pub(super) const GRACE: Duration = Duration::from_millis(400);
/// Time for a goodbye to leave before the connection is closed.
const GOODBYE: Duration = Duration::from_millis(30);

/// A connection that was made, with what is to be sent to the far end, or why it could not be made.
type Made = (u64, Result<(Arc<Peer>, Message), Error>);

/// The running link.
pub(super) struct Session {
    setup: Arc<Setup>,
    machine: Machine,
    role: Role,
    ports: Ports,
    own: Introductions,
    /// Connections that are made, and the tasks that are making some.
    peers: HashMap<u64, Arc<Peer>>,
    making: HashMap<u64, AbortHandle>,
    /// The number by which the far end knows each of these, and its candidates for those that are still being made.
    numbers: HashMap<u64, u64>,
    early: Early,
    /// The one in use.
    using: Option<u64>,
    made: mpsc::Sender<Made>,
    paths: watch::Sender<Option<Path>>,
    path: Option<Path>,
    received: Last,
    arrived: Last,
    addresses: Vec<IpAddr>,
    far_site: Option<String>,
    far_hours: Option<Vec<Announced>>,
    /// The way that packets take, looked at once a second.
    ways: Option<ops::Path>,
    shown: Status,
}

/// When a counter last moved.
#[derive(Default)]
struct Last {
    count: u64,
    at: Option<Instant>,
}

impl Last {
    fn seen(&mut self, count: u64, now: Instant) -> Option<Instant> {
        if std::mem::replace(&mut self.count, count) != count {
            self.at = Some(now);
        }
        self.at
    }
}

/// What the session waits for.
pub(super) struct Inputs {
    pub commands: mpsc::Receiver<Command>,
    pub peer_events: mpsc::Receiver<(u64, peer::Event)>,
}

impl Session {
    /// Runs until it is told to close.
    pub async fn run(setup: Arc<Setup>, role: Role, mut ports: Ports, own: Introductions, mut inputs: Inputs) {
        let (made, mut makings) = mpsc::channel(8);
        let (paths, paths_out) = watch::channel(None);
        // Only this task reads from it, so an empty one takes its place in the ports.
        let (_, nothing) = mpsc::channel(1);
        let (_, no_events) = mpsc::channel(1);
        let units = std::mem::replace(&mut ports.units_out, nothing);
        let mut signals = std::mem::replace(&mut ports.signaling.1, no_events);
        // Ends with this task, however that ends.
        let mut sending = JoinSet::new();
        let era = ports.eras.own.clone();
        sending.spawn(outgoing::run(units, paths_out, ports.on_held.clone(), era, setup.figures.clone(), setup.clock));
        let now = Instant::now();
        let mut session = Self {
            machine: Machine::new(role, rand::random, now),
            setup,
            role,
            ports,
            own,
            peers: HashMap::new(),
            making: HashMap::new(),
            numbers: HashMap::new(),
            early: Early::default(),
            using: None,
            made,
            paths,
            path: None,
            received: Last::default(),
            arrived: Last::default(),
            addresses: Vec::new(),
            far_site: None,
            far_hours: None,
            ways: None,
            shown: Status::default(),
        };
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        session.addresses = session.local_addresses();
        let mut sleep = SleepWatch::new();
        let mut tick_count = 0;
        session.show();
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    session.figures().pulse.link.one();
                    tick_count = (tick_count + 1) % SLOW_TICKS;
                    if let Some(slept) = sleep.slept() {
                        session.resumed(slept).await;
                    }
                    if tick_count % ADDRESS_TICKS == 0 {
                        session.look_at_addresses().await;
                    }
                    if tick_count == 0 {
                        // Said again and again: the first words are lost when the far end's channel opens later than ours.
                        session.introduce().await;
                        session.look_at_path().await;
                    }
                    session.progress().await;
                }
                Some(signal) = signals.recv() => session.signal(signal).await,
                Some((id, event)) = inputs.peer_events.recv() => session.peer_event(id, event).await,
                Some((id, result)) = makings.recv() => session.take_made(id, result).await,
                Ok(()) = session.own.changed() => session.own_changed().await,
                command = inputs.commands.recv() => match command {
                    Some(Command::Reconnect) => session.handle(Event::Reconnect).await,
                    Some(Command::RequestKeyframe) => {
                        if let Some(peer) = session.used() {
                            peer.request_keyframe();
                        }
                    }
                    Some(Command::Close) | None => break,
                },
            }
            session.show();
        }
        session.close().await;
    }

    fn local_addresses(&self) -> Vec<IpAddr> {
        addresses::local(&self.setup.config.addresses, self.setup.config.loopback)
    }

    async fn look_at_addresses(&mut self) {
        let found = self.local_addresses();
        if found == self.addresses {
            return;
        }
        let before = std::mem::replace(&mut self.addresses, found);
        let used = match self.used() {
            Some(peer) => peer.local_address().await,
            None => None,
        };
        let gone = used.is_some_and(|used| before.contains(&used) && !self.addresses.contains(&used));
        tracing::info!(addresses = ?self.addresses, gone, "this machine's addresses have changed");
        self.handle(Event::AddressesChanged { gone }).await;
    }

    async fn resumed(&mut self, slept: Duration) {
        tracing::info!(?slept, "this machine has slept");
        for peer in self.peers.values() {
            peer.forget_clocks();
        }
        self.handle(Event::Resumed).await;
    }

    fn figures(&self) -> &Figures {
        &self.setup.figures
    }

    fn used(&self) -> Option<&Arc<Peer>> {
        self.peers.get(&self.using?)
    }

    /// Tells the rest of the portal if something has changed.
    fn show(&mut self) {
        let (far_site, far_hours) = (self.far_site.clone(), self.far_hours.clone());
        let status = Status { far_site, far_hours, path: self.ways, ..self.machine.status(Instant::now()) };
        if status != self.shown {
            if status.state != self.shown.state {
                let words = status.state.words();
                tracing::info!(state = ?status.state, slate = ?status.slate, trouble = status.trouble, "link: {words}");
            }
            self.shown = status.clone();
            (self.ports.on_view)(status);
        }
    }

    async fn look_at_path(&mut self) {
        self.ways = match self.used().cloned() {
            Some(peer) => peer.ways().await,
            None => None,
        };
    }

    async fn progress(&mut self) {
        let (now, figures) = (Instant::now(), self.setup.figures.clone());
        let received = self.received.seen(figures.incoming.received.get(), now);
        let packets = figures.incoming.packets.get().wrapping_add(figures.incoming.reports.get());
        let arrived = self.arrived.seen(packets, now);
        let heard = self.used().and_then(|peer| peer.heard());
        self.handle(Event::Progress { presented: figures.last_presented(), received, arrived, heard }).await;
    }

    async fn signal(&mut self, signal: signaling::Event) {
        let event = match signal {
            signaling::Event::Up { session } => Event::SignalingUp(session),
            signaling::Event::Down { reason } | signaling::Event::Unreachable { reason } => {
                Event::SignalingDown(reason)
            }
            signaling::Event::Message(Message::Offer { attempt, sdp }) => {
                if self.role == Role::Offers {
                    tracing::debug!(attempt, "the far end offers, although its fingerprint is the larger one");
                    return self.figures().link.rejected_messages.one();
                }
                if !self.pinned(&sdp) {
                    return;
                }
                Event::Offer { attempt, sdp }
            }
            signaling::Event::Message(Message::Answer { attempt, sdp }) => {
                if !self.pinned(&sdp) {
                    return;
                }
                Event::Answer { attempt, sdp }
            }
            signaling::Event::Message(Message::Candidate { attempt, candidate }) => {
                return self.take_candidate(attempt, candidate).await;
            }
            signaling::Event::Message(Message::Bye { reason }) => Event::Bye(reason),
        };
        self.handle(event).await;
    }

    /// Whether a description announces the pinned certificate. One that does not is counted and logged, and touches nothing.
    fn pinned(&self, sdp: &str) -> bool {
        let Err(error) = sdp::check_fingerprint(sdp, self.setup.pinned) else { return true };
        self.figures().link.rejected_identities.one();
        tracing::warn!(%error, "refused a session description");
        false
    }

    async fn peer_event(&mut self, id: u64, event: peer::Event) {
        if !self.peers.contains_key(&id) {
            return;
        }
        match event {
            peer::Event::Connected => self.handle(Event::Connected(id)).await,
            peer::Event::Path(found) => self.handle(Event::Path(id, found)).await,
            peer::Event::Closed(reason) => self.handle(Event::Closed(id, reason.into())).await,
            peer::Event::Candidate(candidate) => self.say_candidate(id, candidate),
            peer::Event::ChannelOpen => {
                self.own.begin_anew();
                self.introduce().await;
            }
            peer::Event::Control(control::Message::Presence { site, camera, hours, .. }) => {
                self.far_site = (!site.is_empty()).then_some(site);
                self.far_hours = hours.or(self.far_hours.take());
                self.handle(Event::FarCamera(camera)).await;
            }
            peer::Event::Control(control::Message::Goodbye) => self.handle(Event::Bye(Goodbye::Off)).await,
            // Answered and measured by the peer itself.
            peer::Event::Control(control::Message::Ping { .. } | control::Message::Pong { .. }) => {}
        }
    }

    async fn take_made(&mut self, id: u64, result: Result<(Arc<Peer>, Message), Error>) {
        if self.making.remove(&id).is_none() {
            return;
        }
        match result {
            Ok((peer, message)) => {
                self.peers.insert(id, peer.clone());
                self.say(message);
                for candidate in peer.release_candidates() {
                    self.say_candidate(id, candidate);
                }
                for candidate in self.early.take(id) {
                    peer.add_candidate(candidate).await;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no connection could be made");
                self.handle(Event::Closed(id, error.to_string())).await;
            }
        }
    }

    async fn own_changed(&mut self) {
        if self.own.take_news() {
            self.handle(Event::Private(self.own.is_shut())).await;
            self.choose_path();
            if !self.own.is_shut() {
                (self.ports.on_keyframe_request)();
            }
        }
        self.introduce().await;
    }

    /// Says who we are and whether there is something to see.
    async fn introduce(&mut self) {
        if let Some(peer) = self.used().cloned() {
            peer.say(&self.own.message()).await;
        }
    }

    /// While we are private or closed, nothing is sent, whatever the encoder still has.
    fn choose_path(&self) {
        let path = self.path.clone().filter(|_| !self.own.is_shut());
        self.paths.send_replace(path);
    }

    /// A candidate of the far end, for the attempt that it belongs to, if that is not over.
    async fn take_candidate(&mut self, attempt: u64, candidate: String) {
        let id = self.numbers.iter().find(|(_, number)| **number == attempt).map(|(id, _)| *id);
        match id.map(|id| (id, self.peers.get(&id).cloned())) {
            Some((_, Some(peer))) => peer.add_candidate(candidate).await,
            Some((id, None)) => self.early.keep(id, candidate),
            None => {}
        }
    }

    fn say_candidate(&self, id: u64, candidate: String) {
        if let Some(&attempt) = self.numbers.get(&id) {
            self.say(Message::Candidate { attempt, candidate });
        }
    }

    fn say(&self, message: Message) {
        if let Err(error) = self.ports.signaling.0.try_send(message) {
            // The attempt's watchdog covers it.
            tracing::debug!(%error, "signalling takes no message now");
        }
    }

    async fn handle(&mut self, event: Event) {
        for action in self.machine.handle(event, Instant::now()) {
            self.act(action).await;
        }
    }

    async fn act(&mut self, action: Action) {
        match action {
            Action::Offer { id, attempt } => {
                let setup = self.setup.clone();
                self.make(id, attempt, async move {
                    let peer = Peer::new(&setup, id).await?;
                    let sdp = peer.offer().await?;
                    Ok((Arc::new(peer), Message::Offer { attempt, sdp }))
                });
            }
            Action::Answer { id, attempt, sdp } => {
                let setup = self.setup.clone();
                self.make(id, attempt, async move {
                    let peer = Peer::new(&setup, id).await?;
                    let sdp = peer.answer(sdp).await?;
                    Ok((Arc::new(peer), Message::Answer { attempt, sdp }))
                });
            }
            Action::Accept { id, sdp } => {
                let Some(peer) = self.peers.get(&id) else { return };
                if let Err(error) = peer.accept(sdp).await {
                    tracing::warn!(%error, "the far end's answer cannot be used");
                    // Told as if it came from the connection: the machine is busy with the action that led here.
                    let _ = self.setup.events.try_send((id, peer::Event::Closed("the answer cannot be used")));
                }
            }
            Action::Use(id) => self.use_peer(id).await,
            Action::Drop(id) => self.drop_peer(id),
            Action::Active(active) => (self.ports.on_active)(active),
            Action::SendKeyframe => (self.ports.on_keyframe_request)(),
            Action::AskForKeyframe(id) => {
                if let Some(peer) = self.peers.get(&id) {
                    peer.request_keyframe();
                }
            }
            Action::Say(reason) => self.say(Message::Bye { reason }),
            Action::DoubtSignaling => (self.ports.on_doubt)(),
            Action::Stalled => self.figures().link.stalls.one(),
        }
    }

    fn make(
        &mut self,
        id: u64,
        attempt: u64,
        making: impl Future<Output = Result<(Arc<Peer>, Message), Error>> + Send + 'static,
    ) {
        tracing::debug!(connection = id, attempt, "connecting");
        self.figures().link.attempts.one();
        let made = self.made.clone();
        let task = tokio::spawn(async move {
            let result = making.await;
            // Fails only when the link has ended.
            let _ = made.send((id, result)).await;
        });
        self.making.insert(id, task.abort_handle());
        self.numbers.insert(id, attempt);
    }

    async fn use_peer(&mut self, id: u64) {
        let Some(peer) = self.peers.get(&id).cloned() else { return };
        match peer.path().await {
            Ok(path) => {
                self.using = Some(id);
                self.path = Some(path);
                self.choose_path();
                self.look_at_path().await;
                self.figures().connected(Instant::now());
                // Pictures that were sent before the far end had finished its handshake are lost.
                (self.ports.on_keyframe_request)();
                self.introduce().await;
            }
            Err(error) => {
                tracing::warn!(%error, "connected, but no pictures can be sent");
                let _ = self.setup.events.try_send((id, peer::Event::Closed("nothing can be sent")));
            }
        }
    }

    fn drop_peer(&mut self, id: u64) {
        self.numbers.remove(&id);
        self.early.take(id);
        if let Some(making) = self.making.remove(&id) {
            making.abort();
        }
        if self.using == Some(id) {
            self.using = None;
            self.ways = None;
            self.path = None;
            self.choose_path();
        }
        if let Some(peer) = self.peers.remove(&id) {
            tokio::spawn(async move {
                tokio::time::sleep(GRACE).await;
                peer.close().await;
            });
        }
    }

    /// Says goodbye and takes everything down; bounded in time by the peers' own close.
    async fn close(&mut self) {
        if let Some(peer) = self.used() {
            // Twice, because one may be lost.
            peer.say(&control::Message::Goodbye).await;
            peer.say(&control::Message::Goodbye).await;
        }
        let peers: Vec<_> = self.peers.drain().map(|(_, peer)| peer).collect();
        self.handle(Event::Close).await;
        self.show();
        tokio::time::sleep(GOODBYE).await;
        let closings: Vec<_> = peers.into_iter().map(|peer| tokio::spawn(async move { peer.close().await })).collect();
        for closing in closings {
            // A panic in there has nothing to tell us at the end.
            let _ = closing.await;
        }
    }
}

/// The delivery of all attempts to one decoder.
pub(super) fn delivery(ports: &Ports) -> Arc<Delivery> {
    Arc::new(Delivery::new(ports.units_in.clone(), ports.eras.far.clone()))
}
