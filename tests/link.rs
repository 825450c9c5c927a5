//! Two links in one process, over real sockets, with signalling in memory, a made-up encoder and a made-up display.

use bytes::Bytes;
use screen_portal::codec::AccessUnit;
use screen_portal::link::{self, Link, Ports, Status};
use screen_portal::media::PortalClock;
use screen_portal::ops::{FarCamera, Figures, LinkState, Slate};
use screen_portal::pairing::{Fingerprint, Identity};
use screen_portal::signaling::{Event, Message, SessionId};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Looks at each message on its way out, may change it, and may swallow it by answering `false`.
type Tamper = Box<dyn FnMut(&mut Message) -> bool + Send>;

/// Signalling's way out of a portal.
struct Wire {
    far: Option<mpsc::Sender<Event>>,
    tamper: Tamper,
}

struct Portal {
    link: Option<Link>,
    figures: Arc<Figures>,
    status: watch::Receiver<Status>,
    /// Whether the display presents what it gets.
    presenting: Arc<AtomicBool>,
    keyframes_asked: Arc<AtomicU32>,
    target_bps: Arc<AtomicU32>,
    active: Arc<AtomicBool>,
    events: mpsc::Sender<Event>,
    wire: Arc<Mutex<Wire>>,
    session: SessionId,
    pinned: Option<Fingerprint>,
    /// Units as they were delivered: number and whether it was a keyframe.
    delivered: Arc<Mutex<Vec<(u64, bool, Option<Duration>)>>>,
}

/// Picture `number` in a form that the other side can check.
fn picture(number: u64, keyframe: bool) -> Bytes {
    let mut data = vec![];
    if keyframe {
        data.extend([0, 0, 0, 1, 0x67, 66, 0x80, 30, 0, 0, 0, 1, 0x68, 0xce]);
    }
    data.extend([0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x88]);
    let size = if keyframe { 40_000 } else { 8_000 };
    data.extend((0..size).map(|at| (number.wrapping_mul(31).wrapping_add(at) as u8) | 3));
    data.into()
}

fn portal(identity: &Identity, far_end: Option<Fingerprint>, site: &str) -> Portal {
    let config = link::Config { addresses: vec![[127, 0, 0, 1].into()], ..Default::default() };
    let figures = Arc::new(Figures::default());
    let (units_out, units_out_rx) = mpsc::channel(4);
    let (units_in, units_in_rx) = crossbeam_channel::bounded::<AccessUnit>(8);
    let (status_tx, status) = watch::channel(Status::default());
    let (events, events_rx) = mpsc::channel(32);
    let (messages_tx, mut messages) = mpsc::channel(32);
    let keyframe = Arc::new(AtomicBool::new(true));
    let (keyframes_asked, target_bps) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (active, presenting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let delivered = Arc::new(Mutex::new(vec![]));
    let ports = Ports {
        units_out: units_out_rx,
        units_in,
        on_keyframe_request: {
            let (keyframe, asked) = (keyframe.clone(), keyframes_asked.clone());
            Arc::new(move || {
                asked.fetch_add(1, Relaxed);
                keyframe.store(true, Relaxed);
            })
        },
        on_target_bps: {
            let target_bps = target_bps.clone();
            Arc::new(move |bps| target_bps.store(bps, Relaxed))
        },
        on_active: {
            let (active, keyframe) = (active.clone(), keyframe.clone());
            Arc::new(move |on| {
                active.store(on, Relaxed);
                keyframe.store(true, Relaxed);
            })
        },
        on_view: Box::new(move |status| {
            status_tx.send_replace(status);
        }),
        signaling: (messages_tx, events_rx),
        figures: figures.clone(),
        clock: PortalClock::start(),
    };
    let link = link::start(config, ports, identity, far_end, site.into()).unwrap();
    link.set_camera(FarCamera::Running);
    // The encoder: 60 pictures a second, so that the tests are quick.
    tokio::spawn({
        let active = active.clone();
        async move {
            let mut ticks = tokio::time::interval(Duration::from_micros(16_667));
            for number in 1.. {
                ticks.tick().await;
                if !active.load(Relaxed) {
                    continue;
                }
                let key = keyframe.swap(false, Relaxed);
                let unit =
                    AccessUnit { data: picture(number, key), keyframe: key, captured: Some(Instant::now()), number };
                if units_out.try_send(unit).is_err() {
                    keyframe.store(true, Relaxed);
                }
            }
        }
    });
    // The decoder and display.
    std::thread::spawn({
        let (figures, presenting, delivered) = (figures.clone(), presenting.clone(), delivered.clone());
        move || {
            for unit in units_in_rx {
                let now = Instant::now();
                let age = unit.captured.map(|captured| now.saturating_duration_since(captured));
                delivered.lock().unwrap().push((unit.number, unit.keyframe, age));
                if presenting.load(Relaxed) {
                    figures.presented(unit.captured, now);
                }
            }
        }
    });
    let wire = Arc::new(Mutex::new(Wire { far: None, tamper: Box::new(|_| true) }));
    tokio::spawn({
        let wire = wire.clone();
        async move {
            while let Some(mut message) = messages.recv().await {
                let far = {
                    let mut wire = wire.lock().unwrap();
                    let pass = (wire.tamper)(&mut message);
                    wire.far.clone().filter(|_| pass)
                };
                if let Some(far) = far {
                    let _ = far.send(Event::Message(message)).await;
                }
            }
        }
    });
    Portal {
        link: Some(link),
        figures,
        status,
        presenting,
        keyframes_asked,
        target_bps,
        active,
        events,
        wire,
        session: SessionId::random(),
        pinned: far_end,
        delivered,
    }
}

impl Portal {
    fn link(&self) -> &Link {
        self.link.as_ref().unwrap()
    }

    /// Waits until the status is as wanted; says how long that took.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Status) -> bool) -> Duration {
        let start = Instant::now();
        let waiting = self.status.wait_for(|status| wanted(status));
        let found = tokio::time::timeout(Duration::from_secs(15), waiting).await.is_ok();
        assert!(found, "not {what}: {:?}", *self.status.borrow());
        start.elapsed()
    }

    async fn until_live(&mut self) -> Duration {
        self.until("live", |status| status.state == LinkState::Live && status.slate == Slate::Hidden).await
    }

    async fn event(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    fn tamper(&self, tamper: impl FnMut(&mut Message) -> bool + Send + 'static) {
        self.wire.lock().unwrap().tamper = Box::new(tamper);
    }

    fn keyframes(&self) -> u64 {
        self.figures.incoming.keyframes.get()
    }
}

/// Signalling between the two comes up; neither hears a message before it knows.
fn meet(a: &Portal, b: &Portal) {
    let mut wires = [a.wire.lock().unwrap(), b.wire.lock().unwrap()];
    for (wire, near, far) in [(0, a, b), (1, b, a)] {
        wires[wire].far = Some(far.events.clone());
        near.events.try_send(Event::Up { session: far.session }).unwrap();
    }
}

/// Signalling between the two is lost.
async fn part(a: &Portal, b: &Portal) {
    for portal in [a, b] {
        portal.wire.lock().unwrap().far = None;
        let _ = portal.events.send(Event::Down { reason: "the connection was reset".into() }).await;
    }
}

/// Two identities, the first of which offers.
fn identities() -> (Identity, Identity) {
    let (one, two) = (Identity::make().unwrap(), Identity::make().unwrap());
    if one.fingerprint() < two.fingerprint() { (one, two) } else { (two, one) }
}

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

async fn settle(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
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
