//! Makes pictures smaller before a software rasteriser gets them.
//!
//! A rasteriser on the processor pays for each sample that it reads and filters: 12 ms for 1080p in a window of 1280x720, 2.7 ms for 720p
//! in one of 640x360. A library made for it takes a fifth of that, what is left is read sample by sample, and nothing shimmers. A GPU needs none
//! of this.

use super::config::Fit;
use super::fit::{Area, scale};
use crate::media::{Exhausted, Format, Frame, Layout, Plane, Pool, Size};
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use std::sync::Arc;

/// Reduces pictures into buffers of its own.
#[derive(Debug)]
pub struct Reducer {
    pool: Pool,
    resizer: Resizer,
}

/// Why a picture stays as it is.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    #[error(transparent)]
    Planes(#[from] fast_image_resize::ImageBufferError),
    #[error(transparent)]
    Resize(#[from] fast_image_resize::ResizeError),
}

impl Default for Reducer {
    fn default() -> Self {
        // One is held while the next is made.
        Self { pool: Pool::new(2), resizer: Resizer::new() }
    }
}

impl Reducer {
    /// The picture with as many samples as it takes pixels in the area, if it has more; number and capture time are kept.
    pub fn reduce(&mut self, frame: Arc<Frame>, area: Area, fit: Fit) -> Arc<Frame> {
        let Some(size) = reduced(frame.format.size, area, fit) else { return frame };
        match self.resize(&frame, size) {
            Ok(smaller) => smaller,
            Err(error) => {
                // Larger than needed is right, too, only slower.
                tracing::debug!(%error, "a picture is not reduced");
                frame
            }
        }
    }

    fn resize(&mut self, frame: &Frame, size: Size) -> Result<Arc<Frame>, Error> {
        let resizer = &mut self.resizer;
        let from = frame.format.size;
        let half = |size: Size| Size::new(size.width / 2, size.height / 2);
        let fill = |to: &mut Frame| {
            (to.number, to.captured) = (frame.number, frame.captured);
            let (y, chroma) = to.split_mut();
            plane(resizer, PixelType::U8, (frame.plane(Plane::Y), from), (y, size))?;
            let (from, size) = (half(from), half(size));
            match frame.format.layout {
                Layout::I420 => {
                    let (u, v) = chroma.split_at_mut(size.pixels());
                    plane(resizer, PixelType::U8, (frame.plane(Plane::U), from), (u, size))?;
                    plane(resizer, PixelType::U8, (frame.plane(Plane::V), from), (v, size))
                }
                Layout::Nv12 => plane(resizer, PixelType::U8x2, (frame.plane(Plane::Uv), from), (chroma, size)),
            }
        };
        self.pool.fill(Format { size, ..frame.format }, fill).map(|(smaller, ())| smaller)
    }
}

fn plane(resizer: &mut Resizer, kind: PixelType, from: (&[u8], Size), to: (&mut [u8], Size)) -> Result<(), Error> {
    if kind == PixelType::U8 && from.1 == Size::new(2 * to.1.width, 2 * to.1.height) {
        halve(from.0, from.1.width as usize, to.0);
        return Ok(());
    }
    let from = ImageRef::new(from.1.width, from.1.height, from.0, kind)?;
    let mut to = Image::from_slice_u8(to.1.width, to.1.height, to.0, kind)?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Ok(resizer.resize(&from, &mut to, &options)?)
}

/// Averages two by two samples, the commonest case, in a third of the library's time. `from` has rows of `width` samples.
fn halve(from: &[u8], width: usize, to: &mut [u8]) {
    for (rows, to) in from.chunks_exact(2 * width).zip(to.chunks_exact_mut(width / 2)) {
        let (above, below) = rows.split_at(width);
        for ((to, above), below) in to.iter_mut().zip(above.chunks_exact(2)).zip(below.chunks_exact(2)) {
            let sum = u16::from(above[0]) + u16::from(above[1]) + u16::from(below[0]) + u16::from(below[1]);
            *to = ((sum + 2) / 4) as u8;
        }
    }
}

/// The even size at which a picture has a sample for each pixel that it takes in the area; `None` if it has no more than that.
fn reduced(picture: Size, area: Area, fit: Fit) -> Option<Size> {
    let scale = scale(picture, area, fit);
    // A hundredth of a sample is the arithmetic's, not the picture's.
    let even = |side: u32| 2 * (((side as f32 * scale - 0.01) / 2.0).ceil().max(1.0) as u32);
    let size = Size::new(even(picture.width), even(picture.height));
    (size.is_valid() && size.width < picture.width && size.height < picture.height).then_some(size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Colour;

    fn area(width: u32, height: u32) -> Area {
        Area { x: 0, y: 0, width, height }
    }

    #[test]
    fn as_many_samples_as_pixels() {
        let (hd, full) = (Size::new(1280, 720), Size::new(1920, 1080));
        for (picture, window, fit, wanted) in [
            (hd, (1280, 720), Fit::Cover, None),
            (hd, (1920, 1080), Fit::Cover, None),
            (hd, (640, 360), Fit::Cover, Some((640, 360))),
            (full, (1280, 720), Fit::Cover, Some((1280, 720))),
            (full, (1280, 1024), Fit::Contain, Some((1280, 720))),
            (full, (1280, 1024), Fit::Cover, Some((1822, 1024))),
            // Odd areas get a sample more than they have pixels.
            (hd, (281, 157), Fit::Cover, Some((282, 160))),
            (Size::new(2, 2), (1, 1), Fit::Cover, None),
        ] {
            let wanted = wanted.map(|(width, height)| Size::new(width, height));
            assert_eq!(reduced(picture, area(window.0, window.1), fit), wanted, "{picture} in {window:?}");
        }
    }

    #[test]
    fn both_layouts_are_reduced_alike() {
        let mut pool = Pool::new(2);
        let mut make = |layout| {
            let format = Format { size: Size::new(64, 32), layout, colour: Colour::BT601_FULL };
            let fill = |frame: &mut Frame| {
                frame.number = 7;
                let (y, chroma) = frame.split_mut();
                y.iter_mut().enumerate().for_each(|(n, sample)| *sample = if n % 64 < 32 { 40 } else { 200 });
                let planar = layout == Layout::I420;
                let u = |n: usize| if planar { n < 512 } else { n.is_multiple_of(2) };
                chroma.iter_mut().enumerate().for_each(|(n, sample)| *sample = if u(n) { 90 } else { 170 });
                Ok::<_, Exhausted>(())
            };
            pool.fill(format, fill).unwrap().0
        };
        let mut reducer = Reducer::default();
        for frame in [make(Layout::I420), make(Layout::Nv12)] {
            let layout = frame.format.layout;
            let smaller = reducer.reduce(frame, area(32, 16), Fit::Cover);
            assert_eq!((smaller.format.size, smaller.number), (Size::new(32, 16), 7));
            assert_eq!(smaller.format.colour, Colour::BT601_FULL);
            for row in smaller.plane(Plane::Y).chunks(32) {
                assert!(row[..14].iter().all(|&y| y == 40) && row[18..].iter().all(|&y| y == 200), "{row:?}");
            }
            let (u, v) = match layout {
                Layout::I420 => (smaller.plane(Plane::U).to_vec(), smaller.plane(Plane::V).to_vec()),
                Layout::Nv12 => smaller.plane(Plane::Uv).chunks(2).map(|pair| (pair[0], pair[1])).unzip(),
            };
            assert!(u.iter().all(|&u| u == 90) && v.iter().all(|&v| v == 170), "{layout:?}");
        }
    }
}
