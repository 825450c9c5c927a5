//! Halves pictures that are shown at half their size or less, before a software rasteriser gets them.
//!
//! A rasteriser on the processor pays for each sample that it reads and filters: 2.7 ms for 720p in a window of 640x360. Averaging two by two
//! samples beforehand costs a tenth of that, what is left is read 1:1 or nearly so, and nothing shimmers. A GPU needs none of this.

use super::config::Fit;
use super::fit::{Area, scale};
use crate::media::{Exhausted, Format, Frame, Layout, Plane, Pool, Size};
use std::sync::Arc;

/// Halves pictures into buffers of its own.
#[derive(Debug)]
pub struct Reducer {
    pool: Pool,
}

impl Default for Reducer {
    fn default() -> Self {
        // Two for a picture that is halved more than once; a third in case a picture is still held.
        Self { pool: Pool::new(3) }
    }
}

impl Reducer {
    /// The picture, halved as often as it can be without having fewer samples than `area` has pixels; number and capture time are kept.
    pub fn reduce(&mut self, mut frame: Arc<Frame>, area: Area, fit: Fit) -> Arc<Frame> {
        for _ in 0..halvings(frame.format.size, area, fit) {
            match self.halve(&frame) {
                Ok(halved) => frame = halved,
                // Cannot happen while nobody keeps our pictures; larger than needed is still right.
                Err(Exhausted) => break,
            }
        }
        frame
    }

    fn halve(&mut self, frame: &Frame) -> Result<Arc<Frame>, Exhausted> {
        let Size { width, height } = frame.format.size;
        let format = Format { size: Size::new(width / 2, height / 2), ..frame.format };
        let (width, chroma_width) = (width as usize, width as usize / 2);
        let fill = |to: &mut Frame| {
            (to.number, to.captured) = (frame.number, frame.captured);
            match format.layout {
                Layout::I420 => {
                    let (y, u, v) = to.i420_mut();
                    halve_plane(frame.plane(Plane::Y), width, y);
                    halve_plane(frame.plane(Plane::U), chroma_width, u);
                    halve_plane(frame.plane(Plane::V), chroma_width, v);
                }
                Layout::Nv12 => {
                    let (y, uv) = to.split_mut();
                    halve_plane(frame.plane(Plane::Y), width, y);
                    halve_pairs(frame.plane(Plane::Uv), width, uv);
                }
            }
            Ok(())
        };
        self.pool.fill(format, fill).map(|(halved, ())| halved)
    }
}

/// How often a picture can be halved and still have a sample for each pixel of the area, and an even size.
fn halvings(picture: Size, area: Area, fit: Fit) -> u32 {
    let (mut size, mut count) = (picture, 0);
    loop {
        let half = Size::new(size.width / 2, size.height / 2);
        // Chroma is halved along: its own size must be even, too.
        let divides = size.width.is_multiple_of(4) && size.height.is_multiple_of(4) && half.is_valid();
        if !divides || scale(size, area, fit) > 0.5 {
            return count;
        }
        (size, count) = (half, count + 1);
    }
}

/// Averages two by two samples. `from` has rows of `width` samples; `to` a quarter of its samples.
fn halve_plane(from: &[u8], width: usize, to: &mut [u8]) {
    for (rows, to) in from.chunks_exact(2 * width).zip(to.chunks_exact_mut(width / 2)) {
        let (above, below) = rows.split_at(width);
        for ((to, above), below) in to.iter_mut().zip(above.chunks_exact(2)).zip(below.chunks_exact(2)) {
            *to = mean(above[0], above[1], below[0], below[1]);
        }
    }
}

/// The same for interleaved samples of two kinds; rows of `width` bytes.
fn halve_pairs(from: &[u8], width: usize, to: &mut [u8]) {
    for (rows, to) in from.chunks_exact(2 * width).zip(to.chunks_exact_mut(width / 2)) {
        let (above, below) = rows.split_at(width);
        for ((to, above), below) in to.chunks_exact_mut(2).zip(above.chunks_exact(4)).zip(below.chunks_exact(4)) {
            to[0] = mean(above[0], above[2], below[0], below[2]);
            to[1] = mean(above[1], above[3], below[1], below[3]);
        }
    }
}

fn mean(a: u8, b: u8, c: u8, d: u8) -> u8 {
    ((u16::from(a) + u16::from(b) + u16::from(c) + u16::from(d) + 2) >> 2) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Colour;

    fn area(width: u32, height: u32) -> Area {
        Area { x: 0, y: 0, width, height }
    }

    #[test]
    fn never_fewer_samples_than_pixels() {
        let hd = Size::new(1280, 720);
        for (picture, window, wanted) in [
            (hd, (1280, 720), 0),
            (hd, (641, 360), 0),
            (hd, (640, 360), 1),
            (hd, (321, 180), 1),
            (hd, (280, 157), 2),
            // Covering: the height decides.
            (hd, (320, 360), 1),
            (Size::new(1920, 1080), (1280, 720), 0),
            // 1080, 540, 270: that is not divided by four.
            (Size::new(1920, 1080), (480, 270), 2),
            (Size::new(1280, 722), (64, 36), 0),
            (Size::new(2, 2), (1, 1), 0),
        ] {
            assert_eq!(halvings(picture, area(window.0, window.1), Fit::Cover), wanted, "{picture} in {window:?}");
        }
    }

    #[test]
    fn both_layouts_are_averaged_alike() {
        let size = Size::new(8, 4);
        let mut pool = Pool::new(2);
        let mut make = |layout| {
            let format = Format { size, layout, colour: Colour::BT601_FULL };
            let fill = |frame: &mut Frame| {
                (frame.number, frame.captured) = (7, None);
                for (n, sample) in frame.data_mut()[..32].iter_mut().enumerate() {
                    *sample = 8 * n as u8;
                }
                let (u, v) = ([0, 4, 10, 10, 8, 12, 10, 10], [1, 1, 1, 1, 3, 3, 3, 3]);
                let (_, chroma) = frame.split_mut();
                for n in 0..8 {
                    let at = if layout == Layout::I420 { (n, 8 + n) } else { (2 * n, 2 * n + 1) };
                    (chroma[at.0], chroma[at.1]) = (u[n], v[n]);
                }
                Ok::<_, Exhausted>(())
            };
            pool.fill(format, fill).unwrap().0
        };
        let (planar, interleaved) = (make(Layout::I420), make(Layout::Nv12));
        let mut reducer = Reducer::default();
        let planar = reducer.reduce(planar, area(4, 2), Fit::Cover);
        let interleaved = reducer.reduce(interleaved, area(4, 2), Fit::Cover);
        assert_eq!((planar.format.size, planar.number, planar.format.colour), (Size::new(4, 2), 7, Colour::BT601_FULL));
        // Samples 0, 8, 64 and 72 make the first.
        assert_eq!(planar.plane(Plane::Y)[..2], [36, 52]);
        assert_eq!((planar.plane(Plane::U), planar.plane(Plane::V)), (&[6, 10][..], &[2, 2][..]));
        assert_eq!(interleaved.plane(Plane::Y), planar.plane(Plane::Y));
        assert_eq!(interleaved.plane(Plane::Uv), [6, 2, 10, 2]);
    }
}
