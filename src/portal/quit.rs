//! How a portal ends: whoever wants it to says so here, and it ends in time whatever hangs.

use crate::media::Waker;
use crate::ops::ending::{self, Cause};
use crate::ops::logging;
use crate::ops::systemd;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// From the wish to end to the end: an orderly one has this long. SIGTERM promises a second.
pub(super) const END_LIMIT: Duration = Duration::from_millis(850);

/// How a portal ended that ran well until then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As it was asked to, and by what.
    Asked(&'static str),
    /// It has to begin again, for this reason: whoever ran it calls [`ending::begin_again`].
    Again(String),
    /// The same, because its configuration is another one.
    Changed(String),
}

/// Tells the main thread to end, whichever kind it is. Cheap to clone; the first one who tells knows why, unless the program is about to begin
/// again and is asked to end: whoever ends a session ends its window system in the same moment.
#[derive(Clone, Debug)]
pub(super) struct Quit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    stop: Arc<AtomicBool>,
    how: Mutex<Option<Ended>>,
    told: Sender<()>,
    heard: Receiver<()>,
    waker: Waker,
}

impl Quit {
    pub(super) fn new(waker: Waker) -> Self {
        let (told, heard) = bounded(1);
        Self(Arc::new(Shared { stop: Arc::default(), how: Mutex::default(), told, heard, waker }))
    }

    /// Ends the portal: in order if it can, in any case within [`END_LIMIT`].
    pub(super) fn now(&self, how: Ended) {
        let again = !matches!(how, Ended::Asked(_));
        let Some(first) = self.decide(how) else { return };
        if !again {
            systemd::stopping();
        }
        if !first {
            // It is on its way, and how it ends is looked up at the end.
            return;
        }
        self.0.stop.store(true, Relaxed);
        // Full means that it was told already.
        let _ = self.0.told.try_send(());
        self.0.waker.wake();
        let quit = self.clone();
        let limit = move || {
            std::thread::sleep(END_LIMIT);
            quit.force();
        };
        if let Err(error) = std::thread::Builder::new().name("end-limit".into()).spawn(limit) {
            tracing::warn!("nobody watches that the end is in time: {error}");
        }
    }

    /// Whether this is how it ends from now on (`None`: it is not), and the first word about it.
    fn decide(&self, how: Ended) -> Option<bool> {
        let mut now = self.0.how.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = match &*now {
            None => true,
            Some(Ended::Again(_) | Ended::Changed(_)) => matches!(how, Ended::Asked(_)),
            Some(Ended::Asked(_)) => false,
        };
        counts.then(|| now.replace(how).is_none())
    }

    /// Set once the portal is to end.
    #[cfg_attr(not(feature = "kiosk"), expect(dead_code, reason = "read by the window"))]
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.stop)
    }

    /// Waits until somebody wants the end.
    pub(super) fn wait(&self) {
        // An error would mean that the sender is gone, which we hold ourselves.
        let _ = self.0.heard.recv();
    }

    /// How it is to end, if somebody said so.
    pub(super) fn how(&self) -> Option<Ended> {
        self.0.how.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The end that takes too long: something hangs that cannot be waited for.
    pub(super) fn force(&self) {
        tracing::warn!("the orderly end takes too long and is cut short");
        match self.how() {
            Some(Ended::Again(reason)) => again(Cause::BeganAgain, &reason),
            Some(Ended::Changed(reason)) => again(Cause::Changed, &reason),
            Some(Ended::Asked(by)) => ending::note(Cause::Asked, &format!("{by}; what hung was cut short")),
            None => {}
        }
        logging::flush();
        // Not `exit`: what is run at its end may be what hangs.
        // SAFETY: ends the process; takes a number.
        unsafe { libc::_exit(libc::EXIT_SUCCESS) }
    }
}

fn again(cause: Cause, reason: &str) -> ! {
    // Refused; the exit code says so. The log is closed already.
    let _ = ending::begin_again(cause, reason);
    // SAFETY: ends the process; takes a number.
    unsafe { libc::_exit(libc::EXIT_FAILURE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reason_counts_but_a_wish_to_end_is_stronger_than_a_new_start() {
        let (asked, again) = (Ended::Asked, |why: &str| Ended::Again(why.to_owned()));
        for (told, expected) in [
            (vec![again("lost"), again("hung")], again("lost")),
            (vec![asked("SIGTERM"), again("lost")], asked("SIGTERM")),
            (vec![again("lost"), asked("SIGTERM")], asked("SIGTERM")),
            (vec![again("lost"), asked("SIGTERM"), again("hung"), asked("SIGINT")], asked("SIGTERM")),
        ] {
            let quit = Quit::new(Waker::new());
            // `now` but for the thread that would end this process.
            for how in told {
                let _ = quit.decide(how);
            }
            assert_eq!(quit.how(), Some(expected));
        }
    }
}
