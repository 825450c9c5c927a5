//! How much waits in front of the network, told from the driver's task to the one that hands it pictures.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::Notify;

/// With more than this waiting, in time that it takes to send, a further picture would only get older: it is better left out
/// before it is encoded. A picture is paced over less than the interval of pictures, so nothing of an ordinary one is left when the
/// next is due: what is then still here is behind already.
const ENOUGH: Duration = Duration::from_millis(15);
/// Whoever waits looks again after so long, whatever he is told: a connection that dies must not hold up its successor.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What waits in one connection's pacer.
#[derive(Debug, Default)]
pub(in crate::link) struct Backlog {
    waiting_us: AtomicU64,
    less: Notify,
}

impl Backlog {
    /// What waits now takes so long to send.
    pub fn set(&self, waiting: Duration) {
        let before = self.waiting_us.swap(u64::try_from(waiting.as_micros()).unwrap_or(u64::MAX), Relaxed);
        if before > ENOUGH.as_micros() as u64 && waiting <= ENOUGH {
            self.less.notify_one();
        }
    }

    /// Whether the next picture should wait.
    pub fn is_enough(&self) -> bool {
        self.waiting_us.load(Relaxed) > ENOUGH.as_micros() as u64
    }

    /// Waits until there is less, or for a short while.
    pub async fn less(&self) {
        let _ = tokio::time::timeout(LOOK_AGAIN, self.less.notified()).await;
    }
}
