//! Pictures and the ways they pass between threads. Knows nobody else in the program.
//!
//! A [`Frame`] is one picture: planes of luma and chroma in a buffer that a [`Pool`] lends and takes back, the colour they are
//! coded in, and the moment of capture. Raw frames pass between threads through a [`mailbox`], where the newest wins.

pub mod blur;
mod clock;
pub mod convert;
mod era;
mod frame;
pub mod jpeg;
pub mod mailbox;
mod pool;
pub mod scale;
mod timecode;
mod waker;

pub use clock::PortalClock;
pub use era::{Era, Eras};
pub use frame::{Colour, Format, Frame, Layout, Matrix, Plane, Range, Size};
pub use pool::{Exhausted, Pool};
pub use timecode::TimeCode;
pub use waker::Waker;

/// Older pictures of the far end are not shown, however whole they are: it may have covered its camera since. Far more than any
/// network that is of use delays; they come of a machine that was stopped, and find it again with seconds of them in its queues.
const STALE: std::time::Duration = std::time::Duration::from_secs(2);

/// Whether a picture that was taken at `captured` is too old to be shown at `now`: more than 2 s.
pub fn is_stale(captured: std::time::Instant, now: std::time::Instant) -> bool {
    now.saturating_duration_since(captured) > STALE
}
