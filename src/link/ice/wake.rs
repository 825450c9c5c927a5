//! When to wake the library for what goes through a relay; see [`super`].

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Rounds of the library's loop from a relayed packet to its answer on the socket: one in which the answer is made, one
/// in which it is sent.
const ROUNDS: u8 = 2;
/// While a relay is in use, what we send through it waits at most so long.
const PERIOD: Duration = Duration::from_millis(4);
/// So long after a TURN server was last heard, its relay counts as in use. Consent is asked for every 200 ms.
const IN_USE: Duration = Duration::from_secs(1);

/// The state of one socket.
#[derive(Debug, Default)]
pub(super) struct Wake {
    rounds_due: u8,
    in_use_until: Option<Instant>,
    period: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Wake {
    /// Something came from a TURN server.
    pub fn relayed(&mut self, now: Instant) {
        self.rounds_due = ROUNDS;
        self.in_use_until = Some(now + IN_USE);
    }

    /// Ready when the library is to be woken. Without a relay in use it never is, and costs nothing.
    pub fn poll(&mut self, context: &mut Context<'_>, now: Instant) -> Poll<()> {
        if self.in_use_until.is_none_or(|until| now >= until) {
            (self.rounds_due, self.in_use_until, self.period) = (0, None, None);
            return Poll::Pending;
        }
        let next = tokio::time::Instant::from_std(now + PERIOD);
        let period = self.period.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
        let due = self.rounds_due > 0;
        if due || period.as_mut().poll(context).is_ready() {
            self.rounds_due = self.rounds_due.saturating_sub(1);
            period.as_mut().reset(next);
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[tokio::test]
    async fn only_while_a_relay_is_in_use() {
        let (mut wake, start) = (Wake::default(), Instant::now());
        let mut context = Context::from_waker(Waker::noop());
        assert!(wake.poll(&mut context, start).is_pending());
        wake.relayed(start);
        let woken = (0..5).map(|_| wake.poll(&mut context, Instant::now()).is_ready()).collect::<Vec<_>>();
        assert_eq!(woken, [true, true, false, false, false]);
        tokio::time::sleep(PERIOD * 2).await;
        assert!(wake.poll(&mut context, Instant::now()).is_ready(), "time and again");
        assert!(wake.poll(&mut context, Instant::now()).is_pending());
        assert!(wake.poll(&mut context, start + IN_USE).is_pending());
        assert!(wake.in_use_until.is_none() && wake.period.is_none());
    }
}
