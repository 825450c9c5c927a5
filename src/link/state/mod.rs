//! The link's state machine: pure, with events and time as arguments and actions as results.
//!
//! It knows at most two peer connections: the *current* one, through which pictures flow or flowed, and the *next* one, which is
//! being made. A new connection is made beside the old one and takes over once it is up: if the old path comes back first,
//! nothing was lost, and after an outage it is back within a packet's time, without a handshake. (That is why there is no ICE
//! restart: `rtc` forgets the old path as soon as it offers a restart, and while signalling is down too the restart cannot
//! complete.)
//!
//! The current connection is *doubted*, and a new one begun beside it, when
//!
//! | | after |
//! |---|---|
//! | the address of ours that it uses is gone, or this machine has slept | at once |
//! | ICE hears nothing of the far end: 0.6 s, and then | 0.25 s |
//! | pictures are to be expected, and no packet at all comes | 0.7 s |
//! | pictures are to be expected, and none comes whole; or there are none to be expected, and no ping is answered | 3 s |
//! | pictures flow, and no ping is answered | 5 s |
//!
//! So a path that lives in one direction only is seen by at least one end. With each such attempt signalling is doubted too: it
//! may be as dead as the path and not know it, and dials anew beside what it has. Attempts that nobody answers are dropped when
//! the path is back; else they go on with back-off, 0.5 s doubling to 15 s, for ever; what changes for the better (signalling is
//! up, other addresses, the operator's wish) ends every wait. One that had a path and lost it before
//! it was up, as when a NAT forgets its mappings meanwhile, is begun anew at once.
//!
//! | no picture for | what is shown and asked |
//! |---|---|
//! | 1 s | a keyframe is asked for, each second again; the slate says "paused" |
//! | 6 s | the link counts as down |
//!
//! *Alive* means that a remote picture was presented within the last second. While the far end says that it has no picture to
//! send (camera missing or private), it means that it answered a ping within the last two. Pictures that come but are not
//! presented (our display is the trouble) cost the state "live", not the connection.
//!
//! Only the portal with the smaller fingerprint offers; the other asks it to, by saying `Bye { Reconnect }`. Attempts are
//! numbered by the offering side; what belongs to another than the newest is ignored.
//!
//! `attempts` has the two connections, `life` what counts as a sign of life and what is shown; the scenarios are in
//! `state_tests`, `absence_tests` and `return_tests`.

mod attempts;
mod life;

use super::backoff;
use super::status::Status;
use crate::ops::{FarCamera, LinkState, Slate};
use crate::signaling::{Goodbye, SessionId};
use attempts::{Current, Next};
use std::time::{Duration, Instant};

/// Who offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Offers,
    Answers,
}

/// What happens to the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The far end can be talked to. The same session again: what was said lately may be lost.
    SignalingUp(SessionId),
    /// It cannot be; why, for people.
    SignalingDown(String),
    /// An offer with the pinned fingerprint.
    Offer { attempt: u64, sdp: String },
    /// An answer with the pinned fingerprint.
    Answer { attempt: u64, sdp: String },
    /// The far end ends something.
    Bye(Goodbye),
    /// The far end's camera, as it says.
    FarCamera(FarCamera),
    /// A connection is up and its certificate is the pinned one.
    Connected(u64),
    /// A connection has lost or found its path.
    Path(u64, bool),
    /// A connection is over, or could not be made; why, for people.
    Closed(u64, String),
    /// When a remote picture was last presented, a unit last received whole, a packet of it (or a report on ours) last arrived, a
    /// ping last answered.
    Progress { presented: Option<Instant>, received: Option<Instant>, arrived: Option<Instant>, heard: Option<Instant> },
    /// Our privacy key: while it holds, nothing is presented here, which is no reason to worry.
    Private(bool),
    /// The operator wants a new connection.
    Reconnect,
    /// This machine's addresses have changed; whether the one that the current connection uses is gone.
    AddressesChanged { gone: bool },
    /// This machine has slept: time has passed that no clock of ours has counted.
    Resumed,
    /// The program ends.
    Close,
}

/// What is to be done. Connections are named by an id of their own, which is never used twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Make a connection and offer it.
    Offer { id: u64, attempt: u64 },
    /// Make a connection and answer the offer.
    Answer { id: u64, attempt: u64, sdp: String },
    /// Take the answer.
    Accept { id: u64, sdp: String },
    /// Send pictures through this connection, beginning with a keyframe, and say who we are.
    Use(u64),
    /// Close a connection.
    Drop(u64),
    /// Whether pictures can be sent at all.
    Active(bool),
    /// Send a keyframe without being asked: the path is back.
    SendKeyframe,
    /// Ask the far end for a keyframe.
    AskForKeyframe(u64),
    /// Tell the far end through signalling.
    Say(Goodbye),
    /// Signalling may be dead without knowing it: it is to make sure of its connection, and to dial anew beside it.
    DoubtSignaling,
    /// The picture has stopped; to be counted.
    Stalled,
}

/// The state of the link. See the module's documentation.
#[derive(Debug)]
pub(super) struct Machine {
    role: Role,
    random: fn() -> f64,
    started: Instant,
    signaling: bool,
    session: Option<SessionId>,
    /// The newest attempt offered or seen.
    attempt: u64,
    last_id: u64,
    current: Option<Current>,
    next: Option<Next>,
    /// Attempts since the link was last well.
    failures: u32,
    /// Not before this the next attempt.
    retry_at: Instant,
    presented: Option<Instant>,
    received: Option<Instant>,
    arrived: Option<Instant>,
    heard: Option<Instant>,
    /// Signs of life from before this do not count.
    resumed: Instant,
    far_camera: FarCamera,
    /// Shown while the far end had no picture to give; stays until the first one after that has come.
    absent: Option<Slate>,
    private: bool,
    /// When it last changed whether pictures are to be expected.
    camera_changed: Instant,
    far_off: bool,
    /// The current connection has been alive.
    was_live: bool,
    /// Since when it has been, without a break.
    alive_since: Option<Instant>,
    /// When a keyframe was last asked for during this stall.
    asked: Option<Instant>,
    active: bool,
    closed: bool,
    trouble: Option<String>,
}

impl Machine {
    /// `random` gives numbers from 0 to 1, for jitter.
    pub fn new(role: Role, random: fn() -> f64, now: Instant) -> Self {
        Self {
            role,
            random,
            started: now,
            signaling: false,
            session: None,
            attempt: 0,
            last_id: 0,
            current: None,
            next: None,
            failures: 0,
            retry_at: now,
            presented: None,
            received: None,
            arrived: None,
            heard: None,
            resumed: now,
            far_camera: FarCamera::Unknown,
            absent: None,
            private: false,
            camera_changed: now,
            far_off: false,
            was_live: false,
            alive_since: None,
            asked: None,
            active: false,
            closed: false,
            trouble: None,
        }
    }

    /// Takes an event in and does what time demands. `Progress` is to be told every 50 to 100 ms, so that time is noticed.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if !self.closed {
            self.take(event, now, &mut actions);
        }
        if !self.closed {
            self.advance(now, &mut actions);
        }
        actions
    }

    fn take(&mut self, event: Event, now: Instant, actions: &mut Vec<Action>) {
        match event {
            Event::SignalingUp(session) => self.signaling_up(session, now, actions),
            Event::SignalingDown(reason) => {
                self.signaling = false;
                self.trouble = Some(reason);
            }
            Event::Offer { attempt, sdp } if self.role == Role::Answers && attempt > self.attempt => {
                self.attempt = attempt;
                self.far_off = false;
                actions.extend(self.next.take().map(|next| Action::Drop(next.id)));
                let id = self.begin(attempt, true, now);
                actions.push(Action::Answer { id, attempt, sdp });
            }
            Event::Offer { .. } => {}
            Event::Answer { attempt, sdp } => {
                if let Some(next) = self.next.as_mut().filter(|next| next.attempt == attempt && !next.answered) {
                    next.answered = true;
                    actions.push(Action::Accept { id: next.id, sdp });
                }
            }
            Event::Bye(Goodbye::Off) => {
                self.far_off = true;
                self.drop_both(actions);
            }
            Event::Bye(_) => {
                // One that is not answered yet will be; one that is answered is no good: the far end would not ask else.
                if self.role == Role::Offers && self.next.is_none_or(|next| next.answered) {
                    self.offer(now, actions);
                }
            }
            Event::FarCamera(camera) => self.set_far_camera(camera, now),
            Event::Connected(id) => self.connected(id, now, actions),
            Event::Path(id, found) => self.path(id, found, now, actions),
            Event::Closed(id, reason) => self.connection_closed(id, reason, now, actions),
            Event::Progress { presented, received, arrived, heard } => {
                (self.presented, self.received, self.arrived, self.heard) = (presented, received, arrived, heard);
            }
            Event::Private(private) => {
                (self.private, self.camera_changed) = (private, now);
            }
            Event::Reconnect => {
                self.hurry(now);
                self.begin_anew(false, now, actions);
            }
            Event::AddressesChanged { gone } => {
                if gone && let Some(current) = &mut self.current {
                    current.gone = Some(now);
                }
                self.hurry(now);
                actions.push(Action::DoubtSignaling);
                if !self.alive(now) || self.doubted(now) {
                    self.begin_anew(true, now, actions);
                }
            }
            Event::Resumed => {
                self.resumed = now;
                if let Some(current) = &mut self.current {
                    current.gone = Some(now);
                }
                self.hurry(now);
                actions.push(Action::DoubtSignaling);
                self.begin_anew(true, now, actions);
            }
            Event::Close => {
                actions.push(Action::Say(Goodbye::Off));
                self.drop_both(actions);
                self.set_active(false, actions);
                self.closed = true;
            }
        }
    }

    fn signaling_up(&mut self, session: SessionId, now: Instant, actions: &mut Vec<Action>) {
        (self.signaling, self.far_off) = (true, false);
        self.hurry(now);
        if self.session.replace(session) != Some(session) {
            // Started anew: what we had with it died with it, its attempts count from 1 again.
            self.drop_both(actions);
            self.attempt = if self.role == Role::Answers { 0 } else { self.attempt };
            self.set_far_camera(FarCamera::Unknown, now);
            self.trouble = None;
        } else if self.next.is_some_and(|next| !next.answered) {
            // Our offer, or the answer to it, may be lost.
            self.offer(now, actions);
        }
    }

    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let doubted = self.doubted(now);
        if self.alive(now) {
            self.was_live = true;
            self.alive_since.get_or_insert(now);
            self.asked = None;
            self.trouble = None;
            self.absent = self.absent.filter(|_| !self.pictures_expected());
            if !doubted {
                self.failures = 0;
                self.retry_at = self.retry_at.min(now);
                // Not answered, so the far end cannot be connecting to it. (Once it is answered it may be up there already.)
                let needless = self.next.take_if(|next| next.mends && !next.answered);
                actions.extend(needless.map(|next| Action::Drop(next.id)));
            }
        } else {
            self.alive_since = None;
            self.ask_for_keyframe(now, actions);
        }
        self.give_up_in_time(now, actions);
        let wanted = self.current.is_none() || doubted;
        if wanted && self.next.is_none() && self.signaling && !self.far_off && now >= self.retry_at {
            self.mend(now, actions);
        }
        self.set_active(self.has_consent(now), actions);
    }

    /// Something has changed for the better: no back-off.
    fn hurry(&mut self, now: Instant) {
        self.failures = 0;
        self.retry_at = now;
    }

    fn set_active(&mut self, active: bool, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.active, active) != active {
            actions.push(Action::Active(active));
        }
    }
}
