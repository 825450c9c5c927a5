//! Scenarios of the state machine: hours of network in milliseconds.

use super::state::{Action, Event, Machine, Role};
use crate::ops::{FarCamera, LinkState, Slate};
use crate::signaling::{Goodbye, SessionId};
use std::time::{Duration, Instant};

/// A machine in a world that answers it: what the network does, and what came of it.
pub(super) struct World {
    pub start: Instant,
    pub now: Instant,
    pub machine: Machine,
    pub session: SessionId,
    /// Offers are answered and connections come up.
    pub reachable: bool,
    /// Packets pass through connections that are up.
    pub path: bool,
    /// The data channel works.
    pub channel: bool,
    /// The display presents what comes.
    pub presenting: bool,
    pub camera: FarCamera,
    pub up: Option<u64>,
    pub actions: Vec<(f64, Action)>,
    pub presented: Option<Instant>,
    pub received: Option<Instant>,
    pub arrived: Option<Instant>,
    pub heard: Option<Instant>,
}

impl World {
    pub fn new(role: Role) -> Self {
        let start = Instant::now();
        let machine = Machine::new(role, || 0.5, start);
        World {
            start,
            now: start,
            machine,
            session: SessionId::random(),
            reachable: true,
            path: true,
            channel: true,
            presenting: true,
            camera: FarCamera::Running,
            up: None,
            actions: vec![],
            presented: None,
            received: None,
            arrived: None,
            heard: None,
        }
    }

    /// One that is live.
    pub fn live(role: Role) -> Self {
        let mut world = Self::new(role);
        world.event(Event::SignalingUp(world.session));
        if role == Role::Answers {
            world.event(Event::Offer { attempt: 1, sdp: "offer".into() });
        }
        world.run(1.0);
        assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
        world.actions.clear();
        world
    }

    pub fn event(&mut self, event: Event) {
        let actions = self.machine.handle(event, self.now);
        self.note(actions);
    }

    pub fn note(&mut self, actions: Vec<Action>) {
        let seconds = (self.now - self.start).as_secs_f64();
        let mut follow = vec![];
        for action in actions {
            match &action {
                Action::Offer { attempt, id } if self.reachable => {
                    follow.push(Event::Answer { attempt: *attempt, sdp: "answer".into() });
                    follow.push(Event::Connected(*id));
                }
                Action::Answer { id, .. } if self.reachable => follow.push(Event::Connected(*id)),
                Action::Use(id) => self.up = Some(*id),
                Action::Drop(id) if self.up == Some(*id) => self.up = None,
                _ => {}
            }
            self.actions.push((seconds, action));
        }
        for event in follow {
            self.event(event);
        }
    }

    /// Lets the time pass in steps of 50 ms.
    pub fn run(&mut self, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.now += Duration::from_millis(50);
            if self.up.is_some() && self.path {
                self.arrived = Some(self.now);
                self.heard = if self.channel { Some(self.now) } else { self.heard };
                if self.camera == FarCamera::Running {
                    self.received = Some(self.now);
                    self.presented = if self.presenting { Some(self.now) } else { self.presented };
                }
            }
            let Self { presented, received, arrived, heard, .. } = *self;
            self.event(Event::Progress { presented, received, arrived, heard });
        }
    }

    pub fn state(&self) -> (LinkState, Slate) {
        let status = self.machine.status(self.now);
        (status.state, status.slate)
    }

    pub fn times(&self, wanted: fn(&Action) -> bool) -> Vec<f64> {
        self.actions.iter().filter(|(_, action)| wanted(action)).map(|(at, _)| *at).collect()
    }
}

pub(super) fn offers(action: &Action) -> bool {
    matches!(action, Action::Offer { .. })
}

#[test]
fn comes_up_and_stays_for_hours_without_doing_anything() {
    for role in [Role::Offers, Role::Answers] {
        let mut world = World::live(role);
        world.run(4.0 * 3600.0);
        assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
        assert_eq!(world.actions, []);
    }
}

#[test]
fn the_first_actions_are_these() {
    let mut world = World::new(Role::Offers);
    assert_eq!(world.state(), (LinkState::Signalling, Slate::Connecting));
    world.event(Event::SignalingUp(world.session));
    let actions: Vec<Action> = world.actions.drain(..).map(|(_, action)| action).collect();
    let sdp = "answer".into();
    let expected =
        [Action::Offer { id: 1, attempt: 1 }, Action::Accept { id: 1, sdp }, Action::Use(1), Action::Active(true)];
    assert_eq!(actions, expected);
    assert_eq!(world.state(), (LinkState::Connecting, Slate::Connecting));
}

#[test]
fn nobody_there() {
    let mut world = World::new(Role::Offers);
    world.run(4.0);
    assert_eq!(world.state(), (LinkState::Signalling, Slate::Connecting));
    world.event(Event::SignalingDown("connection refused".into()));
    world.run(2.0);
    assert_eq!(world.state(), (LinkState::Signalling, Slate::NoFarEnd));
    assert_eq!(world.machine.status(world.now).trouble.as_deref(), Some("connection refused"));
    world.run(3600.0);
    assert_eq!(world.actions, []);
    world.event(Event::SignalingUp(world.session));
    world.run(0.1);
    assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
}

#[test]
fn a_path_that_comes_back_is_used_at_once() {
    for seconds in [1.5, 5.0, 30.0, 60.0, 3600.0] {
        for role in [Role::Offers, Role::Answers] {
            // Signalling seems up and carries nothing, as TCP does for a while.
            let mut world = World::live(role);
            (world.path, world.reachable) = (false, false);
            world.run(1.0);
            world.event(Event::Path(world.up.unwrap(), false));
            world.run(seconds - 1.0);
            world.path = true;
            world.event(Event::Path(world.up.unwrap(), true));
            world.run(0.1);
            assert_eq!(world.state(), (LinkState::Live, Slate::Hidden), "{seconds} s, {role:?}");
            let keyframes = world.times(|action| *action == Action::SendKeyframe);
            assert_eq!(keyframes.len(), 1, "{seconds} s");
            let stopped = world.times(|action| *action == Action::Active(false));
            assert_eq!(stopped.len(), usize::from(seconds > 31.0), "consent, {seconds} s");
        }
    }
}

#[test]
fn a_stall_goes_through_its_stages() {
    let mut world = World::live(Role::Offers);
    (world.path, world.reachable) = (false, false);
    let stall = (world.now - world.start).as_secs_f64();
    world.run(0.9);
    assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
    world.run(0.2);
    assert_eq!(world.state(), (LinkState::Stalled, Slate::Paused));
    assert_eq!(world.times(|action| matches!(action, Action::AskForKeyframe(_))).len(), 1);
    world.run(4.8);
    assert_eq!(world.state(), (LinkState::Stalled, Slate::Paused));
    world.run(0.2);
    assert_eq!(world.state(), (LinkState::Signalling, Slate::Connecting));
    world.run(200.0);
    assert_eq!(world.times(|action| *action == Action::Stalled).len(), 1);
    let offered: Vec<f64> = world.times(offers).iter().map(|at| at - stall).collect();
    // 0.7 s; then the watchdog's 4, 4, 8, 8.. and the back-off's 0.5, 1, 2, 4, 8, 15, 15..
    for (at, expected) in offered.iter().zip([0.7, 5.2, 10.2, 20.2, 32.2, 48.2, 71.2, 94.2]) {
        assert!((at - expected).abs() < 0.3, "{offered:?}");
    }
    assert!(offered.len() >= 8);
    // The stalled connection was kept all the time.
    assert!(world.up.is_some());
}

#[test]
fn a_new_connection_takes_over_when_the_old_path_is_dead() {
    let mut world = World::live(Role::Offers);
    let old = world.up.unwrap();
    world.path = false;
    world.run(0.65);
    assert_eq!(world.times(offers).len(), 0);
    world.run(0.1);
    assert_eq!(world.times(offers).len(), 1);
    assert!(world.times(|action| *action == Action::Drop(1)).len() == 1 && old == 1);
    world.path = true;
    world.run(0.1);
    assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
}

#[test]
fn an_attempt_that_nobody_answered_is_dropped_when_the_path_comes_back() {
    let mut world = World::live(Role::Offers);
    (world.path, world.reachable) = (false, false);
    world.run(3.2);
    world.path = true;
    world.run(0.2);
    assert_eq!(world.actions.last().unwrap().1, Action::Drop(2));
    // Its late answer changes nothing.
    let before = world.actions.len();
    world.event(Event::Answer { attempt: 2, sdp: "answer".into() });
    world.event(Event::Connected(2));
    assert_eq!(world.actions.len(), before);
    assert_eq!(world.up, Some(1));
}

#[test]
fn the_answering_side_asks_for_an_offer() {
    let mut world = World::live(Role::Answers);
    world.path = false;
    world.run(30.0);
    let asked = world.times(|action| *action == Action::Say(Goodbye::Reconnect));
    assert!(asked.len() >= 5, "{asked:?}");
    world.event(Event::Offer { attempt: 2, sdp: "offer".into() });
    world.path = true;
    world.run(0.1);
    assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
}

#[test]
fn the_offering_side_offers_when_asked() {
    let mut world = World::live(Role::Offers);
    world.event(Event::Bye(Goodbye::Reconnect));
    world.run(0.5);
    assert_eq!(world.times(offers).len(), 1);
    assert_eq!((world.state().0, world.up), (LinkState::Live, Some(2)));
}

#[test]
fn a_far_end_that_was_killed() {
    let mut world = World::live(Role::Offers);
    world.event(Event::FarCamera(FarCamera::Running));
    world.path = false;
    world.event(Event::SignalingDown("connection reset".into()));
    world.run(1.1);
    assert_eq!(world.state(), (LinkState::Stalled, Slate::Paused));
    world.run(0.5);
    assert_eq!(world.state(), (LinkState::Stalled, Slate::NoFarEnd));
    assert_eq!(world.machine.status(world.now).far_camera, FarCamera::Unknown);
    world.run(60.0);
    assert_eq!(world.state(), (LinkState::Signalling, Slate::NoFarEnd));
    // Started again.
    world.path = true;
    let old = world.up.unwrap();
    world.actions.clear();
    world.event(Event::SignalingUp(SessionId::random()));
    world.run(0.05);
    assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
    assert!(world.actions.iter().any(|(_, action)| *action == Action::Drop(old)));
}

#[test]
fn a_far_end_that_restarts_counts_its_attempts_from_one() {
    let mut world = World::live(Role::Answers);
    world.event(Event::Offer { attempt: 7, sdp: "offer".into() });
    world.run(0.1);
    for old in [1, 6, 7] {
        world.actions.clear();
        world.event(Event::Offer { attempt: old, sdp: "old".into() });
        assert_eq!(world.actions, [], "attempt {old} is not newer");
    }
    world.event(Event::SignalingUp(SessionId::random()));
    world.event(Event::Offer { attempt: 1, sdp: "offer".into() });
    world.run(0.1);
    assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
}

#[test]
fn signalling_may_come_and_go_while_pictures_flow() {
    let mut world = World::live(Role::Offers);
    for _ in 0..100 {
        world.event(Event::SignalingDown("connection reset".into()));
        world.run(7.0);
        world.event(Event::SignalingUp(world.session));
        world.run(7.0);
        assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
    }
    assert_eq!(world.actions, []);
}

#[test]
fn goodbye() {
    let mut world = World::live(Role::Offers);
    world.event(Event::FarCamera(FarCamera::Running));
    assert_eq!(world.machine.status(world.now).far_camera, FarCamera::Running);
    world.event(Event::Bye(Goodbye::Off));
    assert_eq!(world.state(), (LinkState::Signalling, Slate::FarOff));
    world.event(Event::SignalingDown("closed".into()));
    assert_eq!(world.machine.status(world.now).far_camera, FarCamera::Unknown);
    world.run(3600.0);
    assert_eq!(world.state(), (LinkState::Signalling, Slate::FarOff));
    assert_eq!(world.times(offers).len(), 0);
    world.event(Event::SignalingUp(SessionId::random()));
    world.run(0.1);
    assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
}

#[test]
fn a_data_channel_that_died_costs_no_picture() {
    for role in [Role::Offers, Role::Answers] {
        let mut world = World::live(role);
        world.channel = false;
        world.run(4.9);
        assert_eq!(world.actions, []);
        world.run(0.2);
        let wanted = world.times(|action| offers(action) || *action == Action::Say(Goodbye::Reconnect));
        assert_eq!(wanted.len(), 1, "{role:?}");
        assert_eq!(world.state().0, LinkState::Live);
        if role == Role::Answers {
            world.event(Event::Offer { attempt: 2, sdp: "offer".into() });
        }
        assert_eq!(world.up, Some(2));
        world.channel = true;
        world.actions.clear();
        world.run(600.0);
        assert_eq!(world.actions, []);
    }
}

#[test]
fn a_wanted_connection_may_take_its_time() {
    let mut world = World::live(Role::Offers);
    world.reachable = false;
    world.event(Event::Reconnect);
    world.run(2.0);
    assert_eq!(world.times(|action| matches!(action, Action::Drop(_))).len(), 0);
    world.event(Event::Answer { attempt: 2, sdp: "answer".into() });
    world.event(Event::Connected(2));
    assert_eq!(world.up, Some(2));
}

#[test]
fn a_display_that_presents_nothing_costs_no_connection() {
    let mut world = World::live(Role::Offers);
    world.presenting = false;
    world.run(60.0);
    assert_eq!(world.state().0, LinkState::Signalling);
    assert_eq!(world.times(offers).len(), 0);
    let asked = world.times(|action| matches!(action, Action::AskForKeyframe(_)));
    assert!((55..=60).contains(&asked.len()), "{}", asked.len());
}

#[test]
fn a_far_end_that_connects_and_sends_nothing_is_tried_ever_more_seldom() {
    let mut world = World::live(Role::Offers);
    world.camera = FarCamera::Unknown;
    world.run(600.0);
    let offered = world.times(offers);
    assert!((30..60).contains(&offered.len()), "{}", offered.len());
    assert!(offered.windows(2).last().is_some_and(|pair| pair[1] - pair[0] > 14.0), "{offered:?}");
}

#[test]
fn connections_that_die_at_once_do_not_make_a_storm() {
    let mut world = World::live(Role::Offers);
    world.presenting = false;
    for _ in 0..12_000 {
        if let Some(id) = world.up {
            world.event(Event::Closed(id, "closed".into()));
        }
        world.run(0.05);
    }
    let offered = world.times(offers).len();
    assert!(offered < 80, "{offered} in ten minutes");
}

#[test]
fn the_operator_and_new_addresses_end_every_wait() {
    for event in [Event::Reconnect, Event::AddressesChanged { gone: false }] {
        let mut world = World::live(Role::Offers);
        (world.path, world.reachable) = (false, false);
        world.run(120.0);
        world.actions.clear();
        world.event(event.clone());
        assert_eq!(world.times(offers).len(), 1, "{event:?}");
    }
    let mut world = World::live(Role::Offers);
    world.event(Event::AddressesChanged { gone: false });
    let actions: Vec<Action> = world.actions.drain(..).map(|(_, action)| action).collect();
    assert_eq!(actions, [Action::DoubtSignaling], "a live link is left alone");
    world.event(Event::Reconnect);
    assert_eq!(world.up, Some(2));
    let mut world = World::live(Role::Answers);
    world.event(Event::Reconnect);
    assert_eq!(world.actions[0].1, Action::Say(Goodbye::Reconnect));
}

#[test]
fn closing_says_goodbye_and_is_final() {
    let mut world = World::live(Role::Offers);
    world.event(Event::Close);
    let actions: Vec<Action> = world.actions.drain(..).map(|(_, action)| action).collect();
    assert_eq!(actions, [Action::Say(Goodbye::Off), Action::Drop(1), Action::Active(false)]);
    world.event(Event::SignalingUp(SessionId::random()));
    world.event(Event::Reconnect);
    world.run(60.0);
    assert_eq!(world.actions, []);
    assert_eq!(world.state().0, LinkState::Closed);
}

proptest::proptest! {
    #[test]
    fn whatever_happens_it_heals(
        events in proptest::collection::vec((0..14_u8, 0..4_u64, proptest::bool::ANY, 0..8_000_u64), 0..60),
        answers: bool,
    ) {
        let mut world = World::new(if answers { Role::Answers } else { Role::Offers });
        for (kind, number, flag, wait_ms) in events {
            let sdp = String::new();
            let event = match kind {
                0 => Event::SignalingUp(if flag { world.session } else { SessionId::random() }),
                1 => Event::SignalingDown("down".into()),
                2 => Event::Offer { attempt: number, sdp },
                3 => Event::Answer { attempt: number, sdp },
                4 => Event::Bye(if flag { Goodbye::Off } else { Goodbye::Reconnect }),
                5 => Event::FarCamera(if flag { FarCamera::Private } else { FarCamera::Running }),
                6 => Event::Connected(number),
                7 => Event::Path(number, flag),
                8 => Event::Closed(number, "closed".into()),
                9 => Event::Reconnect,
                10 => Event::AddressesChanged { gone: flag },
                11 => Event::Resumed,
                12 => { world.path = flag; continue }
                _ => { world.reachable = flag; continue }
            };
            world.event(event);
            world.run(wait_ms as f64 / 1e3);
        }
        (world.path, world.reachable, world.presenting) = (true, true, true);
        world.event(Event::SignalingUp(SessionId::random()));
        world.event(Event::FarCamera(FarCamera::Running));
        if answers {
            world.event(Event::Offer { attempt: 1, sdp: String::new() });
        }
        world.run(0.3);
        proptest::prop_assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
    }
}
