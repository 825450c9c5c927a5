//! The encoder, without threads.

use super::buffers::Buffers;
use super::rate::{Debt, keyframe_bytes};
use super::references::References;
use super::{Complexity, Config};
use crate::codec::nal::{self, Kind};
use crate::codec::native::{self, Coded, Refused, Settings};
use crate::codec::slice::Slice;
use crate::codec::sps::Sps;
use crate::codec::{AccessUnit, Dependency};
use crate::media::{Exhausted, Frame, Layout, Size, scale};
use std::time::Instant;

/// The least that is aimed for, bits per second: the least that the link may be configured to send.
const LEAST_BPS: u32 = 50_000;

/// Why a picture could not be encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The encoder cannot handle the size.
    #[error(
        "pictures of {0} cannot be encoded: both sides must be even, from 16x16 to 3840x2160; choose another source.width and source.height"
    )]
    Size(Size),
    /// The encoder wants three planes.
    #[error("pictures in {0:?} cannot be encoded: sources give I420")]
    Layout(Layout),
    /// The picture could not be made as small as the bitrate wants it.
    #[error(transparent)]
    Scale(#[from] scale::Error),
    /// Somebody keeps the buffer for smaller pictures.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// openh264 failed.
    #[error(transparent)]
    Codec(#[from] Refused),
}

/// Encodes the pictures of one source. A picture of another size or colour than the last starts a new stream, with a keyframe.
pub struct Encoder {
    stream: Stream,
    buffers: Buffers,
}

/// What is asked for, and the openh264 encoder that does it.
struct Stream {
    config: Config,
    fps: f32,
    target_bps: u32,
    debt: Debt,
    /// Pictures made.
    count: u32,
    running: Option<Running>,
}

struct Running {
    native: native::Encoder,
    settings: Settings,
    /// openh264 counts time in milliseconds from here.
    start: Instant,
    last_ms: i64,
    /// The bitrate that openh264 was told.
    bitrate_bps: u32,
    /// Nothing was encoded yet.
    is_new: bool,
    /// A keyframe was asked for and not made yet: the rate control may skip the picture that was to be one.
    owed_keyframe: bool,
    /// Of the last keyframe.
    sps: Option<Sps>,
    references: References,
}

impl Encoder {
    /// An encoder for pictures of `size`, `fps` a second. The size may change later.
    pub fn new(config: Config, size: Size, fps: f32) -> Result<Self, Error> {
        supported(size)?;
        let target_bps = config.bitrate_bps;
        let stream = Stream { config, fps, target_bps, debt: Debt::default(), count: 0, running: None };
        Ok(Self { stream, buffers: Buffers::default() })
    }

    /// Goes on counting where another encoder of the same stream ended: the far end takes smaller numbers for older pictures.
    pub fn count_from(&mut self, last: u32) {
        self.stream.count = last;
    }

    /// Encodes a picture; as a keyframe if asked to. `None` when the rate control left it out; a keyframe that was asked
    /// for then comes with the next picture.
    pub fn encode(&mut self, frame: &Frame, force_keyframe: bool) -> Result<Option<AccessUnit>, Error> {
        let result = self.try_encode(frame, force_keyframe);
        if matches!(result, Err(Error::Codec(_))) {
            // Whatever state openh264 is in: the next picture starts a new stream.
            self.stream.running = None;
        }
        result
    }

    fn try_encode(&mut self, frame: &Frame, force_keyframe: bool) -> Result<Option<AccessUnit>, Error> {
        if frame.format.layout != Layout::I420 {
            return Err(Error::Layout(frame.format.layout));
        }
        let Stream { target_bps, fps, .. } = self.stream;
        let too_much = self.stream.debt.is_too_much();
        let bitrate_bps = self.stream.debt.bitrate(target_bps);
        let running = self.stream.running(frame)?;
        running.owed_keyframe |= force_keyframe;
        let coded = if too_much && !running.is_new {
            Coded::Skipped
        } else {
            running.encode(frame, bitrate_bps, keyframe_bytes(target_bps))?
        };
        let (length, keyframe) = match coded {
            Coded::Keyframe => (running.length(), true),
            Coded::Predicted => (running.length(), false),
            Coded::Skipped => {
                self.stream.debt.spend(0, target_bps, fps);
                return Ok(None);
            }
        };
        let data = self.buffers.join(length, running.native.parts());
        let count = self.stream.count + 1;
        let dependency = self.stream.running.as_mut().map(|running| running.note(&data, keyframe, count));
        self.stream.count = count;
        self.stream.debt.spend(length, target_bps, fps);
        let Frame { captured, number, era, .. } = *frame;
        Ok(Some(AccessUnit { data, keyframe, captured, number, era, dependency }))
    }

    /// The far end has decoded the picture with this number ([`Dependency::number`]), and all that it refers to.
    pub fn far_end_has(&mut self, number: u32) {
        if let Some(running) = &mut self.stream.running {
            running.references.far_end_has(number);
        }
    }

    /// Makes the next picture refer to one that the far end has, whatever it lost since. `false` if there is none: then only a
    /// keyframe helps.
    pub fn recover(&mut self) -> bool {
        self.stream.running.as_mut().is_some_and(|running| running.references.recover())
    }

    /// The mean quantiser of the picture encoded last, 0 (finest) to 51; `None` before the first one.
    pub fn quantiser(&mut self) -> Option<u8> {
        self.stream.running.as_mut().and_then(|running| running.native.quantiser().ok())
    }

    /// Another highest bitrate than the configured one, in bits per second.
    pub fn set_ceiling(&mut self, bps: u32) {
        self.stream.config.bitrate_bps = bps;
    }

    /// The bitrate to aim for, in bits per second; kept between the least that is sensible and the configured one. Takes
    /// effect with the next picture, without a keyframe. Returns what is aimed for now.
    pub fn set_bitrate(&mut self, bps: u32) -> u32 {
        let bps = bps.max(LEAST_BPS).min(self.stream.config.bitrate_bps);
        if bps != self.stream.target_bps {
            self.stream.debt.change_bitrate(self.stream.target_bps, bps);
            self.stream.target_bps = bps;
        }
        bps
    }

    /// Pictures per second that the rate control reckons with, from the next picture on.
    pub fn set_frame_rate(&mut self, fps: f32) -> Result<(), Error> {
        let fps = fps.clamp(1.0, 60.0);
        if fps == self.stream.fps {
            return Ok(());
        }
        self.stream.fps = fps;
        if let Some(running) = &mut self.stream.running {
            running.native.set_frame_rate(self.stream.fps)?;
        }
        Ok(())
    }
}

impl Running {
    /// Encodes a picture; the first keyframe of the stream into `most` bytes, if openh264 can.
    fn encode(&mut self, frame: &Frame, bitrate_bps: u32, most: usize) -> Result<Coded, Refused> {
        if bitrate_bps != self.bitrate_bps {
            self.native.set_bitrate(bitrate_bps)?;
            self.bitrate_bps = bitrate_bps;
        }
        if self.owed_keyframe {
            self.native.force_keyframe()?;
        } else {
            let wishes = self.references.wishes();
            if let Some((frame_number, has)) = wishes.kept {
                self.native.set_kept(frame_number, has)?;
            }
            if wishes.recover {
                self.native.recover()?;
            }
        }
        let mut coded = self.encode_once(frame)?;
        if self.is_new && self.length() > most {
            // openh264 guesses its first quantiser from size and bitrate alone. Now it knows what the picture costs, and aims at
            // four pictures' worth, as with every later keyframe.
            self.native.force_keyframe()?;
            coded = self.encode_once(frame)?;
        }
        self.is_new = false;
        self.owed_keyframe &= coded != Coded::Keyframe;
        Ok(coded)
    }

    /// The picture that was encoded, as number `number`. What it refers to.
    fn note(&mut self, data: &[u8], keyframe: bool, number: u32) -> Dependency {
        if keyframe {
            let sps = nal::units(data).find(|unit| Kind::of(unit) == Some(Kind::Sps));
            self.sps = sps.and_then(|sps| Sps::parse(sps).ok());
        }
        let slice = self.sps.as_ref().and_then(|sps| Slice::of(data, sps));
        self.references.encoded(number, keyframe, slice)
    }

    fn encode_once(&mut self, frame: &Frame) -> Result<Coded, Refused> {
        let captured = frame.captured.unwrap_or_else(Instant::now);
        let since = captured.saturating_duration_since(self.start).as_millis();
        self.last_ms = i64::try_from(since).unwrap_or(i64::MAX).max(self.last_ms.saturating_add(1));
        self.native.encode(frame, self.last_ms)
    }

    /// Bytes of the picture encoded last.
    fn length(&self) -> usize {
        self.native.parts().map(<[u8]>::len).sum()
    }
}

impl Stream {
    /// The stream that this picture belongs to; a new one where there is none.
    fn running(&mut self, frame: &Frame) -> Result<&mut Running, Error> {
        let fits = |running: &Running| {
            running.settings.size == frame.format.size && running.settings.colour == frame.format.colour
        };
        match self.running.take().filter(fits) {
            Some(running) => Ok(self.running.insert(running)),
            None => {
                supported(frame.format.size)?;
                let settings = Settings {
                    size: frame.format.size,
                    colour: frame.format.colour,
                    fps: self.fps,
                    bitrate_bps: self.target_bps,
                    complexity: match self.config.complexity {
                        Complexity::Low => 0,
                        Complexity::Medium => 1,
                        Complexity::High => 2,
                    },
                    threads: self.config.threads,
                };
                let start = frame.captured.unwrap_or_else(Instant::now);
                let native = native::Encoder::new(&settings)?;
                let bitrate_bps = settings.bitrate_bps;
                let running = Running {
                    native,
                    settings,
                    start,
                    last_ms: -1,
                    bitrate_bps,
                    is_new: true,
                    owed_keyframe: false,
                    sps: None,
                    references: References::default(),
                };
                Ok(self.running.insert(running))
            }
        }
    }
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let settings = self.stream.running.as_ref().map(|running| running.settings);
        f.debug_struct("Encoder")
            .field("target_bps", &self.stream.target_bps)
            .field("settings", &settings)
            .finish_non_exhaustive()
    }
}

/// openh264's limits: level 5.2, and one macroblock at least.
fn supported(size: Size) -> Result<(), Error> {
    let (long, short) = (size.width.max(size.height), size.width.min(size.height));
    if size.is_valid() && short >= 16 && long <= 3840 && short <= 2160 { Ok(()) } else { Err(Error::Size(size)) }
}
