//! The two threads, run against each other.

use super::moving::Moving;
use super::{AccessUnit, decode, encode};
use crate::media::{Frame, Size, Waker, mailbox};
use crate::ops::{Figures, SizeReason};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(10);

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

struct Bench {
    figures: Arc<Figures>,
    control: Arc<encode::Control>,
    frames: mailbox::Sender<Arc<Frame>>,
    units: mpsc::Receiver<AccessUnit>,
    source: Moving,
    worker: encode::Worker,
}

fn bench(queue: usize) -> Bench {
    bench_of(queue, Size::new(320, 180))
}

fn bench_of(queue: usize, size: Size) -> Bench {
    let (config, figures) = (encode::Config::default(), Arc::new(Figures::default()));
    let control = Arc::new(encode::Control::new(&config));
    let (frames, receiver) = mailbox::mailbox();
    let (output, units) = mpsc::channel(queue);
    let worker = encode::start(config, receiver, output, control.clone(), figures.clone()).unwrap();
    Bench { figures, control, frames, units, source: Moving::new(size.width, size.height), worker }
}

impl Bench {
    /// Gives the thread a picture and waits until it has taken it.
    fn feed(&mut self) {
        let picture = self.source.next();
        let before = self.done();
        self.frames.put(picture);
        wait_for("the encoder", || self.done() > before);
    }

    fn done(&self) -> u64 {
        let outgoing = &self.figures.outgoing;
        outgoing.encoded.get() + outgoing.dropped_before_send.get() + outgoing.skipped_by_rate_control.get()
    }

    /// The same where the thread may pass over pictures, because fewer are wanted than come.
    fn feed_slowly(&mut self) {
        let (before, begin) = (self.done(), Instant::now());
        while self.done() == before && begin.elapsed() < PATIENCE {
            self.frames.put(self.source.next());
            std::thread::sleep(Duration::from_millis(70));
        }
    }
}

#[test]
fn nothing_is_encoded_until_wanted_and_then_a_keyframe_comes_first() {
    let mut bench = bench(8);
    bench.frames.put(bench.source.next());
    std::thread::sleep(Duration::from_millis(30));
    assert!(bench.units.try_recv().is_err());
    for _ in 0..2 {
        bench.control.set_active(true);
        bench.feed();
        bench.feed();
        assert!(bench.units.try_recv().unwrap().keyframe);
        assert!(!bench.units.try_recv().unwrap().keyframe);
        bench.control.set_active(false);
        bench.frames.put(bench.source.next());
        std::thread::sleep(Duration::from_millis(30));
    }
    assert_eq!(bench.figures.outgoing.keyframes.get(), 2);
    assert!(bench.figures.encode_time.quantiles(Instant::now()).count >= 4);
    assert_eq!(bench.figures.outgoing.target_bps.get(), 2_500_000);
    let begin = Instant::now();
    drop(bench.worker);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn keyframe_requests_are_answered_soon_but_not_in_a_burst() {
    let mut bench = bench(64);
    bench.control.set_active(true);
    let begin = Instant::now();
    bench.feed();
    for _ in 0..5 {
        bench.control.request_keyframe();
        bench.feed();
    }
    // As many as there are quarters of a second, which on an idle machine is none.
    let fit = begin.elapsed().as_millis() / 250;
    assert!(u128::from(bench.figures.outgoing.keyframes.get()) <= 1 + fit);
    std::thread::sleep(encode_spacing());
    bench.feed();
    bench.feed();
    let made = u128::from(bench.figures.outgoing.keyframes.get());
    assert!((2..=2 + fit).contains(&made), "{made} keyframes");
}

#[test]
fn a_full_queue_costs_pictures_but_never_the_stream() {
    let mut bench = bench(2);
    bench.control.set_active(true);
    for _ in 0..6 {
        bench.feed();
    }
    assert_eq!(bench.figures.outgoing.dropped_before_send.get(), 4);
    let mut decoder = decode::Decoder::new();
    let mut pool = crate::media::Pool::new(2);
    let mut shown = 0;
    for _ in 0..4 {
        while let Ok(unit) = bench.units.try_recv() {
            shown += usize::from(decoder.decode(&unit, &mut pool).unwrap().is_some());
        }
        bench.feed();
    }
    assert_eq!((shown, bench.figures.outgoing.keyframes.get()), (5, 1));
}

#[test]
fn the_decode_thread_shows_the_newest_and_asks_when_the_stream_is_broken() {
    let mut bench = bench(64);
    bench.control.set_active(true);
    let (sender, receiver) = crossbeam_channel::bounded(8);
    let (remote, shown) = mailbox::mailbox();
    let (asked, woken) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let waker = Waker::new();
    let count = |counter: &Arc<AtomicU32>| {
        let counter = Arc::clone(counter);
        move || {
            counter.fetch_add(1, Relaxed);
        }
    };
    waker.connect(count(&woken));
    let figures = Arc::new(Figures::default());
    let worker = decode::start(receiver, remote, Box::new(count(&asked)), waker, figures.clone(), true).unwrap();
    let mut units = Vec::new();
    for n in 0..6 {
        if n == 4 {
            std::thread::sleep(encode_spacing());
            bench.control.request_keyframe();
        }
        bench.feed();
        units.push(bench.units.try_recv().unwrap());
    }
    // Begins in the middle: nothing but one question.
    sender.send(units[1].clone()).unwrap();
    wait_for("the question", || asked.load(Relaxed) == 1);
    // A whole stream, then a gap, then a keyframe.
    for n in [0, 1, 3, 4, 5] {
        sender.send(units[n].clone()).unwrap();
    }
    wait_for("the pictures", || figures.incoming.decoded.get() == 4);
    assert_eq!((asked.load(Relaxed), figures.incoming.decode_errors.get()), (2, 1));
    assert_eq!((figures.incoming.presented.get(), woken.load(Relaxed)), (4, 4));
    assert_eq!(shown.take().map(|frame| frame.number), Some(6));
    assert_eq!(figures.incoming.width.get(), 320);
    // The sender is still there: dropping the worker ends it all the same.
    let begin = Instant::now();
    drop(worker);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[test]
fn the_size_follows_the_bitrate_and_no_picture_is_lost_on_the_way() {
    let (full, mut bench) = (Size::new(1280, 720), bench_of(256, Size::new(1280, 720)));
    bench.control.set_active(true);
    let size = |figures: &Figures| Size::new(figures.outgoing.width.get() as u32, figures.outgoing.height.get() as u32);
    (0..10).for_each(|_| bench.feed());
    assert_eq!((size(&bench.figures), bench.figures.outgoing.size_changes.get()), (full, 0));
    assert_eq!(SizeReason::from_code(bench.figures.outgoing.size_reason.get()), Some(SizeReason::Full));
    std::thread::sleep(Duration::from_millis(900));
    // Much too little. How soon the size follows is the ladder's own test.
    bench.control.set_target_bps(60_000);
    let begin = Instant::now();
    while size(&bench.figures) == full && begin.elapsed() < PATIENCE {
        bench.feed_slowly();
    }
    let small = size(&bench.figures);
    assert!(small.pixels() < full.pixels(), "{small}");
    assert_ne!(bench.figures.outgoing.size_reason.get(), SizeReason::Full.code());
    (0..5).for_each(|_| bench.feed_slowly());
    std::thread::sleep(Duration::from_millis(900));
    // And back with a keyframe that is asked for.
    bench.control.set_target_bps(2_500_000);
    bench.control.request_keyframe();
    let begin = Instant::now();
    while size(&bench.figures) == small && begin.elapsed() < PATIENCE {
        bench.feed_slowly();
    }
    (0..5).for_each(|_| bench.feed_slowly());
    let large = size(&bench.figures);
    assert!(large.pixels() > small.pixels() && bench.figures.outgoing.size_changes.get() >= 2, "{large}");

    // The far end sees every one of them.
    let units: Vec<AccessUnit> = std::iter::from_fn(|| bench.units.try_recv().ok()).collect();
    assert_eq!(units.len() as u64, bench.figures.outgoing.encoded.get());
    let (sender, receiver) = crossbeam_channel::bounded(256);
    let (remote, _shown) = mailbox::mailbox();
    let figures = Arc::new(Figures::default());
    let no_question = Box::new(|| panic!("the stream is whole"));
    let worker = decode::start(receiver, remote, no_question, Waker::new(), figures.clone(), true).unwrap();
    // Without their age: by now they are too old to be shown.
    units.iter().for_each(|unit| sender.send(AccessUnit { captured: None, ..unit.clone() }).unwrap());
    wait_for("the pictures", || figures.incoming.presented.get() == units.len() as u64);
    assert_eq!((figures.incoming.decode_errors.get(), figures.incoming.width.get()), (0, large.width.into()));
    assert!(units.iter().filter(|unit| unit.keyframe).count() >= 3);
    drop(worker);
}

fn encode_spacing() -> Duration {
    Duration::from_millis(260)
}

/// The number of each picture's place in the stream.
fn numbers(units: &[AccessUnit]) -> Vec<u32> {
    units.iter().map(|unit| unit.dependency.unwrap().number).collect()
}

#[test]
fn another_encoder_takes_over_with_a_keyframe_and_counts_on() {
    let mut bench = bench(64);
    bench.control.set_active(true);
    for _ in 0..3 {
        bench.feed();
    }
    bench.worker.renew().unwrap();
    // The old thread, which only waits here, would take a picture with it.
    std::thread::sleep(Duration::from_millis(100));
    for _ in 0..3 {
        bench.feed();
    }
    let units: Vec<AccessUnit> = std::iter::from_fn(|| bench.units.try_recv().ok()).collect();
    assert!(units.len() >= 5, "{}", units.len());
    assert!(numbers(&units).windows(2).all(|pair| pair[1] == pair[0] + 1), "{:?}", numbers(&units));
    assert_eq!(units.iter().filter(|unit| unit.keyframe).count(), 2);
    assert!(bench.figures.pulse.encode.get() > 0);
}

#[test]
fn another_decoder_takes_over_and_asks_for_a_keyframe() {
    let mut bench = bench(64);
    bench.control.set_active(true);
    let (sender, receiver) = crossbeam_channel::bounded(64);
    let (remote, _shown) = mailbox::mailbox();
    let (figures, asked) = (Arc::new(Figures::default()), Arc::new(AtomicU32::new(0)));
    let on_damage = {
        let asked = Arc::clone(&asked);
        Box::new(move || {
            asked.fetch_add(1, Relaxed);
        })
    };
    let worker = decode::start(receiver, remote, on_damage, Waker::new(), figures.clone(), true).unwrap();
    let send = |bench: &mut Bench| {
        bench.feed();
        let unit = bench.units.try_recv().unwrap();
        sender.send(AccessUnit { captured: None, ..unit }).unwrap();
    };
    send(&mut bench);
    wait_for("the first picture", || figures.incoming.decoded.get() == 1);
    worker.renew().unwrap();
    // The old thread may still take one.
    send(&mut bench);
    send(&mut bench);
    wait_for("the question", || asked.load(Relaxed) > 0);
    bench.control.request_keyframe();
    std::thread::sleep(encode_spacing());
    send(&mut bench);
    wait_for("the picture of the new one", || figures.incoming.decoded.get() >= 2);
}
