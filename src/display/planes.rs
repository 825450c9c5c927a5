//! The planes of one stream of pictures, kept on the graphics device and overwritten with each new picture.

use super::fit::{Placement, Sampling};
use crate::media::{Colour, Format, Frame, Layout, Matrix, Plane, Range};

/// Persistent textures for pictures of one size: luma, and interleaved chroma. Planar chroma (I420) is interleaved on its way: that costs
/// the processor a tenth of a millisecond, and saves a texture read per pixel, which software rasterisers pay dearly for.
#[derive(Debug)]
pub struct Planes {
    format: Format,
    luma: wgpu::Texture,
    chroma: wgpu::Texture,
    /// Room for interleaving, empty as long as no planar picture came.
    interleaved: Vec<u8>,
    params: wgpu::Buffer,
    written: Option<Params>,
    pub(super) bind_group: wgpu::BindGroup,
    pub(super) drawn_as: DrawnAs,
}

/// What the shader is told: 6 vectors, see `video.wgsl`.
type Params = [f32; 24];
const PARAMS_BYTES: u64 = 24 * 4;

/// Which variant of the pipeline a picture needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct DrawnAs {
    pub sampling: Sampling,
    pub rounded: bool,
}

/// How a picture is finished.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finish {
    /// Radius of rounded corners in pixels, 0 for none.
    pub radius: f32,
    /// How much of its light it has, 0 to 1.
    pub brightness: f32,
}

impl Finish {
    /// Square, and as bright as it is.
    pub const PLAIN: Self = Self { radius: 0.0, brightness: 1.0 };
}

impl Planes {
    /// Textures for pictures of the size of `format`.
    pub fn new(device: &wgpu::Device, layout: &wgpu::BindGroupLayout, sampler: &wgpu::Sampler, format: Format) -> Self {
        let texture = |width: u32, height: u32, samples| {
            device.create_texture(&wgpu::TextureDescriptor {
                label: Some("picture plane"),
                size: wgpu::Extent3d { width, height, depth_or_array_layers: 1 },
                mip_level_count: 1,
                sample_count: 1,
                dimension: wgpu::TextureDimension::D2,
                format: samples,
                usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
                view_formats: &[],
            })
        };
        let (width, height) = (format.size.width.max(2), format.size.height.max(2));
        let luma = texture(width, height, wgpu::TextureFormat::R8Unorm);
        let chroma = texture(width / 2, height / 2, wgpu::TextureFormat::Rg8Unorm);
        let params = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("picture parameters"),
            size: PARAMS_BYTES,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        let view = |texture: &wgpu::Texture| texture.create_view(&wgpu::TextureViewDescriptor::default());
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let bind_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("picture"),
            layout,
            entries: &[
                entry(0, wgpu::BindingResource::TextureView(&view(&luma))),
                entry(1, wgpu::BindingResource::TextureView(&view(&chroma))),
                entry(2, wgpu::BindingResource::Sampler(sampler)),
                entry(3, params.as_entire_binding()),
            ],
        });
        let drawn_as = DrawnAs { sampling: Sampling::Smooth, rounded: false };
        Self { format, luma, chroma, interleaved: Vec::new(), params, written: None, bind_group, drawn_as }
    }

    /// Whether pictures of this format go into these textures. Only their size matters.
    pub fn take(&self, format: Format) -> bool {
        self.format.size == format.size
    }

    /// The format of the picture that is in them.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Copies a picture into the textures, in the queue's order: what was submitted before still shows the old one.
    /// The picture must be one that [`Planes::take`] accepts.
    pub fn upload(&mut self, queue: &wgpu::Queue, frame: &Frame) {
        debug_assert!(self.take(frame.format));
        self.format = frame.format;
        write(queue, &self.luma, 1, frame.plane(Plane::Y));
        match frame.format.layout {
            Layout::Nv12 => write(queue, &self.chroma, 2, frame.plane(Plane::Uv)),
            Layout::I420 => {
                let (u, v) = (frame.plane(Plane::U), frame.plane(Plane::V));
                self.interleaved.resize(2 * u.len(), 0);
                interleave(u, v, &mut self.interleaved);
                write(queue, &self.chroma, 2, &self.interleaved);
            }
        }
    }

    /// Sets where and how the picture is drawn next.
    pub fn aim(&mut self, queue: &wgpu::Queue, placement: &Placement, finish: Finish, software: bool) {
        let Finish { radius, brightness } = finish;
        // On real hardware bilinear costs nothing, gives the same luma at 1:1, and smoother chroma.
        let sampling = match placement.sampling {
            Sampling::Exact if !software => Sampling::Smooth,
            sampling => sampling,
        };
        self.drawn_as = DrawnAs { sampling, rounded: radius > 0.0 };
        let (x, y) = (placement.samples.x, placement.samples.y);
        let Conversion { luma, offset, weights } = conversion(self.format.colour);
        let (width, height) = (self.format.size.width as f32, self.format.size.height as f32);
        let (across, down) = (placement.area.width as f32, placement.area.height as f32);
        let mut params: Params = [0.0; 24];
        let vectors = [
            [x[0], x[1], x[2], 0.0],
            [y[0], y[1], y[2], 0.0],
            weights,
            [luma, offset, 0.0, 0.0],
            [width, height, width.recip(), height.recip()],
            [across, down, radius, brightness],
        ];
        for (to, from) in params.iter_mut().zip(vectors.iter().flatten()) {
            *to = *from;
        }
        if self.written != Some(params) {
            let mut bytes = [0; PARAMS_BYTES as usize];
            put_floats(&mut bytes, &params);
            queue.write_buffer(&self.params, 0, &bytes);
            self.written = Some(params);
        }
    }
}

/// The bytes of a uniform buffer: little-endian floats, as every device that wgpu runs on has them.
pub(super) fn put_floats(bytes: &mut [u8], values: &[f32]) {
    for (to, from) in bytes.chunks_exact_mut(4).zip(values) {
        to.copy_from_slice(&from.to_le_bytes());
    }
}

/// U, V, U, V … Vectorised by the compiler.
fn interleave(u: &[u8], v: &[u8], into: &mut [u8]) {
    for ((pair, u), v) in into.chunks_exact_mut(2).zip(u).zip(v) {
        pair[0] = *u;
        pair[1] = *v;
    }
}

fn write(queue: &wgpu::Queue, texture: &wgpu::Texture, bytes_per_sample: u32, samples: &[u8]) {
    let layout = wgpu::TexelCopyBufferLayout {
        offset: 0,
        bytes_per_row: Some(texture.width() * bytes_per_sample),
        rows_per_image: None,
    };
    queue.write_texture(texture.as_image_copy(), samples, layout, texture.size());
}

/// From code values divided by 255 to R'G'B' from 0 to 1:
/// `base = luma * Y + offset`, and with chroma around 0: `R = base + weights[0] * Cr`, `G = base + weights[1] * Cb + weights[2] * Cr`,
/// `B = base + weights[3] * Cb`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conversion {
    /// Scales luma.
    pub luma: f32,
    /// Takes black to 0.
    pub offset: f32,
    /// Of chroma, see above.
    pub weights: [f32; 4],
}

/// The conversion for pictures coded like this: H.273 equations 8.3, with the luma weights of BT.601 and BT.709.
pub fn conversion(colour: Colour) -> Conversion {
    let (kr, kb) = match colour.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
    };
    let kg = 1.0 - kr - kb;
    // Black, the span of luma and the span of chroma in code values.
    let (black, luma, chroma): (f64, f64, f64) = match colour.range {
        Range::Limited => (16.0, 219.0, 224.0),
        Range::Full => (0.0, 255.0, 255.0),
    };
    let chroma = 255.0 / chroma;
    let weights = [2.0 * (1.0 - kr), -2.0 * kb * (1.0 - kb) / kg, -2.0 * kr * (1.0 - kr) / kg, 2.0 * (1.0 - kb)];
    Conversion {
        luma: (255.0 / luma) as f32,
        offset: (-black / luma) as f32,
        weights: weights.map(|weight| (weight * chroma) as f32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rgb(colour: Colour, [y, cb, cr]: [f32; 3]) -> [i32; 3] {
        let Conversion { luma, offset, weights } = conversion(colour);
        let (base, cb, cr) = (luma * y + offset * 255.0, cb - 128.0, cr - 128.0);
        [base + weights[0] * cr, base + weights[1] * cb + weights[2] * cr, base + weights[3] * cb]
            .map(|value| (value.round() as i32).clamp(0, 255))
    }

    #[test]
    fn black_and_white_are_black_and_white() {
        for matrix in [Matrix::Bt601, Matrix::Bt709] {
            let limited = Colour { matrix, range: Range::Limited };
            assert_eq!(rgb(limited, [16.0, 128.0, 128.0]), [0; 3]);
            assert_eq!(rgb(limited, [235.0, 128.0, 128.0]), [255; 3]);
            let full = Colour { matrix, range: Range::Full };
            assert_eq!(rgb(full, [0.0, 128.0, 128.0]), [0; 3]);
            assert_eq!(rgb(full, [255.0, 128.0, 128.0]), [255; 3]);
        }
    }

    #[test]
    fn red_of_the_standards_is_red() {
        // Code values of pure red: 75 % bars would hide a wrong scale.
        assert_eq!(rgb(Colour::BT709_LIMITED, [63.0, 102.0, 240.0]), [255, 1, 0]);
        assert_eq!(rgb(Colour::BT601_LIMITED, [81.0, 90.0, 240.0]), [254, 0, 0]);
    }
}
