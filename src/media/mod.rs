//! Pictures and the ways they pass between threads. Knows nobody else in the program.
//!
//! A [`Frame`] is one picture: planes of luma and chroma in a buffer that a [`Pool`] lends and takes back, the colour they are
//! coded in, and the moment of capture. Raw frames pass between threads through a [`mailbox`], where the newest wins.

mod clock;
pub mod convert;
mod frame;
pub mod jpeg;
pub mod mailbox;
mod pool;
pub mod scale;
mod timecode;
mod waker;

pub use clock::PortalClock;
pub use frame::{Colour, Format, Frame, Layout, Matrix, Plane, Range, Size};
pub use pool::{Exhausted, Pool};
pub use timecode::TimeCode;
pub use waker::Waker;
