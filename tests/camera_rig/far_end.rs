//! The second portal, inside the test, so that what it decodes can be looked at; wired as the program is.

use screen_portal::capture::{self, Capture, Kind};
use screen_portal::codec::{decode, encode};
use screen_portal::link::{self, Link, Status};
use screen_portal::media::{Frame, PortalClock, Waker, mailbox};
use screen_portal::ops::{FarCamera, Figures, Slate};
use screen_portal::pairing::{Fingerprint, Identity};
use screen_portal::signaling;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

pub struct FarEnd {
    /// Where it listens.
    pub address: String,
    pub figures: Arc<Figures>,
    /// The newest decoded picture.
    frames: mailbox::Receiver<Arc<Frame>>,
    status: watch::Receiver<Status>,
    /// The slates of all statuses.
    slates: Arc<Mutex<Vec<Slate>>>,
    runtime: Runtime,
    _threads: (Capture, encode::Worker, decode::Worker),
    _network: (Arc<Link>, signaling::Running),
    _self_view: mailbox::Receiver<Arc<Frame>>,
}

impl FarEnd {
    /// Starts it; it sends a small test pattern.
    pub fn start(identity: &Identity, camera: Fingerprint) -> Self {
        let runtime = Runtime::new().unwrap();
        let in_runtime = runtime.enter();
        let figures = Arc::new(Figures::new(Instant::now()));
        let (encode_frames, to_encode) = mailbox::mailbox();
        let (self_view_frames, self_view) = mailbox::mailbox();
        let (remote_frames, frames) = mailbox::mailbox();
        let (units_to_link, units_out) = mpsc::channel(4);
        let (units_in, units_to_decoder) = crossbeam_channel::bounded(8);
        let slates = Arc::new(Mutex::new(Vec::new()));
        let shown = slates.clone();
        let (status_in, status) = watch::channel(Status::default());

        let listen = signaling::Config { listen: "127.0.0.1:0".into(), ..signaling::Config::default() };
        let signaling = signaling::start(&listen, identity, camera, figures.clone()).unwrap();
        let address = signaling.listening_on().unwrap().to_string();
        let (outgoing, events, running) = signaling.split();

        let encode = encode::Config { bitrate_bps: 300_000, ..encode::Config::default() };
        let control = Arc::new(encode::Control::new(&encode));
        let (on_keyframe, on_target, on_active) = (control.clone(), control.clone(), control.clone());
        let ports = link::Ports {
            units_out,
            units_in,
            ceiling_bps: encode.bitrate_bps,
            on_keyframe_request: Arc::new(move || on_keyframe.request_keyframe()),
            on_decoded: Arc::new(|_, _| {}),
            on_target_bps: Arc::new(move |bps| on_target.set_target_bps(bps)),
            on_active: Arc::new(move |active| on_active.set_active(active)),
            on_held: Arc::new(|_| {}),
            on_view: Box::new(move |status| {
                println!("second portal: {status:?}");
                shown.lock().unwrap().push(status.slate);
                status_in.send_replace(status);
            }),
            signaling: (outgoing, events),
            on_doubt: Arc::new(|| {}),
            figures: figures.clone(),
            clock: PortalClock::start(),
            eras: Default::default(),
        };
        let loopback = link::Config { loopback: true, ..link::Config::default() };
        let link = Arc::new(link::start(loopback, ports, identity, Some(camera), "Second".into()).unwrap());
        link.set_camera(FarCamera::Running);
        let damaged = link.clone();
        let on_damage = Box::new(move || damaged.request_keyframe());
        let decoder =
            decode::start(units_to_decoder, remote_frames, on_damage, Waker::new(), figures.clone(), true).unwrap();
        let encoder = encode::start(encode, to_encode, units_to_link, control, figures.clone()).unwrap();

        let pattern = capture::Config { kind: Kind::Pattern, width: 160, height: 90, fps: 5, ..Default::default() };
        let outputs = capture::Outputs {
            encode: encode_frames,
            self_view: self_view_frames,
            tap: None,
            waker: Waker::new(),
            era: Default::default(),
        };
        let capture = capture::start(pattern, "Second".into(), outputs, figures.clone(), Box::new(|_| {})).unwrap();
        drop(in_runtime);
        Self {
            address,
            figures,
            frames,
            status,
            slates,
            runtime,
            _threads: (capture, encoder, decoder),
            _network: (link, running),
            _self_view: self_view,
        }
    }

    /// The next decoded picture.
    pub fn frame(&self) -> Arc<Frame> {
        self.frames.wait(Duration::from_secs(10)).unwrap().expect("a picture should come")
    }

    /// A picture that comes within so long, if one does.
    pub fn frame_within(&self, limit: Duration) -> Option<Arc<Frame>> {
        self.frames.wait(limit).unwrap()
    }

    /// What the camera's portal says of its camera.
    pub fn far_camera(&self) -> FarCamera {
        self.status.borrow().far_camera
    }

    /// What was shown instead of the picture since [`FarEnd::forget_slates`], in turn.
    pub fn slates(&self) -> Vec<Slate> {
        let mut slates = self.slates.lock().unwrap().clone();
        slates.dedup();
        slates
    }

    /// All but what is shown now.
    pub fn forget_slates(&self) {
        let mut slates = self.slates.lock().unwrap();
        let shown = slates.pop();
        slates.clear();
        slates.extend(shown);
    }

    /// Waits until the link's status is right, and says when.
    pub fn until(&self, what: &str, right: impl Fn(&Status) -> bool) -> Instant {
        let mut status = self.status.clone();
        let found = self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(15), status.wait_for(|status| right(status))).await.is_ok()
        });
        assert!(found, "not {what}: {:?}", *self.status.borrow());
        Instant::now()
    }
}
