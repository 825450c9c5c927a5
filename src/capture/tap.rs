//! A third reader of the pictures, who is there only at times: while nobody wants them, a picture costs one look at a flag.

use crate::media::{Frame, mailbox};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A tap and what comes out of it, turned off.
pub fn tap() -> (Tap, Tapped) {
    let (pictures, out) = mailbox::mailbox();
    let on = Arc::new(AtomicBool::new(false));
    (Tap { pictures, on: Arc::clone(&on) }, Tapped { pictures: out, on })
}

/// The capture thread's end.
#[derive(Debug)]
pub struct Tap {
    pictures: mailbox::Sender<Arc<Frame>>,
    on: Arc<AtomicBool>,
}

impl Tap {
    /// Passes a picture on if it is wanted. The newest wins; never blocks.
    pub(super) fn put(&self, picture: &Arc<Frame>) {
        if self.on.load(Relaxed) {
            self.pictures.put(Arc::clone(picture));
        }
    }
}

/// The reader's end.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// The newest picture.
    pub pictures: mailbox::Receiver<Arc<Frame>>,
    on: Arc<AtomicBool>,
}

impl Tapped {
    /// Whether pictures are wanted from now on. Turned off, the one that waits is thrown away.
    pub fn turn(&self, on: bool) {
        self.on.store(on, Relaxed);
        if !on {
            self.pictures.take();
        }
    }
}
