//! One portal: camera, encoder, link and screen. The link's state machine is the real one; what `session` does for it is done here.

use super::connection::{Connection, Setup};
use super::encoder::{ENCODING, Encoder, FPS, Picture, Wishes};
use super::peer::{Peer, PeerEvent};
use super::random::Random;
use super::screen::Screen;
use super::world::{Outbox, What};
use crate::link::session::{ADDRESS_TICKS, GRACE, SLOW_TICKS, TICK};
use crate::link::state::{Action, Event, Machine, Role};
use crate::ops::{FarCamera, Figures, LinkState, Slate};
use crate::signaling::{Message, SessionId};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// Opening sockets and gathering candidates.
const MAKING: Duration = Duration::from_millis(30);

thread_local! {
    /// The machine's chance is a function without a state of its own; so it is one of the thread that the world lives in.
    static CHANCE: Cell<u64> = const { Cell::new(0) };
}

fn chance() -> f64 {
    let mut random = Random::new(CHANCE.get());
    CHANCE.set(random.word());
    random.unit()
}

pub struct Portal {
    setup: Setup,
    base: Instant,
    random: Random,
    pub screen: Screen,
    pub encoder: Encoder,
    pub figures: Arc<Figures>,
    pub session: SessionId,
    machine: Machine,
    offers: bool,
    active: bool,
    peers: BTreeMap<u64, Peer>,
    using: Option<u64>,
    /// The newest connection that has delivered a keyframe: older ones deliver nothing more.
    newest: u64,
    wishes: Arc<Wishes>,
    /// Encoded pictures on their way to the link.
    encoding: VecDeque<(Instant, Picture)>,
    making: VecDeque<(Instant, u64, Message)>,
    next_capture: Instant,
    next_tick: Instant,
    ticks: u32,
    received: Option<Instant>,
    packets: u64,
    arrived: Option<Instant>,
    addresses_changed: bool,
    resumed: bool,
    events: Vec<PeerEvent>,
    /// Said through signalling, to be taken by the world.
    pub said: Vec<Message>,
    /// The machine doubts that signalling works; to be taken by the world.
    pub doubts: bool,
    /// Connections begun.
    pub attempts: u64,
}

impl Portal {
    pub fn new(setup: &Setup, offers: bool, random: &mut Random, base: Instant, now: Instant) -> Self {
        let mut random = random.fork();
        CHANCE.set(random.word());
        let role = if offers { Role::Offers } else { Role::Answers };
        Self {
            setup: *setup,
            base,
            screen: Screen::new(base, now),
            encoder: Encoder::new(random.fork(), setup.ceiling_bps, base),
            figures: Arc::default(),
            session: SessionId::random(),
            machine: Machine::new(role, chance, now),
            offers,
            active: false,
            peers: BTreeMap::new(),
            using: None,
            newest: 0,
            wishes: Arc::default(),
            encoding: VecDeque::new(),
            making: VecDeque::new(),
            // Two cameras are not in step.
            next_capture: now + Duration::from_secs_f64(random.unit() / f64::from(FPS)),
            next_tick: now,
            ticks: 0,
            received: None,
            packets: 0,
            arrived: None,
            addresses_changed: false,
            resumed: false,
            events: vec![],
            said: vec![],
            doubts: false,
            attempts: 0,
            random,
        }
    }

    /// The machine has slept for so long: its clock has not counted that.
    pub fn slept(&mut self, time: Duration) {
        self.screen.shift(time);
        self.encoder.shift(time);
        self.resumed = true;
    }

    pub fn target_mbps(&self) -> f64 {
        f64::from(self.wishes.target_bps.load(Relaxed)) / 1e6
    }

    pub fn state(&self, now: Instant) -> (LinkState, Slate) {
        let status = self.machine.status(now);
        (status.state, status.slate)
    }

    /// Something came from the network.
    pub fn receive(&mut self, key: u64, what: What, now: Instant, out: &mut Outbox) {
        if let Some((&id, peer)) = self.peers.iter_mut().find(|(_, peer)| peer.key == key) {
            peer.receive(what, now, out, &mut self.events);
            self.after_peer(id, now, out);
        }
        self.wake(now, out);
    }

    /// Something came from signalling, or about it.
    pub fn signal(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        self.handle(event, now, out);
        self.wake(now, out);
    }

    /// All sockets are useless from now on; the machine notices within a quarter of a second, if it is told at all.
    pub fn move_away(&mut self, noticed: bool) {
        self.peers.values_mut().for_each(|peer| peer.cut = true);
        self.addresses_changed = noticed;
    }

    /// Does what time demands.
    pub fn wake(&mut self, now: Instant, out: &mut Outbox) {
        if now >= self.next_capture {
            self.next_capture += Duration::from_secs(1) / FPS;
            // The queue between encoder and link holds one.
            let full = self.is_behind();
            let picture = if full { None } else { self.encoder.capture(self.active, &self.wishes, now) };
            self.encoding.extend(picture.map(|picture| (now + ENCODING, picture)));
        }
        while !self.is_behind()
            && let Some((_, picture)) = self.encoding.pop_front_if(|(done, _)| *done <= now)
        {
            if let Some(peer) = self.using.and_then(|id| self.peers.get_mut(&id)) {
                peer.media.send(&picture, now);
            }
        }
        while let Some((_, id, message)) = self.making.pop_front_if(|(done, ..)| *done <= now) {
            if self.peers.contains_key(&id) {
                self.said.push(message);
            }
        }
        if now >= self.next_tick {
            self.next_tick = now + TICK;
            self.tick(now, out);
        }
        let mut ids = [0; 8];
        let count = self.peers.keys().take(ids.len()).zip(&mut ids).map(|(id, place)| *place = *id).count();
        for id in &ids[..count] {
            if let Some(peer) = self.peers.get_mut(id) {
                peer.wake(now, out, &mut self.events);
                if peer.closes_at.is_some_and(|at| at <= now) {
                    peer.close(out);
                    self.peers.remove(id);
                }
                self.after_peer(*id, now, out);
            }
        }
    }

    /// Whether enough waits to be sent, as `outgoing` asks before it takes a picture.
    fn is_behind(&self) -> bool {
        self.using.and_then(|id| self.peers.get(&id)).is_some_and(|peer| peer.media.is_behind())
    }

    fn tick(&mut self, now: Instant, out: &mut Outbox) {
        self.ticks = (self.ticks + 1) % SLOW_TICKS;
        if std::mem::take(&mut self.resumed) {
            self.handle(Event::Resumed, now, out);
        }
        if self.ticks.is_multiple_of(ADDRESS_TICKS) && std::mem::take(&mut self.addresses_changed) {
            self.handle(Event::AddressesChanged { gone: true }, now, out);
        }
        if self.ticks == 0
            && let Some(peer) = self.using.and_then(|id| self.peers.get_mut(&id))
        {
            peer.say(What::Presence, now, out);
        }
        let heard = self.using.and_then(|id| self.peers.get(&id)).and_then(Peer::heard);
        let packets = self.figures.incoming.packets.get() + self.figures.incoming.reports.get();
        if std::mem::replace(&mut self.packets, packets) != packets {
            self.arrived = Some(now);
        }
        let (presented, received, arrived) = (self.screen.last(), self.received, self.arrived);
        self.handle(Event::Progress { presented, received, arrived, heard }, now, out);
    }

    /// Takes what a peer has to tell and to deliver.
    fn after_peer(&mut self, id: u64, now: Instant, out: &mut Outbox) {
        while let Some(unit) = self.peers.get_mut(&id).and_then(|peer| peer.media.poll_unit()) {
            self.received = Some(now);
            if unit.keyframe {
                self.newest = self.newest.max(id);
            }
            if id >= self.newest {
                self.screen.show(&unit.data, unit.keyframe, now);
            }
        }
        for event in std::mem::take(&mut self.events) {
            if self.peers.get(&id).is_none_or(|peer| peer.closes_at.is_some()) {
                continue;
            }
            let event = match event {
                PeerEvent::Connected => Event::Connected(id),
                PeerEvent::Path(found) => Event::Path(id, found),
                PeerEvent::Closed => Event::Closed(id, "the far end closed the connection".into()),
                PeerEvent::FarCameraRuns => Event::FarCamera(FarCamera::Running),
            };
            self.handle(event, now, out);
        }
    }

    fn handle(&mut self, event: Event, now: Instant, out: &mut Outbox) {
        for action in self.machine.handle(event, now) {
            self.act(action, now, out);
        }
    }

    fn act(&mut self, action: Action, now: Instant, out: &mut Outbox) {
        match action {
            Action::Offer { id, attempt } => {
                let key = self.make(id, None, now);
                self.making.push_back((now + MAKING, id, Message::Offer { attempt, sdp: key.to_string() }));
            }
            Action::Answer { id, attempt, sdp } => {
                let key = self.make(id, sdp.parse().ok(), now);
                // The far end has to know which of its attempts is meant: its own key comes back.
                self.making.push_back((now + MAKING, id, Message::Answer { attempt, sdp: key.to_string() }));
            }
            Action::Accept { id, sdp } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.far_key = sdp.parse().ok();
                }
            }
            Action::Use(id) => {
                self.using = Some(id);
                self.wishes.keyframe.store(true, Relaxed);
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.say(What::Presence, now, out);
                }
            }
            Action::Drop(id) => {
                if self.using == Some(id) {
                    self.using = None;
                }
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.closes_at.get_or_insert(now + GRACE);
                }
            }
            Action::Active(active) => self.active = active,
            Action::SendKeyframe => self.wishes.keyframe.store(true, Relaxed),
            Action::AskForKeyframe(id) => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.media.want_keyframe();
                }
            }
            Action::Say(reason) => self.said.push(Message::Bye { reason }),
            Action::DoubtSignaling => self.doubts = true,
            Action::Stalled => {}
        }
    }

    fn make(&mut self, id: u64, far_key: Option<u64>, now: Instant) -> u64 {
        self.attempts += 1;
        let key = self.random.word();
        let ssrcs = if self.offers { (11, 22) } else { (22, 11) };
        let first = self.random.word() as u16;
        let media = Connection::new(&self.setup, ssrcs, first, &self.wishes, &self.figures, self.base, now);
        self.peers.insert(id, Peer::new(key, far_key, self.offers, media, self.random.fork(), now));
        key
    }

    /// When [`Portal::wake`] should be called.
    pub fn next(&mut self, now: Instant) -> Instant {
        let encoded = self.encoding.front().map(|(done, _)| *done).filter(|_| !self.is_behind());
        let made = self.making.front().map(|(done, ..)| *done);
        let peers = self.peers.values_mut().map(|peer| peer.next(now));
        let others = [encoded, made, Some(self.next_tick)].into_iter().flatten();
        peers.chain(others).fold(self.next_capture, Instant::min)
    }
}
