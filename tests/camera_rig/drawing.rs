//! What the cameras draw, and how much a received picture is like it.

use screen_portal::media::{Frame, Plane, Size};
use std::fmt::{self, Display};
use std::io::Write;
use std::path::Path;

/// Pixels of the blocks that are compared in the mean.
const BLOCK: usize = 16;

/// The USB camera's picture in I420: eight bars that move four pixels to the left each time, with the picture's number on top as 32 squares,
/// white for 1, the most significant bit first. For widths from 512 that 16 divides.
pub fn usb_picture(size: Size, number: u32) -> Vec<u8> {
    const CHROMA: [u8; 8] = [128, 44, 156, 72, 184, 100, 212, 128];
    let (width, height) = (size.width as usize, size.height as usize);
    let bar = |x: usize| (x + 4 * number as usize) / (width / 8) % 8;
    let bit = |x: usize| if number >> (31 - x / BLOCK) & 1 == 1 { 235 } else { 16 };
    let is_number = |x: usize, y: usize| y < BLOCK && x < 32 * BLOCK;
    let pixels = |width: usize, height: usize| (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
    let luma = |(x, y)| if is_number(x, y) { bit(x) } else { 235 - 27 * bar(x) as u8 };
    let chroma = |of: fn(u8) -> u8| move |(x, y)| if is_number(2 * x, 2 * y) { 128 } else { of(CHROMA[bar(2 * x)]) };
    let mut picture: Vec<u8> = pixels(width, height).map(luma).collect();
    picture.extend(pixels(width / 2, height / 2).map(chroma(|u| u)));
    picture.extend(pixels(width / 2, height / 2).map(chroma(|u| 255 - u)));
    picture
}

/// The number that is drawn in a picture of the USB camera.
pub fn usb_number(frame: &Frame) -> u32 {
    let width = frame.format.size.width as usize;
    let luma = frame.plane(Plane::Y);
    let middle = |bit: usize| luma[BLOCK / 2 * width + bit * BLOCK + BLOCK / 2];
    (0..32).fold(0, |number, bit| number << 1 | u32::from(middle(bit) > 125))
}

/// Writes a film of the same pictures for the USB camera to send as JPEGs.
pub fn write_jpegs(path: &Path, size: Size, count: u32) {
    let mut file = std::fs::File::create(path).unwrap();
    let (width, height, subsamp) = (size.width as usize, size.height as usize, turbojpeg::Subsamp::Sub2x2);
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(95).unwrap();
    for number in 0..count {
        let picture = usb_picture(size, number);
        let image = turbojpeg::YuvImage { pixels: &picture[..], width, align: 1, height, subsamp };
        file.write_all(&compressor.compress_yuv_to_vec(image).unwrap()).unwrap();
    }
}

/// 75 % bars in BT.601, limited range: white, yellow, cyan, green, magenta, red, blue, black, as the kernel's test camera draws them.
pub const BARS: [[u8; 3]; 8] = [
    [180, 128, 128],
    [162, 44, 142],
    [131, 156, 44],
    [112, 72, 58],
    [84, 184, 198],
    [65, 100, 212],
    [35, 212, 114],
    [16, 128, 128],
];

/// Y, U and V in the middle of the n-th of eight columns: the mean of a block.
pub fn column(frame: &Frame, n: usize) -> [u8; 3] {
    let (width, height) = (frame.format.size.width as usize, frame.format.size.height as usize);
    let mean = |plane: Plane, divided: usize| {
        let (width, height, side) = (width / divided, height / divided, BLOCK / divided);
        let left = width * (2 * n + 1) / 16 - side / 2;
        mean(frame.plane(plane), width, left, height / 2 - side / 2, side)
    };
    [mean(Plane::Y, 1), mean(Plane::U, 2), mean(Plane::V, 2)].map(|mean| mean.round() as u8)
}

/// Mean of a square block.
fn mean(samples: &[u8], width: usize, left: usize, top: usize, side: usize) -> f64 {
    let rows = (top..top + side).map(|y| &samples[y * width + left..][..side]);
    rows.flatten().map(|&sample| f64::from(sample)).sum::<f64>() / (side * side) as f64
}

/// How much a picture is like another one.
#[derive(Clone, Copy, Debug)]
pub struct Likeness {
    /// Peak signal-to-noise ratio of luma, decibels.
    pub luma_db: f64,
    /// The greatest difference of a block's mean luma, of 255.
    pub luma_off: f64,
    /// The same for chroma.
    pub chroma_off: f64,
}

impl Likeness {
    /// Of a received picture to what was drawn, I420 of the same size.
    pub fn of(frame: &Frame, drawn: &[u8]) -> Self {
        let (width, pixels) = (frame.format.size.width as usize, frame.format.size.pixels());
        let (luma, chroma) = drawn.split_at(pixels);
        let (u, v) = chroma.split_at(pixels / 4);
        let square = |(&a, &b): (&u8, &u8)| f64::from(a.abs_diff(b)).powi(2);
        let error = frame.plane(Plane::Y).iter().zip(luma).map(square).sum::<f64>() / pixels as f64;
        let chroma_off = |plane, drawn| blocks_off(frame.plane(plane), drawn, width / 2, BLOCK / 2);
        Self {
            luma_db: 10.0 * (255.0 * 255.0 / error.max(1e-3)).log10(),
            luma_off: blocks_off(frame.plane(Plane::Y), luma, width, BLOCK),
            chroma_off: chroma_off(Plane::U, u).max(chroma_off(Plane::V, v)),
        }
    }

    /// The worse of both in everything.
    pub fn worse(self, other: Self) -> Self {
        Self {
            luma_db: self.luma_db.min(other.luma_db),
            luma_off: self.luma_off.max(other.luma_off),
            chroma_off: self.chroma_off.max(other.chroma_off),
        }
    }
}

impl Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { luma_db, luma_off, chroma_off } = self;
        write!(f, "luma {luma_db:.1} dB, blocks at most {luma_off:.1} (luma), {chroma_off:.1} (chroma) off")
    }
}

/// The greatest difference of a block's mean; what is left over at the right and the bottom is not looked at.
fn blocks_off(a: &[u8], b: &[u8], width: usize, side: usize) -> f64 {
    let corners = (0..a.len() / width / side).flat_map(|row| (0..width / side).map(move |column| (column, row)));
    let off = corners.map(|(column, row)| {
        let mean = |samples| mean(samples, width, column * side, row * side, side);
        (mean(a) - mean(b)).abs()
    });
    off.fold(0.0, f64::max)
}
