//! Pixels, checked off screen: colours against reference bars, orientation, and that no part of the target is left undrawn.

use super::config::{Fit, Rotation};
use super::fit::{Affine, Area, Extent, Placement, Sampling, place};
use super::gpu::Gpu;
use super::painter::{Backdrop, Painter, Scene};
use super::planes::{Finish, Planes};
use crate::media::{Colour, Exhausted, Format, Frame, Layout, Matrix, Plane, Pool, Range, Size};
use std::sync::Arc;

struct Bench {
    gpu: Gpu,
    painter: Painter,
    pool: Pool,
    brightness: f32,
}

/// `None` where there is no Vulkan driver.
fn bench(software: bool) -> Option<Bench> {
    match Gpu::open() {
        Ok(gpu) => {
            let painter = Painter::new(&gpu.device, wgpu::TextureFormat::Rgba8Unorm, software);
            Some(Bench { gpu, painter, pool: Pool::new(4), brightness: 1.0 })
        }
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

impl Bench {
    fn frame(&mut self, format: Format, code: impl Fn(u32, u32) -> [u8; 3]) -> Arc<Frame> {
        let Size { width, height } = format.size;
        let fill = |frame: &mut Frame| {
            let (luma, chroma) = frame.split_mut();
            for (at, sample) in luma.iter_mut().enumerate() {
                *sample = code(at as u32 % width, at as u32 / width)[0];
            }
            let quarter = chroma.len() / 2;
            for at in 0..quarter {
                let (x, y) = (at as u32 % (width / 2), at as u32 / (width / 2));
                let [_, cb, cr] = code(2 * x, 2 * y);
                match format.layout {
                    Layout::I420 => (chroma[at], chroma[quarter + at]) = (cb, cr),
                    Layout::Nv12 => (chroma[2 * at], chroma[2 * at + 1]) = (cb, cr),
                }
            }
            assert!(height >= 2);
            Ok::<_, Exhausted>(())
        };
        self.pool.fill(format, fill).unwrap().0
    }

    fn upload(&self, frame: &Frame) -> Planes {
        let mut planes = self.painter.planes(&self.gpu.device, frame.format);
        planes.upload(&self.gpu.queue, frame);
        planes
    }

    /// Draws one picture and returns the pixels, row by row.
    fn picture(&mut self, planes: &mut Planes, placement: &Placement, window: Extent, radius: f32) -> Vec<[u8; 4]> {
        let finish = Finish { radius, brightness: self.brightness };
        planes.aim(&self.gpu.queue, placement, finish, self.painter.is_software());
        self.painter.prepare(&self.gpu.device, planes);
        let mut scene = Scene::default();
        if radius > 0.0 {
            scene.inset = Some((planes, placement.area))
        } else {
            scene.picture = Some((planes, placement.area))
        }
        self.scene(&scene, window)
    }

    fn scene(&self, scene: &Scene<'_>, window: Extent) -> Vec<[u8; 4]> {
        let Gpu { device, queue, .. } = &self.gpu;
        let size = wgpu::Extent3d { width: window.width, height: window.height, depth_or_array_layers: 1 };
        let target = device.create_texture(&wgpu::TextureDescriptor {
            label: None,
            size,
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: self.painter.target(),
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let pitch = (window.width * 4).next_multiple_of(wgpu::COPY_BYTES_PER_ROW_ALIGNMENT);
        let buffer = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: u64::from(pitch * window.height),
            usage: wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ,
            mapped_at_creation: false,
        });
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        self.painter.draw(&mut encoder, &target.create_view(&wgpu::TextureViewDescriptor::default()), window, scene);
        let layout = wgpu::TexelCopyBufferLayout { offset: 0, bytes_per_row: Some(pitch), rows_per_image: None };
        let into = wgpu::TexelCopyBufferInfo { buffer: &buffer, layout };
        encoder.copy_texture_to_buffer(target.as_image_copy(), into, size);
        queue.submit([encoder.finish()]);
        buffer.slice(..).map_async(wgpu::MapMode::Read, |result| result.unwrap());
        device.poll(wgpu::PollType::wait_indefinitely()).unwrap();
        let bytes = buffer.slice(..).get_mapped_range();
        let rows = bytes.chunks_exact(pitch as usize);
        rows.flat_map(|row| row[..4 * window.width as usize].chunks_exact(4))
            .map(|pixel| [pixel[0], pixel[1], pixel[2], pixel[3]])
            .collect()
    }
}

/// White, yellow, cyan, green, magenta, red, blue, black at full strength and at three quarters: R'G'B' from 0 to 1.
fn bar(column: u32) -> [f64; 3] {
    let (bar, strength) = (column % 8, if column < 8 { 1.0 } else { 0.75 });
    [bar & 2, bar & 4, bar & 1].map(|off| if off == 0 { strength } else { 0.0 })
}

/// Code values by the textbook (BT.601 and BT.709 section 3), independent of the code under test.
fn encode([r, g, b]: [f64; 3], colour: Colour) -> [u8; 3] {
    let (kr, kb) = if colour.matrix == Matrix::Bt709 { (0.2126, 0.0722) } else { (0.299, 0.114) };
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (cb, cr) = ((b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr));
    let code = match colour.range {
        Range::Limited => [16.0 + 219.0 * y, 128.0 + 224.0 * cb, 128.0 + 224.0 * cr],
        Range::Full => [255.0 * y, 128.0 + 255.0 * cb, 128.0 + 255.0 * cr],
    };
    code.map(|code| code.round().clamp(0.0, 255.0) as u8)
}

#[test]
fn bars_have_their_colours_in_every_coding() {
    for software in [true, false] {
        let Some(mut bench) = bench(software) else { return };
        let size = Size::new(512, 64);
        let window = Extent::new(512, 64);
        for matrix in [Matrix::Bt601, Matrix::Bt709] {
            for (range, layout) in [
                (Range::Limited, Layout::I420),
                (Range::Full, Layout::I420),
                (Range::Limited, Layout::Nv12),
                (Range::Full, Layout::Nv12),
            ] {
                let colour = Colour { matrix, range };
                let format = Format { size, layout, colour };
                let frame = bench.frame(format, |x, _| encode(bar(x / 32), colour));
                assert_eq!(frame.plane(Plane::Y).len(), size.pixels());
                let mut planes = bench.upload(&frame);
                let placement = place(size, Area::whole(window), window, Fit::Cover, Rotation::None, false);
                assert_eq!(placement.sampling, Sampling::Exact);
                let pixels = bench.picture(&mut planes, &placement, window, 0.0);
                let mut worst = 0;
                for (at, pixel) in pixels.iter().enumerate() {
                    let x = at as u32 % 512;
                    // Chroma is filtered across the edges of bars.
                    if x % 32 < 4 || x % 32 >= 28 {
                        continue;
                    }
                    for (seen, wanted) in pixel.iter().zip(bar(x / 32)) {
                        worst = worst.max((f64::from(*seen) - 255.0 * wanted).abs().ceil() as u32);
                    }
                }
                assert!(worst <= 2, "{colour:?} {layout:?}: off by {worst} of 255");
            }
        }
    }
}

/// Quadrants: top left red, top right green, bottom left blue, bottom right white.
const QUADRANTS: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 1.0, 1.0]];

fn name([r, g, b, _]: [u8; 4]) -> char {
    match (r > 127, g > 127, b > 127) {
        (true, false, false) => 'r',
        (false, true, false) => 'g',
        (false, false, true) => 'b',
        (true, true, true) => 'w',
        _ => '?',
    }
}

#[test]
fn the_picture_is_the_right_way_round() {
    for software in [true, false] {
        let Some(mut bench) = bench(software) else { return };
        let size = Size::new(128, 64);
        let format = Format::i420(size);
        let frame =
            bench.frame(format, |x, y| encode(QUADRANTS[(2 * (y / 32) + x / 64) as usize], Colour::BT709_LIMITED));
        let mut planes = bench.upload(&frame);
        // What is seen, row by row, in the four quadrants of the window.
        let cases = [
            (Rotation::None, false, "rgbw"),
            (Rotation::None, true, "grwb"),
            (Rotation::Quarter, false, "brwg"),
            (Rotation::Half, false, "wbgr"),
            (Rotation::ThreeQuarters, false, "gwrb"),
            (Rotation::Quarter, true, "wgbr"),
        ];
        // Sample by sample, enlarged, and much reduced.
        for scale in [1.0, 2.5, 0.25] {
            for (rotation, mirror, wanted) in cases {
                let side = |side: u32| (f64::from(side) * scale) as u32;
                let canvas = Extent::new(side(128), side(64));
                let window = canvas.turned(rotation);
                let placement = place(size, Area::whole(canvas), canvas, Fit::Contain, rotation, mirror);
                let pixels = bench.picture(&mut planes, &placement, window, 0.0);
                let at = |x: u32, y: u32| name(pixels[(y * window.width + x) as usize]);
                let (left, right) = (window.width / 4, window.width * 3 / 4);
                let (top, bottom) = (window.height / 4, window.height * 3 / 4);
                let seen: String =
                    [at(left, top), at(right, top), at(left, bottom), at(right, bottom)].into_iter().collect();
                assert_eq!(seen, wanted, "{rotation:?}, mirror {mirror}, scale {scale}");
            }
        }
    }
}

#[test]
fn what_no_picture_covers_is_black() {
    let Some(mut bench) = bench(true) else { return };
    let size = Size::new(64, 64);
    let frame = bench.frame(Format::i420(size), |_, _| encode([1.0, 1.0, 1.0], Colour::BT709_LIMITED));
    let mut planes = bench.upload(&frame);
    let window = Extent::new(128, 64);
    let placement = place(size, Area::whole(window), window, Fit::Contain, Rotation::None, false);
    let pixels = bench.picture(&mut planes, &placement, window, 0.0);
    assert_eq!((pixels[5][0], pixels[64][0], pixels[127][0]), (0, 255, 0));
}

#[test]
fn a_much_reduced_picture_does_not_shimmer() {
    let Some(mut bench) = bench(true) else { return };
    let size = Size::new(512, 512);
    let colour = Colour::BT709_LIMITED;
    // Stripes of one sample: reduced four times they are grey, wherever they start.
    for shift in 0..2 {
        let frame = bench.frame(Format { colour, ..Format::i420(size) }, |x, _| {
            [if (x + shift) % 2 == 0 { 16 } else { 235 }, 128, 128]
        });
        let mut planes = bench.upload(&frame);
        let window = Extent::new(128, 128);
        let placement = place(size, Area::whole(window), window, Fit::Cover, Rotation::None, true);
        let pixels = bench.picture(&mut planes, &placement, window, 0.0);
        let (least, most) =
            pixels.iter().fold((255, 0), |(least, most), pixel| (pixel[0].min(least), pixel[0].max(most)));
        assert!(least > 110 && most < 145, "from {least} to {most}");
    }
}

#[test]
fn an_inset_has_round_corners() {
    let Some(mut bench) = bench(true) else { return };
    let size = Size::new(64, 64);
    let frame = bench.frame(Format::i420(size), |_, _| encode([1.0, 1.0, 1.0], Colour::BT709_LIMITED));
    let mut planes = bench.upload(&frame);
    let window = Extent::new(64, 64);
    let placement = place(size, Area::whole(window), window, Fit::Cover, Rotation::None, true);
    let pixels = bench.picture(&mut planes, &placement, window, 12.0);
    let red = |x: usize, y: usize| pixels[y * 64 + x][0];
    assert_eq!((red(0, 0), red(63, 63)), (0, 0));
    assert!(red(32, 32) == 255 && red(0, 32) > 200);
}

#[test]
fn the_backdrop_turns_with_the_canvas() {
    let Some(bench) = bench(true) else { return };
    let backdrop = Backdrop {
        top: [0.0; 3],
        bottom: [1.0; 3],
        light: [1.0, 0.0, 0.0],
        strength: 0.0,
        centre: [0.5, 0.5],
        radius: 1.0,
        brightness: 1.0,
    };
    let window = Extent::new(64, 64);
    for (rotation, darkest) in [
        (Rotation::None, (32, 2)),
        (Rotation::Quarter, (61, 32)),
        (Rotation::Half, (32, 61)),
        (Rotation::ThreeQuarters, (2, 32)),
    ] {
        bench.painter.set_backdrop(&bench.gpu.queue, &backdrop, window, Affine::upright(rotation));
        let pixels = bench.scene(&Scene { backdrop: true, ..Scene::default() }, window);
        let at = |x: usize, y: usize| pixels[y * 64 + x][1];
        assert!(at(darkest.0, darkest.1) < 20, "{rotation:?}");
        assert!(at(63 - darkest.0, 63 - darkest.1) > 230, "{rotation:?}");
    }
}

#[test]
fn less_light_is_less_of_every_colour() {
    for software in [true, false] {
        let Some(mut bench) = bench(software) else { return };
        let (size, window) = (Size::new(64, 32), Extent::new(64, 32));
        let frame = bench.frame(Format::i420(size), |x, _| [if x < 32 { 235 } else { 126 }, 128, 128]);
        let mut planes = bench.upload(&frame);
        let placement = place(size, Area::whole(window), window, Fit::Cover, Rotation::None, false);
        for (brightness, wanted) in [(1.0, [255, 128]), (0.5, [128, 64]), (0.05, [13, 6])] {
            bench.brightness = brightness;
            let pixels = bench.picture(&mut planes, &placement, window, 0.0);
            for (pixel, wanted) in [(pixels[8], wanted[0]), (pixels[56], wanted[1])] {
                assert!(pixel[..3].iter().all(|seen| seen.abs_diff(wanted) <= 2), "{brightness}: {pixel:?} {wanted}");
            }
        }
    }
}
