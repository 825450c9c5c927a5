//! Blurs a picture to a few areas of colour.
//!
//! Not with the library that scales pictures elsewhere: it computes the weights of such a scaling anew for each call, and allocates for them.

use super::Size;
use super::convert::planes;

/// Reduces each plane to the means of a few areas, and enlarges it again: between the middles of the areas, evenly from one to the next.
#[derive(Debug)]
pub struct Blur {
    columns: usize,
    rows: usize,
    means: Vec<u8>,
    /// The means of each row of areas, enlarged to the width of the plane.
    wide: Vec<u8>,
}

/// A picture cannot be blurred: the buffer is not one of an I420 picture of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no picture of {size}")]
pub struct Error {
    /// Bytes of the buffer.
    pub bytes: usize,
    /// The picture's size.
    pub size: Size,
}

impl Blur {
    /// Leaves the means of `columns` times `rows` areas, each at least 1.
    pub fn new(columns: usize, rows: usize) -> Self {
        let (columns, rows) = (columns.max(1), rows.max(1));
        Self { columns, rows, means: vec![0; columns * rows], wide: Vec::new() }
    }

    /// Blurs an I420 picture in place. Allocates only when it grows.
    pub fn blur(&mut self, picture: &mut [u8], size: Size) -> Result<(), Error> {
        let bytes = picture.len();
        if !size.is_valid() || bytes != size.pixels() * 3 / 2 {
            return Err(Error { bytes, size });
        }
        let (width, height) = (size.width as usize, size.height as usize);
        let (y, u, v) = planes(picture, size);
        self.plane(y, width, height);
        self.plane(u, width / 2, height / 2);
        self.plane(v, width / 2, height / 2);
        Ok(())
    }

    fn plane(&mut self, plane: &mut [u8], width: usize, height: usize) {
        let Self { columns, rows, means, wide } = self;
        let (columns, rows) = (*columns, *rows);
        // A plane that is smaller than the areas gives some of them the same sample.
        let part = |n: usize, of: usize, side: usize| {
            let from = (n * side / of).min(side - 1);
            from..((n + 1) * side / of).max(from + 1)
        };
        for (row, means) in means.chunks_exact_mut(columns).enumerate() {
            let down = part(row, rows, height);
            for (column, mean) in means.iter_mut().enumerate() {
                let across = part(column, columns, width);
                let samples = (down.len() * across.len()) as u32;
                let lines = down.clone().map(|y| &plane[y * width..][across.clone()]);
                let sum: u32 = lines.map(|line| line.iter().map(|&sample| u32::from(sample)).sum::<u32>()).sum();
                *mean = ((sum + samples / 2) / samples) as u8;
            }
        }
        wide.resize(rows * width, 0);
        for (means, wide) in means.chunks_exact(columns).zip(wide.chunks_exact_mut(width)) {
            for (x, sample) in wide.iter_mut().enumerate() {
                let (at, next, weight) = between(x, width, columns);
                *sample = mix(means[at], means[next], weight);
            }
        }
        for (y, line) in plane.chunks_exact_mut(width).enumerate() {
            let (at, next, weight) = between(y, height, rows);
            let (above, below) = (&wide[at * width..][..width], &wide[next * width..][..width]);
            for ((sample, &above), &below) in line.iter_mut().zip(above).zip(below) {
                *sample = mix(above, below, weight);
            }
        }
    }
}

/// Between the middles of which two of `areas` a sample lies, of `side` in all, and how near to the second, 0 to 256.
fn between(sample: usize, side: usize, areas: usize) -> (usize, usize, u16) {
    let at = ((2 * sample + 1) * areas * 128 / side).saturating_sub(128).min((areas - 1) * 256);
    (at / 256, (at / 256 + 1).min(areas - 1), (at % 256) as u16)
}

fn mix(first: u8, second: u8, weight: u16) -> u8 {
    ((u16::from(first) * (256 - weight) + u16::from(second) * weight) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stripes of eight pixels: what text or a face is made of.
    fn stripes(size: Size) -> Vec<u8> {
        (0..size.pixels() * 3 / 2).map(|at| if at / 8 % 2 == 0 { 40 } else { 200 }).collect()
    }

    #[test]
    fn nothing_small_is_left_and_the_colours_are() {
        for size in [Size::new(1280, 720), Size::new(162, 90), Size::new(2, 2)] {
            let mut picture = stripes(size);
            Blur::new(16, 9).blur(&mut picture, size).unwrap();
            if size.width > 1000 {
                let (least, most) = (picture.iter().min().unwrap(), picture.iter().max().unwrap());
                // Five stripes to an area of chroma: three of one kind and two of the other.
                assert!(*least > 100 && *most < 140, "{least} to {most}");
            }
        }
        let size = Size::new(640, 360);
        let mut halves: Vec<u8> = (0..size.pixels() * 3 / 2).map(|at| if at % 640 < 320 { 40 } else { 200 }).collect();
        Blur::new(16, 9).blur(&mut halves, size).unwrap();
        assert_eq!((halves[180 * 640 + 20], halves[180 * 640 + 620]), (40, 200));
        let steepest = halves[180 * 640..181 * 640].windows(2).map(|pair| pair[0].abs_diff(pair[1])).max().unwrap();
        assert!(steepest <= 5, "an edge as wide as an area: {steepest}");
    }

    #[test]
    fn what_is_no_picture_is_refused() {
        assert!(Blur::new(16, 9).blur(&mut [0; 7], Size::new(2, 2)).is_err());
    }
}
