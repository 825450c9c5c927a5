//! The capture thread: opens the source, passes its pictures on, and begins again whatever happens.

use super::camera::Camera;
use super::cameras::{self, CameraInfo};
use super::control::{Capture, Control, Wanted};
use super::failback::Failback;
use super::lens::{Lens, Veil};
use super::pattern::Pattern;
use super::scene::Scene;
use super::selection::Selection;
use super::tap::Tap;
use super::watchdog::Watchdog;
use super::{Config, Error, File, Kind, Source};
use crate::media::{Era, Frame, Pool, TimeCode, Waker, mailbox};
use crate::ops::{CameraState, Figures};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two attempts to open the source.
const RETRY: Duration = Duration::from_millis(400);
/// A source that delivers nothing but damaged pictures for so long is opened again.
const ONLY_DAMAGED: Duration = Duration::from_secs(3);
/// For each of the three readers: one in the mailbox, one in work, two to spare. They are made when they are needed first.
const BUFFERS: usize = 12;

/// Where the pictures go.
#[derive(Debug)]
pub struct Outputs {
    /// To the encoder.
    pub encode: mailbox::Sender<Arc<Frame>>,
    /// To the display.
    pub self_view: mailbox::Sender<Arc<Frame>>,
    /// To a third reader, who is there at times.
    pub tap: Option<Tap>,
    /// Called for each picture, once it is in the mailboxes.
    pub waker: Waker,
    /// The era of our own pictures. What was captured in an earlier one is not passed on.
    pub era: Era,
}

/// What is to be from the very first moment on.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// Privacy: nothing is opened.
    pub private: bool,
    /// Whether a camera's pictures are blurred while its lens seems covered.
    pub blurs: bool,
}

/// [`start_with`], open and looking at the lens.
///
/// # Errors
/// As there.
pub fn start(
    config: Config,
    site: String,
    outputs: Outputs,
    figures: Arc<Figures>,
    on_state: Box<dyn Fn(CameraState) + Send>,
) -> Result<Capture, Error> {
    start_with(config, site, outputs, figures, on_state, Begin { private: false, blurs: true })
}

/// Starts the capture thread. `config` is taken as checked; `site` is drawn into the test pattern; `on_state` is called on the
/// capture thread whenever the state changes, and must not block.
///
/// # Errors
/// Only if the system gives no thread. A missing camera is a state, not an error.
pub fn start_with(
    config: Config,
    site: String,
    outputs: Outputs,
    figures: Arc<Figures>,
    on_state: Box<dyn Fn(CameraState) + Send>,
    begin: Begin,
) -> Result<Capture, Error> {
    let watchdog = Arc::new(Watchdog::start()?);
    let config = Arc::new(config);
    let control = Arc::new(Control::new(Arc::clone(&config), begin, watchdog));
    let run = Run {
        config,
        site,
        outputs,
        figures,
        on_state,
        control: Arc::clone(&control),
        pool: Pool::new(BUFFERS),
        state: None,
        selection: Selection::default(),
        failback: Failback::default(),
        seen: (Vec::new(), Vec::new()),
        lens: Lens::default(),
        veil: Veil::default(),
        covered: false,
        looked_at: String::new(),
    };
    let thread = std::thread::Builder::new().name("capture".into()).spawn(move || run.run())?;
    Ok(Capture { control, thread: Some(thread) })
}

struct Run {
    config: Arc<Config>,
    site: String,
    outputs: Outputs,
    figures: Arc<Figures>,
    on_state: Box<dyn Fn(CameraState) + Send>,
    control: Arc<Control>,
    pool: Pool,
    state: Option<CameraState>,
    selection: Selection,
    failback: Failback,
    /// The numbers of the video devices when they were last looked at, and what they were: looking opens each of them.
    seen: (Vec<u32>, Vec<CameraInfo>),
    lens: Lens,
    veil: Veil,
    covered: bool,
    /// The source whose pictures the lens has seen so far.
    looked_at: String,
}

impl Run {
    fn run(mut self) {
        loop {
            // Before the flags are read: an interruption that comes later belongs to a flag that is not read yet.
            self.control.watchdog.calm();
            self.figures.pulse.capture.one();
            let wanted = self.control.wanted();
            if wanted.stop {
                return;
            }
            if wanted.private {
                // Whoever presses the key twice also makes the lens forget what it took for usual.
                self.looked_at.clear();
                self.report(CameraState::Private);
                self.control.wait(wanted, Duration::MAX);
                continue;
            }
            if matches!(self.state, None | Some(CameraState::Private)) {
                self.report(CameraState::Starting);
            }
            // The libraries beneath have panics for cases of their own; one of them must not be the end of the portal's camera.
            self.config = Arc::clone(&self.control.lock().config);
            let reason = match catch_unwind(AssertUnwindSafe(|| self.session(wanted))) {
                Ok(Ok(()) | Err(Error::Interrupted)) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(_) => "the capture failed in an unforeseen way (see the log); it is tried again".into(),
            };
            self.report(CameraState::Missing { reason });
            self.control.wait(wanted, RETRY);
        }
    }

    /// From opening the source to its end, or until something else is wanted.
    fn session(&mut self, wanted: Wanted) -> Result<(), Error> {
        // Before anything is opened: privacy that begins from here on ends the era of what is captured.
        self.pool.set_era(self.outputs.era.now());
        let source = self.open();
        self.figures.outgoing.camera_open.set(u64::from(self.config.kind == Kind::Camera && source.is_ok()));
        let ended = source.and_then(|source| self.pass_on(source, wanted));
        // Dropped, and with it the device closed.
        self.figures.outgoing.camera_open.set(0);
        ended
    }

    /// Passes the source's pictures on until it ends or something else is wanted.
    fn pass_on(&mut self, mut source: Box<dyn Source>, wanted: Wanted) -> Result<(), Error> {
        self.figures.outgoing.source_opens.one();
        let description = source.describe();
        self.covered &= self.looked_at == description;
        if self.looked_at != description {
            (self.lens, self.looked_at) = (Lens::default(), description.clone());
        }
        let mut gaps = Gaps { period: source.period(), last: None };
        let (mut first, mut last_whole) = (true, Instant::now());
        while self.control.wanted() == wanted {
            match source.next_frame(&mut self.pool) {
                Ok(frame) => {
                    last_whole = Instant::now();
                    let missed = gaps.missed(frame.captured.unwrap_or(last_whole));
                    self.figures.outgoing.capture_missed.add(missed);
                    let was_covered = self.covered;
                    self.deliver(frame);
                    if first || was_covered != self.covered {
                        self.tell(&description, was_covered);
                    }
                    if first {
                        first = false;
                        self.selection.delivered();
                    }
                }
                Err(Error::Damaged(cause)) => {
                    self.figures.outgoing.capture_damaged.one();
                    self.figures.pulse.capture.one();
                    tracing::debug!(cause, "damaged picture");
                    if last_whole.elapsed() > ONLY_DAMAGED {
                        return Err(Error::OnlyDamaged { camera: source.describe(), cause });
                    }
                }
                Err(Error::Exhausted(_)) => {
                    last_whole = Instant::now();
                    self.figures.outgoing.dropped_before_encode.one();
                }
                Err(error) => {
                    if !matches!(error, Error::Interrupted) {
                        self.selection.failed(first, Instant::now());
                    }
                    return Err(error);
                }
            }
            if self.goes_to_a_better_camera(last_whole) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Pictures come, and what they show.
    fn tell(&mut self, description: &str, was_covered: bool) {
        let description = description.to_owned();
        if !self.covered {
            return self.report(CameraState::Running { description });
        }
        self.figures.outgoing.covers.add(u64::from(!was_covered));
        self.report(CameraState::Covered { description });
    }

    /// Whether a camera that is preferred to the one in use is to be taken now, see [`Failback`].
    fn goes_to_a_better_camera(&mut self, now: Instant) -> bool {
        if self.config.kind != Kind::Camera || !self.failback.is_due(now) {
            return false;
        }
        let numbers = cameras::numbers();
        if self.seen.0 != numbers {
            self.seen = (numbers, cameras::cameras());
        }
        let chosen = self.control.lock().chosen.clone();
        let better = self.selection.better(&self.seen.1, &self.config.camera, chosen.as_deref(), now);
        let goes = self.failback.saw(better.is_some(), now);
        let Some(better) = better.filter(|better| goes && Camera::is_free(better, &self.config)) else { return false };
        tracing::info!(camera = better.name(), "a camera that is preferred to the one in use is back");
        true
    }

    fn deliver(&mut self, frame: Arc<Frame>) {
        if !self.outputs.era.holds(frame.era) {
            // Privacy began while it was on its way.
            return;
        }
        // What nobody may see is no sign of life.
        self.figures.pulse.capture.one();
        let mut frame = frame;
        self.covered = self.config.kind == Kind::Camera
            && self.control.blurs()
            && self.lens.is_covered(&frame, frame.captured.unwrap_or_else(Instant::now));
        if self.covered {
            let veil = &mut self.veil;
            match self.pool.amend(frame, |frame| veil.draw(frame)) {
                Some(blurred) => frame = blurred,
                None => return self.figures.outgoing.dropped_before_encode.one(),
            }
            self.figures.outgoing.blurred.one();
        }
        if self.config.time_code {
            let code = TimeCode::now(frame.number);
            match self.pool.amend(frame, |frame| code.draw(frame)) {
                Some(stamped) => frame = stamped,
                None => return self.figures.outgoing.dropped_before_encode.one(),
            }
        }
        let now = Instant::now();
        if let Some(captured) = frame.captured {
            self.figures.capture_time.record(now.saturating_duration_since(captured), now);
        }
        self.figures.outgoing.captured.one();
        let replaced = self.outputs.encode.put(Arc::clone(&frame));
        self.figures.outgoing.dropped_before_encode.add(replaced);
        if let Some(tap) = &self.outputs.tap {
            tap.put(&frame);
        }
        self.outputs.self_view.put(frame);
        self.outputs.waker.wake();
    }

    fn open(&mut self) -> Result<Box<dyn Source>, Error> {
        match self.config.kind {
            Kind::Camera => Ok(Box::new(self.open_camera()?)),
            Kind::Pattern => Ok(Box::new(Pattern::new(self.config.size(), self.config.fps, &self.site))),
            Kind::Scene => Ok(Box::new(Scene::new(self.config.size(), self.config.fps, &self.site))),
            Kind::File => Ok(Box::new(File::open(&self.config.file, self.config.fps)?)),
        }
    }

    fn open_camera(&mut self) -> Result<Camera, Error> {
        let cameras = cameras::cameras();
        let chosen = self.control.lock().chosen.clone();
        let now = Instant::now();
        let mut failure = None;
        for info in self.selection.candidates(&cameras, &self.config.camera, chosen.as_deref(), now)? {
            match Camera::open(info, &self.config, Arc::clone(&self.control.watchdog)) {
                Ok(camera) => {
                    self.selection.opened(camera.name());
                    self.control.lock().in_use = Some(camera.name().to_owned());
                    return Ok(camera);
                }
                Err(error) => {
                    tracing::debug!(camera = info.name(), %error, "camera not usable");
                    failure.get_or_insert(error);
                }
            }
        }
        Err(failure.unwrap_or(Error::NoCamera))
    }

    /// Tells the operator and the portal, if it is news.
    fn report(&mut self, state: CameraState) {
        if self.state.as_ref() == Some(&state) {
            return;
        }
        match &state {
            CameraState::Starting => tracing::debug!("opening the source"),
            CameraState::Running { description } => tracing::info!(source = description, "pictures come"),
            CameraState::Covered { .. } => {
                tracing::info!("the lens seems covered, or it is dark: pictures are blurred")
            }
            CameraState::Missing { reason } => tracing::warn!("no pictures: {reason}"),
            CameraState::Private => tracing::info!("the source is switched off on purpose"),
        }
        self.state = Some(state.clone());
        (self.on_state)(state);
    }
}

/// Counts pictures that did not come, by gaps in time: nokhwa throws the driver's sequence numbers away.
struct Gaps {
    period: Option<Duration>,
    last: Option<Instant>,
}

impl Gaps {
    fn missed(&mut self, at: Instant) -> u64 {
        let (Some(period), Some(last)) = (self.period, self.last.replace(at)) else { return 0 };
        let periods = at.saturating_duration_since(last).as_secs_f64() / period.as_secs_f64().max(1e-3);
        (periods.round() as u64).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::mailbox::Receiver;
    use crossbeam_channel::unbounded;

    #[test]
    fn gaps_are_counted_in_whole_pictures() {
        let (mut gaps, start) = (Gaps { period: Some(Duration::from_millis(33)), last: None }, Instant::now());
        let mut at = start;
        // (milliseconds after the last one, missed)
        for (after, missed) in [(0, 0), (33, 0), (45, 0), (20, 0), (66, 1), (100, 2), (33, 0), (0, 0)] {
            at += Duration::from_millis(after);
            assert_eq!(gaps.missed(at), missed, "after {after} ms");
        }
        assert_eq!(Gaps { period: None, last: Some(start) }.missed(start + Duration::from_secs(9)), 0);
    }

    struct Setup {
        capture: Capture,
        encode: Receiver<Arc<Frame>>,
        self_view: Receiver<Arc<Frame>>,
        states: crossbeam_channel::Receiver<CameraState>,
        figures: Arc<Figures>,
        era: Era,
    }

    fn begin(config: Config) -> Setup {
        let ((encode_out, encode), (self_view_out, self_view)) = (mailbox::mailbox(), mailbox::mailbox());
        let era = Era::default();
        let outputs =
            Outputs { encode: encode_out, self_view: self_view_out, tap: None, waker: Waker::new(), era: era.clone() };
        let ((state_out, states), figures) = (unbounded(), Arc::new(Figures::default()));
        let on_state = Box::new(move |state| drop(state_out.send(state)));
        let capture = start(config, "Here".into(), outputs, Arc::clone(&figures), on_state).unwrap();
        Setup { capture, encode, self_view, states, figures, era }
    }

    const LONG: Duration = Duration::from_secs(5);

    #[test]
    fn pictures_come_with_a_time_code_stop_for_privacy_and_come_again() {
        let kind = Kind::Pattern;
        let setup = begin(Config { kind, width: 320, height: 180, fps: 60, time_code: true, ..Config::default() });
        let state = || setup.states.recv_timeout(LONG).unwrap();
        assert_eq!(state(), CameraState::Starting);
        let first = setup.encode.wait(LONG).unwrap().unwrap();
        let code = TimeCode::read(&first).unwrap();
        assert_eq!(u64::from(code.number), first.number);
        assert!(TimeCode::now(0).unix_ms.wrapping_sub(code.unix_ms) < 1000);
        assert!(setup.self_view.wait(LONG).unwrap().is_some());
        assert!(matches!(state(), CameraState::Running { description } if description.contains("320x180")));

        setup.capture.set_private(true);
        assert_eq!(state(), CameraState::Private);
        while setup.encode.take().is_some() {}
        let captured = setup.figures.outgoing.captured.get();
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(setup.figures.outgoing.captured.get(), captured);
        assert_eq!(setup.capture.names(), None, "no device is opened, not even to ask");

        setup.capture.set_private(false);
        assert!(setup.capture.names().is_some());
        assert_eq!(state(), CameraState::Starting);
        assert!(setup.encode.wait(LONG).unwrap().is_some());
        assert!(matches!(state(), CameraState::Running { .. }));
        assert_eq!(setup.figures.outgoing.source_opens.get(), 2);
        let begin = Instant::now();
        drop(setup.capture);
        assert!(begin.elapsed() < Duration::from_secs(1));
        // The mailboxes close, so the readers learn of the end.
        while setup.encode.take().is_some() {}
        assert!(setup.encode.wait(Duration::ZERO).is_err());
    }

    /// A key that bounces, or opening hours that a clock's jump crosses: the thread sees nothing of it but another era.
    #[test]
    fn privacy_that_is_over_at_once_ends_what_was_before_and_nothing_else() {
        let setup = begin(Config { kind: Kind::Pattern, width: 320, height: 180, fps: 60, ..Config::default() });
        for _ in 0..50 {
            assert!(setup.encode.wait(LONG).unwrap().is_some());
            for private in [true, false] {
                setup.era.end();
                setup.capture.set_private(private);
            }
            let now = setup.era.now();
            while setup.encode.wait(LONG).unwrap().expect("pictures come again").era != now {}
        }
        assert!(setup.figures.outgoing.source_opens.get() > 50, "opened anew each time");
    }

    #[test]
    fn another_configuration_is_taken_while_it_runs_and_the_same_one_changes_nothing() {
        let config = Config { kind: Kind::Pattern, width: 320, height: 180, fps: 60, ..Config::default() };
        let setup = begin(config.clone());
        let running = |size: &str| {
            let right = |state: &CameraState| matches!(state, CameraState::Running { description } if description.contains(size));
            let end = Instant::now() + LONG;
            while !right(&setup.states.recv_deadline(end).unwrap()) {}
        };
        running("320x180");
        setup.capture.set_config(config.clone());
        setup.capture.set_private(false);
        assert_eq!(setup.capture.next_camera(), None, "a pattern has no cameras");
        setup.capture.set_config(Config { width: 640, height: 360, ..config.clone() });
        running("640x360");
        assert_eq!(setup.figures.outgoing.source_opens.get(), 2);
        assert_eq!(setup.capture.config().width, 640);
        setup.capture.set_config(Config { kind: Kind::Camera, ..config.clone() });
        setup.capture.set_camera("no camera has this name".into());
        let end = Instant::now() + LONG;
        while !matches!(setup.states.recv_deadline(end).unwrap(), CameraState::Missing { .. }) {}
        setup.capture.set_config(config);
        running("320x180");
    }

    #[test]
    fn a_camera_that_is_not_there_is_a_state_and_ends_at_once() {
        let setup = begin(Config { camera: "no camera has this name".into(), ..Config::default() });
        assert_eq!(setup.states.recv_timeout(LONG), Ok(CameraState::Starting));
        let missing = setup.states.recv_timeout(LONG).unwrap();
        assert!(matches!(missing, CameraState::Missing { reason } if reason.contains("camera")));
        let begin = Instant::now();
        drop(setup.capture);
        assert!(begin.elapsed() < Duration::from_secs(1));
    }
}
