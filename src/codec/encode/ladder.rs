//! The ladder: which size and how many pictures a second are encoded at a bitrate.
//!
//! Too few bits for a size look worse than a smaller picture enlarged: blocks, and pictures left out. Where the one
//! turns into the other was measured (`docs/measurements/codec.md`, "Size and frame rate"): on film, noise, camera
//! movement and a quiet room alike, the best size is the largest whose mean quantiser is not much above 32, whatever
//! the bitrate; and fewer pictures a second gain nothing until the smallest size is reached. So the quantiser decides.
//! How it depends on bitrate, size and frame rate is the same for all content but for one number, which the encoder's
//! own pictures show: so the quantiser that another size would need is known without trying, and a bitrate that falls
//! sharply finds its size with the next picture.
//!
//! Each change costs a keyframe. Down is quick, because too large a picture also means delay. Up is slow, waits longer each time it
//! turns out to have been too early, and takes a keyframe that is made anyway.

use crate::media::Size;
use crate::ops::SizeReason;
use std::time::{Duration, Instant};

/// The quantiser (0 finest, 51 coarsest) aimed for when a size is chosen: the best size is the largest that needs no more.
const BEST: f64 = 32.5;
/// Above it, the size is too large.
const TOO_COARSE: f64 = 34.5;
/// Above it, so much that each picture counts: the rate control cannot go much further and begins to leave pictures out.
const MUCH_TOO_COARSE: f64 = 38.0;
/// A larger size must need no more than this. The distance to [`TOO_COARSE`] is a third of the bitrate, so that nothing flaps.
const ROOM: f64 = 32.0;
/// No more than this: room to spare.
const MUCH_ROOM: f64 = 27.0;

/// How much coarser the quantiser gets with each halving of the bitrate, doubling of the pixels, doubling of the pictures a second.
/// Measured: 4.3 to 6 (noise 2 to 3), 3.3 to 4.2, 1.5 to 3.
const PER_RATE: f64 = 5.0;
const PER_PIXELS: f64 = 3.7;
const PER_PICTURES: f64 = 2.5;
/// Film of 1280x720, 30 pictures a second, at 800 kb/s: quantiser 32. What content is taken for until it has been seen.
const USUAL: f64 = 32.0;
const USUAL_AT: Load = Load { bps: 800_000.0, pixels: 1280.0 * 720.0, fps: 30.0 };

/// How long a size may be too large before it is given up.
const DOWN_AFTER: Duration = Duration::from_secs(1);
/// How long there must be room for a larger size; with much room, and after an attempt that failed.
const UP_AFTER: Duration = Duration::from_secs(4);
const UP_SOON: Duration = Duration::from_secs(1);
const UP_LATEST: Duration = Duration::from_secs(64);
/// A larger size that is given up within this time was an attempt that failed.
const ATTEMPT: Duration = Duration::from_secs(15);
/// The shortest time between two changes: as long as a keyframe and what follows it take to show what content costs.
const BETWEEN: Duration = Duration::from_millis(800);

/// Pictures behind a keyframe that say little about content: they mend what the keyframe left coarse.
const UNSETTLED: u32 = 8;
/// The weight of one picture in what is known of content: what was seen half a second ago counts for a third.
const WEIGHT: f64 = 1.0 / 15.0;
/// The coarsest quantiser: a picture that was left out would have needed it at least.
const COARSEST: f64 = 51.0;

/// Shares of the source's sides, from the largest.
const SHARES: [(u32, u32); 9] = [(1, 1), (3, 4), (1, 2), (3, 8), (1, 4), (3, 16), (1, 8), (3, 32), (1, 16)];
/// No smaller than 320x180, or what has as many pixels: below that nobody can be told from somebody else.
const FEWEST_PIXELS: usize = 320 * 176;
/// Frame rates below the source's, for the smallest size only.
const SLOWER: [f32; 2] = [20.0, 15.0];

/// What the encoder is to make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Size of the picture.
    pub size: Size,
    /// Pictures a second.
    pub fps: f32,
    /// Why no larger.
    pub reason: SizeReason,
}

/// What a step is chosen for.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Size of the source's pictures.
    pub source: Size,
    /// Pictures a second that come from it.
    pub source_fps: f32,
    /// Bits per second to be spent.
    pub target_bps: u32,
    /// The next picture will be a keyframe anyway.
    pub keyframe: bool,
}

/// What is spent on what.
#[derive(Clone, Copy, Debug)]
struct Load {
    bps: f64,
    pixels: f64,
    fps: f64,
}

impl Load {
    /// How much coarser this must be quantised than one bit a second for one pixel once a second.
    fn coarseness(self) -> f64 {
        PER_PIXELS * self.pixels.log2() + PER_PICTURES * self.fps.log2() - PER_RATE * self.bps.max(1.0).log2()
    }
}

/// Size and frame rate over time.
#[derive(Debug)]
pub struct Ladder {
    source: Size,
    /// The sizes for this source, from the largest.
    sizes: Vec<Size>,
    /// Which rung: the sizes, then the smallest size at lower rates. `None` while nothing is sent.
    at: Option<usize>,
    /// What content costs: its quantiser less [`Load::coarseness`].
    content: f64,
    unsettled: u32,
    now: Load,
    changed: Option<Instant>,
    too_coarse_since: Option<Instant>,
    room_since: Option<Instant>,
    went_up: Option<Instant>,
    patience: Duration,
    /// The bitrate that was too little last.
    failed_bps: u32,
}

impl Default for Ladder {
    fn default() -> Self {
        Self {
            source: Size::new(0, 0),
            sizes: Vec::with_capacity(SHARES.len()),
            at: None,
            content: usual(),
            unsettled: 0,
            now: USUAL_AT,
            changed: None,
            too_coarse_since: None,
            room_since: None,
            went_up: None,
            patience: UP_AFTER,
            failed_bps: 0,
        }
    }
}

fn usual() -> f64 {
    USUAL - USUAL_AT.coarseness()
}

impl Ladder {
    /// The step for the next picture.
    pub fn choose(&mut self, situation: &Situation, now: Instant) -> Step {
        if self.source != situation.source {
            self.source = situation.source;
            self.sizes.clear();
            self.sizes.extend(sizes(situation.source));
            self.at = None;
        }
        let at = match self.at {
            None => self.best(situation, BEST),
            Some(at) => self.moved(at, situation, now),
        };
        if self.at != Some(at) {
            self.at = Some(at);
            self.changed = Some(now);
            (self.too_coarse_since, self.room_since) = (None, None);
        }
        self.now = self.load(at, situation);
        Step { size: self.size(at), fps: self.now.fps as f32, reason: self.reason(at, situation) }
    }

    /// Nothing is sent for a while: the next step is chosen afresh. What is known of content stays.
    pub fn pause(&mut self) {
        self.at = None;
        (self.too_coarse_since, self.room_since) = (None, None);
    }

    /// A picture of the last step was encoded into so many bytes with this mean quantiser.
    pub fn encoded(&mut self, bytes: usize, quantiser: u8, keyframe: bool) {
        if keyframe {
            self.unsettled = UNSETTLED;
        } else {
            self.learn(bytes as f64 * 8.0 * self.now.fps, f64::from(quantiser));
        }
    }

    /// The rate control left a picture of the last step out.
    pub fn left_out(&mut self) {
        self.learn(self.now.bps, COARSEST);
    }

    /// A keyframe of the last step has more bytes than can be afforded: from now on the next smaller size, if there is one.
    pub fn keyframe_too_large(&mut self, now: Instant) -> bool {
        let smaller = self.at.map(|at| at + 1).filter(|&at| at < self.sizes.len());
        if let Some(at) = smaller {
            self.at = Some(at);
            self.changed = Some(now);
        }
        smaller.is_some()
    }

    fn learn(&mut self, bps: f64, quantiser: f64) {
        if self.unsettled > 0 {
            self.unsettled -= 1;
        } else {
            let content = quantiser - Load { bps, ..self.now }.coarseness();
            self.content += (content - self.content) * WEIGHT;
        }
    }

    fn rungs(&self) -> usize {
        self.sizes.len() + SLOWER.len()
    }

    fn size(&self, at: usize) -> Size {
        // There is at least one size: the source's own.
        self.sizes.get(at).or(self.sizes.last()).copied().unwrap_or(self.source)
    }

    fn load(&self, at: usize, situation: &Situation) -> Load {
        let slower = at.checked_sub(self.sizes.len()).and_then(|n| SLOWER.get(n));
        let fps = slower.map_or(situation.source_fps, |&fps| fps.min(situation.source_fps));
        let pixels = self.size(at).pixels() as f64;
        Load { bps: situation.target_bps.into(), pixels, fps: fps.max(1.0).into() }
    }

    /// The quantiser that a rung would need.
    fn quantiser(&self, at: usize, situation: &Situation) -> f64 {
        self.content + self.load(at, situation).coarseness()
    }

    /// The largest rung that needs no more than `most`; else the smallest.
    fn best(&self, situation: &Situation, most: f64) -> usize {
        let last = self.rungs() - 1;
        (0..last).find(|&at| self.quantiser(at, situation) <= most).unwrap_or(last)
    }

    fn moved(&mut self, at: usize, situation: &Situation, now: Instant) -> usize {
        let for_long = |since: Option<Instant>, least: Duration| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= least)
        };
        if self.changed.is_some() && !for_long(self.changed, BETWEEN) {
            return at;
        }
        let quantiser = self.quantiser(at, situation);
        let (lower, higher) = (self.best(situation, BEST), self.best(situation, ROOM));
        if quantiser > TOO_COARSE && lower > at {
            self.room_since = None;
            let since = *self.too_coarse_since.get_or_insert(now);
            let at_once = quantiser > MUCH_TOO_COARSE || situation.keyframe;
            if !at_once && !for_long(Some(since), DOWN_AFTER) {
                return at;
            }
            let failed = self.went_up.take().is_some_and(|up| !for_long(Some(up), ATTEMPT));
            self.patience = if failed { (self.patience * 2).min(UP_LATEST) } else { UP_AFTER };
            self.failed_bps = situation.target_bps;
            lower
        } else if higher < at {
            self.too_coarse_since = None;
            let since = *self.room_since.get_or_insert(now);
            if situation.target_bps > self.failed_bps / 2 * 3 {
                // What failed there says nothing about here.
                self.patience = UP_AFTER;
            }
            let spare = self.quantiser(higher, situation) <= MUCH_ROOM && self.patience == UP_AFTER;
            let wait = if spare { UP_SOON } else { self.patience };
            if !situation.keyframe && !for_long(Some(since), wait) {
                return at;
            }
            self.went_up = Some(now);
            higher
        } else {
            (self.too_coarse_since, self.room_since) = (None, None);
            at
        }
    }

    fn reason(&self, at: usize, situation: &Situation) -> SizeReason {
        let Some(larger) = at.min(self.sizes.len() - 1).checked_sub(1) else { return SizeReason::Full };
        let usually = usual() + self.load(larger, situation).coarseness();
        if usually <= ROOM { SizeReason::Content } else { SizeReason::Path }
    }
}

/// The sizes that a source's pictures are encoded in: its own, then smaller ones of the same shape, even.
fn sizes(source: Size) -> impl Iterator<Item = Size> {
    SHARES.into_iter().enumerate().filter_map(move |(n, (share, of))| {
        let side = |side: u32| (side * share + of) / (2 * of) * 2;
        let size = Size::new(side(source.width), side(source.height));
        match n {
            0 => Some(source),
            _ => (size.pixels() >= FEWEST_PIXELS && size.is_valid()).then_some(size),
        }
    })
}
