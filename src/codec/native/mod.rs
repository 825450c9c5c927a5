//! The edge to openh264's C++ objects: the only `unsafe` of the codec.
//!
//! We talk to `openh264-sys2` ourselves rather than through the `openh264` crate: what the measurements asked for (no
//! background detection together with no scene changes, the rate control's own settings, frame rate and bitrate while running, a
//! decoder that tells its error bits) needs the parameters that the wrapper keeps to itself.

mod decoder;
mod encoder;

pub(super) use decoder::{Decoder, Failed, Picture};
pub(super) use encoder::{Coded, Encoder, Settings};

use std::os::raw::c_int;

/// openh264 refused a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("openh264 failed to {call} (code {code:#x})")]
pub struct Refused {
    /// What it was asked to do.
    pub call: &'static str,
    /// Its result code: `CM_RETURN` of `codec_def.h`.
    pub code: i64,
}

/// A result code as a result; 0 is success everywhere.
fn check(code: impl Into<i64>, call: &'static str) -> Result<(), Refused> {
    match code.into() {
        0 => Ok(()),
        code => Err(Refused { call, code }),
    }
}

/// A function that the object's table lacks: not the openh264 that we were compiled against.
fn missing<T>(function: Option<T>, call: &'static str) -> Result<T, Refused> {
    function.ok_or(Refused { call, code: -1 })
}

/// Silence: openh264 writes to stderr by itself otherwise. Its errors reach us as result codes.
const QUIET: c_int = openh264_sys2::WELS_LOG_QUIET as c_int;
