//! What the scene shows: the layers, painted once.

use super::layer::{Layer, Place, Rgb, between, code};
use super::noise::{Fractal, mix, smooth, unit};
use crate::media::Size;
use crate::media::convert::planes;

/// Where the water begins, as a share of the height.
const SHORE: f32 = 0.62;
const SUN: (f32, f32) = (0.70, 0.40);
const LOW_SKY: Rgb = [0.99, 0.82, 0.62];

/// Everything that does not change.
#[derive(Debug)]
pub(super) struct Landscape {
    /// The sky, a whole picture.
    pub sky: Vec<u8>,
    pub clouds: Layer,
    /// From far to near.
    pub hills: [Layer; 3],
    pub meadow: Layer,
    /// First row of the water, even.
    pub shore: usize,
    /// Where layers begin again, in pixels.
    pub period: usize,
    /// Light on the water around 128, as wide as a period and a window.
    pub ripples: Vec<u8>,
    pub ripple_stride: usize,
    /// Film grain around 0.
    pub grain: Vec<i8>,
}

impl Landscape {
    pub(super) fn new(size: Size) -> Self {
        let (width, height) = (size.width as usize, size.height as usize);
        let unit = (width / 5).next_power_of_two();
        let period = width.next_multiple_of(unit);
        let shore = (height as f32 * SHORE) as usize & !1;
        let view = View { size, period, unit, shore };
        Self {
            sky: sky(size),
            clouds: view.clouds(),
            hills: [view.far_hills(), view.hills(), view.forest()],
            meadow: view.meadow(),
            shore,
            period,
            ripples: view.ripples(),
            ripple_stride: period + width,
            grain: grain(width * 61 + 8 * 4096),
        }
    }
}

struct View {
    size: Size,
    period: usize,
    /// Cell of the coarsest noise.
    unit: usize,
    shore: usize,
}

/// The sky as a whole picture: from blue down to the light of a low sun.
fn sky(size: Size) -> Vec<u8> {
    let (width, height) = (size.width as usize, size.height as usize);
    let colour = |x: usize, y: usize| -> Rgb {
        let (fx, fy) = (x as f32 / width as f32, y as f32 / height as f32);
        let down = (fy / SHORE).min(1.0);
        let high = between([0.24, 0.42, 0.70], [0.58, 0.70, 0.84], smooth(down * 1.6));
        let base = between(high, LOW_SKY, smooth((down - 0.35) / 0.65));
        let away = ((fx - SUN.0) * width as f32 / height as f32).hypot(fy - SUN.1);
        let halo = 0.42 * (-3.2 * away).exp() + 0.22 * (-60.0 * away * away).exp();
        let disc = smooth((0.036 - away) / 0.006);
        let lit = [base[0] + halo, base[1] + 0.78 * halo, base[2] + 0.45 * halo];
        between(lit, [1.0, 1.0, 0.97], disc)
    };
    let mut out = vec![0; size.pixels() * 3 / 2];
    let (y_plane, u_plane, v_plane) = planes(&mut out, size);
    for y in (0..height).step_by(2) {
        for x in (0..width).step_by(2) {
            let [_, u, v] = code(colour(x, y));
            // Without a little disorder the slow change of colour would show as steps.
            let disorder = |n: usize| unit((y * width + x) as u64 * 8 + n as u64);
            for (n, at) in [(x, y), (x + 1, y), (x, y + 1), (x + 1, y + 1)].into_iter().enumerate() {
                y_plane[at.1 * width + at.0] = (code(colour(at.0, at.1))[0] + disorder(n)) as u8;
            }
            let at = y / 2 * (width / 2) + x / 2;
            u_plane[at] = (u + disorder(4)) as u8;
            v_plane[at] = (v + disorder(5)) as u8;
        }
    }
    out
}

impl View {
    fn place(&self, top: usize, bottom: usize) -> Place {
        let (top, bottom) = (top & !1, bottom & !1);
        Place { period: self.period, width: self.size.width as usize, top, rows: bottom - top }
    }

    fn height(&self, share: f32) -> f32 {
        share * self.size.height as f32
    }

    /// Clouds with light from the sun's side.
    fn clouds(&self) -> Layer {
        let place = self.place(0, self.shore);
        let (period, rows) = (place.period, place.rows);
        let fractal = Fractal { cell: self.unit, stretch: 3, octaves: 8, gain: 0.52, seed: 11 };
        let noise = fractal.fill(period, rows);
        let step = (self.unit / 32).max(1);
        Layer::new(place, |x, y| {
            let here = noise[y * period + x];
            let towards = noise[(y + step).min(rows - 1) * period + (x + 2 * step) % period];
            let down = y as f32 / rows as f32;
            let cover = smooth((here - 0.47 - 0.06 * down) / 0.20);
            let light = (0.62 + 5.0 * (here - towards) - 0.55 * smooth((here - 0.58) / 0.25)).clamp(0.0, 1.0);
            let shade = between([0.56, 0.58, 0.70], [0.80, 0.66, 0.62], down);
            let sunlit = between([0.99, 0.97, 0.95], [1.0, 0.88, 0.72], down);
            (between(shade, sunlit, light), 0.92 * cover * smooth((1.0 - down) * 5.0))
        })
    }

    /// The height of a ridge above the shore, for each column, as a share of the picture's height.
    fn ridge(&self, seed: u64, low: f32, high: f32, coarse: usize) -> Vec<f32> {
        let fractal = Fractal { cell: coarse, stretch: 1, octaves: 8, gain: 0.48, seed };
        let noise = fractal.fill(self.period, 1);
        noise.iter().map(|sample| self.height(low + (high - low) * smooth((sample - 0.2) / 0.6))).collect()
    }

    fn far_hills(&self) -> Layer {
        let ridge = self.ridge(21, 0.05, 0.25, self.unit);
        self.slope(ridge, 0.30, 31, |up, relief| {
            let rock = between([0.50, 0.55, 0.68], [0.66, 0.66, 0.74], relief);
            between([0.90, 0.79, 0.70], rock, 0.25 + 0.75 * up)
        })
    }

    fn hills(&self) -> Layer {
        let ridge = self.ridge(22, 0.02, 0.15, self.unit / 2);
        self.slope(ridge, 0.18, 32, |up, relief| {
            let green = between([0.24, 0.31, 0.34], [0.46, 0.47, 0.42], relief);
            between([0.62, 0.58, 0.56], green, 0.35 + 0.65 * up)
        })
    }

    /// A wood of firs along the water.
    fn forest(&self) -> Layer {
        let mut ridge = self.ridge(23, 0.012, 0.05, self.unit / 2);
        let firs = self.period / 5;
        for fir in 0..firs as u64 {
            let place = unit(fir * 4 + 1) * self.period as f32;
            let tall = self.height(0.014 + 0.045 * unit(fir * 4 + 2).powi(2));
            let (half, foot) = (0.16 * tall + 1.0, ridge[place as usize % self.period] - 0.2 * tall);
            for column in (place - half) as i64..=(place + half) as i64 {
                let across = 1.0 - (column as f32 - place).abs() / half;
                // Branches: the outline of a fir is ragged.
                let ragged = 0.82 + 0.18 * unit(mix(fir) ^ column as u64);
                let top = &mut ridge[column.rem_euclid(self.period as i64) as usize];
                *top = top.max(foot + tall * across * ragged);
            }
        }
        self.slope(ridge, 0.13, 33, |up, relief| {
            let needles = between([0.05, 0.09, 0.08], [0.21, 0.26, 0.15], relief * relief * 1.4);
            between([0.20, 0.20, 0.17], needles, 0.3 + 0.9 * up)
        })
    }

    /// A layer below a ridge, down to the shore. `colour` gets the height within it and the relief, both from 0 to 1.
    fn slope(&self, ridge: Vec<f32>, most: f32, seed: u64, colour: impl Fn(f32, f32) -> Rgb) -> Layer {
        let place = self.place(self.shore - (self.height(most) as usize).min(self.shore), self.shore);
        let (period, rows) = (place.period, place.rows);
        let fractal = Fractal { cell: self.unit / 4, stretch: 1, octaves: 6, gain: 0.62, seed };
        let noise = fractal.fill(period, rows);
        Layer::new(place, |x, y| {
            let up = (rows - y) as f32;
            let edge = (ridge[x] - up + 1.0).clamp(0.0, 1.0);
            // Slopes that look towards the sun are lighter.
            let slope = ridge[(x + 2) % period] - ridge[(x + period - 2) % period];
            let relief = 0.5 + 1.6 * (noise[y * period + x] - 0.5) - 0.02 * slope;
            (colour((up / ridge[x].max(1.0)).min(1.0), relief.clamp(0.0, 1.0)), edge)
        })
    }

    /// Grass and reeds in front of everything.
    fn meadow(&self) -> Layer {
        let place = self.place((self.height(0.80)) as usize, self.size.height as usize);
        let (period, rows) = (place.period, place.rows);
        let fractal = Fractal { cell: self.unit / 8, stretch: 1, octaves: 5, gain: 0.6, seed: 41 };
        let noise = fractal.fill(period, rows);
        let ground = self.ridge(42, 0.015, 0.075, self.unit);
        // For each pixel: how much of it grass covers, and how light that grass is.
        let mut grass = vec![(0.0f32, 0.0f32); period * rows];
        for blade in 0..(period * 2) as u64 {
            let random = |n: u64| unit(mix(blade * 8 + n));
            let root = random(1) * period as f32;
            let tall = self.height(0.02 + 0.10 * random(2).powi(3));
            let (bend, thick) = (tall * (random(3) - 0.4) * 0.7, self.height(0.0012 + 0.0016 * random(4)).max(0.6));
            let foot = ground[root as usize % period] * (0.2 + 0.8 * random(5));
            let light = 0.25 + 0.75 * random(6);
            for n in 0..tall as usize {
                let along = n as f32 / tall;
                let (x, up) = (root + bend * along * along, foot + n as f32);
                if up < 0.0 || up >= rows as f32 {
                    continue;
                }
                let half = thick * (1.0 - along) + 0.3;
                let row = (rows - 1 - up as usize) * period;
                for column in (x - half).floor() as i64..=(x + half).ceil() as i64 {
                    let cover = (half + 0.5 - (column as f32 - x).abs()).clamp(0.0, 1.0);
                    let cell = &mut grass[row + column.rem_euclid(period as i64) as usize];
                    cell.1 += (light * (0.5 + 0.5 * along) - cell.1) * cover;
                    cell.0 = cell.0.max(cover);
                }
            }
        }
        Layer::new(place, |x, y| {
            let up = (rows - y) as f32;
            let earth = (ground[x] - up + 1.0).clamp(0.0, 1.0);
            let (cover, light) = grass[y * period + x];
            let soil = between([0.06, 0.08, 0.04], [0.20, 0.22, 0.09], noise[y * period + x]);
            let green = between([0.09, 0.14, 0.05], [0.58, 0.55, 0.22], light);
            (between(soil, green, cover), earth.max(cover))
        })
    }

    fn ripples(&self) -> Vec<u8> {
        let (width, rows) = (self.size.width as usize, self.size.height as usize - self.shore);
        let fractal = Fractal { cell: self.unit / 4, stretch: 8, octaves: 5, gain: 0.8, seed: 51 };
        let noise = fractal.fill(self.period, rows);
        let stride = self.period + width;
        let mut out = vec![128; stride * rows];
        for (row, line) in out.chunks_exact_mut(stride).enumerate() {
            for (x, sample) in line.iter_mut().enumerate() {
                let light = noise[row * self.period + x % self.period] - 0.5;
                *sample = (128.0 + 150.0 * light).clamp(0.0, 255.0) as u8;
            }
        }
        out
    }
}

/// Roughly normal, a little under one code value.
fn grain(length: usize) -> Vec<i8> {
    let sum = |n: u64| (0..4).map(|k| unit(n * 4 + k)).sum::<f32>() - 2.0;
    (0..length as u64).map(|n| (1.4 * sum(n)).round() as i8).collect()
}
