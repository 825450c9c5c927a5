//! The slice header (ITU-T H.264 7.3.3), as far as one must know it to tell what a picture refers to and what becomes of it. For the
//! progressive Constrained Baseline streams that portals send. Total: any bytes give an answer or `None`.

use super::nal::{self, Kind};
use super::sps::{Bits, Error, Sps};

/// What the first slice of a picture says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// `frame_num`: counts the pictures since the last keyframe, modulo what the sequence parameter set says (32768 for openh264).
    pub frame_number: u32,
    /// Later pictures may refer to it.
    pub is_reference: bool,
    /// The picture refers to a long-term reference picture first.
    pub refers_to_kept: bool,
    /// The `frame_num` of the picture that becomes a long-term reference picture with this one: this one itself, or an earlier one.
    pub keeps: Option<u32>,
}

impl Slice {
    /// Reads the first slice of an access unit of the stream that `sps` begins. `None` if there is none, or none that we know.
    pub fn of(unit: &[u8], sps: &Sps) -> Option<Self> {
        let slice = nal::units(unit).find(|unit| matches!(Kind::of(unit), Some(Kind::Slice | Kind::Idr)))?;
        let (header, payload) = slice.split_first()?;
        let idr = Kind::of(slice) == Some(Kind::Idr);
        Self::parse(payload, idr, header >> 5 & 3 != 0, sps).ok()
    }

    fn parse(payload: &[u8], idr: bool, is_reference: bool, sps: &Sps) -> Result<Self, Error> {
        let bits = &mut Bits::new(payload);
        bits.golomb(u32::MAX - 1, "first_mb_in_slice")?;
        let kind = bits.golomb(9, "slice_type")? % 5;
        bits.golomb(255, "pic_parameter_set_id")?;
        let frame_number = bits.number(sps.frame_number_bits.into(), "frame_num")?;
        if idr {
            bits.golomb(65_535, "idr_pic_id")?;
        }
        let (mut refers_to_kept, mut keeps) = (false, None);
        if let Some(order_bits) = sps.order_bits {
            bits.number(order_bits.into(), "pic_order_cnt_lsb")?;
            refers_to_kept = kind == PREDICTED && reorders_kept(bits)?;
            keeps = match (is_reference && matches!(kind, PREDICTED | INTRA), idr) {
                (false, _) => None,
                (true, false) => kept(bits, frame_number, 1 << sps.frame_number_bits)?,
                (true, true) => {
                    bits.bit("no_output_of_prior_pics_flag")?;
                    bits.bit("long_term_reference_flag")?.then_some(frame_number)
                }
            };
        }
        Ok(Self { frame_number, is_reference, refers_to_kept, keeps })
    }
}

/// `slice_type` modulo 5.
const PREDICTED: u32 = 0;
const INTRA: u32 = 2;

/// Whether the first picture that is referred to is a long-term one (7.3.3.1).
fn reorders_kept(bits: &mut Bits<'_>) -> Result<bool, Error> {
    if bits.bit("num_ref_idx_active_override_flag")? {
        bits.golomb(31, "num_ref_idx_l0_active_minus1")?;
    }
    if !bits.bit("ref_pic_list_modification_flag_l0")? {
        return Ok(false);
    }
    let mut first = None;
    loop {
        let code = bits.golomb(3, "modification_of_pic_nums_idc")?;
        first.get_or_insert(code);
        if code == 3 {
            // 2 is a long-term picture's number; 0 and 1 are distances to another.
            return Ok(first == Some(2));
        }
        bits.golomb(u32::MAX - 1, "long_term_pic_num")?;
    }
}

/// Operations of `dec_ref_pic_marking` (7.3.3.3) at most: twice as many as there can be reference pictures.
const MAX_MARKINGS: usize = 32;

/// The `frame_num` of the picture that becomes a long-term reference (7.4.3.3).
fn kept(bits: &mut Bits<'_>, frame_number: u32, frame_numbers: u32) -> Result<Option<u32>, Error> {
    let mut kept = None;
    if !bits.bit("adaptive_ref_pic_marking_mode_flag")? {
        return Ok(kept);
    }
    for _ in 0..MAX_MARKINGS {
        let mut operand = |name| bits.golomb(u32::MAX - 1, name);
        match operand("memory_management_control_operation")? {
            0 => return Ok(kept),
            5 => {}
            3 => {
                let back = operand("difference_of_pic_nums_minus1")?.wrapping_add(1);
                operand("long_term_frame_idx")?;
                kept = Some(frame_number.wrapping_sub(back) & (frame_numbers - 1));
            }
            6 => {
                operand("long_term_frame_idx")?;
                kept = Some(frame_number);
            }
            _ => {
                operand("operand")?;
            }
        }
    }
    Err(Error::Malformed("memory_management_control_operation"))
}
