//! Two links in one process, over real sockets.

mod attended;
mod bad_network;
mod coming_back;
mod connecting;
mod namespaces;
mod nat;
mod portal;
mod processes;
mod restarts;

use portal::{Portal, identities, meet, part, portal, settle};
use screen_portal::ops::{FarCamera, LinkState, Slate};
use screen_portal::pairing::Identity;
use screen_portal::signaling::{Event, Message};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

async fn connected() -> (Portal, Portal, (Identity, Identity)) {
    let (one, two) = identities();
    let mut a = portal(&one, Some(two.fingerprint()), "Oslo");
    let mut b = portal(&two, Some(one.fingerprint()), "Turin");
    meet(&a, &b);
    let start = Instant::now();
    a.until_live().await;
    b.until_live().await;
    println!("live {:?} after signalling was up", start.elapsed());
    (a, b, (one, two))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_pass_both_ways() {
    let (a, mut b, _) = connected().await;
    settle(1500).await;
    for portal in [&a, &b] {
        let delivered = portal.delivered.lock().unwrap().clone();
        assert!(delivered.len() > 60, "{}", delivered.len());
        assert!(delivered[0].1, "begins with a keyframe");
        assert!(delivered.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
        let mut ages: Vec<_> = delivered.iter().rev().take(60).filter_map(|unit| unit.2).collect();
        assert_eq!(ages.len(), 60, "the clocks are related");
        ages.sort();
        println!("captured to delivered: p50 {:?}, p95 {:?}", ages[30], ages[57]);
        assert!(ages[30] < Duration::from_millis(20));
        let figures = portal.figures.snapshot(Instant::now());
        assert_eq!((figures.link.attempts, figures.link.connects), (1, 1));
        assert_eq!((figures.incoming.lost_packets, figures.incoming.damaged), (0, 0));
        assert!((1..50_000).contains(&figures.link.round_trip_us), "{}", figures.link.round_trip_us);
        assert!(figures.incoming.packets > figures.incoming.received);
        assert!(portal.target_bps.load(Relaxed) >= 2_000_000);
    }
    assert_eq!(a.status.borrow().far_site.as_deref(), Some("Turin"));
    b.until("introduced", |status| status.far_site.as_deref() == Some("Oslo")).await;
    assert_eq!(b.status.borrow().far_camera, FarCamera::Running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keyframes_come_on_request_but_not_in_storms() {
    let (a, b, _) = connected().await;
    settle(500).await;
    let before = b.keyframes();
    b.link().request_keyframe();
    settle(400).await;
    assert_eq!(b.keyframes(), before + 1);
    for _ in 0..100 {
        b.link().request_keyframe();
        settle(10).await;
    }
    let more = b.keyframes() - before - 1;
    assert!((1..=6).contains(&more), "{more} keyframes in a second");
    assert!(a.keyframes_asked.load(Relaxed) >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn goodbye_is_heard_at_once() {
    let (a, mut b, _) = connected().await;
    let mut a = a;
    let (start, link) = (Instant::now(), a.link.take().unwrap());
    link.close().await;
    assert!(start.elapsed() < Duration::from_millis(550), "{:?}", start.elapsed());
    assert_eq!(a.status.borrow().state, LinkState::Closed);
    assert!(!a.active.load(Relaxed));
    b.until("far off", |status| status.slate == Slate::FarOff).await;
    assert!(start.elapsed() < Duration::from_millis(700));
    settle(300).await;
    assert!(!b.active.load(Relaxed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_end_that_was_killed_and_started_again() {
    let (mut a, mut b, (one, two)) = connected().await;
    for offering in [true, false] {
        let (survivor, victim) = if offering { (&mut a, &mut b) } else { (&mut b, &mut a) };
        // Killed, as far as can be had within one process: no goodbye, and signalling is gone at once.
        drop(victim.link.take());
        let start = Instant::now();
        part(survivor, victim).await;
        survivor.until("without picture", |status| status.slate != Slate::Hidden).await;
        survivor.until("gone", |status| status.slate == Slate::NoFarEnd).await;
        println!("killed: gone after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(2));
        settle(500).await;
        // Started again, with a new session and attempts that count from one.
        *victim = if offering {
            portal(&two, Some(one.fingerprint()), "Turin")
        } else {
            portal(&one, Some(two.fingerprint()), "Oslo")
        };
        let start = Instant::now();
        meet(survivor, victim);
        survivor.until_live().await;
        println!("started again: live after {:?}", start.elapsed());
        assert!(start.elapsed() < Duration::from_secs(1));
        victim.until_live().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_disturbs_nobody() {
    let (mut a, b, _) = connected().await;
    let stranger = Identity::make().unwrap();
    let before = b.figures.snapshot(Instant::now());
    // A new attempt whose offer announces somebody else's certificate.
    let (ours, theirs) = (b.pinned.unwrap(), stranger.fingerprint());
    a.tamper(move |message| {
        if let Message::Offer { sdp, .. } = message {
            let theirs = theirs.to_string();
            *sdp = replace_ignoring_case(sdp, &ours.to_string(), &theirs);
        }
        true
    });
    a.link().reconnect();
    settle(1500).await;
    let after = b.figures.snapshot(Instant::now());
    assert_eq!(after.link.rejected_identities, before.link.rejected_identities + 1);
    assert_eq!(after.link.attempts, before.link.attempts);
    assert!(after.incoming.received > before.incoming.received + 60, "pictures flow on");
    assert_eq!((b.status.borrow().state, a.status.borrow().state), (LinkState::Live, LinkState::Live));
    a.tamper(|_| true);
    a.link().reconnect();
    settle(1000).await;
    a.until_live().await;
    assert_eq!(b.figures.link.connects.get(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_its_connection_and_another_is_made() {
    let (mut a, mut b, _) = connected().await;
    for offering in [true, false] {
        settle(500).await;
        let before = [&a, &b].map(|portal| portal.figures.link.connects.get());
        (if offering { &a } else { &b }).panics.store(true, Relaxed);
        let start = Instant::now();
        while [&a, &b]
            .map(|portal| portal.figures.link.connects.get())
            .iter()
            .zip(before)
            .any(|(now, before)| *now == before)
        {
            assert!(start.elapsed() < Duration::from_secs(10), "nothing was made in its place");
            settle(5).await;
        }
        a.until_live().await;
        b.until_live().await;
        println!(
            "panicked at the end that {}: live again after {:?}",
            if offering { "offers" } else { "answers" },
            start.elapsed()
        );
        assert!(start.elapsed() < Duration::from_secs(2));
    }
    settle(1000).await;
    for portal in [&a, &b] {
        assert_eq!(
            (portal.figures.link.attempts.get(), portal.figures.link.connects.get()),
            (3, 3),
            "and then no more"
        );
        assert_eq!(portal.status.borrow().state, LinkState::Live);
    }
}

fn replace_ignoring_case(text: &str, from: &str, to: &str) -> String {
    let at = text.to_lowercase().find(&from.to_lowercase()).expect("the fingerprint is announced");
    format!("{}{}{}", &text[..at], to, &text[at + from.len()..])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_takes_over_without_a_gap() {
    let (a, b, _) = connected().await;
    for portal in [&a, &b] {
        settle(300).await;
        let before = portal.figures.link.connects.get();
        portal.link().reconnect();
        settle(600).await;
        assert_eq!(portal.figures.link.connects.get(), before + 1);
    }
    for portal in [&a, &b] {
        assert_eq!(portal.figures.link.stalls.get(), 0);
        assert_eq!(portal.status.borrow().state, LinkState::Live);
        let delivered = portal.delivered.lock().unwrap();
        assert!(delivered.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1));
        assert!(delivered.iter().filter(|unit| unit.1).count() >= 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_messages_are_ignored() {
    let (a, b, _) = connected().await;
    let caught = Arc::new(Mutex::new(vec![]));
    a.tamper({
        let caught = caught.clone();
        move |message| {
            caught.lock().unwrap().push(message.clone());
            true
        }
    });
    a.link().reconnect();
    settle(500).await;
    let old = caught.lock().unwrap().clone();
    assert!(matches!(old[..], [Message::Offer { attempt: 2, .. }]), "{old:?}");
    let before = b.figures.link.attempts.get();
    b.event(Event::Message(old[0].clone())).await;
    a.event(Event::Message(Message::Answer { attempt: 2, sdp: "v=0".into() })).await;
    settle(300).await;
    assert_eq!(b.figures.link.attempts.get(), before);
    assert_eq!(a.figures.link.rejected_identities.get(), 1, "an answer without fingerprint");
    assert_eq!(b.status.borrow().state, LinkState::Live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_is_away_is_no_reason_to_reconnect() {
    let (a, mut b, _) = connected().await;
    a.link().set_private(true);
    let waited = b.until("private", |status| status.slate == Slate::FarPrivate).await;
    assert!(waited < Duration::from_millis(300), "{waited:?}");
    settle(200).await;
    let received = b.figures.incoming.received.get();
    settle(4500).await;
    assert_eq!(b.figures.incoming.received.get(), received, "nothing is sent");
    assert_eq!(b.status.borrow().state, LinkState::Live);
    assert_eq!((a.figures.link.attempts.get(), b.figures.link.attempts.get()), (1, 1));
    a.link().set_private(false);
    assert!(b.until_live().await < Duration::from_millis(500));
    a.link().set_camera(FarCamera::Missing);
    b.until("missing", |status| status.slate == Slate::FarCameraMissing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_presented_is_not_live() {
    let (_a, mut b, _) = connected().await;
    b.presenting.store(false, Relaxed);
    let waited = b.until("paused", |status| (status.state, status.slate) == (LinkState::Stalled, Slate::Paused)).await;
    assert!((900..1300).contains(&waited.as_millis()), "{waited:?}");
    settle(1200).await;
    assert!(b.figures.incoming.keyframe_requests.get() >= 1);
    assert_eq!((b.figures.link.stalls.get(), b.figures.link.attempts.get()), (1, 1));
    b.presenting.store(true, Relaxed);
    b.until_live().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_far_end_there_is_nothing_to_do() {
    let mut lonely = portal(&Identity::make().unwrap(), None, "Oslo");
    lonely.until("idle", |status| (status.state, status.slate) == (LinkState::Idle, Slate::NotPaired)).await;
    lonely.link.take().unwrap().close().await;
}
