//! Ends a wait for a camera that would last for ever.
//!
//! nokhwa waits for a picture without a limit, inside `poll`. A signal whose handler was installed without `SA_RESTART` makes
//! `poll` return, and nokhwa an error. SIGURG does no harm anywhere else: it is ignored by default.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A signal that comes between the check and `poll` is lost, hence again and again.
const AGAIN: Duration = Duration::from_millis(10);

/// A thread that watches another one wait.
#[derive(Debug)]
pub(super) struct Watchdog {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    guarded: Option<Guarded>,
    /// When the watching thread wakes by itself.
    sleeps_until: Option<Instant>,
    interrupt: bool,
    end: bool,
}

#[derive(Debug)]
struct Guarded {
    thread: libc::pthread_t,
    until: Instant,
    barked: bool,
}

impl Watchdog {
    /// Starts the watching thread.
    pub(super) fn start() -> std::io::Result<Self> {
        install_handler()?;
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new().name("capture-watch".into()).spawn(move || shared.watch())?
        };
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Runs `call` on this thread and disturbs its system calls once it lasts longer than `limit`, or as soon as somebody
    /// asks for it with [`Watchdog::interrupt`]. The second value tells whether that happened.
    pub(super) fn guard<T>(&self, limit: Duration, call: impl FnOnce() -> T) -> (T, bool) {
        // However `call` ends, this thread is not watched any more after it.
        struct Unguard<'a>(&'a Shared);
        impl Drop for Unguard<'_> {
            fn drop(&mut self) {
                self.0.lock().guarded = None;
            }
        }
        let until = Instant::now() + limit;
        {
            let mut state = self.shared.lock();
            // SAFETY: takes nothing and cannot fail.
            let thread = unsafe { libc::pthread_self() };
            state.guarded = Some(Guarded { thread, until, barked: false });
            if state.interrupt || state.sleeps_until.is_none_or(|wakes| wakes > until) {
                self.shared.changed.notify_one();
            }
        }
        let unguard = Unguard(&self.shared);
        let result = call();
        let barked = self.shared.lock().guarded.as_ref().is_some_and(|guarded| guarded.barked);
        drop(unguard);
        (result, barked)
    }

    /// Ends the guarded call that is under way, and every later one at once, until [`Watchdog::calm`].
    pub(super) fn interrupt(&self) {
        self.shared.lock().interrupt = true;
        self.shared.changed.notify_one();
    }

    /// Back to normal after [`Watchdog::interrupt`].
    pub(super) fn calm(&self) {
        self.shared.lock().interrupt = false;
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.lock().end = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does nothing that can panic; if it did, there would be nothing left to do.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let mut state = self.lock();
        while !state.end {
            let (now, interrupt) = (Instant::now(), state.interrupt);
            let wake = state.guarded.as_mut().map(|guarded| {
                if interrupt || now >= guarded.until {
                    guarded.barked = true;
                    // SAFETY: the thread cannot end while it is guarded: it takes itself out under the lock that we hold.
                    unsafe { libc::pthread_kill(guarded.thread, libc::SIGURG) };
                    now + AGAIN
                } else {
                    guarded.until
                }
            });
            state.sleeps_until = wake;
            state = match wake {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wake) => {
                    let wait = self.changed.wait_timeout(state, wake.saturating_duration_since(now));
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

fn install_handler() -> std::io::Result<()> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    // SAFETY: sigaction is plain data, all zeroes is a valid value of it: no flags (so no SA_RESTART), an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
    // SAFETY: the handler does nothing, so it may run at any point of any thread; the old action is not asked for.
    match unsafe { libc::sigaction(libc::SIGURG, &action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits like a stalled camera does; true if a signal ended it, false after a second.
    fn wait() -> bool {
        // SAFETY: no file descriptors, so the pointer is not used.
        unsafe { libc::poll(std::ptr::null_mut(), 0, 1000) == -1 }
    }

    #[test]
    fn a_wait_ends_at_its_limit_and_a_short_one_is_left_alone() {
        let watchdog = Watchdog::start().unwrap();
        let begin = Instant::now();
        assert_eq!(watchdog.guard(Duration::from_millis(50), wait), (true, true));
        assert!(begin.elapsed() >= Duration::from_millis(50) && begin.elapsed() < Duration::from_millis(500));
        assert_eq!(watchdog.guard(Duration::from_secs(5), || 7), (7, false));
        // Again with a shorter limit than the one that the watching thread sleeps for.
        assert_eq!(watchdog.guard(Duration::from_millis(20), wait), (true, true));
    }

    #[test]
    fn a_wait_ends_when_somebody_asks_for_it_before_or_meanwhile() {
        let watchdog = Watchdog::start().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(30));
                watchdog.interrupt();
            });
            assert_eq!(watchdog.guard(Duration::from_secs(5), wait), (true, true));
        });
        assert_eq!(watchdog.guard(Duration::from_secs(5), wait), (true, true));
        watchdog.calm();
        assert_eq!(watchdog.guard(Duration::from_secs(5), || 7), (7, false));
    }
}
