//! A picture that fits the window sample by sample, put into the window's image without a rasteriser.
//!
//! Where the processor rasterises anyway, a fragment shader is the slow way to do what a SIMD library does: 6.5 ms of processor time for 720p
//! against 0.7. The arithmetic is the same (matrix and range; no transfer function, see [`super::surface`]); what is laid over the picture
//! is drawn as ever. GPUs never come here, nor do pictures that are rotated, cut or enlarged.

use super::fit::Extent;
use crate::media::{Frame, Layout, Matrix, Plane, Range};
use yuv::{YuvPlanarImage, YuvRange, YuvStandardMatrix, yuv420_to_bgra, yuv420_to_rgba};

/// A picture as the window's image wants it: four bytes a pixel.
#[derive(Debug, Default)]
pub struct Pixels {
    size: Extent,
    bytes: Vec<u8>,
}

impl Pixels {
    /// Converts an I420 picture for images of this format. False if that cannot be done here; then these are no pixels.
    pub fn convert(&mut self, frame: &Frame, format: wgpu::TextureFormat) -> bool {
        self.size = Extent::new(0, 0);
        let convert = match (format, frame.format.layout) {
            (wgpu::TextureFormat::Bgra8Unorm, Layout::I420) => yuv420_to_bgra,
            (wgpu::TextureFormat::Rgba8Unorm, Layout::I420) => yuv420_to_rgba,
            _ => return false,
        };
        let (width, height) = (frame.format.size.width, frame.format.size.height);
        let image = YuvPlanarImage {
            y_plane: frame.plane(Plane::Y),
            y_stride: width,
            u_plane: frame.plane(Plane::U),
            u_stride: width / 2,
            v_plane: frame.plane(Plane::V),
            v_stride: width / 2,
            width,
            height,
        };
        let range = match frame.format.colour.range {
            Range::Limited => YuvRange::Limited,
            Range::Full => YuvRange::Full,
        };
        let matrix = match frame.format.colour.matrix {
            Matrix::Bt601 => YuvStandardMatrix::Bt601,
            Matrix::Bt709 => YuvStandardMatrix::Bt709,
        };
        self.bytes.resize(4 * frame.format.size.pixels(), 0);
        if let Err(error) = convert(&image, &mut self.bytes, 4 * width, range, matrix) {
            tracing::debug!(%error, "a picture is not converted here");
            return false;
        }
        self.size = Extent::new(width, height);
        true
    }

    /// Takes light away: `brightness` from 0 to 1. Once for each picture.
    pub fn dim(&mut self, brightness: f32) {
        let part = (256.0 * brightness.clamp(0.0, 1.0)) as u16;
        for pixel in self.bytes.chunks_exact_mut(4) {
            for (colour, part) in pixel.iter_mut().zip([part, part, part, 256]) {
                *colour = ((u16::from(*colour) * part) >> 8) as u8;
            }
        }
    }

    /// The size of what was converted last.
    pub fn size(&self) -> Extent {
        self.size
    }

    /// Fills the window's image, which must be of the same size and format.
    pub fn write(&self, queue: &wgpu::Queue, image: &wgpu::Texture) {
        let layout = wgpu::TexelCopyBufferLayout {
            offset: 0,
            bytes_per_row: Some(4 * self.size.width),
            rows_per_image: Some(self.size.height),
        };
        let extent = wgpu::Extent3d { width: self.size.width, height: self.size.height, depth_or_array_layers: 1 };
        queue.write_texture(image.as_image_copy(), &self.bytes, layout, extent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimmed_pixels_stay_opaque() {
        let mut pixels = Pixels { size: Extent::new(2, 1), bytes: vec![255, 128, 0, 255, 10, 20, 30, 255] };
        pixels.dim(1.0);
        assert_eq!(pixels.bytes, [255, 128, 0, 255, 10, 20, 30, 255]);
        pixels.dim(0.5);
        assert_eq!(pixels.bytes, [127, 64, 0, 255, 5, 10, 15, 255]);
    }
    use crate::media::{Colour, Exhausted, Format, Pool, Size};

    /// Red, green, blue and white at 75 %, BT.601 and BT.709, limited and full: Y, Cb, Cr by the matrices of the two recommendations.
    #[test]
    fn colours_are_those_of_the_shader() {
        for (matrix, kr, kb) in [(Matrix::Bt601, 0.299, 0.114), (Matrix::Bt709, 0.2126, 0.0722)] {
            for range in [Range::Limited, Range::Full] {
                for rgb in [[0.75, 0.0, 0.0], [0.0, 0.75, 0.0], [0.0, 0.0, 0.75], [0.75, 0.75, 0.75]] {
                    let [r, g, b] = rgb;
                    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
                    let (cb, cr) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
                    let code = match range {
                        Range::Limited => [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr],
                        Range::Full => [255.0 * y, 128.0 + 255.0 * cb, 128.0 + 255.0 * cr],
                    };
                    let format =
                        Format { size: Size::new(32, 4), layout: Layout::I420, colour: Colour { matrix, range } };
                    let fill = |frame: &mut Frame| {
                        let (y, u, v) = frame.i420_mut();
                        for (plane, code) in [y, u, v].into_iter().zip(code) {
                            plane.fill(f64::round(code) as u8);
                        }
                        Ok::<_, Exhausted>(())
                    };
                    let (frame, ()) = Pool::new(1).fill(format, fill).unwrap();
                    let mut pixels = Pixels::default();
                    assert!(pixels.convert(&frame, wgpu::TextureFormat::Bgra8Unorm));
                    assert_eq!(pixels.size(), Extent::new(32, 4));
                    for pixel in pixels.bytes.chunks(4) {
                        for (seen, wanted) in [pixel[2], pixel[1], pixel[0]].into_iter().zip(rgb) {
                            let off = (f64::from(seen) - 255.0 * wanted).abs();
                            assert!(off <= 2.0, "{matrix:?} {range:?} {rgb:?}: {pixel:?}");
                        }
                        assert_eq!(pixel[3], 255);
                    }
                }
            }
        }
    }
}
