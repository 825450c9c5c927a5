//! What it costs to make a camera's picture an I420 one, and a larger picture a smaller one.
//!
//! `cargo bench --no-default-features --bench convert`.

mod film;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use film::Film;
use screen_portal::media::convert::{Raw, nv12, yuyv};
use screen_portal::media::jpeg::Jpeg;
use screen_portal::media::scale::{Fit, Scaler};
use screen_portal::media::{Plane, Size};

const SIZES: [Size; 2] = [Size::new(1280, 720), Size::new(1920, 1080)];

fn convert(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("convert");
    for size in SIZES {
        let film = Film::painted(size, 2);
        let picture = &film.pictures[0];
        let mut out = vec![0; size.pixels() * 3 / 2];
        let (luma, u, v) = (picture.plane(Plane::Y), picture.plane(Plane::U), picture.plane(Plane::V));

        let half = size.width as usize / 2;
        let packed: Vec<u8> = (0..size.pixels() / 2)
            .flat_map(|pair| {
                let chroma = pair / half / 2 * half + pair % half;
                [luma[2 * pair], u[chroma], luma[2 * pair + 1], v[chroma]]
            })
            .collect();
        let mut scratch = Vec::new();
        let raw = Raw { data: &packed, size, stride: 2 * size.width as usize };
        group.bench_function(BenchmarkId::new("YUYV", size), |bencher| {
            bencher.iter(|| yuyv(raw, &mut scratch, &mut out).expect("the picture is whole"));
        });

        let mut interleaved = luma.to_vec();
        interleaved.extend(u.iter().zip(v).flat_map(|(u, v)| [*u, *v]));
        let raw = Raw { data: &interleaved, size, stride: size.width as usize };
        group.bench_function(BenchmarkId::new("NV12", size), |bencher| {
            bencher.iter(|| nv12(raw, &mut out).expect("the picture is whole"));
        });

        let image = turbojpeg::YuvImage {
            pixels: picture.data(),
            width: size.width as usize,
            align: 1,
            height: size.height as usize,
            subsamp: turbojpeg::Subsamp::Sub2x2,
        };
        let compressed = turbojpeg::compress_yuv(image, 85).expect("the picture can be compressed");
        let mut jpeg = Jpeg::new().expect("there is memory for a decompressor");
        group.bench_function(BenchmarkId::new("MJPEG", size), |bencher| {
            bencher.iter(|| jpeg.decode(&compressed, size, &mut out).expect("the picture is whole"));
        });
    }
    let (from, to) = (Film::painted(SIZES[1], 2), SIZES[0]);
    let (mut scaler, mut out) = (Scaler::new(Fit::new(SIZES[1], to)), vec![0; to.pixels() * 3 / 2]);
    group.bench_function(format!("scale {} to {to}", SIZES[1]), |bencher| {
        bencher.iter(|| scaler.scale(from.pictures[0].data(), &mut out).expect("the buffers fit"));
    });
    group.finish();
}

criterion_group!(benches, convert);
criterion_main!(benches);
