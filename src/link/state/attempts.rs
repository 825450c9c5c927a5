//! The two connections of the [`Machine`]: when a new one is begun, takes over, or is given up.

use super::{Action, Duration, Goodbye, Instant, Machine, Role, backoff};

/// What ICE calls a lost path may be a machine that was busy, whose packets wait to be read, or a path where many are lost: so long it
/// may take to find it again. The library looks only each 200 ms.
const LOST: Duration = Duration::from_millis(250);
/// The far end sends pictures and reports on ours many times a second, whatever its camera does. After so long without either
/// its packets do not come through, even if ICE's do: the far end may still be sending to an address that we had.
const QUIET: Duration = Duration::from_millis(700);
/// Packets come, and no picture of them is whole; or no ping is answered while there are none to be expected.
const FRUITLESS: Duration = Duration::from_secs(3);
/// So long without an answered ping although pictures come: SCTP, which carries the data channel, backs off for up to a minute
/// after an outage. Presence and the round trip hang on it, so the connection is replaced, without a gap. After a short outage
/// it comes back by itself within this.
const CHANNEL: Duration = Duration::from_secs(5);
/// Attempts that are not up by then are given up. DTLS can stall for ever when a handshake packet is lost, so the first ones are
/// given less time.
const WATCHDOG: [Duration; 2] = [Duration::from_secs(4), Duration::from_secs(8)];
/// How many attempts get the shorter time.
const HASTY_ATTEMPTS: u32 = 2;
/// How often the answering side asks for an offer that does not come.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// The connection in use.
#[derive(Clone, Copy, Debug)]
pub(super) struct Current {
    pub id: u64,
    pub since: Instant,
    /// ICE lost the path at this moment.
    pub lost: Option<Instant>,
    /// The path lost its ground at this moment: our address is gone, or we slept.
    pub gone: Option<Instant>,
}

/// The connection being made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub id: u64,
    pub attempt: u64,
    pub since: Instant,
    /// Both descriptions are known.
    pub answered: bool,
    /// Made because the current one is doubted: not needed any more when that comes back.
    pub mends: bool,
}

impl Machine {
    /// Whether the current connection's path is to be mended.
    pub(super) fn doubted(&self, now: Instant) -> bool {
        self.path_doubted(now) || self.channel_silence(now) >= CHANNEL
    }

    fn path_doubted(&self, now: Instant) -> bool {
        let Some(current) = self.current else { return false };
        let arrived = self.arrived.filter(|arrived| *arrived > current.since);
        current.gone.is_some_and(|gone| arrived.is_none_or(|arrived| arrived <= gone))
            || current.lost.is_some_and(|lost| now.saturating_duration_since(lost) >= LOST)
            || (self.pictures_expected() && arrived.is_some() && self.silence(arrived, now) >= QUIET)
            || self.network_silence(now) >= FRUITLESS
    }

    /// Begins what is to take the doubted connection's place, or asks the far end to.
    pub(super) fn mend(&mut self, now: Instant, actions: &mut Vec<Action>) {
        match self.role {
            Role::Offers => self.begin_anew(true, now, actions),
            Role::Answers => {
                // Without a connection the other side offers by itself; it is given time for that.
                if self.current.is_none() && now.saturating_duration_since(self.retry_at) < ASK_AGAIN {
                    return;
                }
                actions.push(Action::Say(Goodbye::Reconnect));
                self.retry_at = now + ASK_AGAIN;
            }
        }
        if self.path_doubted(now) {
            actions.push(Action::DoubtSignaling);
        }
    }

    /// A new attempt in place of any other, or the wish for one. With `mends` it is not needed when the current connection's path
    /// comes back.
    pub(super) fn begin_anew(&mut self, mends: bool, now: Instant, actions: &mut Vec<Action>) {
        match self.role {
            Role::Offers => {
                self.offer(now, actions);
                if let Some(next) = &mut self.next {
                    next.mends = mends;
                }
            }
            Role::Answers if self.signaling => {
                actions.push(Action::Say(Goodbye::Reconnect));
                self.retry_at = now + ASK_AGAIN;
            }
            Role::Answers => {}
        }
    }

    /// Begins an attempt, in place of one that is under way.
    pub(super) fn offer(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if !self.signaling || self.far_off {
            return;
        }
        let before = self.next.take();
        actions.extend(before.map(|next| Action::Drop(next.id)));
        self.attempt += 1;
        let attempt = self.attempt;
        let id = self.begin(attempt, false, now);
        if let Some(next) = &mut self.next {
            next.mends = before.is_some_and(|before| before.mends);
        }
        actions.push(Action::Offer { id, attempt });
    }

    pub(super) fn begin(&mut self, attempt: u64, answered: bool, now: Instant) -> u64 {
        self.last_id += 1;
        self.failures = self.failures.saturating_add(1);
        self.next = Some(Next { id: self.last_id, attempt, since: now, answered, mends: false });
        self.last_id
    }

    pub(super) fn connected(&mut self, id: u64, now: Instant, actions: &mut Vec<Action>) {
        if self.next.is_none_or(|next| next.id != id) {
            return;
        }
        self.next = None;
        let before = self.current.replace(Current { id, since: now, lost: None, gone: None });
        actions.push(Action::Use(id));
        actions.extend(before.map(|before| Action::Drop(before.id)));
        (self.asked, self.absent, self.was_live, self.alive_since) = (None, None, false, None);
        self.wait(now);
    }

    pub(super) fn connection_closed(&mut self, id: u64, reason: String, now: Instant, actions: &mut Vec<Action>) {
        let known = if self.current.is_some_and(|current| current.id == id) {
            self.current = None;
            true
        } else {
            self.next.take_if(|next| next.id == id).is_some()
        };
        if known {
            actions.push(Action::Drop(id));
            self.trouble = Some(reason);
            self.wait(now);
        }
    }

    /// ICE has lost or found the path of a connection.
    pub(super) fn path(&mut self, id: u64, found: bool, now: Instant, actions: &mut Vec<Action>) {
        if let Some(next) = self.next.filter(|next| next.id == id && !found) {
            // A mapping or an address went with it while it was being made: one that begins now finds others.
            return self.begin_anew(next.mends, now, actions);
        }
        let Some(current) = self.current.as_mut().filter(|current| current.id == id) else { return };
        if !found {
            current.lost.get_or_insert(now);
        } else if current.lost.take().is_some() {
            actions.push(Action::SendKeyframe);
        }
    }

    /// Gives up the attempt that takes too long.
    pub(super) fn give_up_in_time(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let patience = WATCHDOG[usize::from(self.failures > HASTY_ATTEMPTS)];
        let late = self.next.take_if(|next| now.saturating_duration_since(next.since) >= patience);
        if let Some(next) = late {
            actions.push(Action::Drop(next.id));
            self.wait(now);
            self.trouble = Some(if next.answered {
                "no path to the far end: is UDP let through between the two?".into()
            } else {
                "the far end does not answer our offer".into()
            });
        }
    }

    /// The next attempt has to wait.
    fn wait(&mut self, now: Instant) {
        self.retry_at = now + backoff::delay(self.failures, (self.random)());
    }

    pub(super) fn drop_both(&mut self, actions: &mut Vec<Action>) {
        let ids = [self.next.take().map(|next| next.id), self.current.take().map(|current| current.id)];
        actions.extend(ids.into_iter().flatten().map(Action::Drop));
    }
}
