//! A portal without camera, codec and display: a link, a made-up encoder, a made-up display, and signalling in memory.

use bytes::Bytes;
use screen_portal::codec::AccessUnit;
use screen_portal::link::{self, Link, Ports, Status};
use screen_portal::media::PortalClock;
use screen_portal::ops::{FarCamera, Figures, LinkState, Slate};
use screen_portal::pairing::{Fingerprint, Identity};
use screen_portal::signaling::{self, Event, Message, SessionId};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Pictures that the made-up encoder makes in a second.
pub const PER_SECOND: u64 = 60;
/// What it makes before it is given a target, and the least that it makes of any: as the real one, which has smaller sizes for that.
const START_BPS: u32 = 2_000_000;
const LEAST_BPS: u32 = 300_000;

/// Looks at each message on its way out, may change it, and may swallow it by answering `false`.
pub type Tamper = Box<dyn FnMut(&mut Message) -> bool + Send>;

/// Signalling's way out of a portal.
pub struct Wire {
    pub far: Option<mpsc::Sender<Event>>,
    pub tamper: Tamper,
}

/// A delivered unit: its number, whether it was a keyframe, and its age.
pub type Delivered = (u64, bool, Option<Duration>);

pub struct Portal {
    pub link: Option<Link>,
    pub figures: Arc<Figures>,
    pub status: watch::Receiver<Status>,
    /// Whether the display presents what it gets.
    pub presenting: Arc<AtomicBool>,
    pub keyframes_asked: Arc<AtomicU32>,
    pub target_bps: Arc<AtomicU32>,
    /// Panics once, on the task that moves the connection's packets.
    pub panics: Arc<AtomicBool>,
    pub active: Arc<AtomicBool>,
    pub events: mpsc::Sender<Event>,
    pub wire: Arc<Mutex<Wire>>,
    pub session: SessionId,
    pub pinned: Option<Fingerprint>,
    /// When the newest picture presented was taken, and when it was presented.
    pub newest: Arc<Mutex<Option<(Instant, Instant)>>>,
    /// Signalling, where it is real.
    pub _signaling: Option<signaling::Running>,
    /// Units as they were delivered.
    pub delivered: Arc<Mutex<Vec<Delivered>>>,
}

/// What looks like a picture: with the right NAL units, of the size that an encoder would make at this bitrate.
fn picture(number: u64, keyframe: bool, bps: u32) -> Bytes {
    let mut data = vec![];
    if keyframe {
        data.extend([0, 0, 0, 1, 0x67, 66, 0x80, 30, 0, 0, 0, 1, 0x68, 0xce]);
    }
    data.extend([0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x88]);
    let size = u64::from(bps) / 8 / PER_SECOND * if keyframe { 5 } else { 1 };
    data.extend((0..size).map(|at| (number.wrapping_mul(31).wrapping_add(at) as u8) | 3));
    data.into()
}

pub fn portal(identity: &Identity, far_end: Option<Fingerprint>, site: &str) -> Portal {
    portal_at([127, 0, 0, 1].into(), identity, far_end, site)
}

/// To be called inside a tokio runtime, whose network namespace is then the portal's.
pub fn portal_at(address: IpAddr, identity: &Identity, far_end: Option<Fingerprint>, site: &str) -> Portal {
    portal_with(link::Config { addresses: vec![address], ..Default::default() }, identity, far_end, site)
}

pub fn portal_with(config: link::Config, identity: &Identity, far_end: Option<Fingerprint>, site: &str) -> Portal {
    start(config, None, identity, far_end, site)
}

/// One with real signalling and all addresses of its namespace.
pub fn portal_signaling(signaling: signaling::Config, identity: &Identity, far_end: Fingerprint, site: &str) -> Portal {
    start(link::Config::default(), Some(signaling), identity, Some(far_end), site)
}

fn start(
    config: link::Config,
    real: Option<signaling::Config>,
    identity: &Identity,
    far_end: Option<Fingerprint>,
    site: &str,
) -> Portal {
    // With `RUST_LOG` set, what the portals say.
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_default_env() {
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).try_init();
    }
    let figures = Arc::new(Figures::default());
    let newest = Arc::new(Mutex::new(None));
    let (units_out, units_out_rx) = mpsc::channel(4);
    let (units_in, units_in_rx) = crossbeam_channel::bounded::<AccessUnit>(8);
    let (status_tx, status) = watch::channel(Status::default());
    let (events, events_rx) = mpsc::channel(32);
    let (messages_tx, mut messages) = mpsc::channel(32);
    let (signals, running) = match real {
        None => ((messages_tx, events_rx), None),
        Some(config) => {
            let signaling = signaling::start(&config, identity, far_end.unwrap(), figures.clone()).unwrap();
            let (outgoing, events, running) = signaling.split();
            ((outgoing, events), Some(running))
        }
    };
    let controls = running.as_ref().map(signaling::Running::controls);
    let (keyframe, held) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
    let (keyframes_asked, target_bps) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (active, presenting) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
    let (panics, delivered) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(vec![])));
    let ports = Ports {
        ceiling_bps: 2_500_000,
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
            let (target_bps, panics) = (target_bps.clone(), panics.clone());
            Arc::new(move |bps| {
                target_bps.store(bps, Relaxed);
                assert!(!panics.swap(false, Relaxed), "meant by the test");
            })
        },
        on_decoded: Arc::new(|_, _| {}),
        on_held: {
            let held = held.clone();
            Arc::new(move |on| held.store(on, Relaxed))
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
        signaling: signals,
        on_doubt: Arc::new(move || controls.iter().for_each(signaling::Controls::doubt)),
        figures: figures.clone(),
        clock: PortalClock::start(),
        eras: Default::default(),
    };
    let link = link::start(config, ports, identity, far_end, site.into()).unwrap();
    link.set_camera(FarCamera::Running);
    // The encoder.
    tokio::spawn({
        let (active, target_bps) = (active.clone(), target_bps.clone());
        async move {
            let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / PER_SECOND));
            for number in 1.. {
                ticks.tick().await;
                // As the encoder does: what would only wait is left out before it is encoded, and nothing refers to it.
                if !active.load(Relaxed) || held.load(Relaxed) {
                    continue;
                }
                let key = keyframe.swap(false, Relaxed);
                let bps = match target_bps.load(Relaxed) {
                    0 => START_BPS,
                    target_bps => target_bps.max(LEAST_BPS),
                };
                let unit = AccessUnit {
                    era: 0,
                    data: picture(number, key, bps),
                    keyframe: key,
                    captured: Some(Instant::now()),
                    number,
                    dependency: None,
                };
                if units_out.try_send(unit).is_err() {
                    keyframe.store(true, Relaxed);
                }
            }
        }
    });
    // The decoder and display.
    std::thread::spawn({
        let (figures, presenting, delivered) = (figures.clone(), presenting.clone(), delivered.clone());
        let newest = newest.clone();
        move || {
            for unit in units_in_rx {
                let now = Instant::now();
                let age = unit.captured.map(|captured| now.saturating_duration_since(captured));
                delivered.lock().unwrap().push((unit.number, unit.keyframe, age));
                if presenting.load(Relaxed) {
                    figures.presented(unit.captured, now);
                    *newest.lock().unwrap() = unit.captured.map(|captured| (captured, now));
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
        panics,
        active,
        events,
        wire,
        session: SessionId::random(),
        pinned: far_end,
        newest,
        _signaling: running,
        delivered,
    }
}

impl Portal {
    pub fn link(&self) -> &Link {
        self.link.as_ref().unwrap()
    }

    /// Waits until the status is as wanted; says how long that took.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Status) -> bool) -> Duration {
        let start = Instant::now();
        let waiting = self.status.wait_for(|status| wanted(status));
        let found = tokio::time::timeout(Duration::from_secs(15), waiting).await.is_ok();
        assert!(found, "not {what}: {:?}", *self.status.borrow());
        start.elapsed()
    }

    pub async fn until_live(&mut self) -> Duration {
        self.until("live", |status| status.state == LinkState::Live && status.slate == Slate::Hidden).await
    }

    pub async fn event(&self, event: Event) {
        self.events.send(event).await.unwrap();
    }

    pub fn tamper(&self, tamper: impl FnMut(&mut Message) -> bool + Send + 'static) {
        self.wire.lock().unwrap().tamper = Box::new(tamper);
    }

    pub fn keyframes(&self) -> u64 {
        self.figures.incoming.keyframes.get()
    }
}

/// Signalling between the two comes up; neither hears a message before it knows.
pub fn meet(a: &Portal, b: &Portal) {
    let mut wires = [a.wire.lock().unwrap(), b.wire.lock().unwrap()];
    for (wire, near, far) in [(0, a, b), (1, b, a)] {
        wires[wire].far = Some(far.events.clone());
        near.events.try_send(Event::Up { session: far.session }).unwrap();
    }
}

/// Signalling between the two is lost.
pub async fn part(a: &Portal, b: &Portal) {
    for portal in [a, b] {
        portal.wire.lock().unwrap().far = None;
        let _ = portal.events.send(Event::Down { reason: "the connection was reset".into() }).await;
    }
}

/// Two identities, the first of which offers.
pub fn identities() -> (Identity, Identity) {
    let (one, two) = (Identity::make().unwrap(), Identity::make().unwrap());
    if one.fingerprint() < two.fingerprint() { (one, two) } else { (two, one) }
}

/// Whether there is time for everything.
pub fn long() -> bool {
    std::env::var_os("PORTAL_LONG_TESTS").is_some()
}

pub async fn settle(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
