//! Waits for a display: at boot the portal is often earlier than the window system, and after a loss it always is.
//!
//! Meanwhile everything else runs: the far end sees this place although this place shows nothing yet.

use super::Error;
use crate::ops::Figures;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Between the first two looks.
const SHORTEST: Duration = Duration::from_millis(200);
/// Between two looks after a while.
const LONGEST: Duration = Duration::from_secs(2);
/// How soon somebody who waits hears that he shall stop.
const SLICE: Duration = Duration::from_millis(100);

/// How long to wait before the next look: 0.2 s, then half as long again each time, up to 2 s.
#[derive(Clone, Copy, Debug)]
pub struct Pace(Duration);

impl Default for Pace {
    fn default() -> Self {
        Self(SHORTEST)
    }
}

impl Pace {
    /// The time until the next look.
    pub fn pause(&mut self) -> Duration {
        let now = self.0;
        self.0 = (now * 3 / 2).min(LONGEST);
        now
    }
}

/// Looks until something is found; `None` if told to stop before. What `look` says is logged when the waiting begins, and when it says something else.
///
/// # Errors
/// Without `patient`, what the first look says.
pub fn until_there<T>(
    patient: bool,
    stop: &AtomicBool,
    figures: &Figures,
    mut look: impl FnMut() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let (start, mut pace) = (Instant::now(), Pace::default());
    let mut said: Option<Error> = None;
    let waiting = &figures.link.display_waiting;
    waiting.set(1);
    let found = loop {
        if stop.load(Relaxed) {
            break None;
        }
        match look() {
            Ok(found) => break Some(found),
            Err(error) if !patient => {
                waiting.set(0);
                return Err(error);
            }
            Err(error) => {
                if said.as_ref() != Some(&error) {
                    tracing::warn!("{error} Waiting for it, and sending meanwhile.");
                    said = Some(error);
                }
            }
        }
        let until = Instant::now() + pace.pause();
        while !stop.load(Relaxed) && Instant::now() < until {
            std::thread::sleep(SLICE.min(until.saturating_duration_since(Instant::now())));
        }
    };
    waiting.set(0);
    if said.is_some() && found.is_some() {
        tracing::info!(after_s = format!("{:.1}", start.elapsed().as_secs_f64()), "there is a display now");
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_rare_but_not_too_rare() {
        let mut pace = Pace::default();
        let first: Vec<_> = (0..8).map(|_| pace.pause().as_millis()).collect();
        assert_eq!(first, [200, 300, 450, 675, 1012, 1518, 2000, 2000]);
    }

    #[test]
    fn what_comes_later_is_found() {
        let (figures, stop) = (Figures::default(), AtomicBool::new(false));
        let mut looks = 0;
        let found = until_there(true, &stop, &figures, || {
            looks += 1;
            assert_eq!(figures.link.display_waiting.get(), 1);
            if looks < 3 { Err(Error::NoDisplay) } else { Ok("screen") }
        });
        assert_eq!((found, looks), (Ok(Some("screen")), 3));
        assert_eq!(figures.link.display_waiting.get(), 0);
    }

    #[test]
    fn the_impatient_hears_what_is_missing() {
        let (figures, stop) = (Figures::default(), AtomicBool::new(false));
        let nothing = until_there(false, &stop, &figures, || Err::<(), _>(Error::NoDisplay));
        assert_eq!(nothing, Err(Error::NoDisplay));
    }

    #[test]
    fn waiting_ends_when_it_is_told_to() {
        let (figures, stop) = (Figures::default(), AtomicBool::new(false));
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(700));
                stop.store(true, Relaxed);
            });
            let ended = until_there(true, &stop, &figures, || Err::<(), _>(Error::NoDisplay));
            assert_eq!(ended, Ok(None));
        });
        assert!(start.elapsed() < Duration::from_millis(1200), "{:?}", start.elapsed());
    }
}
