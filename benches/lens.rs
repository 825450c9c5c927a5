//! What looking at the lens costs each picture, and what blurring costs.
//!
//! `cargo bench --no-default-features --bench lens`.

mod film;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use film::Film;
use screen_portal::capture::lens::{Lens, Veil};
use screen_portal::media::{Pool, Size};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn lens(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("lens");
    for size in [Size::new(1280, 720), Size::new(1920, 1080)] {
        let film = Film::painted(size, 8);
        let (mut lens, start, mut n) = (Lens::default(), Instant::now(), 0);
        group.bench_function(BenchmarkId::new("look", size), |bencher| {
            bencher.iter(|| {
                n += 1;
                lens.is_covered(film.picture(n), start + Duration::from_millis(33 * n as u64))
            });
        });
        let (mut veil, mut pool) = (Veil::default(), Pool::new(2));
        group.bench_function(BenchmarkId::new("copy and blur", size), |bencher| {
            bencher.iter(|| pool.amend(Arc::clone(film.picture(0)), |frame| veil.draw(frame)).map(drop));
        });
    }
    group.finish();
}

criterion_group!(benches, lens);
criterion_main!(benches);
