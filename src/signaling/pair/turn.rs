//! Who pairs next, in a portal that shows a code and where another one's is entered.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One exchange at a time, whichever end shows the code; and none after one has paired. Clones are the same turn.
#[derive(Clone, Debug)]
pub struct Turn(Arc<Semaphore>);

impl Default for Turn {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Turn {
    /// Takes it, if nobody has it. It is given back when what is returned is dropped.
    pub fn take(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().try_acquire_owned().ok()
    }

    /// Waits for it, ahead of whoever only [takes](Self::take) it: for half a minute at most, which is as long as an exchange lasts. `None`: one has
    /// paired, and there is nothing more to wait for.
    pub async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }

    /// One has paired: nobody gets it any more.
    pub fn end(&self) {
        self.0.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_at_a_time_and_none_after_one_has_paired() {
        let turn = Turn::default();
        let first = turn.take().unwrap();
        assert!(turn.take().is_none());
        let waits = tokio::spawn({
            let turn = turn.clone();
            async move { turn.wait().await }
        });
        tokio::task::yield_now().await;
        drop(first);
        assert!(turn.take().is_none(), "who waits goes first");
        let second = waits.await.unwrap().unwrap();
        let waits = tokio::spawn({
            let turn = turn.clone();
            async move { turn.wait().await }
        });
        tokio::task::yield_now().await;
        turn.end();
        drop(second);
        assert!(waits.await.unwrap().is_none() && turn.take().is_none() && turn.wait().await.is_none());
    }
}
