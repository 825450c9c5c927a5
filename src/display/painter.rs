//! Draws everything that is seen in one pass: backdrop or picture, self-view, overlay.
//!
//! It knows wgpu, but neither Bevy nor windows: tests and benchmarks draw into a texture.

use super::fit::{Affine, Area, Extent, Sampling};
use super::planes::{DrawnAs, Planes, put_floats};
use crate::media::Format;
use std::collections::HashMap;

/// The pipelines for one format of target.
#[derive(Debug)]
pub struct Painter {
    target: wgpu::TextureFormat,
    software: bool,
    picture_shader: wgpu::ShaderModule,
    picture_layout: wgpu::BindGroupLayout,
    picture_pipeline_layout: wgpu::PipelineLayout,
    pictures: HashMap<DrawnAs, wgpu::RenderPipeline>,
    bilinear: wgpu::Sampler,
    backdrop: wgpu::RenderPipeline,
    backdrop_params: wgpu::Buffer,
    backdrop_group: wgpu::BindGroup,
    overlay: wgpu::RenderPipeline,
    overlay_layout: wgpu::BindGroupLayout,
    nearest: wgpu::Sampler,
}

/// The colours of a slate's background, and where its light is. Display-referred R'G'B' from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backdrop {
    /// At the top of the canvas.
    pub top: [f32; 3],
    /// At its bottom.
    pub bottom: [f32; 3],
    /// The light's colour.
    pub light: [f32; 3],
    /// How much of it is added at its centre, 0 to 1.
    pub strength: f32,
    /// Its centre on the canvas, 0 to 1 each way.
    pub centre: [f32; 2],
    /// Its radius, as a part of the window's height.
    pub radius: f32,
    /// How much of its light all of it has, 0 to 1.
    pub brightness: f32,
}

/// A canvas with words and figures, ready to be laid over.
#[derive(Debug)]
pub struct Overlay {
    group: wgpu::BindGroup,
    params: wgpu::Buffer,
    written: Option<[f32; 8]>,
}

impl Overlay {
    /// Sets how the canvas lies on the window: which way is up, by how much it is shifted (parts of its width and height), and how bright it is.
    pub fn aim(&mut self, queue: &wgpu::Queue, upright: Affine, shift: [f32; 2], brightness: f32) {
        let [x, y] = [upright.x, upright.y];
        let params = [x[0], x[1], x[2] - shift[0], brightness, y[0], y[1], y[2] - shift[1], 0.0];
        if self.written != Some(params) {
            let mut bytes = [0; 32];
            put_floats(&mut bytes, &params);
            queue.write_buffer(&self.params, 0, &bytes);
            self.written = Some(params);
        }
    }
}

/// What is drawn, from back to front.
#[derive(Debug, Default)]
pub struct Scene<'a> {
    /// What is in the target already stays below what is drawn.
    pub keep: bool,
    /// The calm background.
    pub backdrop: bool,
    /// The far end's picture, and where on the window.
    pub picture: Option<(&'a Planes, Area)>,
    /// One's own, and where.
    pub inset: Option<(&'a Planes, Area)>,
    /// Words and figures, and the part of the window that they are on.
    pub overlay: Option<(&'a Overlay, Area)>,
}

impl Painter {
    /// Makes what every picture needs. `target` must be a format without sRGB conversion.
    pub fn new(device: &wgpu::Device, target: wgpu::TextureFormat, software: bool) -> Self {
        let picture_shader = shader(device, "picture", include_str!("video.wgsl"));
        let (plane, uniform) = (texture_entry, uniform_entry);
        let picture_layout = group_layout(device, &[plane(0), plane(1), sampler_entry(2), uniform(3)]);
        let backdrop_layout = group_layout(device, &[uniform(0)]);
        let overlay_layout = group_layout(device, &[texture_entry(0), sampler_entry(1), uniform(2)]);
        let sampler = |filter| {
            device.create_sampler(&wgpu::SamplerDescriptor {
                mag_filter: filter,
                min_filter: filter,
                ..Default::default()
            })
        };
        let backdrop_params = uniform_buffer(device, BACKDROP_BYTES);
        let backdrop_group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("backdrop"),
            layout: &backdrop_layout,
            entries: &[wgpu::BindGroupEntry { binding: 0, resource: backdrop_params.as_entire_binding() }],
        });
        let backdrop = pipeline(
            device,
            &pipeline_layout(device, &backdrop_layout),
            &shader(device, "backdrop", include_str!("backdrop.wgsl")),
            target,
            None,
            &[],
        );
        let overlay = pipeline(
            device,
            &pipeline_layout(device, &overlay_layout),
            &shader(device, "overlay", include_str!("overlay.wgsl")),
            target,
            Some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING),
            &[],
        );
        Self {
            target,
            software,
            picture_shader,
            picture_pipeline_layout: pipeline_layout(device, &picture_layout),
            picture_layout,
            pictures: HashMap::new(),
            bilinear: sampler(wgpu::FilterMode::Linear),
            backdrop,
            backdrop_params,
            backdrop_group,
            overlay,
            overlay_layout,
            nearest: sampler(wgpu::FilterMode::Nearest),
        }
    }

    /// The format of target that it draws into.
    pub fn target(&self) -> wgpu::TextureFormat {
        self.target
    }

    /// Whether the processor rasterises.
    pub fn is_software(&self) -> bool {
        self.software
    }

    /// Textures for pictures of this size.
    pub fn planes(&self, device: &wgpu::Device, format: Format) -> Planes {
        Planes::new(device, &self.picture_layout, &self.bilinear, format)
    }

    /// Makes the pipeline for pictures like this one, if it is not there yet. To be called before [`Painter::draw`].
    pub fn prepare(&mut self, device: &wgpu::Device, planes: &Planes) {
        let drawn_as = planes.drawn_as;
        self.pictures.entry(drawn_as).or_insert_with(|| {
            let sampling = match drawn_as.sampling {
                Sampling::Exact => 0.0,
                Sampling::Smooth => 1.0,
                Sampling::Shrunk => 2.0,
            };
            let flag = |set: bool| if set { 1.0 } else { 0.0 };
            let constants = [("SAMPLING", sampling), ("ROUNDED", flag(drawn_as.rounded))];
            let blend = drawn_as.rounded.then_some(wgpu::BlendState::PREMULTIPLIED_ALPHA_BLENDING);
            pipeline(device, &self.picture_pipeline_layout, &self.picture_shader, self.target, blend, &constants)
        });
    }

    /// A canvas as something to lay over, to be aimed before it is drawn. `view` must read code values as they are stored, without sRGB conversion.
    pub fn overlay(&self, device: &wgpu::Device, view: &wgpu::TextureView) -> Overlay {
        let params = uniform_buffer(device, 32);
        let entry = |binding, resource| wgpu::BindGroupEntry { binding, resource };
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("overlay"),
            layout: &self.overlay_layout,
            entries: &[
                entry(0, wgpu::BindingResource::TextureView(view)),
                entry(1, wgpu::BindingResource::Sampler(&self.nearest)),
                entry(2, params.as_entire_binding()),
            ],
        });
        Overlay { group, params, written: None }
    }

    /// Sets the background that the next [`Painter::draw`] uses.
    pub fn set_backdrop(&self, queue: &wgpu::Queue, backdrop: &Backdrop, window: Extent, upright: Affine) {
        let Backdrop { top, bottom, light, strength, centre, radius, brightness } = *backdrop;
        let (s, t) = on_window(upright, centre);
        let aspect = window.width as f32 / window.height as f32;
        let vectors = [
            [top[0], top[1], top[2], 0.0],
            [bottom[0], bottom[1], bottom[2], 0.0],
            [light[0], light[1], light[2], strength],
            [s, t, radius.max(0.01).recip(), aspect],
            [upright.y[0], upright.y[1], upright.y[2], brightness],
        ];
        let mut bytes = [0; BACKDROP_BYTES as usize];
        for (to, vector) in bytes.chunks_exact_mut(16).zip(vectors) {
            put_floats(to, &vector);
        }
        queue.write_buffer(&self.backdrop_params, 0, &bytes);
    }

    /// Draws the scene into `target`, all of which is overwritten unless the scene keeps what is there.
    pub fn draw(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        target: &wgpu::TextureView,
        window: Extent,
        scene: &Scene<'_>,
    ) {
        let all = Area::whole(window);
        let fills = |(planes, area): &(&Planes, Area)| *area == all && self.pictures.contains_key(&planes.drawn_as);
        let covered = scene.backdrop || scene.picture.as_ref().is_some_and(fills);
        let load = if scene.keep {
            wgpu::LoadOp::Load
        } else if covered {
            // SAFETY: the first draw call below covers every pixel of the target.
            wgpu::LoadOp::DontCare(unsafe { wgpu::LoadOpDontCare::enabled() })
        } else {
            wgpu::LoadOp::Clear(wgpu::Color::BLACK)
        };
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("portal"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: target,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations { load, store: wgpu::StoreOp::Store },
            })],
            ..Default::default()
        });
        if scene.backdrop {
            pass.set_pipeline(&self.backdrop);
            pass.set_bind_group(0, &self.backdrop_group, &[]);
            pass.draw(0..3, 0..1);
        }
        for (planes, area) in scene.picture.iter().chain(&scene.inset) {
            let Some(pipeline) = self.pictures.get(&planes.drawn_as) else { continue };
            pass.set_viewport(area.x as f32, area.y as f32, area.width as f32, area.height as f32, 0.0, 1.0);
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, &planes.bind_group, &[]);
            pass.draw(0..3, 0..1);
        }
        if let Some((overlay, area)) = &scene.overlay
            && let Some(area) = area.clipped(window)
        {
            pass.set_viewport(0.0, 0.0, window.width as f32, window.height as f32, 0.0, 1.0);
            pass.set_scissor_rect(area.x, area.y, area.width, area.height);
            pass.set_pipeline(&self.overlay);
            pass.set_bind_group(0, &overlay.group, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

const BACKDROP_BYTES: u64 = 5 * 16;

/// The point of the window, 0 to 1, that shows this point of the canvas: a rotation's inverse is its transpose.
fn on_window(upright: Affine, canvas: [f32; 2]) -> (f32, f32) {
    let (dx, dy) = (canvas[0] - upright.x[2], canvas[1] - upright.y[2]);
    (upright.x[0] * dx + upright.y[0] * dy, upright.x[1] * dx + upright.y[1] * dy)
}

fn shader(device: &wgpu::Device, label: &str, source: &'static str) -> wgpu::ShaderModule {
    device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    })
}

fn texture_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    let ty = wgpu::BindingType::Texture {
        sample_type: wgpu::TextureSampleType::Float { filterable: true },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    };
    wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::FRAGMENT, ty, count: None }
}

fn sampler_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    let ty = wgpu::BindingType::Sampler(wgpu::SamplerBindingType::Filtering);
    wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::FRAGMENT, ty, count: None }
}

fn uniform_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    let ty = wgpu::BindingType::Buffer {
        ty: wgpu::BufferBindingType::Uniform,
        has_dynamic_offset: false,
        min_binding_size: None,
    };
    wgpu::BindGroupLayoutEntry { binding, visibility: wgpu::ShaderStages::VERTEX_FRAGMENT, ty, count: None }
}

fn uniform_buffer(device: &wgpu::Device, bytes: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("parameters"),
        size: bytes,
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        mapped_at_creation: false,
    })
}

fn group_layout(device: &wgpu::Device, entries: &[wgpu::BindGroupLayoutEntry]) -> wgpu::BindGroupLayout {
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries })
}

fn pipeline_layout(device: &wgpu::Device, group: &wgpu::BindGroupLayout) -> wgpu::PipelineLayout {
    device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(group)],
        immediate_size: 0,
    })
}

fn pipeline(
    device: &wgpu::Device,
    layout: &wgpu::PipelineLayout,
    module: &wgpu::ShaderModule,
    format: wgpu::TextureFormat,
    blend: Option<wgpu::BlendState>,
    constants: &[(&str, f64)],
) -> wgpu::RenderPipeline {
    let options = wgpu::PipelineCompilationOptions { constants, ..Default::default() };
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: None,
        layout: Some(layout),
        vertex: wgpu::VertexState {
            module,
            entry_point: Some("vertex"),
            compilation_options: options.clone(),
            buffers: &[],
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module,
            entry_point: Some("fragment"),
            compilation_options: options,
            targets: &[Some(wgpu::ColorTargetState { format, blend, write_mask: wgpu::ColorWrites::ALL })],
        }),
        multiview_mask: None,
        cache: None,
    })
}
