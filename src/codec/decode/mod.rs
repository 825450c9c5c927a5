//! H.264 to pictures, for input that nobody vouches for.
//!
//! Never a broken picture: openh264's error concealment is off, a stream is decoded only from a keyframe with its own
//! parameter sets on, and from the first sign of damage until the next such keyframe nothing is shown (fail private: what would
//! be shown is a mixture of old and new).

mod decoder;
mod worker;

pub use decoder::{Decoder, Error};
pub use worker::{Worker, start};
