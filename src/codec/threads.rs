//! A worker's thread, and those that hung and were left behind.

use std::io;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Threads that may hang at the same time; more would only eat memory.
const LEFT_BEHIND: usize = 4;
/// How long the end waits for a thread.
const LAST_WAIT: Duration = Duration::from_millis(300);

/// One thread that works, and what ends it. `S` is told to stop, or dropped.
#[derive(Debug)]
pub struct Threads<S> {
    working: Option<(S, JoinHandle<()>)>,
    left_behind: Vec<JoinHandle<()>>,
}

impl<S> Threads<S> {
    /// With a thread that works.
    pub fn new(working: (S, JoinHandle<()>)) -> Self {
        Self { working: Some(working), left_behind: Vec::new() }
    }

    /// Tells the one that works to stop, does not wait for it, and has another take its place.
    ///
    /// # Errors
    /// No other one could be made, or too many still hang. Then the one that works goes on doing so.
    pub fn replace(
        &mut self,
        stop: impl FnOnce(&S),
        make: impl FnOnce() -> io::Result<(S, JoinHandle<()>)>,
    ) -> io::Result<()> {
        self.left_behind.retain(|thread| !thread.is_finished());
        if self.left_behind.len() >= LEFT_BEHIND {
            return Err(io::Error::other(format!("{LEFT_BEHIND} threads that were replaced still hang")));
        }
        let new = make()?;
        if let Some((old_stop, old)) = self.working.replace(new) {
            stop(&old_stop);
            self.left_behind.push(old);
        }
        Ok(())
    }

    /// Ends the one that works; one that does not end soon is left behind.
    pub fn end(&mut self, name: &str, stop: impl FnOnce(&S)) {
        let Some((signal, thread)) = self.working.take() else { return };
        stop(&signal);
        drop(signal);
        let begin = Instant::now();
        while !thread.is_finished() {
            if begin.elapsed() > LAST_WAIT {
                tracing::warn!("the thread `{name}` does not end: left behind");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        if thread.join().is_err() {
            tracing::error!("the thread `{name}` had panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// A thread that hangs until its sender is dropped.
    fn hanging() -> (Sender<()>, (Sender<()>, JoinHandle<()>)) {
        let ((stop, _stopped), (release, hangs)) = (channel(), channel());
        (
            release,
            (
                stop,
                std::thread::spawn(move || {
                    // An error: the sender is gone, which is what it waits for.
                    let _ = hangs.recv();
                }),
            ),
        )
    }

    #[test]
    fn hanging_threads_are_left_behind_up_to_a_number_and_hold_nobody_up() {
        let (first, working) = hanging();
        let mut threads = Threads::new(working);
        let mut releases = vec![first];
        for n in 0..=LEFT_BEHIND {
            let (release, another) = hanging();
            releases.push(release);
            assert_eq!(threads.replace(|_| {}, || Ok(another)).is_ok(), n < LEFT_BEHIND);
        }
        // One of them comes back: there is room again.
        releases.remove(0);
        let begin = Instant::now();
        let mut replaced = false;
        while !replaced && begin.elapsed() < Duration::from_secs(5) {
            let (release, another) = hanging();
            replaced = threads.replace(|_| {}, || Ok(another)).is_ok();
            releases.push(release);
        }
        assert!(replaced, "one ended");
        let begin = Instant::now();
        threads.end("test", |_| {});
        assert!((LAST_WAIT..LAST_WAIT * 4).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    }
}
