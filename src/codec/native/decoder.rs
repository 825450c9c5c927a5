//! openh264's decoder, with error concealment off.

use super::{QUIET, Refused, check, missing};
use crate::media::Size;
use openh264_sys2 as sys;
use std::os::raw::{c_int, c_uchar, c_void};
use std::ptr;

/// A decoder that knows no stream yet.
pub struct Decoder {
    object: *mut sys::ISVCDecoder,
}

// SAFETY: the C++ object has no tie to the thread that made it, and `&mut self` keeps all calls to one thread at a time.
unsafe impl Send for Decoder {}

/// A decoded picture, in the decoder's own memory. I420, rows padded to `strides`.
pub struct Picture<'a> {
    pub size: Size,
    /// Y, U, V; each from its first sample to its last.
    pub planes: [&'a [u8]; 3],
    /// Bytes from row to row: luma, chroma.
    pub strides: [usize; 2],
}

/// The decoder found something wrong with the stream: the bits of `DECODING_STATE` in `codec_app_def.h`. 2 is a lost
/// reference, 4 a bitstream error, 0x10 missing parameter sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed(pub i32);

impl Decoder {
    /// Makes a decoder.
    pub fn new() -> Result<Self, Refused> {
        let mut object: *mut sys::ISVCDecoder = ptr::null_mut();
        // SAFETY: the pointer is to a live variable, which the call fills.
        check(unsafe { sys::source::APILoader::WelsCreateDecoder(&mut object) }, "create a decoder")?;
        if object.is_null() {
            return Err(Refused { call: "create a decoder", code: 0 });
        }
        let decoder = Self { object };
        let set = missing(decoder.table().SetOption, "be quiet")?;
        let mut level = QUIET;
        // SAFETY: the trace level is an int, and may be set before initialisation.
        let code = unsafe { set(object, sys::DECODER_OPTION_TRACE_LEVEL, ptr::from_mut(&mut level).cast::<c_void>()) };
        check(code, "be quiet")?;
        let parameters = sys::SDecodingParam {
            // A picture that is not whole is an error, never something patched together from older ones.
            eEcActiveIdc: sys::ERROR_CON_DISABLE,
            // Plain H.264: units of the scalable extension are passed over, and their parsers never run.
            sVideoProperty: sys::SVideoProperty {
                size: size_of::<sys::SVideoProperty>() as u32,
                eVideoBsType: sys::VIDEO_BITSTREAM_AVC,
            },
            ..Default::default()
        };
        let initialise = missing(decoder.table().Initialize, "start decoding")?;
        // SAFETY: the object is live; the call copies the parameters.
        check(unsafe { initialise(object, &parameters) }, "start decoding")?;
        Ok(decoder)
    }

    fn table(&self) -> &sys::ISVCDecoderVtbl {
        // SAFETY: a C++ object begins with the pointer to its function table; both live until `drop`.
        unsafe { &**self.object }
    }

    /// Decodes one access unit and gives its picture at once. `None` when it holds no picture, or the stream's pictures are
    /// not in the order of display and this one has to wait.
    pub fn decode(&mut self, unit: &[u8]) -> Result<Option<Picture<'_>>, Failed> {
        const NO_FUNCTION: Failed = Failed(-1);
        let decode = self.table().DecodeFrameNoDelay.ok_or(NO_FUNCTION)?;
        let length = c_int::try_from(unit.len()).map_err(|_| Failed(sys::dsOutOfMemory))?;
        let mut planes = [ptr::null_mut::<c_uchar>(); 3];
        let mut info = sys::SBufferInfo::default();
        // SAFETY: `unit` is readable for `length` bytes and the call copies it; `planes` has room for three pointers.
        let state = unsafe { decode(self.object, unit.as_ptr(), length, planes.as_mut_ptr(), &mut info) };
        if state != sys::dsErrorFree {
            return Err(Failed(state));
        }
        if info.iBufferStatus != 1 || planes.iter().any(|plane| plane.is_null()) {
            return Ok(None);
        }
        // SAFETY: with status 1 the union holds its only member.
        let memory = unsafe { info.UsrData.sSystemBuffer };
        let number = |value: c_int| u32::try_from(value).unwrap_or(0);
        let size = Size::new(number(memory.iWidth), number(memory.iHeight));
        let strides = memory.iStride.map(|stride| usize::try_from(stride).unwrap_or(0));
        let (width, height) = (size.width as usize, size.height as usize);
        if !size.is_valid() || strides[0] < width || strides[1] < width / 2 {
            return Err(Failed(sys::dsInvalidArgument));
        }
        let plane = |which: usize, stride: usize, width: usize, height: usize| {
            // SAFETY: the decoder's picture has `height` rows of `stride` bytes, of which the last is read only up to `width`.
            // It belongs to the object and stays as it is until the next call, which needs `&mut self`.
            unsafe { std::slice::from_raw_parts(planes[which].cast_const(), stride * (height - 1) + width) }
        };
        let planes = [
            plane(0, strides[0], width, height),
            plane(1, strides[1], width / 2, height / 2),
            plane(2, strides[1], width / 2, height / 2),
        ];
        Ok(Some(Picture { size, planes, strides }))
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        if let Some(uninitialise) = self.table().Uninitialize {
            // SAFETY: the object is live; the call is allowed in any state.
            unsafe { uninitialise(self.object) };
        }
        // SAFETY: made by WelsCreateDecoder, destroyed only here.
        unsafe { sys::source::APILoader::WelsDestroyDecoder(self.object) };
    }
}
