//! Pictures to judge the lens by, made here: a room with people, a street at night, what a hand or a phone before the lens looks like, and
//! what a camera makes of it (exposure, noise, compression). Luma only, 320x180: four pixels for each cell of the thumbnail.

use crate::media::{Exhausted, Format, Frame, Pool, Size};
use std::sync::Arc;

pub const SIZE: Size = Size::new(320, 180);
const WIDTH: usize = SIZE.width as usize;
const HEIGHT: usize = SIZE.height as usize;

/// Light that comes from each point, linear, 1.0 being white paper in a lit room.
pub type Light = Vec<f32>;

/// The same numbers each time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// From 0 to 1.
    pub fn part(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 24) as f32
    }

    pub fn between(&mut self, from: f32, to: f32) -> f32 {
        from + (to - from) * self.part()
    }

    /// Mean 0, standard deviation 1, near enough.
    fn normal(&mut self) -> f32 {
        (0..4).map(|_| self.part()).sum::<f32>() * 1.732 - 3.464
    }
}

/// Fills a rectangle, given in parts of the picture, with light between two values in a pattern of its own.
fn block(light: &mut [f32], [left, top, right, bottom]: [f32; 4], value: f32, pattern: f32) {
    let range = |from: f32, to: f32, whole: usize| {
        let at = |part: f32| ((part * whole as f32) as isize).clamp(0, whole as isize) as usize;
        at(from)..at(to)
    };
    for y in range(top, bottom, HEIGHT) {
        for x in range(left, right, WIDTH) {
            let stripes = if (x / 5 + y / 7) % 2 == 0 { 1.0 } else { -1.0 };
            light[y * WIDTH + x] = (value * (1.0 + pattern * stripes)).max(0.0);
        }
    }
}

/// A room: wall, floor, furniture, a window on one side. Each seed is another one.
pub fn room(seed: u64) -> Light {
    let mut random = Random::new(seed);
    let mut light: Light = (0..WIDTH * HEIGHT)
        .map(|at| 0.35 + 0.15 * (at % WIDTH) as f32 / WIDTH as f32 - 0.1 * (at / WIDTH) as f32 / HEIGHT as f32)
        .collect();
    block(&mut light, [0.0, 0.75, 1.0, 1.0], 0.2, 0.15);
    for _ in 0..14 {
        let (left, top) = (random.between(0.0, 0.9), random.between(0.1, 0.8));
        let size = [random.between(0.04, 0.2), random.between(0.05, 0.3)];
        let (value, pattern) = (random.between(0.05, 0.8), random.between(0.0, 0.5));
        block(&mut light, [left, top, left + size[0], top + size[1]], value, pattern);
    }
    block(&mut light, [0.7, 0.05, 0.95, 0.4], 1.2, 0.1);
    light
}

/// A wall and nothing else.
pub fn wall() -> Light {
    (0..WIDTH * HEIGHT).map(|at| 0.5 + 0.1 * (at % WIDTH) as f32 / WIDTH as f32).collect()
}

/// A street at night: black, a few lamps and lit windows.
pub fn street_at_night(seed: u64) -> Light {
    let (mut random, mut light) = (Random::new(seed), vec![0.002; WIDTH * HEIGHT]);
    for _ in 0..12 {
        let (left, top) = (random.between(0.0, 0.95), random.between(0.1, 0.9));
        block(&mut light, [left, top, left + 0.03, top + 0.05], random.between(0.02, 0.5), 0.2);
    }
    light
}

/// Somebody, upright, whose middle is at `x`, as high as `height` pictures; clothes with or without a pattern.
pub fn person(light: &mut [f32], x: f32, height: f32, clothes: f32, pattern: f32) {
    let half = height * 0.16;
    let top = (1.0 - height).max(0.02);
    block(light, [x - half, top + height * 0.16, x + half, 1.0], clothes, pattern);
    block(light, [x - half * 0.45, top, x + half * 0.45, top + height * 0.17], 0.45, 0.0);
    block(light, [x - half * 0.25, top + height * 0.06, x - half * 0.1, top + height * 0.075], 0.05, 0.0);
    block(light, [x + half * 0.1, top + height * 0.06, x + half * 0.25, top + height * 0.075], 0.05, 0.0);
    block(light, [x - half * 0.45, top, x + half * 0.45, top + height * 0.04], 0.08, 0.3);
}

/// Something far out of focus, right before the lens: it covers `part` of the picture from the left, its edge as wide as a fifth of
/// it; lit from one side.
pub fn close_to_the_lens(light: &mut [f32], part: f32, value: f32) {
    for (at, light) in light.iter_mut().enumerate() {
        let (x, y) = ((at % WIDTH) as f32 / WIDTH as f32, (at / WIDTH) as f32 / HEIGHT as f32);
        let over = ((part * 1.2 - x) / 0.2).clamp(0.0, 1.0);
        let over = over * over * (3.0 - 2.0 * over);
        *light = *light * (1.0 - over) + over * value * (0.7 + 0.3 * y + 0.2 * x);
    }
}

/// Contrast lost to fog, snow or breath, 0 to 1.
pub fn fog(light: &mut [f32], density: f32) {
    light.iter_mut().for_each(|light| *light += (0.6 - *light) * density);
}

/// Out of focus: each point is a square of `radius` pixels to each side, twice, which is near enough to a disc.
pub fn out_of_focus(light: &mut [f32], radius: usize) {
    let mean = |light: &mut [f32], first: usize, step: usize, count: usize| {
        let line: Vec<f32> = (0..count).map(|n| light[first + n * step]).collect();
        let at = |n: isize| line[n.clamp(0, count as isize - 1) as usize];
        let reach = radius as isize;
        let mut sum: f32 = (-reach..=reach).map(at).sum();
        for n in 0..count {
            light[first + n * step] = sum / (2 * radius + 1) as f32;
            sum += at(n as isize + reach + 1) - at(n as isize - reach);
        }
    };
    for _ in 0..2 {
        (0..HEIGHT).for_each(|row| mean(light, row * WIDTH, 1, WIDTH));
        (0..WIDTH).for_each(|column| mean(light, column, WIDTH, HEIGHT));
    }
}

/// Something large and plain that stops before the camera and leaves the right of the picture free: a van, a board on wheels.
pub fn obstacle(light: &mut [f32], part: f32, value: f32) {
    block(light, [0.0, 0.0, part, 1.0], value, 0.02);
}

/// A camera: exposure that follows the light, and noise that follows the exposure.
pub struct CameraModel {
    pool: Pool,
    random: Random,
    /// Standard deviation 1. Each picture begins each of its rows somewhere else in it.
    noise: Vec<f32>,
    gain: f32,
    number: u64,
}

impl CameraModel {
    /// Settled on this light.
    pub fn settled_on(light: &[f32], seed: u64) -> Self {
        let mut random = Random::new(seed);
        let noise = (0..1 << 14).map(|_| random.normal()).collect();
        let mut camera = Self { pool: Pool::new(2), random, noise, gain: 1.0, number: 0 };
        camera.gain = camera.wanted_gain(light);
        camera
    }

    /// Mean brought to a middle grey; amplified 30 times at most.
    fn wanted_gain(&self, light: &[f32]) -> f32 {
        let mean = light.iter().sum::<f32>() / light.len() as f32;
        (0.25 / mean.max(1e-4)).clamp(0.1, 30.0)
    }

    /// The next picture, so many seconds later.
    pub fn picture(&mut self, light: &[f32], later_s: f32) -> Arc<Frame> {
        // Within about a second, as webcams do.
        self.gain *= (self.wanted_gain(light) / self.gain).powf(1.0 - (-2.0 * later_s).exp());
        let (gain, random, noises) = (self.gain, &mut self.random, &self.noise);
        // Electrons are few in the dark. For 720p it would be twice as much: there a cell samples 64 pixels, here 16.
        let noise = 0.001 * gain;
        self.number += 1;
        let number = self.number;
        let made = self.pool.fill(Format::i420(SIZE), |frame| {
            let (luma, chroma) = frame.split_mut();
            for (luma, light) in luma.chunks_exact_mut(WIDTH).zip(light.chunks_exact(WIDTH)) {
                let begin = (random.part() * (noises.len() - WIDTH) as f32) as usize;
                for ((luma, light), own) in luma.iter_mut().zip(light).zip(&noises[begin..]) {
                    let linear = (light * gain + noise * own).clamp(0.0, 1.0);
                    // Near enough to a camera's curve, and quick.
                    *luma = (16.0 + 219.0 * linear.sqrt()) as u8;
                }
            }
            chroma.fill(128);
            frame.number = number;
            Ok::<_, Exhausted>(())
        });
        made.unwrap().0
    }
}
