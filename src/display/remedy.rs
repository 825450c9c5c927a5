//! What somebody who sees that the glass stands still may ask of the display, before the whole program is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Asks for a new window or a new device from any thread. The display's loop does it within a second, if it turns at all; asked twice before that is asked
/// once.
#[derive(Clone, Debug, Default)]
pub struct Remedies(Arc<Asked>);

#[derive(Debug, Default)]
struct Asked {
    window: AtomicBool,
    device: AtomicBool,
}

impl Remedies {
    /// Closes the window and makes another, with a swapchain of its own.
    pub fn new_window(&self) {
        self.0.window.store(true, Relaxed);
    }

    /// Gives the graphics device up as if it had failed, and opens it again; that counts as one of the failures that are survived.
    pub fn new_device(&self) {
        self.0.device.store(true, Relaxed);
    }

    #[cfg_attr(not(feature = "kiosk"), expect(dead_code, reason = "there is no window"))]
    pub(super) fn take_window(&self) -> bool {
        self.0.window.swap(false, Relaxed)
    }

    #[cfg_attr(not(feature = "kiosk"), expect(dead_code, reason = "there is no device"))]
    pub(super) fn take_device(&self) -> bool {
        self.0.device.swap(false, Relaxed)
    }
}
