//! What it costs to show one picture, off screen: copying it to the graphics device, and drawing it.
//!
//! `cargo bench --bench upload`. Needs a Vulkan driver; with a software one `draw` is the rasterising itself.

use criterion::{Criterion, Throughput};

#[cfg(feature = "kiosk")]
fn upload(criterion: &mut Criterion) {
    use screen_portal::display::fit::{Area, Extent, place};
    use screen_portal::display::gpu::{Gpu, is_software};
    use screen_portal::display::painter::{Painter, Scene};
    use screen_portal::display::planes::Finish;
    use screen_portal::display::{Fit, Rotation};
    use screen_portal::media::{Exhausted, Format, Pool, Size};

    let gpu = match Gpu::open() {
        Ok(gpu) => gpu,
        Err(error) => return println!("skipped: {error}"),
    };
    let (device, queue) = (&gpu.device, &gpu.queue);
    let format = wgpu::TextureFormat::Bgra8Unorm;
    let mut painter = Painter::new(device, format, is_software(&gpu.adapter));
    let window = Extent::new(1280, 720);
    let target = device.create_texture(&wgpu::TextureDescriptor {
        label: None,
        size: wgpu::Extent3d { width: window.width, height: window.height, depth_or_array_layers: 1 },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::RENDER_ATTACHMENT,
        view_formats: &[],
    });
    let view = target.create_view(&wgpu::TextureViewDescriptor::default());
    let wait = || {
        let _ = device.poll(wgpu::PollType::wait_indefinitely());
    };
    for size in [Size::new(1280, 720), Size::new(1920, 1080)] {
        let mut pool = Pool::new(1);
        let made = pool.fill(Format::i420(size), |frame| {
            frame.data_mut().iter_mut().enumerate().for_each(|(at, sample)| *sample = at as u8);
            Ok::<_, Exhausted>(())
        });
        let Ok((frame, ())) = made else { return };
        let mut planes = painter.planes(device, frame.format);
        let mut group = criterion.benchmark_group("display");
        group.throughput(Throughput::Bytes(frame.data().len() as u64));
        group.bench_function(format!("upload {size}"), |bencher| {
            bencher.iter(|| {
                planes.upload(queue, &frame);
                // What was written is handed to the device with the next submission.
                queue.submit([]);
                wait();
            });
        });
        let placement = place(size, Area::whole(window), window, Fit::Cover, Rotation::None, false);
        planes.aim(queue, &placement, Finish::PLAIN, painter.is_software());
        painter.prepare(device, &planes);
        group.bench_function(format!("draw {size} into 1280x720"), |bencher| {
            bencher.iter(|| {
                let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
                let scene = Scene { picture: Some((&planes, placement.area)), ..Scene::default() };
                painter.draw(&mut encoder, &view, window, &scene);
                queue.submit([encoder.finish()]);
                wait();
            });
        });
        group.finish();
    }
}

#[cfg(not(feature = "kiosk"))]
fn upload(_: &mut Criterion) {
    let _ = Throughput::Bytes(0);
    println!("skipped: built without the kiosk feature");
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    upload(&mut criterion);
    criterion.final_summary();
}
