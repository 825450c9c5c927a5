//! Measures which size and frame rate look best at which bitrate: what the steps of the ladder (`codec::encode`) are derived from.
//!
//! `SCREEN_PORTAL_CLIP=clip.y4m cargo run --release --no-default-features --example ladder_measure -- [fps,…] [kb/s …]`
//!
//! Each row encodes the clip at a share of its size and rate, decodes it, enlarges it to full size (bilinear, as a display does)
//! and compares luma with the original. "SSIM" is that of the pictures encoded, "moving" that of what is on the screen at the
//! times of all pictures of the clip, where a picture that was left out shows the one before. The first second is passed over.

#[path = "../benches/film/mod.rs"]
mod film;
#[allow(dead_code)]
#[path = "measure/ssim.rs"]
mod ssim;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use film::Film;
use screen_portal::codec::decode::Decoder;
use screen_portal::codec::encode::{Config, Encoder};
use screen_portal::media::scale::{Fit, Scaler};
use screen_portal::media::{Exhausted, Format, Frame, Plane, Pool, Size};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Pictures a second of the clip.
const FPS: u32 = 30;
const SECONDS: u32 = 4;
/// Shares of the side of the picture.
const SHARES: [(u32, u32); 7] = [(1, 1), (3, 4), (2, 3), (1, 2), (3, 8), (1, 3), (1, 4)];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rates = arguments.next().unwrap_or_else(|| "30".into());
    let rates: Vec<u32> = rates.split(',').map(|fps| fps.parse().expect("frame rates are whole numbers")).collect();
    let mut kbps: Vec<u32> = arguments.map(|text| text.parse().expect("bitrates are whole numbers")).collect();
    if kbps.is_empty() {
        kbps.extend([100, 200, 300, 500, 800, 1200, 1800, 2500, 3500, 4500]);
    }
    let film = Film::load(Size::new(1280, 720), (FPS * SECONDS) as usize);
    println!("{}\n", film.name);
    println!(
        "| kb/s | size | fps | held kb/s | bits per pixel | quantiser | left out | first, bytes | SSIM | moving | PSNR |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for kbps in kbps {
        for &fps in &rates {
            for (share, of) in SHARES {
                let full = film.pictures[0].format.size;
                let even = |side: u32| (side * share / of + 1) & !1;
                row(&film, kbps * 1000, Size::new(even(full.width), even(full.height)), fps);
            }
        }
    }
}

fn row(film: &Film, bitrate_bps: u32, size: Size, fps: u32) {
    let full = film.pictures[0].format.size;
    let config = Config { bitrate_bps, ..Config::default() };
    let mut encoder = Encoder::new(config, size, fps as f32).expect("the size is usual");
    let (mut decoder, mut pool, mut small) = (Decoder::new(), Pool::new(2), Pool::new(2));
    let mut scaler = Scaler::new(Fit { from: full, left: 0, top: 0, part: full, to: size });
    let (mut enlarge, mut shown, mut resizer) = (vec![0; full.pixels()], None::<Arc<Frame>>, Resizer::new());
    let (mut first, mut bytes, mut left_out, mut coded) = (0, 0, 0, 0);
    let mut quantisers = Vec::new();
    let (mut of_coded, mut moving, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let start = Instant::now();
    for n in 0..FPS * SECONDS {
        let original = film.picture(n as usize);
        let settled = n >= FPS;
        let mut fresh = false;
        if n * fps % FPS < fps {
            coded += u32::from(settled);
            let captured = Some(start + Duration::from_secs_f64(f64::from(n) / f64::from(FPS)));
            let fill = |frame: &mut Frame| {
                if size == full {
                    frame.data_mut().copy_from_slice(original.data());
                } else {
                    scaler.scale(original.data(), frame.data_mut()).expect("the buffers fit");
                }
                (frame.number, frame.captured) = (original.number, captured);
                Ok::<_, Exhausted>(())
            };
            let format = Format { size, ..original.format };
            let (picture, ()) = small.fill(format, fill).expect("nobody keeps pictures");
            match encoder.encode(&picture, false).expect("the picture is whole") {
                None => left_out += u32::from(settled),
                Some(unit) => {
                    if n == 0 {
                        first = unit.data.len();
                    }
                    if settled {
                        bytes += unit.data.len();
                        quantisers.extend(encoder.quantiser().map(f64::from));
                    }
                    shown = decoder.decode(&unit, &mut pool).expect("the stream is whole");
                    fresh = true;
                }
            }
        }
        // A comparison takes longer than encoding: every other picture will do.
        if !settled || (!fresh && n % 2 == 1) || (fps == FPS && n % 3 > 0) {
            continue;
        }
        if let Some(shown) = &shown {
            let from = ImageRef::new(size.width, size.height, shown.plane(Plane::Y), PixelType::U8).expect("a plane");
            let mut to = Image::from_slice_u8(full.width, full.height, &mut enlarge, PixelType::U8).expect("a plane");
            let bilinear = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
            resizer.resize(&from, &mut to, &bilinear).expect("the sizes are usual");
            let likeness = ssim::ssim(original.plane(Plane::Y), &enlarge, full.width as usize, 0);
            moving.push(likeness);
            if fresh {
                of_coded.push(likeness);
                let square = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b)).powi(2);
                errors.push(
                    original.plane(Plane::Y).iter().zip(&enlarge).map(square).sum::<f64>() / full.pixels() as f64,
                );
            }
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let seconds = f64::from(SECONDS - 1);
    let held = bytes as f64 * 8.0 / seconds;
    println!(
        "| {} | {size} | {fps} | {:.0} | {:.4} | {:.1} | {left_out} of {coded} | {first} | {:.4} | {:.4} | {:.2} |",
        bitrate_bps / 1000,
        held / 1e3,
        f64::from(bitrate_bps) / (f64::from(fps) * size.pixels() as f64),
        mean(&quantisers),
        mean(&of_coded),
        mean(&moving),
        10.0 * (255.0 * 255.0 / mean(&errors)).log10(),
    );
}
