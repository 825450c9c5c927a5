//! The sequence parameter set (ITU-T H.264 7.3.2.1.1 and E.1.1), as far as a receiver must know it before it decodes: size,
//! colour, frame rate, and whether the decoder can handle it at all. Total: any bytes give an answer or an [`Error`].

use crate::media::{Colour, Matrix, Range, Size};

/// What a sequence parameter set says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sps {
    /// profile_idc: 66 is Baseline, 77 Main, 100 High.
    pub profile_idc: u8,
    /// The constraint_set flags, bit 7 is set 0. Profile 66 with bit 6 is Constrained Baseline.
    pub constraints: u8,
    /// Ten times the level: 31 is level 3.1.
    pub level_idc: u8,
    /// The picture's size, cropping applied.
    pub size: Size,
    /// Matrix and range, where the stream says something about them that we know.
    pub colour: Option<Colour>,
    /// Pictures per second, where the stream says so and it is between 1 and 240.
    pub frame_rate: Option<f64>,
    /// Whether numbers of pictures may be missing without a loss: then the decoder cannot tell a loss from what was never sent.
    pub gaps_allowed: bool,
    /// Bits of `frame_num` in slice headers, 4 to 16.
    pub frame_number_bits: u8,
    /// Bits of `pic_order_cnt_lsb` in slice headers, 4 to 16; 0 where pictures come in their order; `None` where they are ordered in
    /// a way that we do not read.
    pub order_bits: Option<u8>,
}

/// Why a sequence parameter set is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It ends too early, or a field has a value that H.264 does not know.
    #[error("the sequence parameter set is malformed at {0}: the stream is damaged")]
    Malformed(&'static str),
    /// H.264, but of a kind that no portal sends.
    #[error("the stream has {0}; send 8 bit 4:2:0 progressive H.264 (ffmpeg: -pix_fmt yuv420p)")]
    Unsupported(&'static str),
    /// Larger than [`Size::MAX_SIDE`].
    #[error("the stream's pictures have {width}x{height} pixels; at most {max} are allowed each way", max = Size::MAX_SIDE)]
    TooLarge {
        /// Coded width in pixels.
        width: u64,
        /// Coded height in pixels.
        height: u64,
    },
}

/// Reads bits of a NAL unit's payload, passing over emulation prevention bytes (00 00 03).
pub(super) struct Bits<'a> {
    data: std::slice::Iter<'a, u8>,
    zeros: u8,
    byte: u8,
    left: u8,
}

impl<'a> Bits<'a> {
    pub(super) fn new(payload: &'a [u8]) -> Self {
        Self { data: payload.iter(), zeros: 0, byte: 0, left: 0 }
    }

    pub(super) fn bit(&mut self, field: &'static str) -> Result<bool, Error> {
        if self.left == 0 {
            let mut next = || self.data.next().copied().ok_or(Error::Malformed(field));
            let mut byte = next()?;
            if self.zeros >= 2 && byte == 3 {
                self.zeros = 0;
                byte = next()?;
            }
            self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
            (self.byte, self.left) = (byte, 8);
        }
        self.left -= 1;
        Ok(self.byte >> self.left & 1 == 1)
    }

    /// An unsigned number of `count` (at most 32) bits.
    pub(super) fn number(&mut self, count: u32, field: &'static str) -> Result<u32, Error> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | u32::from(self.bit(field)?);
        }
        Ok(value)
    }

    /// ue(v): an Exp-Golomb code, at most `max`.
    pub(super) fn golomb(&mut self, max: u32, field: &'static str) -> Result<u32, Error> {
        let mut zeros = 0;
        while !self.bit(field)? {
            zeros += 1;
            if zeros > 31 {
                return Err(Error::Malformed(field));
            }
        }
        let value = (1u64 << zeros) - 1 + u64::from(self.number(zeros, field)?);
        u32::try_from(value).ok().filter(|value| *value <= max).ok_or(Error::Malformed(field))
    }

    /// se(v): its value is of no interest here except in scaling lists.
    fn signed_golomb(&mut self, field: &'static str) -> Result<i64, Error> {
        let code = i64::from(self.golomb(u32::MAX, field)?);
        Ok(if code % 2 == 1 { code / 2 + 1 } else { -(code / 2) })
    }
}

/// Profiles whose parameter sets carry the chroma format (7.3.2.1.1).
const WITH_CHROMA_FORMAT: [u8; 13] = [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];

impl Sps {
    /// Reads a sequence parameter set from a NAL unit (header byte included, start code not).
    pub fn parse(unit: &[u8]) -> Result<Self, Error> {
        let [header, profile_idc, constraints, level_idc, rest @ ..] = unit else {
            return Err(Error::Malformed("its header"));
        };
        if header & 0x1f != 7 {
            return Err(Error::Malformed("its type"));
        }
        let bits = &mut Bits::new(rest);
        bits.golomb(31, "seq_parameter_set_id")?;
        if WITH_CHROMA_FORMAT.contains(profile_idc) {
            samples(bits)?;
        }
        let frame_number_bits = 4 + bits.golomb(12, "log2_max_frame_num_minus4")? as u8;
        let order_bits = picture_order(bits)?;
        bits.golomb(16, "max_num_ref_frames")?;
        let gaps_allowed = bits.bit("gaps_in_frame_num_value_allowed_flag")?;
        let size = size(bits)?;
        let (colour, frame_rate) =
            if bits.bit("vui_parameters_present_flag")? { usability(bits)? } else { (None, None) };
        let (profile_idc, constraints, level_idc) = (*profile_idc, *constraints, *level_idc);
        Ok(Self {
            profile_idc,
            constraints,
            level_idc,
            size,
            colour,
            frame_rate,
            gaps_allowed,
            frame_number_bits,
            order_bits,
        })
    }
}

fn samples(bits: &mut Bits) -> Result<(), Error> {
    if bits.golomb(3, "chroma_format_idc")? != 1 {
        return Err(Error::Unsupported("another chroma format than 4:2:0"));
    }
    let depths = bits.golomb(6, "bit_depth_luma_minus8")? + bits.golomb(6, "bit_depth_chroma_minus8")?;
    if depths != 0 {
        return Err(Error::Unsupported("more than 8 bits a sample"));
    }
    bits.bit("qpprime_y_zero_transform_bypass_flag")?;
    if bits.bit("seq_scaling_matrix_present_flag")? {
        for list in 0..8 {
            if bits.bit("seq_scaling_list_present_flag")? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    Ok(())
}

fn scaling_list(bits: &mut Bits, length: usize) -> Result<(), Error> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..length {
        if next != 0 {
            let delta = bits.signed_golomb("delta_scale")?;
            next = (last + delta).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

/// Bits of `pic_order_cnt_lsb`; 0 without it.
fn picture_order(bits: &mut Bits) -> Result<Option<u8>, Error> {
    match bits.golomb(2, "pic_order_cnt_type")? {
        0 => return Ok(Some(4 + bits.golomb(12, "log2_max_pic_order_cnt_lsb_minus4")? as u8)),
        1 => {
            bits.bit("delta_pic_order_always_zero_flag")?;
            bits.signed_golomb("offset_for_non_ref_pic")?;
            bits.signed_golomb("offset_for_top_to_bottom_field")?;
            for _ in 0..bits.golomb(255, "num_ref_frames_in_pic_order_cnt_cycle")? {
                bits.signed_golomb("offset_for_ref_frame")?;
            }
        }
        _ => return Ok(Some(0)),
    }
    Ok(None)
}

fn size(bits: &mut Bits) -> Result<Size, Error> {
    let mut blocks = |field| bits.golomb(u32::MAX - 1, field).map(|minus1| 16 * (u64::from(minus1) + 1));
    let (width, height) = (blocks("pic_width_in_mbs_minus1")?, blocks("pic_height_in_map_units_minus1")?);
    if !bits.bit("frame_mbs_only_flag")? {
        return Err(Error::Unsupported("interlaced pictures"));
    }
    if width > u64::from(Size::MAX_SIDE) || height > u64::from(Size::MAX_SIDE) {
        return Err(Error::TooLarge { width, height });
    }
    bits.bit("direct_8x8_inference_flag")?;
    let mut cut = [0u64; 4];
    if bits.bit("frame_cropping_flag")? {
        for edge in &mut cut {
            // In units of two luma samples, for 4:2:0 progressive.
            *edge = 2 * u64::from(bits.golomb(u32::MAX - 1, "frame_crop_offset")?);
        }
    }
    let [left, right, top, bottom] = cut;
    let cropped = |side: u64, cut: u64| side.checked_sub(cut).and_then(|side| u32::try_from(side).ok());
    match (cropped(width, left + right), cropped(height, top + bottom)) {
        (Some(width), Some(height)) if Size::new(width, height).is_valid() => Ok(Size::new(width, height)),
        _ => Err(Error::Malformed("frame_crop_offset")),
    }
}

/// The video usability information, up to the timing.
fn usability(bits: &mut Bits) -> Result<(Option<Colour>, Option<f64>), Error> {
    const ASPECT_EXTENDED: u32 = 255;
    if bits.bit("aspect_ratio_info_present_flag")? && bits.number(8, "aspect_ratio_idc")? == ASPECT_EXTENDED {
        bits.number(32, "sar_width and sar_height")?;
    }
    if bits.bit("overscan_info_present_flag")? {
        bits.bit("overscan_appropriate_flag")?;
    }
    let mut colour = None;
    if bits.bit("video_signal_type_present_flag")? {
        bits.number(3, "video_format")?;
        let range = if bits.bit("video_full_range_flag")? { Range::Full } else { Range::Limited };
        let mut matrix = Matrix::Bt709;
        if bits.bit("colour_description_present_flag")? {
            bits.number(16, "colour_primaries and transfer_characteristics")?;
            // Table E-5: 5 and 6 are BT.601. What we do not know is shown as BT.709.
            if matches!(bits.number(8, "matrix_coefficients")?, 5 | 6) {
                matrix = Matrix::Bt601;
            }
        }
        colour = Some(Colour { matrix, range });
    }
    if bits.bit("chroma_loc_info_present_flag")? {
        bits.golomb(5, "chroma_sample_loc_type_top_field")?;
        bits.golomb(5, "chroma_sample_loc_type_bottom_field")?;
    }
    let mut frame_rate = None;
    if bits.bit("timing_info_present_flag")? {
        let (ticks, scale) = (bits.number(32, "num_units_in_tick")?, bits.number(32, "time_scale")?);
        // Two ticks a picture: time_scale counts fields (E.2.1).
        let rate = f64::from(scale) / (2.0 * f64::from(ticks));
        frame_rate = Some(rate).filter(|rate| (1.0..=240.0).contains(rate));
    }
    Ok((colour, frame_rate))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Writes what the parser reads.
    #[derive(Default)]
    struct Writer(Vec<bool>);

    impl Writer {
        fn number(&mut self, value: u64, count: u32) -> &mut Self {
            self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
            self
        }

        fn golomb(&mut self, value: u64) -> &mut Self {
            let length = 64 - (value + 1).leading_zeros();
            self.number(0, length - 1).number(value + 1, length)
        }

        fn unit(&self) -> Vec<u8> {
            let mut unit = vec![0x67, 66, 0xc0, 31];
            let mut zeros = 0;
            for byte in self
                .0
                .chunks(8)
                .map(|bits| bits.iter().enumerate().fold(0, |b, (n, &bit)| b | u8::from(bit) << (7 - n)))
            {
                if zeros >= 2 && byte <= 3 {
                    unit.push(3);
                    zeros = 0;
                }
                zeros = if byte == 0 { zeros + 1 } else { 0 };
                unit.push(byte);
            }
            unit.push(0x80);
            unit
        }
    }

    fn baseline(blocks_wide: u64, blocks_high: u64, crop_bottom: u64) -> Writer {
        let mut writer = Writer::default();
        writer.golomb(0).golomb(0).golomb(2).golomb(1).number(0, 1);
        writer.golomb(blocks_wide - 1).golomb(blocks_high - 1).number(0b11, 2);
        writer.number(1, 1).golomb(0).golomb(0).golomb(0).golomb(crop_bottom);
        writer
    }

    #[test]
    fn full_hd_with_colour_and_timing() {
        let mut writer = baseline(120, 68, 4);
        // VUI: no aspect ratio, no overscan; video signal: format 5, full range, description 6/6/6; no chroma location;
        // timing 1001/60000, full of zeros, so that emulation prevention is needed.
        writer
            .number(0b1001, 4)
            .number(0b10111, 5)
            .number(0x060606, 24)
            .number(0b01, 2)
            .number(1001, 32)
            .number(60000, 32);
        let sps = Sps::parse(&writer.unit()).unwrap();
        assert_eq!(sps.size, Size::new(1920, 1080));
        assert_eq!(sps.colour, Some(Colour::BT601_FULL));
        assert!((sps.frame_rate.unwrap() - 29.97).abs() < 0.001);
        assert_eq!((sps.profile_idc, sps.level_idc), (66, 31));
    }

    #[test]
    fn silence_about_colour_is_not_a_colour() {
        let sps = Sps::parse(&baseline(80, 45, 0).number(0, 1).unit()).unwrap();
        assert_eq!((sps.size, sps.colour, sps.frame_rate), (Size::new(1280, 720), None, None));
    }

    #[test]
    fn what_would_eat_memory_is_refused() {
        let refused = |wide, high, crop| Sps::parse(&baseline(wide, high, crop).number(0, 1).unit()).unwrap_err();
        assert_eq!(refused(257, 45, 0), Error::TooLarge { width: 4112, height: 720 });
        assert_eq!(refused(80, 0xffff_fffe, 0), Error::TooLarge { width: 1280, height: 16 * 0xffff_fffe });
        assert_eq!(refused(80, 45, 360), Error::Malformed("frame_crop_offset"));
        assert_eq!(Sps::parse(&[0x67, 66]), Err(Error::Malformed("its header")));
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(mut unit in prop::collection::vec(any::<u8>(), 0..80), high: bool) {
            if let [header, profile, ..] = unit.as_mut_slice() {
                *header = 0x67;
                *profile = if high { 100 } else { 66 };
            }
            if let Ok(sps) = Sps::parse(&unit) {
                prop_assert!(sps.size.is_valid());
            }
        }

        #[test]
        fn a_good_one_with_flipped_bits_gives_an_answer(flips in prop::collection::vec((0usize..40, 0u32..8), 1..6)) {
            let mut unit = baseline(80, 45, 0).number(0b1001, 4).number(0b10101, 5).number(0x010101, 24).number(0, 2).unit();
            for (at, bit) in flips {
                let at = at % unit.len();
                unit[at] ^= 1 << bit;
            }
            if let Ok(sps) = Sps::parse(&unit) {
                prop_assert!(sps.size.is_valid());
            }
        }
    }
}
