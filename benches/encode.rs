//! What it costs to encode one picture, at the settings that the program uses.
//!
//! `cargo bench --no-default-features --bench encode`; `SCREEN_PORTAL_CLIP=clip.y4m` measures on a clip.

mod film;

use criterion::{Criterion, criterion_group, criterion_main};
use film::Film;
use screen_portal::codec::encode::{Config, Encoder};
use screen_portal::media::Size;

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for (size, bitrate_bps) in [(Size::new(1280, 720), 2_500_000), (Size::new(1920, 1080), 4_500_000)] {
        let film = Film::load(size, 60);
        let size = film.pictures[0].format.size;
        let mut encoder =
            Encoder::new(Config { bitrate_bps, ..Config::default() }, size, 30.0).expect("the size is usual");
        let mut n = 0;
        // The first second is the rate control's to find its way.
        let mut next = || {
            n += 1;
            encoder.encode(film.picture(n), false).expect("the picture is whole").map(|unit| unit.data.len())
        };
        for _ in 0..30 {
            next();
        }
        group.bench_function(format!("{size} at {} kb/s", bitrate_bps / 1000), |bencher| bencher.iter(&mut next));
    }
    group.finish();
}

criterion_group!(benches, encode);
criterion_main!(benches);
