//! Keeps the opening hours: asks each minute, and whenever something has changed, whether both ends are open, and does what follows.

use super::shutter::Shutter;
use crate::config::Invalid;
use crate::hours::{self, Announced, Schedule, Verdict};
use crate::ops::{Figures, View};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// After closing the slate can be read for so long; then the monitor goes to standby.
const READABLE: Duration = Duration::from_secs(120);
/// So long after the start a window system is found, or known to be missing.
const START: Duration = Duration::from_secs(5);
/// A key or a cable wakes a monitor; it is sent to sleep again after this.
const AGAIN: Duration = Duration::from_secs(600);

/// What keeping hours needs.
pub(super) struct Needs {
    /// Our hours at the start.
    pub schedule: Schedule,
    /// Our hours from then on, checked before they come here.
    pub hours: watch::Receiver<hours::Config>,
    /// The far end's, as it told them.
    pub far: watch::Receiver<Option<Vec<Announced>>>,
    /// For the far end's name.
    pub view: watch::Receiver<View>,
    pub shutter: Arc<Shutter>,
    /// Switches the monitor on or to standby. Blocking is allowed.
    pub power: Arc<dyn Fn(bool) + Send + Sync>,
    /// Tells whether there is a window system yet.
    pub figures: Arc<Figures>,
}

/// Our hours, and what people are told of the next opening if we are closed now. Asked before anything is captured: the far end's hours are
/// not known yet, but whoever is closed by their own opens no camera, not even until the far end answers.
///
/// # Errors
/// The zone's file has gone since the configuration was checked.
pub(super) fn at_start(hours: &hours::Config, now: Timestamp) -> Result<(Schedule, Option<String>), Invalid> {
    let schedule = hours.schedule()?;
    let opening = match hours::verdict(&schedule, None, None, now) {
        Verdict::Open => None,
        Verdict::Closed(opening) => Some(opening),
    };
    Ok((schedule, opening))
}

/// Runs for as long as the runtime does. The clock on the wall is asked each second, so that what sets it (NTP, an operator, a night
/// spent asleep) is followed at once.
pub(super) async fn attend(mut needs: Needs) {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut schedule = needs.schedule;
    let mut standby = Standby::new(Instant::now());
    let (mut judged, mut closed, mut news) = (None, false, News::default());
    loop {
        tokio::select! {
            _ = seconds.tick() => {}
            Ok(()) = needs.hours.changed() => {
                match needs.hours.borrow_and_update().schedule() {
                    Ok(changed) => (schedule, judged) = (changed, None),
                    // The zone's file has gone since the configuration was checked.
                    Err(invalid) => tracing::warn!(%invalid, "opening hours cannot be read: those in use stay"),
                }
            }
            Ok(()) = needs.far.changed() => judged = None,
        }
        let now = Timestamp::now();
        // Nothing opens or closes within a minute.
        let minute = now.as_second().div_euclid(60);
        if judged != Some(minute) {
            // Not only the clock: hours have become known, or are others now.
            let hours_changed = judged.replace(minute).is_none();
            let far = needs.far.borrow_and_update().clone();
            needs.shutter.tell_hours(Announced::of(&schedule, far.as_deref(), now));
            let site = needs.view.borrow().far_site.clone();
            let verdict = hours::verdict(&schedule, far.as_deref(), site.as_deref(), now);
            closed = verdict != Verdict::Open;
            if let Some(line) = news.of(&verdict, hours_changed) {
                tracing::info!("{line}");
            }
            needs.shutter.set_closed(match verdict {
                Verdict::Open => None,
                Verdict::Closed(opening) => Some(opening),
            });
        }
        if needs.figures.link.display_waiting.get() > 0 {
            continue;
        }
        if let Some(on) = standby.due(closed, Instant::now()) {
            let power = Arc::clone(&needs.power);
            tokio::task::spawn_blocking(move || power(on));
        }
    }
}

/// What the log is told: each change once, and the next opening again where what was told of it no longer holds.
#[derive(Debug, Default)]
struct News {
    /// As it was last said, while it is closed.
    opening: Option<String>,
}

impl News {
    /// A line, if there is something new. `hours_changed`: hours, here or there, have become known or are others now. Without that the same opening
    /// is only called otherwise, as "today" after midnight.
    fn of(&mut self, verdict: &Verdict, hours_changed: bool) -> Option<String> {
        let opening = match verdict {
            Verdict::Open => None,
            Verdict::Closed(opening) => Some(opening.clone()),
        };
        let before = std::mem::replace(&mut self.opening, opening);
        match (before, &self.opening) {
            (None, Some(opening)) => Some(format!("closed: outside opening hours. {opening}")),
            (Some(before), Some(opening)) if hours_changed && before != *opening => {
                Some(format!("still closed, and by the hours of both places as they are known now: {opening}"))
            }
            (Some(_), None) => Some("open: within opening hours".into()),
            _ => None,
        }
    }
}

/// When the monitor is switched.
#[derive(Debug)]
struct Standby {
    /// Nobody knows how the run before this one left the monitor, nor when the window system blanks it by itself: it is woken once.
    woken_after: Option<Instant>,
    closed_since: Option<Instant>,
    switched_off: Option<Instant>,
}

impl Standby {
    fn new(now: Instant) -> Self {
        Self { woken_after: Some(now + START), closed_since: None, switched_off: None }
    }

    /// What is to be done now, if anything: `true` for on.
    fn due(&mut self, closed: bool, now: Instant) -> Option<bool> {
        if !closed {
            self.closed_since = None;
            let first = self.woken_after.take_if(|after| *after <= now).is_some();
            return (self.switched_off.take().is_some() || first).then_some(true);
        }
        let since = *self.closed_since.get_or_insert(now);
        let last = self.switched_off.map_or(since + READABLE, |last| last + AGAIN);
        (now >= last).then(|| {
            self.switched_off = Some(now);
            false
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_opening_is_told_again_when_it_was_told_wrongly() {
        let closed = |opening: &str| Verdict::Closed(opening.into());
        let mut news = News::default();
        for (verdict, hours_changed, expected) in [
            (Verdict::Open, true, None),
            (closed("Opens Monday 08:00."), false, Some("closed: outside opening hours. Opens Monday 08:00.")),
            (closed("Opens Monday 08:00."), true, None),
            (closed("Opens Monday 10:00."), true, Some("known now: Opens Monday 10:00.")),
            (closed("Opens Monday 10:00."), true, None),
            // After midnight.
            (closed("Opens today 10:00."), false, None),
            (closed("Opens today 10:00."), true, None),
            (Verdict::Open, false, Some("open: within opening hours")),
            (Verdict::Open, false, None),
        ] {
            let line = news.of(&verdict, hours_changed);
            assert_eq!(line.is_some(), expected.is_some(), "{verdict:?}: {line:?}");
            assert!(line.zip(expected).is_none_or(|(line, expected)| line.ends_with(expected)), "{verdict:?}");
        }
    }

    #[test]
    fn the_monitor_sleeps_while_it_is_closed_and_is_awake_when_it_opens() {
        let start = Instant::now();
        let mut standby = Standby::new(start);
        let mut due = |closed, s| standby.due(closed, start + Duration::from_secs(s));
        assert_eq!((due(false, 0), due(false, 5), due(false, 6)), (None, Some(true), None), "woken once");
        assert_eq!((due(true, 10), due(true, 129)), (None, None));
        assert_eq!((due(true, 130), due(true, 131)), (Some(false), None));
        assert_eq!((due(true, 730), due(true, 731)), (Some(false), None), "somebody may have woken it");
        assert_eq!((due(false, 800), due(false, 801)), (Some(true), None));
        assert_eq!((due(true, 900), due(false, 950)), (None, None), "closed for a moment only");
    }
}
