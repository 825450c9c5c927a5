//! openh264's encoder with every parameter that we have an opinion on.

use super::{QUIET, Refused, check, missing};
use crate::media::{Colour, Frame, Matrix, Plane, Range, Size};
use openh264_sys2 as sys;
use std::os::raw::{c_int, c_void};
use std::ptr;

/// What an encoder is made for. Another size or colour needs another encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    pub size: Size,
    pub colour: Colour,
    /// Pictures per second that the rate control reckons with.
    pub fps: f32,
    pub bitrate_bps: u32,
    /// 0 low, 1 medium, 2 high.
    pub complexity: i32,
    /// Threads, and slices per picture.
    pub threads: u16,
}

/// How a picture was coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded {
    /// An IDR picture with parameter sets in front.
    Keyframe,
    /// A picture that refers to earlier ones.
    Predicted,
    /// Not at all: the rate control left it out.
    Skipped,
}

/// An encoder that is ready to encode.
pub struct Encoder {
    object: *mut sys::ISVCEncoder,
    size: Size,
    /// Filled by each call; large, so it is kept.
    output: Box<sys::SFrameBSInfo>,
    /// Keyframes made, as openh264 numbers them: from 1, modulo 65536.
    keyframes: u16,
}

// SAFETY: the C++ object has no tie to the thread that made it, and `&mut self` keeps all calls to one thread at a time.
unsafe impl Send for Encoder {}

impl Encoder {
    /// Makes an encoder.
    pub fn new(settings: &Settings) -> Result<Self, Refused> {
        let mut object: *mut sys::ISVCEncoder = ptr::null_mut();
        // SAFETY: the pointer is to a live variable, which the call fills.
        check(unsafe { sys::source::APILoader::WelsCreateSVCEncoder(&mut object) }, "create an encoder")?;
        if object.is_null() {
            return Err(Refused { call: "create an encoder", code: 0 });
        }
        let mut encoder = Self { object, size: settings.size, output: Box::default(), keyframes: 0 };
        encoder.initialise(settings)?;
        Ok(encoder)
    }

    fn table(&self) -> &sys::ISVCEncoderVtbl {
        // SAFETY: a C++ object begins with the pointer to its function table; both live until `drop`.
        unsafe { &**self.object }
    }

    fn set<T>(&mut self, option: sys::ENCODER_OPTION, mut value: T, call: &'static str) -> Result<(), Refused> {
        let set = missing(self.table().SetOption, call)?;
        // SAFETY: `value` is of the type that the option asks for (`codec_app_def.h`), which each caller below names.
        check(unsafe { set(self.object, option, ptr::from_mut(&mut value).cast::<c_void>()) }, call)
    }

    fn initialise(&mut self, settings: &Settings) -> Result<(), Refused> {
        self.set::<c_int>(sys::ENCODER_OPTION_TRACE_LEVEL, QUIET, "be quiet")?;
        let mut parameters = sys::SEncParamExt::default();
        let defaults = missing(self.table().GetDefaultParams, "give its defaults")?;
        // SAFETY: the object is live and the structure is the one of this call.
        check(unsafe { defaults(self.object, &mut parameters) }, "give its defaults")?;
        fill(&mut parameters, settings);
        let initialise = missing(self.table().InitializeExt, "start encoding")?;
        // SAFETY: as above; the call copies the parameters.
        check(unsafe { initialise(self.object, &parameters) }, "start encoding")
    }

    /// Changes the target while running, without a keyframe.
    pub fn set_bitrate(&mut self, bps: u32) -> Result<(), Refused> {
        let target = sys::SBitrateInfo { iLayer: sys::SPATIAL_LAYER_ALL, iBitrate: bps as c_int };
        self.set(sys::ENCODER_OPTION_BITRATE, target, "change the bitrate")
    }

    /// Changes the frame rate that the rate control reckons with.
    pub fn set_frame_rate(&mut self, fps: f32) -> Result<(), Refused> {
        self.set(sys::ENCODER_OPTION_FRAME_RATE, fps, "change the frame rate")
    }

    /// The mean quantiser of the picture encoded last: 0 (finest) to 51.
    pub fn quantiser(&mut self) -> Result<u8, Refused> {
        const CALL: &str = "give its statistics";
        let mut statistics = sys::SEncoderStatistics::default();
        let get = missing(self.table().GetOption, CALL)?;
        let value = ptr::from_mut(&mut statistics).cast::<c_void>();
        // SAFETY: this option fills a structure of this type (`codec_app_def.h`); the object is live and initialised.
        check(unsafe { get(self.object, sys::ENCODER_OPTION_GET_STATISTICS, value) }, CALL)?;
        Ok(u8::try_from(statistics.uiAverageFrameQP).unwrap_or(u8::MAX).min(51))
    }

    /// Says what became of the picture that was marked as a long-term reference and has this `frame_num`: the far end has it, or has
    /// it not. Takes effect behind the next picture. Until one of both is said, openh264 marks no other; and where the number is
    /// not that of the marked picture it believes "has not", yet keeps the picture, and drops what was confirmed before for the next.
    pub fn set_kept(&mut self, frame_number: u32, has: bool) -> Result<(), Refused> {
        let feedback = sys::SLTRMarkingFeedback {
            uiFeedbackType: if has { sys::LTR_MARKING_SUCCESS } else { sys::LTR_MARKING_FAILED } as _,
            uiIDRPicId: self.keyframes.into(),
            iLTRFrameNum: frame_number as c_int,
            iLayerId: 0,
        };
        self.set(sys::ENCODER_LTR_MARKING_FEEDBACK, feedback, "mark a long-term reference")
    }

    /// Makes the next picture refer to the newest long-term reference that the far end is said to have: the last keyframe, if nothing
    /// was said since.
    pub fn recover(&mut self) -> Result<(), Refused> {
        let request = sys::SLTRRecoverRequest {
            uiFeedbackType: sys::LTR_RECOVERY_REQUEST as _,
            uiIDRPicId: self.keyframes.into(),
            iLastCorrectFrameNum: 0,
            // Unknown: openh264 then keeps all that it has.
            iCurrentFrameNum: -1,
            iLayerId: 0,
        };
        self.set(sys::ENCODER_LTR_RECOVERY_REQUEST, request, "recover")
    }

    /// Makes the next picture that is not skipped a keyframe.
    pub fn force_keyframe(&mut self) -> Result<(), Refused> {
        let force = missing(self.table().ForceIntraFrame, "force a keyframe")?;
        // SAFETY: the object is live and initialised.
        check(unsafe { force(self.object, true) }, "force a keyframe")
    }

    /// Encodes an I420 picture of the encoder's own size. `time_ms` never goes back. The bytes are in [`Self::parts`].
    pub fn encode(&mut self, frame: &Frame, time_ms: i64) -> Result<Coded, Refused> {
        const CALL: &str = "encode a picture";
        let planes = [frame.plane(Plane::Y), frame.plane(Plane::U), frame.plane(Plane::V)];
        let (luma, chroma) = (self.size.pixels(), self.size.pixels() / 4);
        if [planes[0].len(), planes[1].len(), planes[2].len()] != [luma, chroma, chroma] {
            return Err(Refused { call: "encode a picture of another size", code: -1 });
        }
        let (width, height) = (self.size.width as c_int, self.size.height as c_int);
        let data = |plane: &[u8]| plane.as_ptr().cast_mut();
        let picture = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [width, width / 2, width / 2, 0],
            pData: [data(planes[0]), data(planes[1]), data(planes[2]), ptr::null_mut()],
            iPicWidth: width,
            iPicHeight: height,
            uiTimeStamp: time_ms,
            ..Default::default()
        };
        let encode = missing(self.table().EncodeFrame, CALL)?;
        // SAFETY: the planes have the lengths that size and strides say (checked above) and outlive the call; the encoder
        // copies them into pictures of its own and never writes to them.
        let mut once = || unsafe { encode(self.object, &picture, &mut *self.output) };
        let code = match once() {
            // `WelsBuildRefList` found nothing to refer to. Nothing was encoded, and the next picture will be a keyframe: this one.
            NO_REFERENCE => once(),
            code => code,
        };
        check(code, CALL)?;
        match self.output.eFrameType {
            sys::videoFrameTypeIDR => {
                self.keyframes = self.keyframes.wrapping_add(1);
                Ok(Coded::Keyframe)
            }
            sys::videoFrameTypeSkip => Ok(Coded::Skipped),
            sys::videoFrameTypeInvalid => Err(Refused { call: CALL, code: 0 }),
            _ => Ok(Coded::Predicted),
        }
    }

    /// The bytes of the picture encoded last, in order: parameter sets, then slices, each NAL unit behind a start code.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let count = usize::try_from(self.output.iLayerNum).unwrap_or(0);
        self.output.sLayerInfo.iter().take(count).map(|layer| {
            let units = usize::try_from(layer.iNalCount).unwrap_or(0);
            if layer.pBsBuf.is_null() || layer.pNalLengthInByte.is_null() {
                return &[][..];
            }
            // SAFETY: openh264 gives the lengths of `iNalCount` units that lie one after the other in `pBsBuf`. Both buffers
            // belong to the object and stay as they are until the next call, which needs `&mut self`.
            unsafe {
                let lengths = std::slice::from_raw_parts(layer.pNalLengthInByte, units);
                let total = lengths.iter().map(|&length| usize::try_from(length).unwrap_or(0)).sum();
                std::slice::from_raw_parts(layer.pBsBuf, total)
            }
        })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        if let Some(uninitialise) = self.table().Uninitialize {
            // SAFETY: the object is live; the call is allowed in any state.
            unsafe { uninitialise(self.object) };
        }
        // SAFETY: made by WelsCreateSVCEncoder, destroyed only here.
        unsafe { sys::source::APILoader::WelsDestroySVCEncoder(self.object) };
    }
}

/// Our settings over openh264's defaults. Why each is as it is was measured: `docs/measurements.md`, "Codec".
fn fill(parameters: &mut sys::SEncParamExt, settings: &Settings) {
    let (width, height) = (settings.size.width as c_int, settings.size.height as c_int);
    parameters.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    parameters.iPicWidth = width;
    parameters.iPicHeight = height;
    parameters.fMaxFrameRate = settings.fps;
    parameters.iComplexityMode = settings.complexity;
    parameters.iMultipleThreadIdc = settings.threads;

    // Holds its target within a few percent second by second. What is owed behind a keyframe is paid back by `encode::rate`, with
    // less to see: openh264 would leave out every other picture, and make a keyframe that was encoded twice count twice.
    parameters.iRCMode = sys::RC_BITRATE_MODE;
    parameters.bEnableFrameSkip = false;
    parameters.bFixRCOverShoot = false;
    parameters.iTargetBitrate = settings.bitrate_bps as c_int;
    parameters.iMaxBitrate = UNLIMITED;

    // Keyframes only on request. Scene change detection takes a noisy camera for scene changes and sends 40 kB keyframes at
    // its own discretion, at the cost of everything else.
    parameters.uiIntraPeriod = 0;
    parameters.bEnableSceneChangeDetect = false;
    parameters.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    // Saves a tenth of the time and costs more in likeness: 0.975 SSIM with it on the clip, 0.978 without.
    parameters.bEnableBackgroundDetection = false;
    // No effect in this mode: the very same stream.
    parameters.bEnableAdaptiveQuant = false;
    parameters.bEnableDenoise = false;
    // Two are what openh264 can: one that the far end has, and the next one, of which that is not known yet.
    parameters.bEnableLongTermReference = true;
    parameters.iLTRRefNum = 2;
    parameters.iLtrMarkPeriod = 15;
    parameters.iNumRefFrame = sys::AUTO_REF_PIC_COUNT;
    parameters.iEntropyCodingModeFlag = 0;
    parameters.bEnableFrameCroppingFlag = true;
    parameters.iTemporalLayerNum = 1;
    parameters.iSpatialLayerNum = 1;

    let layer = &mut parameters.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = settings.fps;
    layer.iSpatialBitrate = settings.bitrate_bps as c_int;
    layer.iMaxSpatialBitrate = UNLIMITED;
    // Baseline, whose SPS openh264 marks as constrained. The level is the lowest that size, rate and bitrate fit into.
    layer.uiProfileIdc = sys::PRO_BASELINE;
    layer.uiLevelIdc = sys::LEVEL_UNKNOWN;
    if settings.threads > 1 {
        layer.sSliceArgument.uiSliceMode = sys::SM_FIXEDSLCNUM_SLICE;
        layer.sSliceArgument.uiSliceNum = settings.threads.into();
    } else {
        layer.sSliceArgument.uiSliceMode = sys::SM_SINGLE_SLICE;
        layer.sSliceArgument.uiSliceNum = 1;
    }
    // H.264 tables E-3 to E-5: 1 is BT.709, 6 is BT.601 (525 lines).
    let code = match settings.colour.matrix {
        Matrix::Bt709 => 1,
        Matrix::Bt601 => 6,
    };
    layer.bVideoSignalTypePresent = true;
    layer.uiVideoFormat = sys::VF_UNDEF as u8;
    layer.bFullRange = settings.colour.range == Range::Full;
    layer.bColorDescriptionPresent = true;
    layer.uiColorPrimaries = code;
    layer.uiTransferCharacteristics = code;
    layer.uiColorMatrix = code;
}

/// `cmUnknownReason`, which openh264's `EncodeFrameInternal` makes of `ENC_RETURN_CORRECTED`.
const NO_REFERENCE: c_int = sys::cmUnknownReason as c_int;

/// `UNSPECIFIED_BIT_RATE`: no second limit above the target. The target is what the link can carry, and it is held.
const UNLIMITED: c_int = 0;
