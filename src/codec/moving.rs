//! Pictures for tests: a textured landscape under a moving window, natural enough that an encoder has to work.

use crate::media::{Colour, Format, Frame, Layout, Pool, Size};
use std::sync::Arc;
use std::time::Instant;

/// A source of moving pictures of one format.
pub(crate) struct Moving {
    format: Format,
    number: u64,
    pool: Pool,
}

impl Moving {
    pub(crate) fn new(width: u32, height: u32) -> Self {
        Self { format: Format::i420(Size::new(width, height)), number: 0, pool: Pool::new(8) }
    }

    pub(crate) fn with_colour(mut self, colour: Colour) -> Self {
        self.format.colour = colour;
        self
    }

    pub(crate) fn next(&mut self) -> Arc<Frame> {
        self.number += 1;
        let number = self.number;
        let paint = |frame: &mut Frame| {
            debug_assert_eq!(frame.format.layout, Layout::I420);
            let width = frame.format.size.width as usize;
            let (luma, u, v) = frame.i420_mut();
            for (at, sample) in luma.iter_mut().enumerate() {
                *sample = texture(at % width + 3 * number as usize, at / width + number as usize);
            }
            for (at, (u, v)) in u.iter_mut().zip(v).enumerate() {
                let (x, y) = (2 * (at % (width / 2)), 2 * (at / (width / 2)));
                *u = 108 + (texture(x / 8, y / 8 + number as usize / 4) >> 3);
                *v = 108 + (texture(y / 8, x / 8 + number as usize / 4) >> 3);
            }
            frame.number = number;
            frame.captured = Some(Instant::now());
            Ok::<_, crate::media::Exhausted>(())
        };
        self.pool.fill(self.format, paint).map(|(frame, ())| frame).unwrap()
    }
}

/// Broad waves with a fine grain, between 30 and 225.
fn texture(x: usize, y: usize) -> u8 {
    let wave = |at: usize, period: usize| {
        let phase = at % period;
        (if phase * 2 < period { phase } else { period - phase }) * 128 / period
    };
    let grain = (x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503)) >> 7 & 15;
    (30 + wave(x, 190) + wave(y, 130) + wave(x + 2 * y, 46) / 2 + grain).min(225) as u8
}

/// How alike two pictures' luma is, in dB; equal pictures give 99.
pub(crate) fn psnr(a: &Frame, b: &Frame) -> f64 {
    use crate::media::Plane;
    let (a, b) = (a.plane(Plane::Y), b.plane(Plane::Y));
    assert_eq!(a.len(), b.len());
    let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
    let error = a.iter().zip(b).map(square).sum::<f64>() / a.len() as f64;
    if error == 0.0 { 99.0 } else { 10.0 * (255.0 * 255.0 / error).log10() }
}
