//! Pictures without end that lie in front of each other and pass by at speeds of their own.

use crate::media::Size;
use crate::media::convert::planes;

/// Red, green, blue: R'G'B' from 0 to 1.
pub(super) type Rgb = [f32; 3];

/// A colour between two others.
pub(super) fn between(from: Rgb, to: Rgb, share: f32) -> Rgb {
    std::array::from_fn(|n| from[n] + (to[n] - from[n]) * share.clamp(0.0, 1.0))
}

/// Code values of BT.709, limited range, not yet rounded.
pub(super) fn code(rgb: Rgb) -> [f32; 3] {
    let [red, green, blue] = rgb.map(|part| part.clamp(0.0, 1.0));
    let luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    [16.0 + 219.0 * luma, 128.0 + 224.0 * (blue - luma) / 1.8556, 128.0 + 224.0 * (red - luma) / 1.5748]
}

/// Where a layer lies: a picture of `width` pixels that is repeated without a seam, seen through a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Where it begins again, even.
    pub period: usize,
    /// The window's width, even.
    pub width: usize,
    /// The first row in the window, even.
    pub top: usize,
    /// Rows, even.
    pub rows: usize,
}

/// A layer: planes multiplied by how opaque they are. Each row is stored as long as one period and one window, so that
/// every window is one piece of it.
#[derive(Debug)]
pub(super) struct Layer {
    place: Place,
    luma: Plane,
    u: Plane,
    v: Plane,
    /// From this row on it hides everything behind it.
    solid_from: usize,
}

#[derive(Debug)]
struct Plane {
    stride: usize,
    samples: Vec<u8>,
    opacity: Vec<u8>,
}

impl Plane {
    fn new(period: usize, width: usize, rows: usize) -> Self {
        // One more than a window, because between two pixels both are needed.
        let stride = period + width + 1;
        Self { stride, samples: vec![0; stride * rows], opacity: vec![0; stride * rows] }
    }

    fn set(&mut self, x: usize, row: usize, sample: f32, opacity: f32) {
        self.samples[row * self.stride + x] = (sample * opacity + 0.5) as u8;
        self.opacity[row * self.stride + x] = (255.0 * opacity + 0.5) as u8;
    }

    fn close(&mut self, period: usize) {
        for row in self.samples.chunks_exact_mut(self.stride).chain(self.opacity.chunks_exact_mut(self.stride)) {
            let (first, rest) = row.split_at_mut(period);
            for (n, sample) in rest.iter_mut().enumerate() {
                *sample = first[n % period];
            }
        }
    }

    /// Row `row` from `at` on, in 256ths of a pixel, over `under`.
    fn draw(&self, row: usize, at: usize, solid: bool, under: &mut [u8]) {
        let (first, part) = (row * self.stride + at / 256, (at % 256) as u16);
        let end = first + under.len();
        let (a, b) = (&self.samples[first..end], &self.samples[first + 1..=end]);
        let mixed = |a: u8, b: u8| (u16::from(a) * (256 - part) + u16::from(b) * part) >> 8;
        if solid {
            for ((under, &a), &b) in under.iter_mut().zip(a).zip(b) {
                *under = mixed(a, b) as u8;
            }
            return;
        }
        let (c, d) = (&self.opacity[first..end], &self.opacity[first + 1..=end]);
        for ((((under, &a), &b), &c), &d) in under.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            let opacity = mixed(c, d);
            // 0 to 256, so that opaque means opaque.
            let shows = 256 - (opacity + (opacity >> 7));
            *under = (mixed(a, b) + ((u16::from(*under) * shows) >> 8)).min(255) as u8;
        }
    }
}

impl Layer {
    /// Paints a layer: `paint` says for each pixel of one period its colour and how opaque it is, from 0 to 1.
    pub(super) fn new(place: Place, paint: impl Fn(usize, usize) -> (Rgb, f32)) -> Self {
        let Place { period, width, rows, .. } = place;
        let chroma = || Plane::new(period / 2, width / 2, rows / 2);
        let (mut luma, mut u, mut v) = (Plane::new(period, width, rows), chroma(), chroma());
        let mut solid_from = 0;
        for y in (0..rows).step_by(2) {
            for x in (0..period).step_by(2) {
                let (mut u_sum, mut v_sum, mut opacities) = (0.0, 0.0, 0.0);
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let (rgb, opacity) = paint(x + dx, y + dy);
                    let [y_code, u_code, v_code] = code(rgb);
                    luma.set(x + dx, y + dy, y_code, opacity);
                    (u_sum, v_sum, opacities) =
                        (u_sum + u_code * opacity, v_sum + v_code * opacity, opacities + opacity);
                }
                let mean = |sum: f32| if opacities > 0.0 { sum / opacities } else { 0.0 };
                u.set(x / 2, y / 2, mean(u_sum), opacities / 4.0);
                v.set(x / 2, y / 2, mean(v_sum), opacities / 4.0);
                if opacities < 4.0 {
                    solid_from = y + 2;
                }
            }
        }
        luma.close(period);
        u.close(period / 2);
        v.close(period / 2);
        Self { place, luma, u, v, solid_from }
    }

    /// Draws the window over a picture; `shift` says for each row by how many pixels the layer has moved to the left.
    pub(super) fn draw(&self, out: &mut [u8], size: Size, shift: impl Fn(usize) -> f32) {
        let Place { period, width, top, rows } = self.place;
        let rows = rows.min((size.height as usize).saturating_sub(top));
        let (y, u, v) = planes(out, size);
        let at = |row: usize| (shift(row).rem_euclid(period as f32) * 256.0) as usize % (256 * period);
        for row in 0..rows {
            let under = &mut y[(top + row) * width..][..width];
            self.luma.draw(row, at(row), row >= self.solid_from, under);
        }
        for row in 0..rows / 2 {
            let (place, solid) = ((top / 2 + row) * width / 2, 2 * row >= self.solid_from);
            self.u.draw(row, at(2 * row) / 2, solid, &mut u[place..][..width / 2]);
            self.v.draw(row, at(2 * row) / 2, solid, &mut v[place..][..width / 2]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_moves_repeats_and_hides_what_is_behind() {
        let size = Size::new(8, 4);
        let place = Place { period: 16, width: 8, top: 0, rows: 4 };
        // White at column 3, black elsewhere; the upper half lets everything through but the white.
        let layer = Layer::new(place, |x, y| {
            let white = x == 3;
            (if white { [1.0; 3] } else { [0.0; 3] }, if white || y >= 2 { 1.0 } else { 0.0 })
        });
        let drawn = |shift: f32| {
            let mut out = vec![100; size.pixels() * 3 / 2];
            layer.draw(&mut out, size, |_| shift);
            out
        };
        let (still, moved) = (drawn(0.0), drawn(2.0));
        assert_eq!(
            (&still[..8], &still[16..24]),
            (&[100, 100, 100, 235, 100, 100, 100, 100][..], &[16, 16, 16, 235, 16, 16, 16, 16][..])
        );
        assert_eq!(&moved[16..24], &[16, 235, 16, 16, 16, 16, 16, 16]);
        let half = drawn(2.5);
        assert_eq!((half[16], half[17]), (125, 125), "between two pixels");
        assert_eq!(drawn(16.0), still);
        assert_eq!(drawn(-14.0), moved);
        assert_eq!(drawn(11.0)[16..24], [16, 16, 16, 16, 16, 16, 16, 16]);
        assert_eq!(drawn(15.0)[16 + 4], 235);
    }
}
