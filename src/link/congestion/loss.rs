//! What lost packets mean.
//!
//! Radio links lose packets without being full, and sending less does not help; a policer or a queue too short to be seen loses
//! what is too much, and sending less helps at once. So heavy loss is met with a trial: send less for a while, and look
//! whether the loss falls. If it does not, the old rate is taken up again, and loss of that size is no reason for a while.

use std::time::{Duration, Instant};

/// Share of lost packets above which loss needs an explanation. Below, repairs cope.
const TOLERATED: f64 = 0.10;
/// Above this share even random loss makes the picture hopeless at full rate: repairs are lost as well.
const HOPELESS: f64 = 0.30;
/// Loss is judged on at least so many packets and so much time.
const PACKETS: usize = 20;
const INTERVAL: Duration = Duration::from_millis(250);
/// During a trial, on more: 50 packets with 10 lost tell 20 % from 10 %.
const TRIAL_PACKETS: usize = 50;
const TRIAL: Duration = Duration::from_millis(750);
/// What was sent before the trial is still being reported for a round trip and so long.
const SETTLE: Duration = Duration::from_millis(150);
/// The loss was ours if less than this share of it is left.
const HELPED: f64 = 0.5;
/// Random loss is remembered for so long; then it is tried again.
const MEMORY: Duration = Duration::from_secs(30);

/// What to do about loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing.
    Fine,
    /// Send less than gets through and see: a trial begins.
    Try,
    /// It helped: what got through before the trial is the path's limit.
    Ours { limit_bps: f64 },
    /// It did not help: back to the estimate from before the trial.
    Random { before_bps: f64 },
}

#[derive(Debug)]
enum State {
    Quiet,
    Trial { since: Instant, share: f64, before_bps: f64, through_bps: f64 },
    Random { since: Instant, share: f64 },
}

#[derive(Debug)]
pub(super) struct Loss {
    state: State,
    lost: usize,
    sent: usize,
    judged: Option<Instant>,
    /// Smoothed, 0 to 1.
    share: f64,
}

impl Default for Loss {
    fn default() -> Self {
        Self { state: State::Quiet, lost: 0, sent: 0, judged: None, share: 0.0 }
    }
}

impl Loss {
    /// The smoothed share of lost packets, 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Whether a trial is on: nothing is to be increased.
    pub fn is_trying(&self) -> bool {
        matches!(self.state, State::Trial { .. })
    }

    /// Counts one packet.
    pub fn add(&mut self, arrived: bool) {
        self.sent += 1;
        self.lost += usize::from(!arrived);
    }

    /// What was counted so far was lost in a queue that is known: it needs no other explanation. Gives the estimate from before a
    /// trial that ends so, undecided.
    pub fn excused(&mut self, now: Instant) -> Option<f64> {
        if self.sent >= PACKETS {
            self.share = 0.7 * self.share + 0.3 * self.lost as f64 / self.sent as f64;
        }
        (self.lost, self.sent, self.judged) = (0, 0, Some(now));
        let State::Trial { before_bps, .. } = self.state else { return None };
        self.state = State::Quiet;
        Some(before_bps)
    }

    /// What the packets counted so far mean.
    pub fn judge(
        &mut self,
        now: Instant,
        round_trip: Duration,
        estimate_bps: f64,
        through_bps: Option<f64>,
    ) -> Verdict {
        let since = self.judged.map_or(INTERVAL, |at| now.saturating_duration_since(at));
        let trying = match self.state {
            State::Trial { since, .. } if now.saturating_duration_since(since) < SETTLE + round_trip => {
                // Still from before.
                (self.lost, self.sent, self.judged) = (0, 0, Some(now));
                return Verdict::Fine;
            }
            State::Trial { .. } => true,
            _ => false,
        };
        let enough = if trying { (TRIAL_PACKETS, TRIAL) } else { (PACKETS, INTERVAL) };
        if self.sent < enough.0 || since < enough.1 {
            return Verdict::Fine;
        }
        let share = self.lost as f64 / self.sent as f64;
        self.share = 0.7 * self.share + 0.3 * share;
        (self.lost, self.sent, self.judged) = (0, 0, Some(now));
        match self.state {
            State::Trial { share: before, before_bps, through_bps, .. } => {
                if share < HELPED * before {
                    self.state = State::Quiet;
                    self.share = share;
                    return Verdict::Ours { limit_bps: through_bps };
                }
                self.state = State::Random { since: now, share: before.max(share) };
                let bearable = if share.min(before) > HOPELESS { 1.0 - share.min(before) } else { 1.0 };
                Verdict::Random { before_bps: before_bps * bearable }
            }
            State::Random { since, share: known } => {
                if now.saturating_duration_since(since) > MEMORY || self.share > known + TOLERATED {
                    self.state = State::Quiet;
                }
                Verdict::Fine
            }
            State::Quiet => {
                let Some(through_bps) = through_bps.filter(|_| share.min(self.share) > TOLERATED) else {
                    return Verdict::Fine;
                };
                let share = share.max(self.share);
                self.state = State::Trial { since: now, share, before_bps: estimate_bps, through_bps };
                Verdict::Try
            }
        }
    }
}
