//! The link's state machine: pure, with events and time as arguments and actions as results.
//!
//! It knows at most two peer connections: the *current* one, through which pictures flow or flowed, and the *next* one, which is
//! being made. A new connection is made beside the old one and takes over once it is up: if the old path comes back first,
//! nothing was lost, and after an outage it is back within a packet's time, without a handshake. (That is why there is no ICE
//! restart: `rtc` forgets the old path as soon as it offers a restart, and while signalling is down too the restart cannot
//! complete.)
//!
//! | no picture for | what happens |
//! |---|---|
//! | 1 s | a keyframe is asked for, each second again; the slate says "paused" |
//! | 3 s | if nothing comes from the network either: a new connection is begun beside the stalled one |
//! | 6 s | the link counts as down; attempts go on with back-off, 0.5 s doubling to 15 s, for ever |
//!
//! *Alive* means that a remote picture was presented within the last second. While the far end says that it has no picture to
//! send (camera missing or private), it means that it answered a ping within the last two. Pictures that come but are not
//! presented (our display is the trouble) cost the state "live", not the connection.
//!
//! Only the portal with the smaller fingerprint offers; the other asks it to, by saying `Bye { Reconnect }`. Attempts are
//! numbered by the offering side; what belongs to another than the newest is ignored.

use super::backoff;
use super::status::Status;
use crate::ops::{FarCamera, LinkState, Slate};
use crate::signaling::{Goodbye, SessionId};
use std::time::{Duration, Instant};

/// A remote picture within this keeps the link live.
const PICTURE: Duration = Duration::from_secs(1);
/// An answered ping within this does, while there is no picture to be expected.
const PING: Duration = Duration::from_secs(2);
/// Silence of the network after which a new connection is begun.
const REPLACE: Duration = Duration::from_secs(3);
/// So long without an answered ping although pictures come: SCTP, which carries the data channel, backs off for up to a minute
/// after an outage. Presence and the round trip hang on it, so the connection is replaced, without a gap.
const CHANNEL: Duration = Duration::from_secs(5);
/// Stalled for this long, the link counts as down.
const DOWN: Duration = Duration::from_secs(6);
/// With signalling gone as well, the far end counts as gone after this.
const GONE: Duration = Duration::from_millis(1500);
/// Attempts that are not up by then are given up. DTLS can stall for ever when a handshake packet is lost, so the first ones are
/// given less time.
const WATCHDOG: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(8)];
/// How many attempts get the shorter time.
const HASTY_ATTEMPTS: u32 = 2;
/// How often the answering side asks for an offer that does not come.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// RFC 7675: without consent for 30 s, sending must stop.
const CONSENT: Duration = Duration::from_secs(30);
/// So long after the start, an absent far end is still being looked for.
const STARTING: Duration = Duration::from_secs(5);

/// Who offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Offers,
    Answers,
}

/// What happens to the link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The far end can be talked to.
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
    /// When a remote picture was last presented, a unit last received, a ping last answered.
    Progress { presented: Option<Instant>, received: Option<Instant>, heard: Option<Instant> },
    /// Our privacy key: while it holds, nothing is presented here, which is no reason to worry.
    Private(bool),
    /// The operator wants a new connection.
    Reconnect,
    /// This machine's addresses have changed.
    AddressesChanged,
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
    /// The picture has stopped; to be counted.
    Stalled,
}

/// The connection in use.
#[derive(Clone, Copy, Debug)]
struct Current {
    id: u64,
    since: Instant,
    /// ICE lost the path at this moment.
    lost: Option<Instant>,
}

/// The connection being made.
#[derive(Clone, Copy, Debug)]
struct Next {
    id: u64,
    attempt: u64,
    since: Instant,
    answered: bool,
    /// Begun because the current one was silent, so not wanted any more once that is alive again.
    mends: bool,
}

/// See the module's documentation.
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
    /// Attempts since the link was last alive.
    failures: u32,
    /// Not before this the next attempt.
    retry_at: Instant,
    presented: Option<Instant>,
    received: Option<Instant>,
    heard: Option<Instant>,
    far_camera: FarCamera,
    /// Shown while the far end had no picture to give; stays until the first one after that has come.
    absent: Option<Slate>,
    private: bool,
    /// When it last changed whether pictures are to be expected.
    camera_changed: Instant,
    far_off: bool,
    /// The current connection has been alive.
    was_live: bool,
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
            heard: None,
            far_camera: FarCamera::Unknown,
            absent: None,
            private: false,
            camera_changed: now,
            far_off: false,
            was_live: false,
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
            Event::SignalingUp(session) => {
                (self.signaling, self.far_off) = (true, false);
                self.hurry(now);
                if self.session.replace(session) != Some(session) {
                    // Started anew: what we had with it died with it, its attempts count from 1 again.
                    self.drop_both(actions);
                    self.attempt = if self.role == Role::Answers { 0 } else { self.attempt };
                    self.set_far_camera(FarCamera::Unknown, now);
                    self.trouble = None;
                }
            }
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
            Event::Answer { attempt, sdp } => {
                if let Some(next) = self.next.as_mut().filter(|next| next.attempt == attempt && !next.answered) {
                    next.answered = true;
                    actions.push(Action::Accept { id: next.id, sdp });
                }
            }
            Event::Offer { .. } => {}
            Event::Bye(Goodbye::Off) => {
                self.far_off = true;
                self.drop_both(actions);
            }
            Event::Bye(_) => {
                if self.role == Role::Offers && self.next.is_none() {
                    self.offer(now, actions);
                }
            }
            Event::FarCamera(camera) => self.set_far_camera(camera, now),
            Event::Connected(id) => self.connected(id, now, actions),
            Event::Path(id, found) => {
                if let Some(current) = self.current.as_mut().filter(|current| current.id == id) {
                    if found && current.lost.take().is_some() {
                        actions.push(Action::SendKeyframe);
                    } else if !found {
                        current.lost.get_or_insert(now);
                    }
                }
            }
            Event::Closed(id, reason) => self.connection_closed(id, reason, now, actions),
            Event::Progress { presented, received, heard } => {
                (self.presented, self.received, self.heard) = (presented, received, heard);
            }
            Event::Private(private) => {
                (self.private, self.camera_changed) = (private, now);
            }
            Event::Reconnect => {
                self.hurry(now);
                match self.role {
                    Role::Offers => self.offer(now, actions),
                    Role::Answers if self.signaling => actions.push(Action::Say(Goodbye::Reconnect)),
                    Role::Answers => {}
                }
            }
            Event::AddressesChanged => {
                self.hurry(now);
                if !self.alive(now) && self.role == Role::Offers {
                    self.offer(now, actions);
                }
            }
            Event::Close => {
                actions.push(Action::Say(Goodbye::Off));
                self.drop_both(actions);
                self.set_active(false, actions);
                self.closed = true;
            }
        }
    }

    fn connected(&mut self, id: u64, now: Instant, actions: &mut Vec<Action>) {
        if self.next.is_none_or(|next| next.id != id) {
            return;
        }
        self.next = None;
        let before = self.current.replace(Current { id, since: now, lost: None });
        actions.push(Action::Use(id));
        actions.extend(before.map(|before| Action::Drop(before.id)));
        (self.asked, self.absent, self.was_live) = (None, None, false);
        self.retry_at = now + backoff::delay(self.failures, (self.random)());
    }

    fn connection_closed(&mut self, id: u64, reason: String, now: Instant, actions: &mut Vec<Action>) {
        let known = if self.current.is_some_and(|current| current.id == id) {
            self.current = None;
            true
        } else {
            self.next.take_if(|next| next.id == id).is_some()
        };
        if known {
            actions.push(Action::Drop(id));
            self.trouble = Some(reason);
            self.retry_at = now + backoff::delay(self.failures, (self.random)());
        }
    }

    fn advance(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.alive(now) {
            self.failures = 0;
            self.was_live = true;
            self.asked = None;
            self.trouble = None;
            self.absent = self.absent.filter(|_| !self.pictures_expected());
            // Not answered, so the far end cannot be connecting to it. (Once it is answered it may be up there already.)
            let mended = self.silence(self.heard, now) < CHANNEL;
            if let Some(next) = self.next.take_if(|next| next.mends && !next.answered && mended) {
                actions.push(Action::Drop(next.id));
            }
        } else if let Some(current) = self.current
            && self.picture_silence(now) >= PICTURE
            && self.pictures_expected()
            && self.asked.is_none_or(|asked| now.saturating_duration_since(asked) >= PICTURE)
        {
            if self.asked.replace(now).is_none() && self.was_live {
                actions.push(Action::Stalled);
            }
            actions.push(Action::AskForKeyframe(current.id));
        }
        let patience = WATCHDOG[usize::from(self.failures > HASTY_ATTEMPTS)];
        if let Some(next) = self.next.take_if(|next| now.saturating_duration_since(next.since) >= patience) {
            actions.push(Action::Drop(next.id));
            self.retry_at = now + backoff::delay(self.failures, (self.random)());
            self.trouble = Some(if next.answered {
                "no path to the far end: is UDP let through between the two?".into()
            } else {
                "the far end does not answer our offer".into()
            });
        }
        let silent = self.network_silence(now) >= REPLACE || self.silence(self.heard, now) >= CHANNEL;
        let wanted = self.current.is_none() || silent;
        if wanted && self.next.is_none() && self.signaling && !self.far_off && now >= self.retry_at {
            match self.role {
                Role::Offers => {
                    self.offer(now, actions);
                    if let Some(next) = &mut self.next {
                        next.mends = true;
                    }
                }
                Role::Answers => {
                    // Without a connection the other side offers by itself; it is given time for that.
                    if self.current.is_some() || now.saturating_duration_since(self.retry_at) >= ASK_AGAIN {
                        actions.push(Action::Say(Goodbye::Reconnect));
                        self.retry_at = now + ASK_AGAIN;
                    }
                }
            }
        }
        let consent = self
            .current
            .is_some_and(|current| current.lost.is_none_or(|lost| now.saturating_duration_since(lost) < CONSENT));
        self.set_active(consent, actions);
    }

    /// Begins an attempt, in place of one that is under way.
    fn offer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.signaling || self.far_off {
            return;
        }
        actions.extend(self.next.take().map(|next| Action::Drop(next.id)));
        self.attempt += 1;
        let attempt = self.attempt;
        let id = self.begin(attempt, false, now);
        actions.push(Action::Offer { id, attempt });
    }

    fn begin(&mut self, attempt: u64, answered: bool, now: Instant) -> u64 {
        self.last_id += 1;
        self.failures = self.failures.saturating_add(1);
        self.next = Some(Next { id: self.last_id, attempt, since: now, answered, mends: false });
        self.last_id
    }

    /// Something has changed for the better: no back-off.
    fn hurry(&mut self, now: Instant) {
        self.failures = 0;
        self.retry_at = now;
    }

    fn drop_both(&mut self, actions: &mut Vec<Action>) {
        let ids = [self.next.take().map(|next| next.id), self.current.take().map(|current| current.id)];
        actions.extend(ids.into_iter().flatten().map(Action::Drop));
    }

    fn set_active(&mut self, active: bool, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.active, active) != active {
            actions.push(Action::Active(active));
        }
    }

    fn set_far_camera(&mut self, camera: FarCamera, now: Instant) {
        if camera != self.far_camera {
            self.absent = without_picture(self.far_camera).or(self.absent);
            (self.far_camera, self.camera_changed) = (camera, now);
        }
    }

    fn pictures_expected(&self) -> bool {
        !self.private && !matches!(self.far_camera, FarCamera::Missing | FarCamera::Private)
    }

    /// How long `last` is ago, counted from when it could first be expected.
    fn silence(&self, last: Option<Instant>, now: Instant) -> Duration {
        let since = self.current.map_or(self.started, |current| current.since).max(self.camera_changed);
        now.saturating_duration_since(last.map_or(since, |last| last.max(since)))
    }

    fn picture_silence(&self, now: Instant) -> Duration {
        self.silence(self.presented, now)
    }

    /// Silence of the network: of pictures, or of the far end altogether while it has none.
    fn network_silence(&self, now: Instant) -> Duration {
        let last = if self.pictures_expected() { self.received.max(self.presented) } else { self.heard };
        self.silence(last, now)
    }

    fn alive(&self, now: Instant) -> bool {
        let (last, within) = if self.pictures_expected() { (self.presented, PICTURE) } else { (self.heard, PING) };
        self.current.is_some() && last.is_some_and(|last| now.saturating_duration_since(last) < within)
    }

    /// What the operator and the passer-by are to be told.
    pub fn status(&self, now: Instant) -> Status {
        let (state, slate) = self.state(now);
        let trouble = if state == LinkState::Live { None } else { self.trouble.clone() };
        // What it said last is no news any more once it has gone.
        let known = self.current.is_some() && slate != Slate::NoFarEnd;
        let far_camera = if known { self.far_camera } else { FarCamera::Unknown };
        Status { state, slate, far_camera, trouble, ..Status::default() }
    }

    fn state(&self, now: Instant) -> (LinkState, Slate) {
        if self.closed {
            return (LinkState::Closed, Slate::Connecting);
        }
        if self.far_off {
            return (LinkState::Signalling, Slate::FarOff);
        }
        if self.alive(now) {
            return (LinkState::Live, without_picture(self.far_camera).unwrap_or(Slate::Hidden));
        }
        // The far end's word is ahead of its picture; another slate in between would only flash.
        if let Some(slate) = self.absent.filter(|_| self.current.is_some() && self.picture_silence(now) < PICTURE) {
            return (LinkState::Live, slate);
        }
        let answered = self.next.is_some_and(|next| next.answered);
        let state = match self.current {
            Some(_) if self.picture_silence(now) < DOWN && self.was_live => LinkState::Stalled,
            Some(_) if self.picture_silence(now) < DOWN => LinkState::Connecting,
            _ if answered => LinkState::Connecting,
            _ => LinkState::Signalling,
        };
        let starting = now.saturating_duration_since(self.started) < STARTING && self.presented.is_none();
        let last = self.presented.max(self.heard).unwrap_or(self.started);
        let gone = !self.signaling && !starting && now.saturating_duration_since(last) >= GONE;
        let slate = match state {
            _ if gone => Slate::NoFarEnd,
            LinkState::Stalled => Slate::Paused,
            _ => Slate::Connecting,
        };
        (state, slate)
    }
}

/// The slate for a far end that has no picture to give, by its own account.
fn without_picture(camera: FarCamera) -> Option<Slate> {
    match camera {
        FarCamera::Missing => Some(Slate::FarCameraMissing),
        FarCamera::Private => Some(Slate::FarPrivate),
        FarCamera::Unknown | FarCamera::Running => None,
    }
}
