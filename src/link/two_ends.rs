//! Two state machines and the network between them, for scenarios: what passes in which direction, what it takes to connect, and
//! signalling over a connection that may be dead without knowing it.

use super::state::{Action, Event, Machine, Role};
use crate::ops::{LinkState, Slate};
use crate::signaling::SessionId;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(10);
/// In minutes and hours nothing depends on less.
const LONG_STEP: Duration = Duration::from_millis(100);
/// One way.
const DELAY: Duration = Duration::from_millis(50);
/// ICE and DTLS, once both descriptions are known and packets pass both ways.
const CONNECTING: Duration = Duration::from_millis(300);
/// A new signalling connection, once packets pass: its first packet is repeated every 300 ms, and then there are three round trips.
const DIALLING: Duration = Duration::from_millis(600);
const TCP_REPEATS: Duration = Duration::from_millis(300);
const SIGNALING_SILENCE: Duration = Duration::from_secs(5);
const DOUBTED_SILENCE: Duration = Duration::from_secs(1);
const ICE_SILENCE: Duration = Duration::from_millis(600);
/// The machines are told of progress so often.
const TICK: Duration = Duration::from_millis(50);

/// What passes from the end with this number to the other.
pub(super) type Passes = [bool; 2];

/// One end.
pub(super) struct End {
    pub machine: Machine,
    session: SessionId,
    /// The attempt in use, and by which id.
    using: Option<u64>,
    ids: HashMap<u64, u64>,
    active: bool,
    pub presented: Option<Instant>,
    arrived: Option<Instant>,
    heard: Option<Instant>,
    ice_heard: Instant,
    ice_lost: bool,
    /// Sleeps: nothing is told to it, nothing comes from it.
    pub asleep: bool,
    pub offers: usize,
}

/// An attempt, made while the network was in its `era`.
struct Connection {
    era: u32,
    known: bool,
    open_for: Duration,
    up: bool,
}

/// A signalling connection.
struct Line {
    era: u32,
    dead_for: Duration,
    doubted: [bool; 2],
    doubted_for: Duration,
    queue: VecDeque<(Instant, usize, Event)>,
}

/// Both ends and the network.
pub(super) struct World {
    pub now: Instant,
    pub ends: [End; 2],
    connections: HashMap<u64, Connection>,
    line: Option<Line>,
    dialling: Option<Duration>,
    /// Which end dials.
    pub dialler: usize,
    /// What passes at all: of datagrams, and of signalling.
    pub udp: Passes,
    pub tcp: bool,
    /// Addresses or mappings: what was made in an earlier era passes only as `old` says.
    pub era: u32,
    pub old: Passes,
    step: Duration,
    tick_at: Instant,
}

impl World {
    /// Two ends that are live; end 0 offers.
    pub fn live(dialler: usize) -> Self {
        let now = Instant::now();
        let end = |role| End {
            machine: Machine::new(role, || 0.5, now),
            session: SessionId::random(),
            using: None,
            ids: HashMap::new(),
            active: false,
            presented: None,
            arrived: None,
            heard: None,
            ice_heard: now,
            ice_lost: false,
            asleep: false,
            offers: 0,
        };
        let mut world = Self {
            now,
            ends: [end(Role::Offers), end(Role::Answers)],
            connections: HashMap::new(),
            line: None,
            dialling: None,
            dialler,
            udp: [true; 2],
            tcp: true,
            era: 0,
            old: [true; 2],
            step: STEP,
            tick_at: now,
        };
        world.run(10.0);
        assert!(world.is_live(), "{:?}", world.states());
        world.ends.iter_mut().for_each(|end| end.offers = 0);
        world
    }

    /// The end's program or machine starts anew, without a goodbye.
    pub fn restart(&mut self, at: usize) {
        let (role, now) = ([Role::Offers, Role::Answers][at], self.now);
        let end = &mut self.ends[at];
        end.machine = Machine::new(role, || 0.5, now);
        end.session = SessionId::random();
        (end.using, end.active, end.presented, end.arrived, end.heard) = (None, false, None, None, None);
        (end.asleep, end.ice_lost) = (false, false);
        end.ids.clear();
        self.line = None;
    }

    /// Signalling's connection is not touched by what has just happened to the others.
    pub fn renew_line(&mut self) {
        let era = self.era;
        self.line.iter_mut().for_each(|line| line.era = era);
    }

    pub fn states(&self) -> [(LinkState, Slate); 2] {
        self.ends.each_ref().map(|end| {
            let status = end.machine.status(self.now);
            (status.state, status.slate)
        })
    }

    /// Whether both see each other, in pictures of the last 100 ms, and will go on to.
    pub fn is_live(&self) -> bool {
        let fresh = |end: &End| end.presented.is_some_and(|at| self.now - at < Duration::from_millis(100));
        let carried = |from: usize| {
            let using = self.ends[from].using.filter(|using| self.ends[1 - from].ids.contains_key(using));
            using.is_some_and(|using| self.passes(self.connections[&using].era, from))
        };
        (0..2).all(carried) && self.ends.iter().all(fresh) && self.states() == [(LinkState::Live, Slate::Hidden); 2]
    }

    /// How long it takes until both see each other; `limit` at the most, in seconds.
    pub fn until_live(&mut self, limit: f64) -> f64 {
        let start = self.now;
        while !self.is_live() && (self.now - start).as_secs_f64() < limit {
            self.step();
        }
        (self.now - start).as_secs_f64()
    }

    pub fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        self.step = if seconds > 10.0 { LONG_STEP } else { self.step };
        while self.now < end {
            self.step();
        }
        self.step = STEP;
    }

    pub fn event(&mut self, at: usize, event: Event) {
        if self.ends[at].asleep {
            return;
        }
        for action in self.ends[at].machine.handle(event, self.now) {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        match action {
            Action::Offer { id, attempt } => {
                self.ends[at].offers += 1;
                self.ends[at].ids.insert(attempt, id);
                let made = Connection { era: self.era, known: false, open_for: Duration::ZERO, up: false };
                self.connections.insert(attempt, made);
                self.say(at, Event::Offer { attempt, sdp: String::new() });
            }
            Action::Answer { id, attempt, .. } => {
                self.ends[at].ids.insert(attempt, id);
                self.say(at, Event::Answer { attempt, sdp: String::new() });
            }
            Action::Accept { id, .. } => {
                if let Some(attempt) = self.attempt(at, id) {
                    self.connections.get_mut(&attempt).unwrap().known = true;
                }
            }
            Action::Use(id) => {
                let attempt = self.attempt(at, id);
                let end = &mut self.ends[at];
                (end.using, end.ice_heard, end.ice_lost) = (attempt, self.now, false);
            }
            Action::Drop(id) => {
                let attempt = self.attempt(at, id);
                self.ends[at].ids.retain(|_, other| *other != id);
                if self.ends[at].using == attempt {
                    self.ends[at].using = None;
                }
            }
            Action::Active(active) => self.ends[at].active = active,
            Action::Say(reason) => self.say(at, Event::Bye(reason)),
            Action::DoubtSignaling => {
                if let Some(line) = &mut self.line {
                    line.doubted[at] = true;
                }
                if at == self.dialler {
                    self.dialling.get_or_insert(Duration::ZERO);
                }
            }
            Action::SendKeyframe | Action::AskForKeyframe(_) | Action::Stalled => {}
        }
    }

    fn attempt(&self, at: usize, id: u64) -> Option<u64> {
        self.ends[at].ids.iter().find(|(_, other)| **other == id).map(|(attempt, _)| *attempt)
    }

    fn say(&mut self, from: usize, event: Event) {
        let due = self.now + DELAY;
        if let Some(line) = &mut self.line {
            line.queue.push_back((due, 1 - from, event));
        }
    }

    /// Whether packets of something made in `era` pass from an end to the other.
    fn passes(&self, era: u32, from: usize) -> bool {
        self.udp[from] && (era == self.era || self.old[from]) && self.ends.iter().all(|end| !end.asleep)
    }

    fn line_passes(&self, era: u32) -> bool {
        self.tcp && (era == self.era || self.old == [true; 2]) && self.ends.iter().all(|end| !end.asleep)
    }

    fn step(&mut self) {
        self.now += self.step;
        self.signal();
        self.connect();
        self.carry();
        if self.now >= self.tick_at {
            self.tick_at = self.now + TICK;
            for at in 0..2 {
                let End { presented, arrived, heard, .. } = self.ends[at];
                self.event(at, Event::Progress { presented, received: presented, arrived, heard });
            }
        }
    }

    /// Signalling: messages, its own death, and dialling.
    fn signal(&mut self) {
        if let Some(era) = self.line.as_ref().map(|line| line.era) {
            let passes = self.line_passes(era);
            let (line, step) = (self.line.as_mut().unwrap(), self.step);
            if passes {
                if line.dead_for > Duration::ZERO {
                    line.queue.iter_mut().for_each(|(due, ..)| *due = (*due).max(self.now + TCP_REPEATS));
                }
                (line.dead_for, line.doubted_for, line.doubted) = (Duration::ZERO, Duration::ZERO, [false; 2]);
                if let Some((_, to, event)) = line.queue.pop_front_if(|(due, ..)| *due <= self.now) {
                    self.event(to, event);
                }
            } else {
                line.dead_for += step;
                line.doubted_for += if line.doubted == [false; 2] { Duration::ZERO } else { step };
                if line.dead_for >= SIGNALING_SILENCE || line.doubted_for >= DOUBTED_SILENCE {
                    self.line = None;
                    (0..2).for_each(|at| self.event(at, Event::SignalingDown("it has fallen silent".into())));
                }
            }
        }
        if self.line.is_none() {
            self.dialling.get_or_insert(Duration::ZERO);
        }
        if self.line_passes(self.era)
            && let Some(dialling) = &mut self.dialling
        {
            *dialling += self.step;
            if *dialling >= DIALLING {
                self.dialling = None;
                let before = self.line.take();
                self.line = Some(Line {
                    era: self.era,
                    dead_for: Duration::ZERO,
                    doubted: [false; 2],
                    doubted_for: Duration::ZERO,
                    queue: VecDeque::new(),
                });
                for at in 0..2 {
                    let session = self.ends[1 - at].session;
                    if before.as_ref().is_none_or(|before| before.doubted[at]) {
                        self.event(at, Event::SignalingUp(session));
                    }
                }
            }
        }
    }

    fn connect(&mut self) {
        let attempts: Vec<u64> = self.connections.keys().copied().collect();
        for attempt in attempts {
            let connection = &self.connections[&attempt];
            let both = self.ends.iter().all(|end| end.ids.contains_key(&attempt));
            if !both && connection.known {
                // One end has dropped it.
                if self.ends.iter().all(|end| !end.ids.contains_key(&attempt)) {
                    self.connections.remove(&attempt);
                }
                continue;
            }
            let open = (0..2).all(|from| self.passes(connection.era, from));
            if connection.up || !connection.known || !open {
                continue;
            }
            let connection = self.connections.get_mut(&attempt).unwrap();
            connection.open_for += self.step;
            if connection.open_for >= CONNECTING {
                connection.up = true;
                for at in 0..2 {
                    let id = self.ends[at].ids[&attempt];
                    self.event(at, Event::Connected(id));
                }
            }
        }
    }

    /// Pictures, ICE's checks and pings.
    fn carry(&mut self) {
        for to in 0..2 {
            let from = 1 - to;
            let now = self.now;
            if let Some(sent) = self.ends[from].using.filter(|sent| self.ends[to].ids.contains_key(sent))
                && self.passes(self.connections[&sent].era, from)
            {
                self.ends[to].arrived = Some(now);
                if self.ends[from].active {
                    self.ends[to].presented = Some(now);
                }
            }
            let Some(using) = self.ends[to].using else { continue };
            let era = self.connections[&using].era;
            // With the mapping of an earlier era, what the far end sends comes from an address that ICE does not take for it; the
            // answers to our own checks find their way.
            let there = self.ends[from].ids.contains_key(&using);
            let rebound = era != self.era && self.old[0] != self.old[1];
            let alive = there && if rebound { self.old[to] && self.udp == [true; 2] } else { self.passes(era, from) };
            if alive && self.passes(era, to) {
                self.ends[to].heard = Some(now);
            }
            let end = &mut self.ends[to];
            end.ice_heard = if alive { now } else { end.ice_heard };
            let lost = now - end.ice_heard >= ICE_SILENCE;
            if std::mem::replace(&mut end.ice_lost, lost) != lost {
                let id = end.ids[&using];
                self.event(to, Event::Path(id, !lost));
            }
        }
    }
}
