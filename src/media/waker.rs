//! Wakes the display, whoever it is, without knowing it.

use std::sync::{Arc, OnceLock};

/// A call that wakes the display, filled in once the display runs. Until then, and in a headless agent, waking does nothing.
#[derive(Clone, Default)]
pub struct Waker(Arc<OnceLock<Box<dyn Fn() + Send + Sync>>>);

impl Waker {
    /// A waker that wakes nobody yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on, `wake` is called. Only the first call counts.
    pub fn connect(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(wake));
    }

    /// Wakes the display. Cheap, never blocks, callable from any thread.
    pub fn wake(&self) {
        if let Some(wake) = self.0.get() {
            wake();
        }
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Waker").field(&self.0.get().is_some()).finish()
    }
}
