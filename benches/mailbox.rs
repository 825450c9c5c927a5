//! What it costs to hand a picture over, and how long it takes to reach a thread that waits for it.
//!
//! `cargo bench --no-default-features --bench mailbox`.

use criterion::{Criterion, criterion_group, criterion_main};
use screen_portal::media::mailbox::mailbox;
use std::sync::Arc;
use std::time::Duration;

fn handover(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mailbox");
    let picture = Arc::new([0u8; 64]);

    let (sender, receiver) = mailbox();
    group.bench_function("put and take", |bencher| {
        bencher.iter(|| {
            sender.put(Arc::clone(&picture));
            receiver.take()
        });
    });
    group.bench_function("put over an unread one", |bencher| bencher.iter(|| sender.put(Arc::clone(&picture))));

    // There and back, with both threads asleep in between: two wakings.
    let ((there, echo_in), (echo_out, back)) = (mailbox::<Arc<[u8; 64]>>(), mailbox());
    let echo = std::thread::spawn(move || {
        while let Ok(letter) = echo_in.wait(Duration::from_secs(1)) {
            if let Some(letter) = letter {
                echo_out.put(letter);
            }
        }
    });
    group.bench_function("to another thread and back", |bencher| {
        bencher.iter(|| {
            there.put(Arc::clone(&picture));
            back.wait(Duration::from_secs(1)).expect("the other thread lives")
        });
    });
    drop(there);
    echo.join().expect("the other thread has ended");
    group.finish();
}

criterion_group!(benches, handover);
criterion_main!(benches);
