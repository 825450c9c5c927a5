//! Every way of coming back, with the time that it may take: two state machines and the network between them.

use super::state::{Action, Event, Role};
use super::state_tests::{World as OneEnd, offers};
use super::two_ends::World;
use crate::ops::{LinkState, Slate};
use crate::signaling::Goodbye;

/// What happens; returns when the network lets pictures pass again, or could, if somebody did something about it.
type Happens = fn(&mut World);

/// What happens, and within how many seconds after it both see each other again, whoever dials and whichever end it happens to.
const RETURNS: &[(&str, f64, Happens)] = &[
    ("no UDP for 1 s", 0.1, |world| outage(world, 1.0, [false; 2], true)),
    ("no UDP for 5 s", 0.1, |world| outage(world, 5.0, [false; 2], true)),
    ("no UDP for 60 s", 0.1, |world| outage(world, 60.0, [false; 2], true)),
    ("no UDP for an hour", 0.6, |world| outage(world, 3600.0, [false; 2], true)),
    ("nothing at all for 1 s", 0.1, |world| outage(world, 1.0, [false; 2], false)),
    ("nothing at all for 5 s", 0.1, |world| outage(world, 5.0, [false; 2], false)),
    ("nothing at all for 60 s", 0.1, |world| outage(world, 60.0, [false; 2], false)),
    ("nothing at all for an hour", 0.6, |world| outage(world, 3600.0, [false; 2], false)),
    ("one direction blocked for 5 s", 0.1, |world| outage(world, 5.0, [true, false], true)),
    ("the other direction blocked for 5 s", 0.1, |world| outage(world, 5.0, [false, true], true)),
    ("one direction and signalling blocked for 60 s", 0.1, |world| outage(world, 60.0, [true, false], false)),
    ("the other direction and signalling blocked for 60 s", 0.1, |world| outage(world, 60.0, [false, true], false)),
    // The mapping is new, and with it signalling's: seen after 0.7 s, dialled and offered in 0.65 s, connected in 0.4 s.
    ("the NAT before the first end has rebound", 1.9, |world| rebound(world, [true, false])),
    ("the NAT before the second end has rebound", 1.9, |world| rebound(world, [false, true])),
    ("both NATs have rebound", 1.9, |world| rebound(world, [false; 2])),
    ("one mapping for pictures is gone, signalling's is not", 1.5, |world| {
        world.era += 1;
        world.old = [true, false];
        // Its connection is as good as one of this era.
        world.renew_line();
    }),
    // At once if it dials itself; else the other has to notice.
    ("the first end has another address", 1.9, |world| moved(world, 0, 0.0)),
    ("the second end has another address", 1.9, |world| moved(world, 1, 0.0)),
    ("the first end has another address, 3 s later", 1.5, |world| moved(world, 0, 3.0)),
    ("the second end has another address, 3 s later", 1.5, |world| moved(world, 1, 3.0)),
    ("the first end has another address, an hour later", 1.5, |world| moved(world, 0, 3600.0)),
    ("the second end has another address, an hour later", 1.5, |world| moved(world, 1, 3600.0)),
    ("both ends have other addresses, which nobody tells them", 1.9, |world| rebound(world, [false; 2])),
    ("the first end was killed and started again after 5 s", 1.2, |world| restarted(world, 0, 5.0)),
    ("the second end was killed and started again after 5 s", 1.2, |world| restarted(world, 1, 5.0)),
    ("the first end was started again after an hour", 1.2, |world| restarted(world, 0, 3600.0)),
    ("the second end was started again after an hour", 1.2, |world| restarted(world, 1, 3600.0)),
    ("the first end slept for 20 s", 0.3, |world| slept(world, 0, 20.0)),
    ("the second end slept for 20 s", 0.3, |world| slept(world, 1, 20.0)),
    ("the first end slept for an hour", 1.2, |world| slept(world, 0, 3600.0)),
    ("the second end slept for an hour", 1.2, |world| slept(world, 1, 3600.0)),
    ("flapping, a second up, a second down", 0.1, |world| flapping(world, 1.0, 1.0)),
    ("flapping, two seconds up, ten down", 0.1, |world| flapping(world, 2.0, 10.0)),
];

fn outage(world: &mut World, seconds: f64, udp: [bool; 2], tcp: bool) {
    (world.udp, world.tcp) = (udp, tcp);
    world.run(seconds);
    (world.udp, world.tcp) = ([true; 2], true);
}

fn rebound(world: &mut World, passes: [bool; 2]) {
    world.era += 1;
    world.old = passes;
}

/// An address goes; another comes after `seconds`.
fn moved(world: &mut World, at: usize, seconds: f64) {
    world.era += 1;
    world.old = [false; 2];
    if seconds > 0.0 {
        (world.udp, world.tcp) = ([false; 2], false);
        world.event(at, Event::AddressesChanged { gone: true });
        world.run(seconds);
        (world.udp, world.tcp) = ([true; 2], true);
    }
    world.event(at, Event::AddressesChanged { gone: seconds == 0.0 });
}

fn restarted(world: &mut World, at: usize, seconds: f64) {
    world.ends[at].asleep = true;
    world.run(seconds);
    world.restart(at);
}

fn slept(world: &mut World, at: usize, seconds: f64) {
    world.ends[at].asleep = true;
    world.run(seconds);
    world.ends[at].asleep = false;
    world.event(at, Event::Resumed);
}

fn flapping(world: &mut World, up: f64, down: f64) {
    for _ in 0..100 {
        outage(world, down, [false; 2], false);
        world.run(up);
    }
    // One attempt when it goes, one when signalling is back, and few more: no storm.
    let offers = world.ends[0].offers;
    assert!(offers <= 100 * (2 + (down / 4.0) as usize), "{offers} offers in 100 outages");
    outage(world, down, [false; 2], false);
}

#[test]
fn it_comes_back_in_time() {
    let mut late = vec![];
    for (what, limit, happens) in RETURNS {
        for dialler in [0, 1] {
            let mut world = World::live(dialler);
            happens(&mut world);
            let took = world.until_live(120.0);
            println!("{took:5.2} s of {limit:.1} s, end {dialler} dials: {what}");
            if took > *limit {
                late.push(format!("{what}, end {dialler} dials: {took:.2} s, {:?}", world.states()));
            }
            world.run(60.0);
            assert!(world.is_live(), "{what}: not for long");
            let offers = world.ends[0].offers;
            world.run(60.0);
            assert_eq!(world.ends[0].offers, offers, "{what}: calm after a while");
        }
    }
    assert!(late.is_empty(), "{late:#?}");
}

#[test]
fn what_is_shown_is_never_old() {
    for at in [0, 1] {
        let mut world = World::live(0);
        (world.udp, world.tcp) = ([false; 2], false);
        world.run(1.2);
        assert_ne!(world.states()[at].1, Slate::Hidden);
        // After a sleep the last picture is as old as the sleep, whatever our clock says.
        let mut world = World::live(0);
        slept(&mut world, at, 20.0);
        assert_eq!(world.states()[at], (LinkState::Stalled, Slate::Paused));
    }
}

#[test]
fn another_address_leaves_a_living_link_alone() {
    for role in [Role::Offers, Role::Answers] {
        let mut world = OneEnd::live(role);
        world.event(Event::AddressesChanged { gone: false });
        world.run(60.0);
        assert!(world.times(|action| *action != Action::DoubtSignaling).is_empty());
    }
}

#[test]
fn an_address_that_goes_is_no_matter_of_seconds() {
    let mut world = OneEnd::live(Role::Offers);
    world.event(Event::AddressesChanged { gone: true });
    assert_eq!((world.times(offers).len(), world.up), (1, Some(2)));
    let mut world = OneEnd::live(Role::Answers);
    world.event(Event::AddressesChanged { gone: true });
    assert!(world.actions.iter().any(|(_, action)| *action == Action::Say(Goodbye::Reconnect)));
}

#[test]
fn an_offer_is_made_again_when_signalling_may_have_lost_it() {
    let mut world = OneEnd::live(Role::Offers);
    (world.path, world.reachable) = (false, false);
    world.run(0.8);
    assert_eq!(world.times(offers).len(), 1);
    assert_eq!(world.times(|action| *action == Action::DoubtSignaling).len(), 1);
    world.reachable = true;
    world.event(Event::SignalingUp(world.session));
    assert_eq!((world.times(offers).len(), world.up), (2, Some(3)));
}

/// On a busy machine, where an attempt was under way when the NAT forgot its mappings: it was waited for until the watchdog came.
#[test]
fn a_connection_that_loses_its_path_before_it_is_up_is_not_waited_for() {
    for role in [Role::Offers, Role::Answers] {
        let mut world = OneEnd::live(role);
        (world.path, world.reachable) = (false, false);
        world.run(0.8);
        if role == Role::Answers {
            world.event(Event::Offer { attempt: 2, sdp: "offer".into() });
        } else {
            world.event(Event::Answer { attempt: 2, sdp: "answer".into() });
        }
        world.run(0.3);
        let asked = |world: &OneEnd| match role {
            Role::Offers => world.times(offers).len(),
            Role::Answers => world.times(|action| *action == Action::Say(Goodbye::Reconnect)).len(),
        };
        let before = asked(&world);
        world.event(Event::Path(2, true));
        world.run(0.5);
        assert_eq!(asked(&world), before);
        world.event(Event::Path(2, false));
        assert_eq!(asked(&world), before + 1, "{role:?}");
        world.run(0.5);
        assert_eq!(asked(&world), before + 1, "{role:?}: once");
    }
}

#[test]
fn a_channel_that_is_slow_to_come_back_costs_no_connection() {
    for seconds in [2.0, 5.0, 20.0] {
        let mut world = OneEnd::live(Role::Offers);
        (world.path, world.reachable) = (false, false);
        world.run(seconds);
        (world.path, world.channel) = (true, false);
        world.run(4.5);
        world.channel = true;
        world.run(60.0);
        assert_eq!((world.up, world.state().0), (Some(1), LinkState::Live), "{seconds} s");
    }
}
