//! What it costs to decode one picture, copy into its buffer included.
//!
//! `cargo bench --no-default-features --bench decode`; `SCREEN_PORTAL_CLIP=clip.y4m` measures on a clip.

mod film;

use criterion::{Criterion, criterion_group, criterion_main};
use film::Film;
use screen_portal::codec::AccessUnit;
use screen_portal::codec::decode::Decoder;
use screen_portal::codec::encode::{Config, Encoder};
use screen_portal::media::{Pool, Size};

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for (size, bitrate_bps) in [(Size::new(1280, 720), 2_500_000), (Size::new(1920, 1080), 4_500_000)] {
        let film = Film::load(size, 60);
        let size = film.pictures[0].format.size;
        let mut encoder =
            Encoder::new(Config { bitrate_bps, ..Config::default() }, size, 30.0).expect("the size is usual");
        let encode = |n| encoder.encode(film.picture(n), false).expect("the picture is whole");
        // Ten seconds that begin with their only keyframe, so that going round costs one keyframe in 300.
        let units: Vec<AccessUnit> = (0..300).filter_map(encode).collect();
        let (mut decoder, mut pool, mut n) = (Decoder::new(), Pool::new(2), 0);
        group.bench_function(format!("{size} at {} kb/s", bitrate_bps / 1000), |bencher| {
            bencher.iter(|| {
                let unit = &units[n % units.len()];
                n += 1;
                decoder.decode(unit, &mut pool).expect("the stream is whole").is_some()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
