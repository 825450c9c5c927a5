//! Wires one portal together; starts it, stops it, and says who owns which thread.
//!
//! | thread | owner | does |
//! |---|---|---|
//! | main | [`run`] | the display ([`crate::display::run`]), or waiting, in a headless agent |
//! | `capture` | [`capture::Capture`] | opens the source, converts and stamps its pictures |
//! | `encode` | [`encode::Worker`] | takes the newest picture, makes an access unit of it |
//! | `decode` | [`decode::Worker`] | takes access units in order, puts the newest picture into the display's mailbox |
//! | `network` (2) | the tokio runtime | link, signalling, status pages |
//! | `commands` | `portal::Portal` | carries out what a person at the kiosk asks for |
//! | `configuration` | `portal::keeper` | sees that a file has changed, takes what is set at the kiosk |
//! | `capture-watch` | [`capture::Capture`] | looks whether the source delivers; wakes a thread that a driver holds |
//! | `witness` | [`crate::display::run`] | sees the window system go, and an X server's outputs change |
//! | `signals` | `portal::signals` | waits for SIGINT, SIGTERM and SIGHUP |
//! | `privacy-note` | `portal::privacy` | keeps on the disk whether privacy is on |
//! | `guests`, `guest-encode` | [`crate::guests`] | only where guests may come: serve them, and give way to all others |
//! | `watch` | `portal::watchdog` | looks whether all others turn, mends what does not, feeds systemd |
//! | `end-limit` | `portal::quit` | while the portal ends: cuts short what takes too long |
//!
//! Queues between them, all bounded: camera → encoder, camera → self-view and decoder → display are latest-frame mailboxes (the
//! newest wins); encoder → link holds [`SEND_QUEUE`] access units and link → decoder [`DECODE_QUEUE`]: when one is full, its
//! writer drops up to the next keyframe and asks for one.

mod attendance;
mod board;
mod candidate;
pub(crate) mod discovery;
mod farewell;
#[cfg(feature = "kiosk")]
mod glass;
mod guests;
mod keeper;
mod monitor;
pub(crate) mod pairing;
mod privacy;
mod quit;
mod service;
mod shutter;
mod signals;
mod unpair;
mod watchdog;

use crate::capture::{self, Capture};
use crate::codec::{decode, encode};
use crate::config::{Invalid, Loaded};
use crate::link::{self, Link};
use crate::media::{Eras, Frame, PortalClock, Waker, mailbox};
use crate::ops::{CameraState, Command, FarCamera, Figures, Typed, logging};
use crate::pairing::Identity;
use crate::{display, signaling, web};
use attendance::Needs;
use board::Board;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use farewell::Farewell;
use jiff::Timestamp;
use keeper::{Order, Rooms};
pub use quit::Ended;
use quit::Quit;
use shutter::Shutter;
pub use signals::Signals;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};

/// Access units that may wait between encoder and link. While the network is behind, what waits here only gets older.
pub const SEND_QUEUE: usize = 1;
/// Access units that may wait between link and decoder: about a quarter of a second.
pub const DECODE_QUEUE: usize = 8;
/// Commands that may wait; a person cannot press keys faster than they are carried out.
const COMMAND_QUEUE: usize = 16;
/// Two threads: the link's work and everything else never wait for each other. More would only take turns on a small machine.
const NETWORK_THREADS: usize = 2;
/// How long an orderly end may take before it is cut short.
const CLOSE_LIMIT: Duration = Duration::from_millis(800);
/// How often a thread that waits for work turns: a sign of life.
const TURN: Duration = Duration::from_secs(1);

/// Why a portal could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No identity.
    #[error(transparent)]
    Identity(#[from] crate::pairing::Error),
    /// The signalling listener or dialler could not start.
    #[error(transparent)]
    Signaling(#[from] signaling::Error),
    /// The status pages could not start.
    #[error(transparent)]
    Status(#[from] web::Error),
    /// The link could not start.
    #[error(transparent)]
    Link(#[from] link::Error),
    /// The opening hours cannot be kept.
    #[error("hours.{0}")]
    Hours(#[from] Invalid),
    /// The capture thread could not start.
    #[error(transparent)]
    Capture(#[from] capture::Error),
    /// The display could not start, or was lost for good.
    #[error(transparent)]
    Display(#[from] display::Error),
    /// The system refused a thread.
    #[error("cannot start the threads of the network: {0}; free memory or raise the limit of processes (ulimit -u)")]
    Threads(#[from] std::io::Error),
}

/// Runs one portal until it is told to stop: by a key, a closed window, SIGINT or SIGTERM. Blocks the calling thread, which must be
/// the main thread unless `headless`: window systems insist on it.
///
/// `started` is when the process started, for the figure "first picture"; `signals` have been listened to since. Says how it ended: as it was asked to, or to begin again.
///
/// # Errors
/// Only what cannot heal by itself ends here: see [`Error`]. A missing camera, an unreachable far end or a broken network do not.
pub fn run(loaded: &Loaded, headless: bool, started: Instant, signals: Signals) -> Result<Ended, Error> {
    let waker = Waker::new();
    let quit = Quit::new(waker.clone());
    signals.end(quit.clone());
    let portal = Portal::start(loaded, headless, started, &quit, waker.clone(), signals)?;
    let shown = if headless {
        quit.wait();
        Ok(())
    } else {
        portal.show(&quit, waker)
    };
    match shown {
        // It was told to end.
        Ok(()) if quit.how().is_some() => {}
        Ok(()) => quit.now(Ended::Asked("the window was closed")),
        Err(error) if error.is_loss() => quit.now(Ended::Again(error.to_string())),
        Err(error) => {
            portal.stop();
            return Err(error.into());
        }
    }
    portal.stop();
    Ok(quit.how().unwrap_or(Ended::Asked("the window was closed")))
}

/// A running portal: everything but the main thread.
struct Portal {
    runtime: Runtime,
    link: Option<Arc<Link>>,
    dial: Option<signaling::Controls>,
    farewell: Arc<Farewell>,
    capture: Arc<Capture>,
    encoder: Arc<encode::Worker>,
    decoder: Arc<decode::Worker>,
    /// The thread that looks after the others, and what ends it when it is dropped.
    watch: (Sender<Infallible>, JoinHandle<()>),
    /// Whoever waits for signals.
    signals: Signals,
    #[cfg_attr(not(feature = "kiosk"), expect(dead_code, reason = "read by the window"))]
    board: Arc<Board>,
    figures: Arc<Figures>,
    #[cfg_attr(
        not(feature = "kiosk"),
        expect(dead_code, reason = "only a window shows it; kept so that its writer goes on")
    )]
    remote: mailbox::Receiver<Arc<Frame>>,
    #[cfg_attr(
        not(feature = "kiosk"),
        expect(dead_code, reason = "only a window shows it; kept so that its writer goes on")
    )]
    self_view: mailbox::Receiver<Arc<Frame>>,
    #[cfg_attr(not(feature = "kiosk"), expect(dead_code, reason = "read by the window"))]
    eras: Eras,
    commands: Sender<Command>,
    shutter: Arc<Shutter>,
    guests: Arc<guests::Host>,
    #[cfg_attr(not(feature = "kiosk"), expect(dead_code, reason = "read by the window"))]
    live: watch::Receiver<display::Live>,
    orders: Sender<Order>,
    /// To whoever tries them, while the portal is not paired.
    codes: mpsc::Sender<Typed>,
    /// What the watchdog may ask of the window.
    #[cfg_attr(not(feature = "kiosk"), expect(dead_code, reason = "there is no window"))]
    remedies: display::Remedies,
}

impl Portal {
    /// Starts everything but the window: signalling, camera and encoder are under way before the window is, so that the first
    /// picture does not wait for one after the other.
    fn start(
        loaded: &Loaded,
        headless: bool,
        started: Instant,
        quit: &Quit,
        waker: Waker,
        signals: Signals,
    ) -> Result<Self, Error> {
        let config = &loaded.config;
        let figures = Arc::new(Figures::new(started));
        let identity = Identity::load_or_create(&config.data.folder)?;
        let far_end = config.pairing.far_end;
        privacy::no_core_dumps();
        let (eras, kept) = (Eras::default(), privacy::Kept::new(&config.data.folder)?);
        let private = kept.is_private();
        let (schedule, opening) = attendance::at_start(&config.hours, Timestamp::now())?;
        let shut = private || opening.is_some();
        let board = Board::new(far_end.is_some(), private, Arc::clone(&figures), eras.clone(), waker.clone());
        let board = Arc::new(board);
        board.closed(opening);
        let runtime =
            Builder::new_multi_thread().worker_threads(NETWORK_THREADS).thread_name("network").enable_all().build()?;
        let in_runtime = runtime.enter();

        let (encode_frames, frames) = mailbox::mailbox();
        let (self_view_frames, self_view) = mailbox::mailbox();
        let (remote_frames, remote) = mailbox::mailbox();
        let (units_to_link, units_out) = mpsc::channel(SEND_QUEUE);
        let (units_in, units_to_decoder) = bounded(DECODE_QUEUE);
        let encoder_control = Arc::new(encode::Control::new(&config.encode));

        let (far_hours_in, far_hours) = watch::channel(None);
        let (link, signaling) = match far_end {
            Some(far_end) => {
                let (found, addresses) = watch::channel(pairing::known_addresses(config));
                let signaling = signaling::start_dialling(
                    &config.pairing.ways(&config.signaling),
                    &identity,
                    far_end,
                    Arc::clone(&figures),
                    addresses,
                )?;
                let (listening, own) = (signaling.listening_on(), identity.fingerprint());
                runtime.spawn(discovery::attend(config.clone(), own, far_end, listening, board.subscribe(), found));
                let (outgoing, events, running) = signaling.split();
                let (on_keyframe, on_target) = (Arc::clone(&encoder_control), Arc::clone(&encoder_control));
                let on_decoded = Arc::clone(&encoder_control);
                let (on_active, on_held) = (Arc::clone(&encoder_control), Arc::clone(&encoder_control));
                let (on_view, doubt) = (Arc::clone(&board), running.controls());
                let ports = link::Ports {
                    units_out,
                    units_in,
                    ceiling_bps: config.encode.bitrate_bps,
                    on_keyframe_request: Arc::new(move || on_keyframe.request_keyframe()),
                    on_decoded: Arc::new(move |number, lost| {
                        on_decoded.far_end_has(number);
                        if lost {
                            on_decoded.request_recovery();
                        }
                    }),
                    on_target_bps: Arc::new(move |bps| on_target.set_target_bps(bps)),
                    on_active: Arc::new(move |active| on_active.set_active(active)),
                    on_held: Arc::new(move |held| on_held.set_held(held)),
                    on_view: Box::new(move |status| {
                        let told = status.far_hours.clone();
                        on_view.link(status);
                        // Whoever hears of the hours finds whose they are.
                        far_hours_in.send_if_modified(|hours| {
                            let news = *hours != told;
                            *hours = told;
                            news
                        });
                    }),
                    signaling: (outgoing, events),
                    on_doubt: Arc::new(move || doubt.doubt()),
                    figures: Arc::clone(&figures),
                    clock: PortalClock::start(),
                    eras: eras.clone(),
                };
                let link = link::start(config.link.clone(), ports, &identity, Some(far_end), config.site.name.clone())?;
                (Some(Arc::new(link)), Some(running))
            }
            None => {
                tracing::warn!(
                    "not paired: run `screen-portal pair` here or there, or set pairing.far_end at both ends; our fingerprint is {}",
                    identity.fingerprint()
                );
                (None, None)
            }
        };

        let damaged = link.clone();
        let on_damage = Box::new(move || {
            if let Some(link) = &damaged {
                link.request_keyframe();
            }
        });
        let decoder =
            decode::start(units_to_decoder, remote_frames, on_damage, waker.clone(), Arc::clone(&figures), headless)?;
        let encoder = encode::start(
            config.encode.clone(),
            frames,
            units_to_link,
            Arc::clone(&encoder_control),
            Arc::clone(&figures),
        )?;
        let (camera_board, camera_link) = (Arc::clone(&board), link.clone());
        let on_camera = Box::new(move |state: CameraState| {
            if let Some(link) = &camera_link {
                link.set_camera(told_to_far_end(&state));
            }
            camera_board.camera(state);
        });
        if let Some(link) = &link {
            link.set_private(private);
            link.set_closed(board.is_closed());
        }
        let (waker_of_capture, era) = (waker.clone(), eras.own.clone());
        let (tap, tapped) = capture::tap();
        let (encode, self_view_out, tap) = (encode_frames, self_view_frames, Some(tap));
        let outputs = capture::Outputs { encode, self_view: self_view_out, tap, waker: waker_of_capture, era };
        let begin = capture::Begin { private: shut, blurs: config.privacy.covered_lens };
        let (source, site) = (config.source.clone(), config.site.name.clone());
        let capture = Arc::new(capture::start_with(source, site, outputs, Arc::clone(&figures), on_camera, begin)?);

        web::serve(&config.status, Arc::clone(&figures), board.subscribe(), identity.fingerprint())?;
        runtime.spawn(logging::report(Arc::clone(&figures), board.subscribe()));
        runtime.spawn(service::tell(Arc::clone(&figures), board.subscribe()));
        runtime.spawn(tick(Arc::clone(&figures)));
        let (orders, to_keep) = bounded(COMMAND_QUEUE);
        let (codes, entered) = mpsc::channel(1);
        if far_end.is_none() {
            let (figures, board) = (Arc::clone(&figures), Arc::clone(&board));
            runtime.spawn(pairing::wait(config.clone(), identity.clone(), figures, board, orders.clone(), entered));
        }
        runtime.spawn(pairing::confirm(loaded.clone(), Arc::clone(&board)));
        signals.reload(orders.clone());
        let shutter = Arc::new(Shutter::new(Arc::clone(&board), link.clone(), &capture, kept));
        let (hours_in, hours) = watch::channel(config.hours.clone());
        let (live_in, live) = watch::channel(keeper::live(loaded));
        let guests = guests::Host::start(config, tapped, &board, &eras, &figures);
        let rooms = Rooms {
            guests: Arc::clone(&guests),
            live: live_in,
            hours: hours_in,
            capture: Arc::downgrade(&capture),
            link: link.clone(),
            encoder: Arc::clone(&encoder_control),
            quit: quit.clone(),
            fingerprint: identity.fingerprint(),
            waker,
            figures: Arc::clone(&figures),
        };
        keeper::start(loaded.clone(), rooms, to_keep)?;
        let power = monitor::switch(live.clone(), headless);
        let needs = Needs {
            schedule,
            hours,
            far: far_hours,
            view: board.subscribe(),
            shutter: Arc::clone(&shutter),
            power,
            figures: Arc::clone(&figures),
        };
        runtime.spawn(attendance::attend(needs));
        drop(in_runtime);

        let (encoder, decoder) = (Arc::new(encoder), Arc::new(decoder));
        let remedies = display::Remedies::default();
        let (watching, over) = bounded(0);
        let watched = watchdog::Watched {
            figures: Arc::clone(&figures),
            board: Arc::clone(&board),
            capture: Arc::clone(&capture),
            encoder: Arc::clone(&encoder),
            encoder_control,
            decoder: Arc::clone(&decoder),
            link: link.clone(),
            dial: signaling.as_ref().map(signaling::Running::controls),
            display: (!headless).then(|| remedies.clone()),
            quit: quit.clone(),
        };
        let watch = (watching, watched.start(over)?);
        let (commands, to_do) = bounded(COMMAND_QUEUE);
        let dial = signaling.as_ref().map(signaling::Running::controls);
        let farewell = Arc::new(Farewell::new(runtime.handle().clone(), link.clone(), signaling));
        let portal = Self {
            runtime,
            link,
            dial,
            farewell,
            capture,
            encoder,
            decoder,
            watch,
            signals,
            board,
            figures,
            remote,
            self_view,
            eras,
            commands,
            shutter,
            guests,
            live,
            orders,
            codes,
            remedies,
        };
        portal.carry_out(to_do, quit.clone())?;
        Ok(portal)
    }

    /// The thread that does what a person at the kiosk asks for. It ends with the last sender of commands.
    fn carry_out(&self, to_do: Receiver<Command>, quit: Quit) -> std::io::Result<()> {
        let (link, shutter, orders) = (self.link.clone(), Arc::clone(&self.shutter), self.orders.clone());
        let (dial, figures, codes) = (self.dial.clone(), Arc::clone(&self.figures), self.codes.clone());
        std::thread::Builder::new().name("commands".into()).spawn(move || {
            loop {
                figures.pulse.commands.one();
                let command = match to_do.recv_timeout(TURN) {
                    Ok(command) => command,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                // Of privacy the shutter tells what came of it, of an end of the pairing the keeper.
                if !matches!(command, Command::TogglePrivacy | Command::Unpair) {
                    tracing::info!("asked at the kiosk: {command}");
                }
                match command {
                    Command::Reconnect => {
                        if let Some(dial) = &dial {
                            dial.dial_now();
                        }
                        if let Some(link) = &link {
                            link.reconnect();
                        }
                    }
                    Command::TogglePrivacy => shutter.toggle_private("a key"),
                    // Full means that the one before is still being carried out; the key will be pressed again.
                    Command::Set(section, key, value) => drop(orders.try_send(Order::Set(section, key, value))),
                    Command::NextCamera => drop(orders.try_send(Order::NextCamera)),
                    Command::OpenSettings => drop(orders.try_send(Order::OpenSettings)),
                    Command::TestNetwork => drop(orders.try_send(Order::TestNetwork)),
                    Command::Pair(code) => drop(codes.try_send(code)),
                    Command::Unpair => drop(orders.try_send(Order::Unpair)),
                    Command::Quit => quit.now(Ended::Asked("a key")),
                }
            }
        })?;
        Ok(())
    }

    /// A build without windows shows nothing; the command line asks for a headless agent there.
    #[cfg(not(feature = "kiosk"))]
    fn show(&self, _quit: &Quit, _waker: Waker) -> Result<(), display::Error> {
        Err(display::Error::NotBuiltIn)
    }

    /// Ends in order: the far end is told first, then the threads end, in the direction of the pictures.
    fn stop(self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.guests.close());
            self.farewell.say_or_wait();
        });
        drop(self.link);
        drop(self.commands);
        self.signals.close();
        let (watching, watch) = self.watch;
        drop(watching);
        if watch.join().is_err() {
            tracing::error!("the thread `watch` had panicked");
        }
        drop(self.capture);
        drop(self.encoder);
        drop(self.decoder);
        self.runtime.shutdown_timeout(CLOSE_LIMIT);
    }
}

/// What the far end is told of our camera.
fn told_to_far_end(camera: &CameraState) -> FarCamera {
    match camera {
        CameraState::Starting => FarCamera::Unknown,
        CameraState::Running { .. } => FarCamera::Running,
        CameraState::Covered { .. } => FarCamera::Covered,
        CameraState::Missing { .. } => FarCamera::Missing,
        CameraState::Private => FarCamera::Private,
    }
}

/// Makes the rates once a second, for as long as the runtime lives, and says when the link's quality has changed.
async fn tick(figures: Arc<Figures>) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    loop {
        second.tick().await;
        figures.pulse.network.one();
        if let Some(change) = figures.tick(Instant::now()) {
            tracing::info!(quality = ?change.to, "{change}");
        }
    }
}
