//! Two peer connections in one process, over real sockets.

use super::Config;
use super::ice::Ice;
use super::incoming::Delivery;
use super::peer::{Event, Peer, Setup};
use super::{Error, control, dependency, sdp};
use crate::codec::{AccessUnit, Dependency};
use crate::media::PortalClock;
use crate::ops::{FarCamera, Figures};
use crate::pairing::{Fingerprint, Identity};
use crossbeam_channel::Receiver;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::peer_connection::RTCCertificate;

struct End {
    setup: Arc<Setup>,
    events: mpsc::Receiver<(u64, Event)>,
    units: Receiver<AccessUnit>,
    keyframes: Arc<std::sync::atomic::AtomicU64>,
    decoded: Arc<std::sync::atomic::AtomicU32>,
}

fn end(identity: &Identity, pinned: Fingerprint) -> End {
    let (events_in, events) = mpsc::channel(64);
    let (units_in, units) = crossbeam_channel::bounded(8);
    let keyframes = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let asked = keyframes.clone();
    let decoded = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let heard = decoded.clone();
    let provider = rtc::crypto::default_provider().unwrap();
    let setup = Setup {
        ice: Arc::new(Ice::new(&Config::default()).unwrap()),
        ceiling_bps: Arc::new(2_500_000.into()),
        config: Config { addresses: vec![[127, 0, 0, 1].into()], ..Default::default() },
        certificate: RTCCertificate::from_pem(&identity.pem(), provider.crypto()).unwrap(),
        pinned,
        clock: PortalClock::start(),
        figures: Arc::new(Figures::default()),
        on_keyframe_request: Arc::new(move || {
            asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }),
        on_decoded: Arc::new(move |number, lost| {
            assert!(!lost);
            heard.store(number, std::sync::atomic::Ordering::Relaxed);
        }),
        on_target_bps: Arc::new(|_| {}),
        delivery: Arc::new(Delivery::new(units_in, Default::default())),
        events: events_in,
    };
    End { setup: Arc::new(setup), events, units, keyframes, decoded }
}

impl End {
    async fn until(&mut self, wanted: Event) {
        let waiting = async {
            while let Some((_, event)) = self.events.recv().await {
                if event == wanted {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("in time");
    }
}

fn unit(n: u64, keyframe: bool, bytes: usize) -> Vec<u8> {
    let mut data = vec![];
    if keyframe {
        data.extend([0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 5]);
    }
    data.extend([0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x88]);
    data.extend((0..bytes).map(|at| (at as u64 * 7 + n) as u8 | 2));
    data
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_pass_between_pinned_peers() {
    let (one, two) = (Identity::make().unwrap(), Identity::make().unwrap());
    let (mut a, mut b) = (end(&one, two.fingerprint()), end(&two, one.fingerprint()));
    let start = Instant::now();
    let (offering, answering) = (Peer::new(&a.setup, 1).await.unwrap(), Peer::new(&b.setup, 1).await.unwrap());
    println!("built after {:?}", start.elapsed());
    let offer = offering.offer().await.unwrap();
    println!("offer after {:?}, {} bytes", start.elapsed(), offer.len());
    let answer = answering.answer(offer).await.unwrap();
    offering.accept(answer).await.unwrap();
    println!("answered after {:?}", start.elapsed());
    a.until(Event::Connected).await;
    b.until(Event::Connected).await;
    println!("connected after {:?}", start.elapsed());
    let path = offering.path().await.unwrap();
    answering.path().await.unwrap();
    let mut packetizer = super::packetizer::Packetizer::new(path.stream);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut delays = vec![];
    for n in 0..60 {
        let (data, captured) = (unit(n, n == 0, 9_000), Instant::now());
        let mut packets = vec![];
        packetizer.packets(&data, a.setup.clock.since_unix(captured), &mut packets);
        let dependency = Dependency { number: n as u32 + 1, on: n.max(1) as u32 };
        let bytes = bytes::Bytes::copy_from_slice(&dependency::write(dependency));
        packets[0].header.set_extension(path.dependency_id.expect("negotiated"), bytes).unwrap();
        for packet in packets {
            path.track.write_rtp(packet).await.unwrap();
        }
        let units = b.units.clone();
        let received = tokio::task::spawn_blocking(move || units.recv_timeout(Duration::from_secs(5)));
        let received = received.await.unwrap().expect("the unit comes");
        delays.push(captured.elapsed());
        assert_eq!((&received.data[..], received.keyframe, received.number), (&data[..], n == 0, n + 1));
        assert_eq!(received.dependency, Some(dependency));
        let shift = received.captured.expect("clocks are related").max(captured) - captured;
        assert!(shift < Duration::from_millis(20), "{shift:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    delays.sort();
    println!("write to whole: p50 {:?}, p95 {:?}", delays[30], delays[57]);
    assert!(a.decoded.load(std::sync::atomic::Ordering::Relaxed) > 1, "what arrives is reported");
    answering.request_keyframe();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(a.keyframes.load(std::sync::atomic::Ordering::Relaxed), 1);
    offering.close().await;
    b.until(Event::Closed("the far end closed the connection")).await;
    println!("{:?}", b.setup.figures.snapshot(Instant::now()).incoming);
}

/// The offering side was ready to speak before the other was ready to listen: its first word was lost, and the channel
/// then ordered and repeated.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_word_is_heard() {
    let (one, two) = (Identity::make().unwrap(), Identity::make().unwrap());
    let (mut a, mut b) = (end(&one, two.fingerprint()), end(&two, one.fingerprint()));
    let (offering, answering) = (Peer::new(&a.setup, 1).await.unwrap(), Peer::new(&b.setup, 1).await.unwrap());
    let answer = answering.answer(offering.offer().await.unwrap()).await.unwrap();
    offering.accept(answer).await.unwrap();
    let word = |site: &str| control::Message::presence(site, FarCamera::Running, None);
    b.until(Event::ChannelOpen).await;
    answering.say(&word("Turin")).await;
    // What a says when it is told that it may is all that it says.
    a.until(Event::ChannelOpen).await;
    offering.say(&word("Oslo")).await;
    a.until(Event::Control(word("Turin"))).await;
    b.until(Event::Control(word("Oslo"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_is_refused_before_anything_happens() {
    let (one, two, stranger) = (Identity::make().unwrap(), Identity::make().unwrap(), Identity::make().unwrap());
    let a = end(&one, two.fingerprint());
    let s = end(&stranger, one.fingerprint());
    let offer = Peer::new(&s.setup, 1).await.unwrap().offer().await.unwrap();
    let refused = Peer::new(&a.setup, 1).await.unwrap().answer(offer).await.unwrap_err();
    let expected = sdp::Error::NotPinned(stranger.fingerprint());
    assert!(matches!(&refused, Error::Description(it) if *it == expected.to_string()), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_fingerprint_does_not_survive_the_handshake() {
    let (one, two, stranger) = (Identity::make().unwrap(), Identity::make().unwrap(), Identity::make().unwrap());
    let (mut a, s) = (end(&one, two.fingerprint()), end(&stranger, one.fingerprint()));
    let (offering, forging) = (Peer::new(&a.setup, 1).await.unwrap(), Peer::new(&s.setup, 1).await.unwrap());
    let answer = forging.answer(offering.offer().await.unwrap()).await.unwrap();
    let forged = answer.replace(&stranger.fingerprint().to_string(), &two.fingerprint().to_string());
    let forged = forged
        .replace(&stranger.fingerprint().to_string().to_lowercase(), &two.fingerprint().to_string().to_lowercase());
    assert_ne!(forged, answer);
    offering.accept(forged).await.unwrap();
    let connected = tokio::time::timeout(Duration::from_secs(2), a.until(Event::Connected)).await;
    assert!(connected.is_err(), "connected to a stranger");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connects_every_time() {
    let (one, two) = (Identity::make().unwrap(), Identity::make().unwrap());
    let mut times = vec![];
    for n in 0..10 {
        let (mut a, mut b) = (end(&one, two.fingerprint()), end(&two, one.fingerprint()));
        let start = Instant::now();
        let (offering, answering) = (Peer::new(&a.setup, n).await.unwrap(), Peer::new(&b.setup, n).await.unwrap());
        let answer = answering.answer(offering.offer().await.unwrap()).await.unwrap();
        offering.accept(answer).await.unwrap();
        a.until(Event::Connected).await;
        b.until(Event::Connected).await;
        times.push(start.elapsed());
    }
    times.sort();
    println!("connected after {:?} at best, {:?} at worst", times[0], times[times.len() - 1]);
    assert!(times[times.len() / 2] < Duration::from_millis(200), "{times:?}");
}
