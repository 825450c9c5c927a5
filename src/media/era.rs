//! Which pictures may still be seen: those of the present era.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts the times at which everything seen before became private. Every picture carries the number of the era that it was taken
/// or received in, through all queues and threads, and whoever is about to send or show it compares: what belongs to an earlier era
/// is dropped, however it came to be so late. So no picture has to be hunted down when somebody does not want to be seen any more.
///
/// Shared by cloning.
#[derive(Clone, Debug, Default)]
pub struct Era(Arc<AtomicU64>);

impl Era {
    /// The present era's number: the stamp for what is made now.
    pub fn now(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// From here on, nothing that was stamped before may be seen.
    pub fn end(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether what has this stamp may be seen.
    pub fn holds(&self, stamp: u64) -> bool {
        stamp == self.now()
    }
}

/// The eras of both directions.
#[derive(Clone, Debug, Default)]
pub struct Eras {
    /// Of our own pictures: ends when our privacy begins, and again when it ends.
    pub own: Era,
    /// Of the far end's: ends when its pictures are not to be shown any more (it says that it is private, has no camera, is off; we are
    /// private), when they may be again, and when another far end is pinned.
    pub far: Era,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stamped_before_is_over() {
        let (era, stamp) = (Era::default(), Era::default().now());
        let other = era.clone();
        assert!(era.holds(stamp));
        other.end();
        assert!(!era.holds(stamp) && era.holds(other.now()));
    }
}
