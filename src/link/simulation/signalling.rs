//! The line between the two portals' signalling, over the same path: it knows late that it is dead, and is dialled again.

use super::random::Random;
use crate::link::state::Event;
use crate::signaling::{Message, SessionId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// As in `signaling`: nothing comes for so long, and the line is dead. While it is doubted, a new one is dialled beside it.
const SILENCE: Duration = Duration::from_secs(5);
/// Dialling, the handshake included, once packets pass: with back-off, so that it may take a while. In seconds.
const DIALLING: (f64, f64) = (0.15, 0.8);
/// A lost packet is repeated after this.
const REPEAT: Duration = Duration::from_millis(250);

/// What both ends have now.
#[derive(Clone, Copy, Debug)]
enum State {
    /// It will be up at that time if packets pass until then.
    Down(Option<Instant>),
    Up {
        sessions: [SessionId; 2],
        /// Packets have not passed since then.
        dead: Option<Instant>,
        /// One end's address is gone: no packet of this line will ever pass.
        cut: bool,
        /// Somebody doubts that the line works.
        doubted: bool,
        /// A new one will be there then.
        redialled: Option<Instant>,
    },
}

pub struct Signalling {
    random: Random,
    state: State,
    /// When, to whom, what.
    queue: VecDeque<(Instant, usize, Message)>,
    /// The service itself is there.
    pub available: bool,
}

impl Signalling {
    pub fn new(random: Random) -> Self {
        Self { random, state: State::Down(None), queue: VecDeque::new(), available: true }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// An end says something. Without a line it is lost.
    pub fn say(&mut self, to: usize, message: Message, delay: Duration, loss: f64, now: Instant) {
        if self.is_up() {
            let repeats = (0..5).take_while(|_| self.random.chance(loss)).count() as u32;
            let at = (now + delay + REPEAT * repeats).max(self.queue.back().map_or(now, |last| last.0));
            self.queue.push_back((at, to, message));
        }
    }

    /// The line is gone at once, and both ends know: the service, or one of the programs, has ended in order.
    pub fn hang_up(&mut self, events: &mut Vec<(usize, Event)>) {
        if self.is_up() {
            self.state = State::Down(None);
            self.queue.clear();
            events.extend([0, 1].map(|end| (end, Event::SignalingDown("hung up".into()))));
        }
    }

    /// The line's packets do not pass any more, and neither end knows.
    pub fn cut(&mut self) {
        if let State::Up { cut, .. } = &mut self.state {
            *cut = true;
        }
    }

    /// An end doubts that the line works.
    pub fn doubt(&mut self) {
        if let State::Up { doubted, .. } = &mut self.state {
            *doubted = true;
        }
    }

    fn connect(&mut self, sessions: [SessionId; 2], events: &mut Vec<(usize, Event)>) {
        self.state = State::Up { sessions, dead: None, cut: false, doubted: false, redialled: None };
        events.extend([(0, Event::SignalingUp(sessions[1])), (1, Event::SignalingUp(sessions[0]))]);
    }

    /// To be called often. `sessions` are those of the ends that run; `passes`: packets get through both ways.
    pub fn wake(
        &mut self,
        sessions: [Option<SessionId>; 2],
        passes: bool,
        now: Instant,
        events: &mut Vec<(usize, Event)>,
    ) {
        let passes = passes && self.available;
        let all = match sessions {
            [Some(first), Some(second)] if passes => Some([first, second]),
            _ => None,
        };
        let dialled = now + Duration::from_secs_f64(self.random.within(DIALLING.0, DIALLING.1));
        match &mut self.state {
            State::Down(due) => match all {
                None => *due = None,
                Some(sessions) => {
                    if *due.get_or_insert(dialled) <= now {
                        self.connect(sessions, events);
                    }
                }
            },
            State::Up { sessions: used, dead, cut, doubted, redialled } => {
                let works = all == Some(*used) && !*cut;
                let since = *dead.get_or_insert(now);
                if works {
                    (*dead, *doubted, *redialled) = (None, false, None);
                    return self.deliver(now, events);
                }
                // An end that was started anew dials at once, and the far end takes that line.
                let wanted = all.filter(|sessions| *doubted || sessions != used);
                *redialled = wanted.map(|_| redialled.unwrap_or(dialled));
                if let (Some(sessions), true) = (wanted, redialled.is_some_and(|at| at <= now)) {
                    self.queue.clear();
                    self.connect(sessions, events);
                } else if now.saturating_duration_since(since) >= SILENCE {
                    self.hang_up(events);
                }
            }
        }
    }

    fn deliver(&mut self, now: Instant, events: &mut Vec<(usize, Event)>) {
        while let Some((_, to, message)) = self.queue.pop_front_if(|(at, ..)| *at <= now) {
            let event = match message {
                Message::Offer { attempt, sdp } => Event::Offer { attempt, sdp },
                Message::Answer { attempt, sdp } => Event::Answer { attempt, sdp },
                Message::Bye { reason } => Event::Bye(reason),
                // The emulated connections know each other's address at once.
                Message::Candidate { .. } => continue,
            };
            events.push((to, event));
        }
    }
}
