//! The latest-frame mailbox: one slot, the newest wins.
//!
//! Nothing old is ever encoded or shown, and a slow reader costs pictures, never delay.

use crossbeam_channel::{Receiver as Channel, RecvTimeoutError, TrySendError, bounded};
use std::time::Duration;

/// A new mailbox.
pub fn mailbox<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = bounded(1);
    (Sender { sender, slot: receiver.clone() }, Receiver { slot: receiver })
}

/// The writing end. One writer: two would only take each other's letters.
#[derive(Debug)]
pub struct Sender<T> {
    sender: crossbeam_channel::Sender<T>,
    slot: Channel<T>,
}

impl<T> Sender<T> {
    /// Puts `value` in the slot and returns how many unread values it replaced (0 or 1). Never blocks.
    pub fn put(&self, value: T) -> u64 {
        let (mut value, mut replaced) = (value, 0);
        loop {
            match self.sender.try_send(value) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return replaced,
                Err(TrySendError::Full(back)) => {
                    value = back;
                    replaced += u64::from(self.slot.try_recv().is_ok());
                }
            }
        }
    }
}

/// The reading end.
#[derive(Debug)]
pub struct Receiver<T> {
    slot: Channel<T>,
}

// Derived Clone would ask for T: Clone.
impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self { slot: self.slot.clone() }
    }
}

/// The writing end is gone: nothing will come any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the writer of the mailbox is gone")]
pub struct Closed;

impl<T> Receiver<T> {
    /// Takes what is there, if anything. Never blocks.
    pub fn take(&self) -> Option<T> {
        self.slot.try_recv().ok()
    }

    /// Whether something is there.
    pub fn is_full(&self) -> bool {
        !self.slot.is_empty()
    }

    /// Waits up to `timeout`; `Ok(None)` when nothing came.
    pub fn wait(&self, timeout: Duration) -> Result<Option<T>, Closed> {
        match self.slot.recv_timeout(timeout) {
            Ok(value) => Ok(Some(value)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(Closed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_wins_and_losses_are_counted() {
        let (sender, receiver) = mailbox();
        assert_eq!((sender.put(1), sender.put(2), sender.put(3)), (0, 1, 1));
        assert_eq!((receiver.take(), receiver.take()), (Some(3), None));
    }

    #[test]
    fn a_reader_learns_that_the_writer_is_gone() {
        let (sender, receiver) = mailbox();
        sender.put(1);
        drop(sender);
        // The sender's own reading half must not keep the channel open.
        assert_eq!(receiver.wait(Duration::from_millis(1)), Ok(Some(1)));
        assert_eq!(receiver.wait(Duration::from_millis(1)), Err(Closed));
    }
}
