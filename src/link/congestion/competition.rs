//! Whether the queue is somebody else's.
//!
//! A queue that is ours shrinks when we send less: while it stands, the bottleneck lets through the same as before. A queue that a
//! bulk TCP flow keeps filled stays, and what we gave up, the other took. A controller that only yields to delay starves
//! beside TCP, so from then on it competes as TCP does, until the queue empties (the two modes are Copa's: Arun and
//! Balakrishnan, NSDI 2018; the test is in the spirit of Nimbus: Goyal et al., 2018).

use std::time::{Duration, Instant};

/// By so much more than its length, in milliseconds, a queue should have drained before it is somebody else's: feedback is late.
const MARGIN_MS: f64 = 80.0;
/// A queue that is down to this share of its length is draining.
const DRAINING: f64 = 0.5;
/// The queue must have been short for so long before we stop competing: TCP's own dips are shorter.
const EMPTY: Duration = Duration::from_millis(400);

#[derive(Debug)]
struct Trial {
    queue_ms: f64,
    through_bps: f64,
    before_bps: f64,
    drained_ms: f64,
}

/// Watches what our decreases do to the queue.
#[derive(Debug, Default)]
pub(super) struct Competition {
    trial: Option<Trial>,
    active: bool,
    observed: Option<Instant>,
    empty_since: Option<Instant>,
}

impl Competition {
    /// Whether another flow holds the queue.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// We yield to a queue of this length, while `through_bps` arrive; the estimate was `before_bps`.
    pub fn yielded(&mut self, queue_ms: f64, through_bps: f64, before_bps: f64) {
        self.trial.get_or_insert(Trial { queue_ms, through_bps, before_bps, drained_ms: 0.0 });
    }

    /// Takes in the queue and the acknowledged rate. Returns the estimate to go back to when it becomes clear that yielding was in vain.
    pub fn observe(&mut self, now: Instant, queue_ms: f64, short_ms: f64, through_bps: Option<f64>) -> Option<f64> {
        let elapsed = self.observed.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.observed = Some(now);
        if self.active {
            let since = (queue_ms < short_ms).then(|| *self.empty_since.get_or_insert(now));
            self.empty_since = since;
            if since.is_some_and(|since| now.saturating_duration_since(since) >= EMPTY) {
                *self = Self { observed: self.observed, ..Self::default() };
            }
            return None;
        }
        let trial = self.trial.as_mut()?;
        trial.queue_ms = trial.queue_ms.max(queue_ms);
        if queue_ms < short_ms.max(DRAINING * trial.queue_ms) {
            self.trial = None;
            return None;
        }
        let spared = 1.0 - through_bps? / trial.through_bps;
        trial.drained_ms += spared.max(0.0) * elapsed.as_secs_f64().min(0.2) * 1e3;
        if trial.drained_ms < trial.queue_ms + MARGIN_MS {
            return None;
        }
        let before_bps = trial.before_bps;
        *self = Self { active: true, observed: self.observed, ..Self::default() };
        Some(before_bps)
    }
}
