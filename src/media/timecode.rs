//! A time code in the picture, so that latency can be measured from outside, on any screen that shows it.
//!
//! Two rows of 32 square blocks of B = width / 40 pixels, the top left corner at (4 B, B). White is 1, black is 0, chroma
//! neutral. Row by row, most significant bit first: `1010`, 32 bits of wall-clock time in milliseconds modulo 2³², 16 bits of
//! frame number, CRC-8 (polynomial 07, initial value 0) over those six bytes, `0101`.

use super::{Frame, Layout, Plane, Range};
use std::time::{SystemTime, UNIX_EPOCH};

const COLUMNS: usize = 32;
const ROWS: usize = 2;
const HEAD: u64 = 0b1010;
const TAIL: u64 = 0b0101;

/// What the code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeCode {
    /// Wall-clock time in milliseconds since 1970, modulo 2³².
    pub unix_ms: u32,
    /// The frame's number, modulo 2¹⁶.
    pub number: u16,
}

impl TimeCode {
    /// The code of a frame that is made now.
    pub fn now(number: u64) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { unix_ms: since.as_millis() as u32, number: number as u16 }
    }

    /// Draws the code into a picture. Pictures of less than 40 pixels across, or too flat for it, stay as they are.
    pub fn draw(self, frame: &mut Frame) {
        let Some(block) = block(frame) else { return };
        let (black, white) = match frame.format.colour.range {
            Range::Limited => (16, 235),
            Range::Full => (0, 255),
        };
        let (bits, width, layout) = (self.bits(), frame.format.size.width as usize, frame.format.layout);
        let (luma, chroma) = frame.split_mut();
        for (row, line) in luma.chunks_exact_mut(width).skip(block).take(ROWS * block).enumerate() {
            for (column, cell) in line[4 * block..].chunks_exact_mut(block).take(COLUMNS).enumerate() {
                let bit = bits >> (63 - (row / block * COLUMNS + column)) & 1;
                cell.fill(if bit == 1 { white } else { black });
            }
        }
        // Chroma samples that the code touches only in part are made neutral too.
        let (top, bottom) = (block / 2, (3 * block).div_ceil(2));
        let (left, right) = (2 * block, 18 * block);
        let neutral = |plane: &mut [u8], samples: usize| {
            for line in plane.chunks_exact_mut(width / 2 * samples).take(bottom).skip(top) {
                line[left * samples..right * samples].fill(128);
            }
        };
        match layout {
            Layout::Nv12 => neutral(chroma, 2),
            Layout::I420 => {
                let half = chroma.len() / 2;
                let (u, v) = chroma.split_at_mut(half);
                neutral(u, 1);
                neutral(v, 1);
            }
        }
    }

    /// Reads the code out of a picture, compressed ones too. `None` if there is none, or it is damaged.
    pub fn read(frame: &Frame) -> Option<Self> {
        let block = block(frame)?;
        let (luma, width) = (frame.plane(Plane::Y), frame.format.size.width as usize);
        let mut bits = 0;
        for cell in 0..ROWS * COLUMNS {
            let (row, column) = (cell / COLUMNS, cell % COLUMNS);
            // The middle of the block: its edges are blurred by compression.
            let inset = block / 4;
            let side = block - 2 * inset;
            let (top, left) = ((1 + row) * block + inset, (4 + column) * block + inset);
            let sum: usize = (top..top + side)
                .flat_map(|y| &luma[y * width + left..][..side])
                .map(|&sample| usize::from(sample))
                .sum();
            bits = bits << 1 | u64::from(sum > 126 * side * side);
        }
        let code = Self { unix_ms: (bits >> 28) as u32, number: (bits >> 12) as u16 };
        (code.bits() == bits).then_some(code)
    }

    fn bits(self) -> u64 {
        let payload = u64::from(self.unix_ms) << 16 | u64::from(self.number);
        let crc = crc8(&payload.to_be_bytes()[2..]);
        HEAD << 60 | payload << 12 | u64::from(crc) << 4 | TAIL
    }
}

/// The side of a block in pixels, if the code fits into the picture.
fn block(frame: &Frame) -> Option<usize> {
    let block = frame.format.size.width as usize / 40;
    (block > 0 && 3 * block <= frame.format.size.height as usize).then_some(block)
}

fn crc8(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Colour, Exhausted, Format, Pool, Size};

    fn drawn(width: u32, height: u32, layout: Layout, colour: Colour, code: TimeCode) -> std::sync::Arc<Frame> {
        let format = Format { size: Size::new(width, height), layout, colour };
        let fill = |frame: &mut Frame| {
            frame.data_mut().fill(90);
            code.draw(frame);
            Ok::<(), Exhausted>(())
        };
        Pool::new(1).fill(format, fill).unwrap().0
    }

    #[test]
    fn what_is_drawn_is_read() {
        let code = TimeCode { unix_ms: 0xDEAD_BEEF, number: 54_321 };
        for (width, height) in [(1280, 720), (640, 360), (160, 90), (40, 4), (1366, 768), (1920, 1080)] {
            for layout in [Layout::I420, Layout::Nv12] {
                for colour in [Colour::BT709_LIMITED, Colour::BT601_FULL] {
                    let frame = drawn(width, height, layout, colour, code);
                    assert_eq!(TimeCode::read(&frame), Some(code), "{width}x{height} {layout:?} {colour:?}");
                }
            }
        }
    }

    #[test]
    fn the_code_lies_where_it_should_and_nowhere_else() {
        let code = TimeCode { unix_ms: 0x8000_0001, number: 2 };
        let frame = drawn(1280, 720, Layout::I420, Colour::BT709_LIMITED, code);
        let y = |x: usize, y: usize| frame.plane(Plane::Y)[y * 1280 + x];
        // 1010, then the first bit of the time; corners of the first block.
        assert_eq!([128, 160, 192, 224, 256].map(|x| y(x, 32)), [235, 16, 235, 16, 235]);
        assert_eq!(
            [y(127, 32), y(128, 31), y(128, 63), y(1151, 95), y(1152, 95), y(1151, 96)],
            [90, 90, 235, 235, 90, 90]
        );
        let u = |x: usize, y: usize| frame.plane(Plane::U)[y * 640 + x];
        assert_eq!([u(63, 16), u(64, 16), u(575, 47), u(576, 47), u(64, 48)], [90, 128, 128, 90, 90]);
    }

    #[test]
    fn damage_is_noticed_and_small_pictures_are_left_alone() {
        let code = TimeCode { unix_ms: 1, number: 1 };
        let mut pool = Pool::new(1);
        let format = Format::i420(Size::new(320, 180));
        let damage = |frame: &mut Frame| {
            frame.data_mut().fill(90);
            code.draw(frame);
            // One block inverted: bit 40, in the second row.
            let block = 8;
            for row in 2 * block..3 * block {
                frame.data_mut()[row * 320 + 12 * block..][..block].iter_mut().for_each(|y| *y = 251 - *y);
            }
            Ok::<(), Exhausted>(())
        };
        assert_eq!(TimeCode::read(&pool.fill(format, damage).unwrap().0), None);
        let small = drawn(38, 20, Layout::I420, Colour::BT709_LIMITED, code);
        assert!(small.data().iter().all(|&sample| sample == 90));
        assert_eq!(TimeCode::read(&small), None);
    }

    #[test]
    fn crc_is_the_usual_one() {
        assert_eq!(crc8(b"123456789"), 0xF4);
    }
}
