//! Measures encoder and decoder on a clip: bitrate held, likeness, time and processor time per picture, as a table.
//!
//! `SCREEN_PORTAL_CLIP=clip.y4m cargo run --release --no-default-features --example codec_measure -- [seconds] [kb/s ...]`
//!
//! Each row encodes the clip, forth and back, with one setting: first all of it (as fast as it goes), then decodes all of it,
//! then compares. `1 s` is the range of the bitrates of single seconds behind the first, `keyframe` the bytes of the first
//! picture, `largest` those of the largest other one.

#[path = "../benches/film/mod.rs"]
mod film;
#[allow(dead_code)]
#[path = "measure/ssim.rs"]
mod ssim;

use film::Film;
use screen_portal::codec::AccessUnit;
use screen_portal::codec::decode::Decoder;
use screen_portal::codec::encode::{Complexity, Config, Encoder};
use screen_portal::media::{Plane, Pool, Size};
use screen_portal::ops::process_usage;
use std::time::{Duration, Instant};

const FPS: usize = 30;

fn main() {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>().expect("arguments are whole numbers"));
    let seconds = numbers.next().unwrap_or(20) as usize;
    let mut rates: Vec<u32> = numbers.map(|kbps| kbps * 1000).collect();
    if rates.is_empty() {
        rates.push(2_500_000);
    }
    let film = Film::load(Size::new(1280, 720), 200);
    println!("{}, {seconds} s at {FPS} pictures a second\n", film.name);
    println!(
        "| kb/s | complexity | threads | held | 1 s | keyframe | largest | left out | SSIM (least) | \
         encode p50 / p95 / CPU ms | decode p50 / p95 / CPU ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for bitrate_bps in rates {
        let settings = [(Complexity::Low, 1), (Complexity::Low, 2), (Complexity::Medium, 1), (Complexity::High, 1)];
        for (complexity, threads) in settings {
            row(&film, seconds * FPS, Config { bitrate_bps, complexity, threads });
        }
    }
    println!();
    change(&film);
}

/// Times of single pictures, and the processor time of all.
struct Cost {
    ms: Vec<f64>,
    cpu: Duration,
}

impl Cost {
    /// Runs `work` for each number and notes what it costs.
    fn of(count: usize, mut work: impl FnMut(usize)) -> Self {
        let (mut ms, before) = (Vec::with_capacity(count), process_usage().cpu);
        for n in 0..count {
            let begin = Instant::now();
            work(n);
            ms.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        Self { ms, cpu: process_usage().cpu - before }
    }
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = self.ms.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| sorted[((sorted.len() - 1) as f64 * share) as usize];
        let cpu_ms = self.cpu.as_secs_f64() * 1e3 / sorted.len() as f64;
        write!(f, "{:.2} / {:.2} / {cpu_ms:.2}", quantile(0.5), quantile(0.95))
    }
}

fn row(film: &Film, count: usize, config: Config) {
    let Config { bitrate_bps, complexity, threads } = config;
    let mut encoder = Encoder::new(config, film.pictures[0].format.size, FPS as f32).expect("the size is usual");
    let mut units: Vec<Option<AccessUnit>> = Vec::with_capacity(count);
    let encoding =
        Cost::of(count, |n| units.push(encoder.encode(film.picture(n), false).expect("the picture is whole")));

    let (mut decoder, mut pool) = (Decoder::new(), Pool::new(2));
    let decoding = Cost::of(count, |n| {
        if let Some(unit) = &units[n] {
            decoder.decode(unit, &mut pool).expect("the stream is whole");
        }
    });

    // What is seen where a picture was left out is the one before.
    let (mut decoder, mut shown, mut likeness) = (Decoder::new(), None, Vec::with_capacity(count));
    for (n, unit) in units.iter().enumerate() {
        if let Some(unit) = unit {
            shown = decoder.decode(unit, &mut pool).expect("the stream is whole");
        }
        let (was, is) = (film.picture(n), shown.as_ref().expect("the first is a keyframe"));
        likeness.push(ssim::ssim(was.plane(Plane::Y), is.plane(Plane::Y), was.format.size.width as usize, 0));
    }
    let least = likeness.iter().copied().fold(1.0, f64::min);
    let mean = likeness.iter().sum::<f64>() / count as f64;

    let bytes: Vec<usize> = units.iter().map(|unit| unit.as_ref().map_or(0, |unit| unit.data.len())).collect();
    let kbps = |bytes: &[usize]| bytes.iter().sum::<usize>() as f64 * 8.0 * FPS as f64 / bytes.len() as f64 / 1e3;
    let each: Vec<f64> = bytes.chunks_exact(FPS).skip(1).map(kbps).collect();
    let (lowest, highest) = each.iter().fold((f64::MAX, 0.0f64), |(low, high), &rate| (low.min(rate), high.max(rate)));
    let left_out = units.iter().filter(|unit| unit.is_none()).count();
    println!(
        "| {} | {complexity:?} | {threads} | {:.0} | {lowest:.0}–{highest:.0} | {} | {} | {left_out} | {mean:.4} ({least:.4}) | \
         {encoding} | {decoding} |",
        bitrate_bps / 1000,
        kbps(&bytes),
        bytes[0],
        bytes[1..].iter().max().copied().unwrap_or(0),
    );
}

/// The bitrate of each second while the target changes.
fn change(film: &Film) {
    let mut encoder =
        Encoder::new(Config::default(), film.pictures[0].format.size, FPS as f32).expect("the size is usual");
    let mut n = 0;
    print!("target changed while running, kb/s of each second:");
    for target in [2_500_000, 800_000, 2_500_000, 300_000, 2_500_000] {
        encoder.set_bitrate(target);
        print!(" [{}]", target / 1000);
        for _ in 0..5 {
            let mut bytes = 0;
            for _ in 0..FPS {
                n += 1;
                let unit = encoder.encode(film.picture(n), false).expect("the picture is whole");
                bytes += unit.map_or(0, |unit| unit.data.len());
            }
            print!(" {:.0}", bytes as f64 * 8.0 / 1e3);
        }
    }
    println!();
}
