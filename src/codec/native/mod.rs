//! The edge to openh264's C++ encoder: the only `unsafe` of the codec.
//!
//! The decoder is the `openh264` crate's. For the encoder we talk to `openh264-sys2` ourselves: what the measurements asked for (the
//! rate control's own settings, slices, frame rate and bitrate from the first picture on) needs parameters that the crate
//! keeps to itself.

mod encoder;

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
