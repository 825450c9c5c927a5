//! What the rest of the portal holds of the capture thread: its wishes, and how they reach it.

use super::cameras;
use super::preference::Preference;
use super::run::Begin;
use super::selection;
use super::watchdog::Watchdog;
use super::{Config, Kind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the end waits for a camera that does not let go.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A running capture. Dropping it ends it and releases the camera, within two seconds even if the camera is stalled.
#[derive(Debug)]
pub struct Capture {
    pub(super) control: Arc<Control>,
    pub(super) thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Privacy: `true` releases the source at once (a camera's light goes out), `false` opens it again.
    pub fn set_private(&self, private: bool) {
        self.control.change(|orders| {
            // Privacy may be over again before the thread looks. Its era is then over all the same, and the source belongs to it.
            if private && !orders.wanted.private {
                orders.wanted.change += 1;
            }
            orders.wanted.private = private;
        });
    }

    /// Closes the source and opens it again, whatever it waits for.
    pub fn reopen(&self) {
        self.control.change(|orders| orders.wanted.change += 1);
    }

    /// Another section `[source]`, taken as checked: the source is opened anew, if anything in it is new. Returns at once.
    pub fn set_config(&self, config: Config) {
        self.control.change(|orders| {
            if *orders.config != config {
                // A new preference is newer than what was chosen with the key.
                orders.chosen = orders.chosen.take().filter(|_| orders.config.camera == config.camera);
                orders.config = Arc::new(config);
                orders.wanted.change += 1;
            }
        });
    }

    /// The section `[source]` as it is used now.
    pub fn config(&self) -> Config {
        self.control.lock().config.as_ref().clone()
    }

    /// Whether a camera's pictures are blurred while its lens seems covered.
    pub fn set_covered_lens(&self, blurs: bool) {
        self.control.blurs.store(blurs, Relaxed);
    }

    /// The stable names of the cameras that there are, or `None` while private: then none is opened, not even to ask what it is.
    /// Takes a few milliseconds for each.
    pub fn names(&self) -> Option<Vec<String>> {
        let private = self.control.wanted().private;
        (!private).then(|| cameras::cameras().iter().map(|camera| camera.name().to_owned()).collect())
    }

    /// Other cameras, best first, in place of the configured ones. Returns at once.
    pub fn set_camera(&self, camera: Preference) {
        self.set_config(Config { camera, ..self.config() });
    }

    /// Another camera, for the key: the next one of those that the configuration allows. It is used until the configuration names others
    /// or the program ends; if it goes away for long, the configured order holds again until it returns. Returns its stable name, or
    /// `None` if there is no other. Asks all cameras what they are, which takes a few milliseconds each.
    pub fn next_camera(&self) -> Option<String> {
        let (camera, in_use) = {
            let orders = self.control.lock();
            // While private no camera is opened, not even to ask what it is.
            if orders.config.kind != Kind::Camera || orders.wanted.private {
                return None;
            }
            (orders.config.camera.clone(), orders.in_use.clone())
        };
        let next = selection::next(&cameras::cameras(), &camera, in_use.as_deref())?;
        self.control.change(|orders| {
            orders.chosen = Some(next.clone());
            orders.wanted.change += 1;
        });
        Some(next)
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.control.change(|orders| orders.wanted.stop = true);
        let Some(thread) = self.thread.take() else { return };
        let begin = Instant::now();
        while !thread.is_finished() {
            if begin.elapsed() > LAST_WAIT {
                tracing::warn!("the camera does not let go of the capture thread: left behind");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        // Panics are caught inside, so there is nothing to be learnt from the result.
        let _ = thread.join();
    }
}

/// Wishes on their way to the capture thread.
#[derive(Debug)]
pub(super) struct Control {
    orders: Mutex<Orders>,
    changed: Condvar,
    /// Whether the lens is looked at.
    blurs: AtomicBool,
    pub watchdog: Arc<Watchdog>,
}

/// What the portal wants of the capture thread, and the one thing that it wants to know of it.
#[derive(Debug)]
pub(super) struct Orders {
    pub wanted: Wanted,
    pub config: Arc<Config>,
    /// The camera that a person chose with the key.
    pub chosen: Option<String>,
    /// The camera that was opened last.
    pub in_use: Option<String>,
}

/// What ends a session when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub stop: bool,
    pub private: bool,
    /// Counts changes of the configuration and of the choice, wishes to open it anew, and times at which privacy began.
    pub change: u64,
}

impl Control {
    pub fn new(config: Arc<Config>, begin: Begin, watchdog: Arc<Watchdog>) -> Self {
        let wanted = Wanted { private: begin.private, ..Wanted::default() };
        let orders = Orders { wanted, config, chosen: None, in_use: None };
        Self { orders: Mutex::new(orders), changed: Condvar::new(), blurs: AtomicBool::new(begin.blurs), watchdog }
    }

    pub fn blurs(&self) -> bool {
        self.blurs.load(Relaxed)
    }

    pub fn lock(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Interrupts the camera only for what is news: a picture less otherwise.
    fn change(&self, change: impl FnOnce(&mut Orders)) {
        let mut orders = self.lock();
        let before = orders.wanted;
        change(&mut orders);
        if orders.wanted != before {
            self.changed.notify_all();
            self.watchdog.interrupt();
        }
    }

    pub fn wanted(&self) -> Wanted {
        self.lock().wanted
    }

    /// Waits until something else is wanted than `now`, or for `limit`.
    pub fn wait(&self, now: Wanted, limit: Duration) {
        let wait = self.changed.wait_timeout_while(self.lock(), limit, |orders| orders.wanted == now);
        drop(wait.unwrap_or_else(PoisonError::into_inner));
    }
}
