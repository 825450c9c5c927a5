//! Cropping and shrinking pictures that are larger than wanted. Nothing is ever enlarged: the display does that better.

use super::Size;
use super::convert::{Raw, planes};

/// Which part of a picture is used, and at what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The whole picture, even.
    pub from: Size,
    /// Left edge of the part that is used, even.
    pub left: u32,
    /// Top edge of the part that is used, even.
    pub top: u32,
    /// Size of the part that is used.
    pub part: Size,
    /// Size of the result, not larger than the part.
    pub to: Size,
}

impl Fit {
    /// How a picture of size `from` (odd sizes too) becomes one of at most size `wanted`: unchanged if it is not larger, else
    /// cropped around its centre to the wanted shape and shrunk.
    pub fn new(from: Size, wanted: Size) -> Self {
        let from = Raw::even(from);
        if from.width <= wanted.width && from.height <= wanted.height {
            return Self { from, left: 0, top: 0, part: from, to: from };
        }
        let part = part_in_shape(from, wanted);
        let to = if part.width > wanted.width || part.height > wanted.height { wanted } else { part };
        let middle = |whole: u32, part: u32| ((whole - part) / 2) & !1;
        let (left, top) = (middle(from.width, part.width), middle(from.height, part.height));
        Self { from, left, top, part, to }
    }

    /// Whether the picture stays as it is.
    pub fn is_identity(&self) -> bool {
        self.from == self.to
    }
}

/// The size of the largest part of a picture of size `from` (even) that has the shape of `shape`, even and at least 2 each way.
pub fn part_in_shape(from: Size, shape: Size) -> Size {
    let ratio = |side: u32, to: u32, of: u32| (u64::from(side) * u64::from(to) / u64::from(of.max(1))) as u32;
    let width = from.width.min(ratio(from.height, shape.width, shape.height));
    let height = from.height.min(ratio(from.width, shape.height, shape.width));
    Size::new((width & !1).max(2), (height & !1).max(2))
}

/// Applies a [`Fit`] to I420 pictures, by averaging areas. Allocates only when made.
#[derive(Debug)]
pub struct Scaler {
    fit: Fit,
    luma: [Axis; 2],
    chroma: [Axis; 2],
    row: Vec<u16>,
}

impl Scaler {
    /// A scaler for pictures that need this fit.
    pub fn new(fit: Fit) -> Self {
        let axes = |divide: u32| {
            [
                Axis::new(fit.part.width / divide, fit.to.width / divide),
                Axis::new(fit.part.height / divide, fit.to.height / divide),
            ]
        };
        Self { fit, luma: axes(1), chroma: axes(2), row: vec![0; fit.part.width as usize] }
    }

    /// Crops and shrinks `from`, an I420 picture of size `fit.from`, into `out`, one of size `fit.to`. Does nothing if one of
    /// the buffers has another size.
    pub fn scale(&mut self, from: &[u8], out: &mut [u8]) {
        let fit = self.fit;
        let bytes = |size: Size| size.pixels() * 3 / 2;
        debug_assert_eq!((from.len(), out.len()), (bytes(fit.from), bytes(fit.to)));
        if from.len() != bytes(fit.from) || out.len() != bytes(fit.to) {
            return;
        }
        let quarter = fit.from.pixels() / 4;
        let (luma, chroma) = from.split_at(fit.from.pixels());
        let (y, u, v) = planes(out, fit.to);
        let plane = |samples, divide: u32| Part {
            samples,
            stride: (fit.from.width / divide) as usize,
            left: (fit.left / divide) as usize,
            top: (fit.top / divide) as usize,
        };
        shrink(&plane(luma, 1), &self.luma, &mut self.row, y);
        shrink(&plane(&chroma[..quarter], 2), &self.chroma, &mut self.row, u);
        shrink(&plane(&chroma[quarter..], 2), &self.chroma, &mut self.row, v);
    }
}

struct Part<'a> {
    samples: &'a [u8],
    stride: usize,
    left: usize,
    top: usize,
}

/// Rows are averaged first, because whole rows are what a vector unit is good at.
fn shrink(from: &Part<'_>, [across, down]: &[Axis; 2], row: &mut Vec<u16>, out: &mut [u8]) {
    // What lies behind the row has no weight, but is looked at.
    row.resize(across.from + across.taps, 0);
    let columns = across.first.len();
    for (line, (first, weights)) in out.chunks_exact_mut(columns).zip(down.targets()) {
        row.fill(0);
        for (n, &weight) in weights.iter().enumerate().filter(|(_, weight)| **weight > 0) {
            let samples = &from.samples[(from.top + first + n) * from.stride + from.left..][..across.from];
            for (sum, &sample) in row.iter_mut().zip(samples) {
                *sum += u16::from(sample) * weight;
            }
        }
        for (out, (first, weights)) in line.iter_mut().zip(across.targets()) {
            let samples = &row[first..first + weights.len()];
            let sum: u32 = samples.iter().zip(weights).map(|(&s, &w)| u32::from(s) * u32::from(w)).sum();
            *out = ((sum + (1 << 15)) >> 16) as u8;
        }
    }
}

/// For each sample of the result, the samples that it is made of; the weights of each add up to 256.
#[derive(Debug)]
struct Axis {
    from: usize,
    first: Vec<u32>,
    weights: Vec<u16>,
    taps: usize,
}

impl Axis {
    fn new(from: u32, to: u32) -> Self {
        let (from, to) = (from as usize, to.clamp(1, from.max(1)) as usize);
        let taps = from.div_ceil(to) + 1;
        let (mut first, mut weights) = (Vec::with_capacity(to), Vec::with_capacity(to * taps));
        for target in 0..to {
            // In units of 1/to of a sample, the area is [target * from, (target + 1) * from).
            let (begin, end) = (target * from, (target + 1) * from);
            let start = begin / to;
            first.push(start as u32);
            let covered = |n: usize| (end.min((n + 1) * to)).saturating_sub(begin.max(n * to));
            // Rounded cumulatively, so that the sum is exact.
            let (mut area, mut given) = (0, 0);
            for n in start..start + taps {
                area += covered(n);
                let upto = (256 * area + from / 2) / from;
                weights.push((upto - given) as u16);
                given = upto;
            }
        }
        Self { from, first, weights, taps }
    }

    /// For each sample of the result, the first sample that it is made of, and the weights from there on.
    fn targets(&self) -> impl Iterator<Item = (usize, &[u16])> {
        self.first.iter().map(|&first| first as usize).zip(self.weights.chunks_exact(self.taps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_larger_pictures_change() {
        let wanted = Size::new(1280, 720);
        // (camera, part, result)
        let table = [
            ((1280, 720), (1280, 720), (1280, 720)),
            ((640, 480), (640, 480), (640, 480)),
            ((641, 359), (640, 358), (640, 358)),
            ((1920, 1080), (1920, 1080), (1280, 720)),
            ((1280, 800), (1280, 720), (1280, 720)),
            ((1600, 1200), (1600, 900), (1280, 720)),
            ((800, 900), (800, 450), (800, 450)),
            ((4096, 2160), (3840, 2160), (1280, 720)),
        ];
        for ((width, height), part, to) in table {
            let fit = Fit::new(Size::new(width, height), wanted);
            assert_eq!((fit.part, fit.to), (Size::new(part.0, part.1), Size::new(to.0, to.1)), "{width}x{height}");
            assert!(fit.left + fit.part.width <= fit.from.width && fit.top + fit.part.height <= fit.from.height);
            assert!(fit.to.is_valid() && [fit.left, fit.top].iter().all(|edge| edge.is_multiple_of(2)));
            assert_eq!(fit.is_identity(), (width & !1, height & !1) == to && (width & !1, height & !1) == part);
        }
    }

    #[test]
    fn weights_of_every_sample_add_up() {
        for (from, to) in [(3, 2), (1920, 1280), (1080, 720), (7, 7), (4096, 160), (10, 1)] {
            let axis = Axis::new(from, to);
            let mut samples = 0;
            for (first, weights) in axis.targets() {
                assert_eq!(weights.iter().sum::<u16>(), 256);
                assert!(weights.iter().skip(axis.from - first).all(|&weight| weight == 0), "nothing behind the end");
                samples += 1;
            }
            assert_eq!(samples, to);
        }
    }

    #[test]
    fn flat_areas_stay_and_edges_are_where_they_were() {
        let fit = Fit::new(Size::new(96, 54), Size::new(64, 36));
        let mut from = vec![40; fit.from.pixels() * 3 / 2];
        let (y, u, v) = planes(&mut from, fit.from);
        y.chunks_exact_mut(96).for_each(|row| row[48..].fill(200));
        u.fill(77);
        v.fill(99);
        let mut out = vec![0; fit.to.pixels() * 3 / 2];
        Scaler::new(fit).scale(&from, &mut out);
        let (y, u, v) = planes(&mut out, fit.to);
        assert!(
            y.chunks_exact(64).all(|row| row[..32].iter().all(|&y| y == 40) && row[32..].iter().all(|&y| y == 200))
        );
        assert!(u.iter().all(|&u| u == 77) && v.iter().all(|&v| v == 99));
    }
}
