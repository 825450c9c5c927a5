//! Whether anything is captured, sent or shown at all: the privacy key and the opening hours, in one place.

use super::Board;
use super::privacy::Kept;
use crate::capture::Capture;
use crate::hours::Announced;
use crate::link::Link;
use crate::ops::ending;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Tells board, far end and camera, in this order: the far end's slate says why the picture ends, and then it ends.
pub(super) struct Shutter {
    reasons: Mutex<Reasons>,
    board: Arc<Board>,
    link: Option<Arc<Link>>,
    /// Whoever owns it decides when it ends.
    capture: Weak<Capture>,
    kept: Kept,
}

/// Why it is shut. Any one is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reasons {
    private: bool,
    closed: bool,
}

impl Shutter {
    /// An open one, or one that is shut as the board is: all that it tells was told so from the start.
    pub(super) fn new(board: Arc<Board>, link: Option<Arc<Link>>, capture: &Arc<Capture>, kept: Kept) -> Self {
        let reasons = Reasons { private: board.is_private(), closed: board.is_closed() };
        ending::set_private(reasons.private);
        if reasons.private {
            tracing::info!(
                "privacy is on since before the start: the camera is off, and nothing is sent or shown; the privacy key ends it"
            );
        }
        Self { reasons: Mutex::new(reasons), board, link, capture: Arc::downgrade(capture), kept }
    }

    /// Privacy on or off, as `by` asked for.
    pub(super) fn toggle_private(&self, by: &str) {
        let mut private = false;
        self.set(|reasons| {
            private = self.board.toggle_private();
            reasons.private = private;
            tracing::info!(private, by, "{}", told(private, by));
        });
    }

    /// Outside opening hours, with what people are told of the next opening; or `None` while it is open.
    pub(super) fn set_closed(&self, closed: Option<String>) {
        self.set(|reasons| {
            reasons.closed = closed.is_some();
            self.board.closed(closed);
        });
    }

    /// Our opening hours, for the far end.
    pub(super) fn tell_hours(&self, hours: Vec<Announced>) {
        if let Some(link) = &self.link {
            link.set_hours(hours);
        }
    }

    /// Under one lock from the first to the last, so that two who change something at once leave one state behind.
    fn set(&self, change: impl FnOnce(&mut Reasons)) {
        let mut reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *reasons;
        change(&mut reasons);
        if *reasons == before {
            return;
        }
        // First, and without a disk: whatever hangs from here on, a portal that begins again is private.
        ending::set_private(reasons.private);
        if let Some(link) = &self.link {
            link.set_private(reasons.private);
            link.set_closed(reasons.closed);
        }
        if let Some(capture) = self.capture.upgrade() {
            capture.set_private(reasons.private || reasons.closed);
        }
        let written = (reasons.private != before.private).then(|| self.kept.keep(reasons.private));
        // Nobody else waits for the disk: the opening hours are kept by a thread of the network.
        drop(reasons);
        if let Some(written) = written {
            written.wait();
        }
    }
}

/// One line for each change, told in their order.
fn told(private: bool, by: &str) -> String {
    match private {
        true => format!("privacy is on, asked for by {by}: the camera is off, and nothing is sent or shown"),
        false => format!("privacy is off again, asked for by {by}"),
    }
}
