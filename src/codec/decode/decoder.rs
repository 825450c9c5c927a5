//! The decoder, without threads.

use crate::codec::AccessUnit;
use crate::codec::history::History;
use crate::codec::nal::{self, Contents, Kind};
use crate::codec::slice::Slice;
use crate::codec::sps::{self, Sps};
use crate::media::{Colour, Exhausted, Format, Frame, Layout, Pool, Size};
use openh264::OpenH264API;
use openh264::decoder::{DecodedYUV, DecoderConfig, Flush};
use openh264::formats::YUVSource;
use std::sync::Arc;

/// Why there is no picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The stream is damaged; nothing is decoded until a keyframe comes. The number is openh264's `DECODING_STATE` bits
    /// (`codec_app_def.h`): 2 is a lost reference, 4 a bitstream error, 0x10 missing parameter sets.
    #[error("the stream is damaged (decoding state {0:#x}): waiting for a keyframe")]
    Damaged(i64),
    /// The stream is one that we do not decode.
    #[error(transparent)]
    Refused(#[from] sps::Error),
    /// Whoever shows the pictures keeps them all: this one is lost, the stream is whole.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// openh264 gave us no decoder; its result code.
    #[error("openh264 made no decoder (code {0:#x})")]
    Codec(i64),
}

impl Error {
    /// Whether a keyframe is needed before pictures come again.
    pub fn is_damage(self) -> bool {
        !matches!(self, Self::Exhausted(_))
    }
}

/// Decodes one stream, from keyframe to keyframe.
#[derive(Default)]
pub struct Decoder {
    /// There is one only while the stream is whole.
    native: Option<openh264::decoder::Decoder>,
    colour: Option<Colour>,
    sps: Option<Sps>,
    /// What it has decoded, where the stream says what its pictures refer to.
    history: History,
    /// `frame_num` of the last picture that others may refer to.
    last_reference: u32,
}

impl Decoder {
    /// A decoder that waits for its first keyframe.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing is decoded until a keyframe comes: at the start, and after damage.
    pub fn needs_keyframe(&self) -> bool {
        self.native.is_none()
    }

    /// What the last accepted sequence parameter set said.
    pub fn sps(&self) -> Option<&Sps> {
        self.sps.as_ref()
    }

    /// Decodes an access unit into a buffer of `pool`. `None` when it has no picture to show, or a keyframe is still needed;
    /// `unit.keyframe` is not trusted. The picture's number and capture time are the unit's.
    pub fn decode(&mut self, unit: &AccessUnit, pool: &mut Pool) -> Result<Option<Arc<Frame>>, Error> {
        let result = self.try_decode(unit, pool);
        if result.as_ref().is_err_and(|error| error.is_damage()) {
            // What a decoder has seen of a damaged stream is not to be trusted, so it is not used again.
            self.native = None;
            self.history.clear();
        }
        result
    }

    fn try_decode(&mut self, unit: &AccessUnit, pool: &mut Pool) -> Result<Option<Arc<Frame>>, Error> {
        let contents = Contents::of(&unit.data);
        if contents.damaged && self.native.is_some() {
            return Err(Error::Damaged(0));
        }
        // Parameter sets on their own are passed over, too: only those that come with their keyframe count.
        let has_picture = contents.idr || contents.slice;
        if !has_picture || (self.native.is_none() && !contents.is_keyframe()) {
            return Ok(None);
        }
        if contents.sps {
            // Before openh264 sees it: it would allocate whatever the stream asks for.
            self.inspect(&unit.data)?;
        }
        let slice = self.sps.as_ref().and_then(|sps| Slice::of(&unit.data, sps));
        if !contents.is_keyframe() && !self.has_references(unit, slice) {
            return Err(Error::Damaged(LOST_REFERENCE));
        }
        let native = match &mut self.native {
            Some(native) => native,
            None => self.native.insert(fresh()?),
        };
        let decoded = native.decode(&unit.data);
        self.history.add(unit.dependency, contents.is_keyframe());
        if let Some(slice) = slice.filter(|slice| slice.is_reference) {
            self.last_reference = slice.frame_number;
        }
        match decoded {
            Ok(Some(picture)) => {
                let colour = self.colour.unwrap_or(Colour::BT709_LIMITED);
                let (width, height) = picture.dimensions();
                let size = Size::new(width as u32, height as u32);
                let (luma, first, second) = picture.strides();
                if !size.is_valid() || luma < width || first.min(second) < width / 2 {
                    return Err(Error::Damaged(0));
                }
                let format = Format { size, layout: Layout::I420, colour };
                let (frame, ()) = pool.fill(format, |frame| {
                    copy(&picture, frame);
                    frame.number = unit.number;
                    frame.captured = unit.captured;
                    frame.era = unit.era;
                    Ok::<_, Exhausted>(())
                })?;
                Ok(Some(frame))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(Error::Damaged(error.native_code())),
        }
    }

    /// Whether what a picture refers to was decoded. Streams with long-term references allow gaps in the numbering of pictures, and in
    /// such a stream openh264 takes a loss for one of them, and decodes what follows with the wrong reference.
    fn has_references(&self, unit: &AccessUnit, slice: Option<Slice>) -> bool {
        let Some(sps) = self.sps.as_ref().filter(|sps| sps.gaps_allowed) else { return true };
        if let (Some(dependency), Some(_)) = (unit.dependency, self.history.newest()) {
            return self.history.allows(dependency);
        }
        let next = (self.last_reference + 1) & ((1 << sps.frame_number_bits) - 1);
        slice.is_some_and(|slice| slice.frame_number == next || slice.frame_number == self.last_reference)
    }

    fn inspect(&mut self, data: &[u8]) -> Result<(), Error> {
        for unit in nal::units(data).filter(|unit| Kind::of(unit) == Some(Kind::Sps)) {
            let sps = Sps::parse(unit)?;
            self.colour = sps.colour;
            self.sps = Some(sps);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder").field("needs_keyframe", &self.needs_keyframe()).field("sps", &self.sps).finish()
    }
}

/// openh264's `dsRefLost`.
const LOST_REFERENCE: i64 = 2;

/// A decoder that knows no stream yet. Error concealment is off, the crate's default: a picture that is not whole is an error, never
/// something patched together from older ones. Nothing is flushed: our streams have no pictures that wait for others.
fn fresh() -> Result<openh264::decoder::Decoder, Error> {
    let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
    openh264::decoder::Decoder::with_api_config(OpenH264API::from_source(), config)
        .map_err(|error| Error::Codec(error.native_code()))
}

/// Copies the samples, without the padding between rows.
fn copy(picture: &DecodedYUV<'_>, frame: &mut Frame) {
    let width = frame.format.size.width as usize;
    let (y, u, v) = frame.i420_mut();
    let strides = picture.strides();
    for (to, from, row, stride) in [
        (y, picture.y(), width, strides.0),
        (u, picture.u(), width / 2, strides.1),
        (v, picture.v(), width / 2, strides.2),
    ] {
        for (to, from) in to.chunks_exact_mut(row).zip(from.chunks(stride)) {
            to.copy_from_slice(&from[..row]);
        }
    }
}
