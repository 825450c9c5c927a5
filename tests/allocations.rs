//! The path of a picture through our own code allocates nothing once it runs: source, mailbox, encoder, decoder, figures.
//!
//! Every allocation that Rust code of this process makes is counted. What the WebRTC library and Bevy allocate inside is not ours to
//! promise, so neither is part of this path; openh264 allocates in C, and only when the size of the picture changes.

use screen_portal::capture::lens::{Lens, Veil};
use screen_portal::capture::{Pattern, Source};
use screen_portal::codec::{decode, encode};
use screen_portal::media::{Pool, Size, TimeCode, mailbox};
use screen_portal::ops::Figures;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: our caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: our caller keeps the contract of `dealloc`; the memory came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        // SAFETY: our caller keeps the contract of `realloc`; the memory came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_picture_travels_without_allocating() {
    const WARM_UP: u64 = 60;
    const COUNTED: u64 = 120;
    let size = Size::new(640, 360);
    let mut source = Pattern::new(size, 240, "Here");
    let mut encoder = encode::Encoder::new(encode::Config::default(), size, 30.0).unwrap();
    let mut decoder = decode::Decoder::new();
    let (mut captured, mut decoded) = (Pool::new(4), Pool::new(4));
    let (to_encoder, from_source) = mailbox::mailbox();
    let (to_display, from_decoder) = mailbox::mailbox();
    let figures = Figures::default();
    let (mut lens, mut veil) = (Lens::default(), Veil::default());
    let (mut before, mut presented) = (0, 0);
    for n in 0..WARM_UP + COUNTED {
        if n == WARM_UP {
            before = ALLOCATIONS.load(Relaxed);
            presented = 0;
        }
        let frame = source.next_frame(&mut captured).unwrap();
        lens.is_covered(&frame, Instant::now());
        // Blurred each time, as while the lens is covered.
        let frame = captured.amend(frame, |frame| veil.draw(frame)).unwrap();
        let frame = captured.amend(frame, |frame| TimeCode::now(frame.number).draw(frame)).unwrap();
        to_encoder.put(frame);
        let frame = from_source.take().unwrap();
        let Some(unit) = encoder.encode(&frame, false).unwrap() else { continue };
        let Some(picture) = decoder.decode(&unit, &mut decoded).unwrap() else { continue };
        to_display.put(picture);
        let picture = from_decoder.take().unwrap();
        figures.presented(picture.captured, Instant::now());
        presented += 1;
    }
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    println!("{allocations} allocations for {presented} pictures");
    assert!(presented > COUNTED * 9 / 10, "only {presented} pictures came through");
    // One allocation per picture would be 120. A handful: chunks of the encoder's memory, made when pictures grow.
    assert!(allocations < COUNTED / 20, "{allocations} allocations for {presented} pictures");
}
