//! Two portals in a room of a hub.

use crate::portal::{Place, Portal, at_hub, identities, talk, two_at};
use screen_portal::hub::{Role, Token};
use screen_portal::signaling::{Config, Event, Goodbye, Message};
use std::time::{Duration, Instant};
use tokio::time::sleep;

#[tokio::test]
async fn they_meet_talk_and_say_goodbye() {
    let place = Place::new();
    let began = Instant::now();
    let mut portals = two_at(&place.url(), &identities()).await;
    println!("met after {:?}", began.elapsed());
    for attempt in 2..30 {
        talk(&mut portals, attempt).await;
    }
    assert_eq!(place.hub.present(), (2, 1));
    let [mut north, south] = portals;
    let bye = Message::Bye { reason: Goodbye::Off };
    south.signaling.outgoing.send(bye.clone()).await.unwrap();
    let closing = Instant::now();
    south.signaling.close().await;
    assert!(closing.elapsed() < Duration::from_millis(350), "{:?}", closing.elapsed());
    assert_eq!(north.message().await, bye);
    north.down().await;
    assert_eq!(north.figures().rejected_messages, 0);
}

/// Whoever comes first finds nobody, and is found by the one who comes later; whoever is started again is met again at once.
#[tokio::test]
async fn the_later_one_is_met_at_once_and_again_after_a_restart() {
    let place = Place::new();
    let (a, b) = identities();
    for (first, second) in [(&a, &b), (&b, &a)] {
        let config = at_hub(&place.url());
        let mut early = Portal::start(&config, first, second.fingerprint());
        sleep(Duration::from_millis(1500)).await;
        // The first attempt may have been before the hub had answered.
        loop {
            let Event::Unreachable { reason } = early.event().await else { panic!("somebody is there") };
            assert!(reason.contains("the hub ws://"), "{reason}");
            if reason.ends_with("the far end is not there") {
                break;
            }
        }
        for _ in 0..2 {
            let began = Instant::now();
            let mut late = Portal::start(&config, second, first.fingerprint());
            late.up().await;
            early.up().await;
            assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
            late.signaling.close().await;
            early.down().await;
        }
    }
}

/// The hub is away for three seconds. Both say that they have lost each other, and meet again by themselves.
#[tokio::test]
async fn a_hub_that_is_started_again_brings_them_together_again() {
    let place = Place::new();
    let address = place.hub.address();
    let mut portals = two_at(&place.url(), &identities()).await;
    place.hub.close().await;
    for portal in &mut portals {
        portal.down().await;
    }
    sleep(Duration::from_secs(3)).await;
    let _place = Place::with(address, |_| ());
    let back = Instant::now();
    for portal in &mut portals {
        portal.up().await;
    }
    println!("met again after {:?}", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(10), "{:?}", back.elapsed());
    talk(&mut portals, 7).await;
}

/// In the same network the direct way is taken, and the hub's end is not even noticed.
#[tokio::test]
async fn a_direct_way_is_better() {
    let place = Place::new();
    let (a, b) = identities();
    let listening = Config { listen: "127.0.0.1:0".into(), ..at_hub(&place.url()) };
    let mut south = Portal::start(&listening, &b, a.fingerprint());
    // It dials second, so that the direct way is there when the other one begins.
    let dial = south.signaling.listening_on().unwrap().to_string();
    let mut north = Portal::start(&Config { dial, ..at_hub(&place.url()) }, &a, b.fingerprint());
    north.up().await;
    south.up().await;
    sleep(Duration::from_secs(1)).await;
    place.hub.close().await;
    let mut portals = [north, south];
    talk(&mut portals, 3).await;
    sleep(Duration::from_millis(500)).await;
    talk(&mut portals, 4).await;
}

#[tokio::test]
async fn a_hub_that_asks_for_a_token_gets_it_and_others_stay_outside() {
    let token = Token { token: "sixteen characters".into(), rooms: vec!["portal-*".into()], roles: vec![Role::Portal] };
    let place = Place::with(([127, 0, 0, 1], 0).into(), |config| config.tokens = vec![token]);
    let (a, b) = identities();
    let with = |token: &str| Config { hub_token: token.into(), ..at_hub(&place.url()) };
    let mut north = Portal::start(&with("sixteen characters"), &a, b.fingerprint());
    let mut wrong = Portal::start(&with("sixteen other ones"), &b, a.fingerprint());
    wrong.never_up_for(Duration::from_secs(3)).await;
    drop(wrong);
    let mut right = Portal::start(&with("sixteen characters"), &b, a.fingerprint());
    right.up().await;
    north.up().await;
}

/// The slate and the log say where the trouble is: not at the far end.
#[tokio::test]
async fn a_hub_that_is_not_there_is_told_as_such() {
    let (a, b) = identities();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut portal = Portal::start(&at_hub(&format!("ws://{nobody}/")), &a, b.fingerprint());
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let Event::Unreachable { reason } = portal.event().await else { panic!("nobody is there") };
        if reason.starts_with("the hub ws://127.0.0.1:") && reason.contains("refused") {
            return;
        }
        assert!(Instant::now() < until, "{reason}");
    }
}
