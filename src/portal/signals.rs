//! SIGINT and SIGTERM end the program in order, SIGHUP has the configuration read again, unless it says that the program's terminal was closed.
//!
//! They are waited for by a thread of their own, not by the network's runtime: who hangs must not keep the program from being ended. It is the first
//! thing that a portal has, before its configuration is read: who ends a service in its first moments ends it in order, too, and who
//! reloads one that is just starting does not end it.

use super::Error;
use super::keeper::Order;
use super::quit::{Ended, Quit};
use crate::ops::ending::{self, Cause};
use crate::ops::{logging, systemd};
use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{self, Handle};
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

/// What a portal does about signals, from [`listen`](Self::listen) on.
#[derive(Debug)]
pub struct Signals {
    handle: Handle,
    told: Arc<Mutex<Told>>,
}

/// Whom a signal is told: nobody as long as there is no portal yet.
#[derive(Debug, Default)]
struct Told {
    quit: Option<Quit>,
    orders: Option<Sender<Order>>,
}

impl Signals {
    /// Starts the thread `signals`; it ends with the portal.
    ///
    /// # Errors
    /// The system gives no handler or no thread.
    pub fn listen() -> Result<Self, Error> {
        let mut signals = iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
        let (handle, told) = (signals.handle(), Arc::new(Mutex::new(Told::default())));
        let (in_terminal, tell) = (io::stdin().is_terminal(), Arc::clone(&told));
        let wait = move || {
            for signal in signals.forever() {
                let lock = tell.lock().unwrap_or_else(PoisonError::into_inner);
                let (quit, orders) = (lock.quit.clone(), lock.orders.clone());
                drop(lock);
                let by = match signal {
                    // A terminal that was closed is none any more.
                    SIGHUP if in_terminal && !io::stdin().is_terminal() => "the terminal was closed",
                    SIGHUP => {
                        // Nobody there: the files are about to be read. Full: much was set at the kiosk just now; the files are looked at twice a
                        // second anyway.
                        let _ = orders.map(|orders| orders.try_send(Order::Reload));
                        continue;
                    }
                    SIGINT => "SIGINT",
                    _ => "SIGTERM",
                };
                tracing::info!("{by}: ending");
                match quit {
                    Some(quit) => quit.now(Ended::Asked(by)),
                    None => end_before_the_start(by),
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(wait)?;
        Ok(Self { handle, told })
    }

    /// From now on it is this that is told to end.
    pub(super) fn end(&self, quit: Quit) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).quit = Some(quit);
    }

    /// From now on somebody can read the configuration again.
    pub(super) fn reload(&self, orders: Sender<Order>) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).orders = Some(orders);
    }

    /// Ends the thread, and lets go of whom it told.
    pub(super) fn close(self) {
        self.handle.close();
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Told::default();
    }
}

/// Nothing runs yet that would have to be ended in order.
fn end_before_the_start(by: &str) -> ! {
    systemd::stopping();
    // Of a run that has not been noted yet nothing is.
    ending::note(Cause::Asked, by);
    logging::flush();
    // Not `exit`: the main thread is in the middle of something.
    // SAFETY: ends the process; takes a number.
    unsafe { libc::_exit(libc::EXIT_SUCCESS) }
}
