//! Camera and encoder, emulated: 30 pictures a second whose sizes follow the target, keyframes when they are asked for.
//!
//! What is in a picture is a number, the number of the picture that it refers to, where it is kept as a long-term reference, when it
//! was taken, and filling that depends on the number. So the screen can tell a damaged picture and one that refers to a picture that
//! was never shown, or is kept no more. Which long-term reference is confirmed, the real `encode::references` says.

use super::random::Random;
use crate::codec::Dependency;
use crate::codec::encode::KeyframeSpacing;
use crate::codec::encode::references::References;
use crate::codec::slice::Slice;
use bytes::{BufMut, Bytes, BytesMut};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What the link wants of the encoder; as `codec::encode::Control`, from any thread.
#[derive(Debug, Default)]
pub struct Wishes {
    pub target_bps: AtomicU32,
    pub keyframe: AtomicBool,
    pub recovery: AtomicBool,
    /// 0: nothing was said.
    pub far_end_has: AtomicU32,
}

/// Camera's rate, in pictures a second.
pub const FPS: u32 = 30;
/// Capture, conversion and encoding of one picture.
pub const ENCODING: Duration = Duration::from_millis(8);
/// A keyframe is so many times as large as other pictures at the same target, as openh264's rate control makes them.
const KEYFRAME: f64 = 4.0;
/// A picture that refers to a long-term reference is so many times as large (`docs/measurements/codec.md`).
const RECOVERY: f64 = 1.2;
/// openh264 marks a picture as long-term reference when it has heard of the last one, and so many pictures after that one.
const MARK_PERIOD: u64 = 16;
/// What a picture cannot be made smaller than, in bytes: a keyframe and any other.
const LEAST: (f64, f64) = (9_000.0, 400.0);
/// Sizes vary by this share both ways.
const VARIATION: f64 = 0.35;
/// With more than this ahead of the target, in seconds, the rate control leaves pictures out.
const SKIP_S: f64 = 0.4;
/// What was spent too much is saved again within this time.
const REPAY_S: f64 = 0.5;

/// An encoded picture.
#[derive(Clone, Debug)]
pub struct Picture {
    pub data: Bytes,
    pub keyframe: bool,
    pub captured: Instant,
    pub dependency: Dependency,
}

/// A long-term reference, as openh264 keeps it: in one of two places, numbered from 1.
#[derive(Clone, Copy, Debug, Default)]
struct Kept {
    place: u64,
    number: u64,
}

pub struct Encoder {
    random: Random,
    base: Instant,
    spacing: KeyframeSpacing,
    ceiling_bps: f64,
    /// Tells the pictures of one run of a portal from those of the next.
    run: u64,
    number: u64,
    was_active: bool,
    /// Bytes made beyond what the target allows.
    ahead: f64,
    references: References,
    confirmed: Kept,
    /// Not known whether the far end has it.
    marked: Option<Kept>,
    last_marked: u64,
    pub made: u64,
    pub keyframes: u64,
    pub recoveries: u64,
    pub skipped: u64,
}

impl Encoder {
    /// `base` is what times are counted from.
    pub fn new(random: Random, ceiling_bps: f64, base: Instant) -> Self {
        let mut random = random;
        let run = random.word() & 0xffff_ffff;
        Self {
            random,
            base,
            spacing: KeyframeSpacing::default(),
            ceiling_bps,
            run,
            number: 0,
            was_active: false,
            ahead: 0.0,
            references: References::default(),
            confirmed: Kept::default(),
            marked: None,
            last_marked: 0,
            made: 0,
            keyframes: 0,
            recoveries: 0,
            skipped: 0,
        }
    }

    /// The clock has stood still for so long.
    pub fn shift(&mut self, time: Duration) {
        self.base -= time;
    }

    /// A picture was taken `now`; to be called [`FPS`] times a second. `None` while nobody wants pictures, or when the rate
    /// control leaves it out.
    pub fn capture(&mut self, active: bool, wishes: &Wishes, now: Instant) -> Option<Picture> {
        if !active {
            self.was_active = false;
            return None;
        }
        let target_bps = f64::from(wishes.target_bps.load(Relaxed)).clamp(64_000.0, self.ceiling_bps);
        let mean = target_bps / 8.0 / f64::from(FPS);
        self.ahead = (self.ahead - mean).max(-mean);
        self.references.far_end_has(wishes.far_end_has.load(Relaxed));
        if wishes.recovery.swap(false, Relaxed) && !self.references.recover() {
            wishes.keyframe.store(true, Relaxed);
        }
        let wanted = wishes.keyframe.load(Relaxed) && self.spacing.allows(now);
        let keyframe = wanted || !self.was_active;
        if !keyframe && self.ahead > SKIP_S * target_bps / 8.0 {
            self.skipped += 1;
            return None;
        }
        self.number += 1;
        let (reference, place) = if keyframe { self.begin() } else { self.refer() };
        let recovers = !keyframe && reference + 1 < self.number;
        let bytes = if keyframe {
            wishes.keyframe.store(false, Relaxed);
            self.spacing.made(now);
            self.keyframes += 1;
            (mean * KEYFRAME).max(LEAST.0)
        } else if recovers {
            self.recoveries += 1;
            (mean * RECOVERY).max(LEAST.1)
        } else {
            (mean - self.ahead.max(0.0) / REPAY_S / f64::from(FPS)).max(0.3 * mean).max(LEAST.1)
        };
        let bytes = bytes * self.random.within(1.0 - VARIATION, 1.0 + VARIATION);
        self.ahead += bytes;
        self.was_active = true;
        self.made += 1;
        let slice = Slice {
            frame_number: self.number as u32,
            is_reference: true,
            refers_to_kept: recovers,
            keeps: (place > 0).then_some(self.number as u32),
        };
        let dependency = self.references.encoded(self.number as u32, keyframe, Some(slice));
        let content = Content { run: self.run, number: self.number, reference, place, captured: now - self.base };
        Some(Picture { data: content.write(keyframe, bytes as usize), keyframe, captured: now, dependency })
    }

    /// A keyframe is kept at once. What it refers to, and where it is kept.
    fn begin(&mut self) -> (u64, u64) {
        self.confirmed = Kept { place: 1, number: self.number };
        (self.marked, self.last_marked) = (None, self.number);
        (0, 1)
    }

    /// The same for another picture, as openh264 does what it is told.
    fn refer(&mut self) -> (u64, u64) {
        let wishes = self.references.wishes();
        let reference = if wishes.recover { self.confirmed.number } else { self.number - 1 };
        if let Some((number, has)) = wishes.kept
            && let Some(marked) = self.marked.take_if(|marked| marked.number as u32 == number)
            && has
        {
            self.confirmed = marked;
        }
        if wishes.recover || self.marked.is_some() || self.number < self.last_marked + MARK_PERIOD {
            return (reference, 0);
        }
        let place = 3 - self.confirmed.place;
        self.marked = Some(Kept { place, number: self.number });
        self.last_marked = self.number;
        (reference, place)
    }
}

/// What the screen must know of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub run: u64,
    pub number: u64,
    /// 0: none, a keyframe.
    pub reference: u64,
    /// Where it is kept as a long-term reference: 1 or 2, or 0 if it is not.
    pub place: u64,
    /// Since the beginning of the simulation.
    pub captured: Duration,
}

const PARAMETERS: &[u8] = &[0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x28, 0x95, 0xa0, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80];
/// Start code, NAL header, first byte of the slice, then six numbers of nine bytes.
const HEADER: usize = 6 + 6 * 9;

impl Content {
    /// An access unit in Annex B form of about `bytes`. Each byte of the content has its highest bit set, so that none of them
    /// looks like a start code.
    fn write(&self, keyframe: bool, bytes: usize) -> Bytes {
        let parameters = if keyframe { PARAMETERS } else { &[] };
        let bytes = bytes.max(parameters.len() + HEADER + 1);
        let mut data = BytesMut::with_capacity(bytes);
        data.put_slice(parameters);
        data.put_slice(&[0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x88]);
        let captured = self.captured.as_nanos() as u64;
        for value in [self.run, self.number, self.reference, self.place, captured, bytes as u64] {
            (0..9).for_each(|n| data.put_u8(0x80 | (value >> (7 * n)) as u8));
        }
        data.put_bytes(self.filling(), bytes - data.len());
        data.freeze()
    }

    fn filling(&self) -> u8 {
        0x80 | (self.number % 127) as u8
    }

    /// `None` if anything is missing or mixed up.
    pub fn read(unit: &[u8], keyframe: bool) -> Option<Self> {
        let slice = if keyframe { unit.strip_prefix(PARAMETERS)? } else { unit };
        let mut numbers = slice.get(6..HEADER)?.chunks(9).map(|bytes| {
            bytes.iter().enumerate().fold(0, |value, (n, byte)| value | u64::from(byte & 0x7f) << (7 * n))
        });
        let mut number = || numbers.next();
        let content = Self {
            run: number()?,
            number: number()?,
            reference: number()?,
            place: number()?,
            captured: Duration::from_nanos(number()?),
        };
        let whole = number()? == unit.len() as u64;
        let filling = content.filling();
        (whole && slice[HEADER..].iter().all(|byte| *byte == filling)).then_some(content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_held_and_keyframes_are_spaced() {
        for target_bps in [300_000, 2_500_000] {
            let base = Instant::now();
            let mut encoder = Encoder::new(Random::new(1), 5e6, base);
            let wishes = Wishes { target_bps: target_bps.into(), ..Wishes::default() };
            let (mut bytes, mut keyframes) = (0, 0);
            for n in 0..FPS * 60 {
                let now = base + Duration::from_secs(1) * n / FPS;
                wishes.keyframe.fetch_or(n % 300 < 15, Relaxed);
                let Some(picture) = encoder.capture(true, &wishes, now) else { continue };
                bytes += picture.data.len();
                keyframes += usize::from(picture.keyframe);
                let content = Content::read(&picture.data, picture.keyframe).unwrap();
                assert_eq!((content.number, content.captured), (encoder.made, now - base));
            }
            let bps = bytes as f64 * 8.0 / 60.0;
            assert!((0.9..1.1).contains(&(bps / f64::from(target_bps))), "{bps} for {target_bps}");
            assert_eq!(keyframes, 18, "at most two in the half second that each burst of requests lasts, one after");
        }
    }

    #[test]
    fn damage_is_seen() {
        let content = Content { run: 7, number: 300, reference: 299, place: 2, captured: Duration::from_secs(1) };
        let unit = content.write(false, 2000).to_vec();
        assert_eq!(Content::read(&unit, false), Some(content));
        assert_eq!(Content::read(&unit[..1999], false), None);
        let mut mixed = unit.clone();
        mixed[1500] ^= 1;
        assert_eq!(Content::read(&mixed, false), None);
        assert_eq!(Content::read(&unit, true), None);
    }
}
