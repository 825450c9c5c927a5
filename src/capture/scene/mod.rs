//! A landscape that moves like film: a lake in evening light, clouds, hills that pass by at their own speeds, a wood, reeds in
//! the wind, birds.
//!
//! For trying and measuring without a camera or a film: soft light, fine structure, slow movement everywhere and a little
//! grain cost an encoder what a natural scene costs it. Layers are painted once; a picture is put together from them.

mod landscape;
mod layer;
mod noise;

use super::{Error, Pace, Source};
use crate::media::convert::planes;
use crate::media::{Format, Frame, Pool, Size};
use landscape::Landscape;
use noise::{mix, unit};
use std::sync::Arc;
use std::time::{Duration, Instant};

const BIRDS: u64 = 7;

/// The landscape, as a source.
#[derive(Debug)]
pub struct Scene {
    size: Size,
    fps: u32,
    landscape: Landscape,
    pace: Pace,
    started: Instant,
    /// How far the journey along the lake had come at the start.
    begin: Duration,
    number: u64,
}

impl Scene {
    /// A landscape of this size and rate. Each site looks at another shore, so that one can tell whose picture it is.
    pub fn new(size: Size, fps: u32, site: &str) -> Self {
        let (landscape, started) = (Landscape::new(size), Instant::now());
        let begin = Duration::from_secs(site.bytes().fold(0, |sum, byte| mix(sum ^ u64::from(byte))) % 600);
        Self { size, fps, landscape, pace: Pace::per_second(fps), started, begin, number: 0 }
    }

    /// Paints the moment `since` the start into `out`, an I420 picture of the scene's size.
    pub fn paint(&self, since: Duration, out: &mut [u8]) {
        let (land, size) = (&self.landscape, self.size);
        let seconds = since.as_secs_f64();
        // Pixels that the nearest layer moves in a second at 1280 across: 56. Kept small by the period, for precision.
        let moved = |share: f64| {
            let pixels = seconds * f64::from(size.width) / 1280.0 * share;
            pixels.rem_euclid(land.period as f64) as f32
        };
        let wave = |speed: f64, phase: f64| ((seconds * speed + phase) % std::f64::consts::TAU).sin() as f32;
        out.copy_from_slice(&land.sky);
        land.clouds.draw(out, size, |_| moved(7.0));
        for (hills, speed) in land.hills.iter().zip([2.0, 6.0, 15.0]) {
            hills.draw(out, size, |_| moved(speed));
        }
        self.birds(seconds, out);
        self.water(seconds, moved(21.0), out);
        let rows = size.height as f32 * 0.2;
        let bend = size.height as f32 * 0.006;
        let wind = wave(0.9, 0.0) + 0.5 * wave(2.3, 1.0);
        land.meadow.draw(out, size, |row| {
            let up = (1.0 - row as f32 / rows).max(0.0);
            moved(56.0) + bend * up * up * (wind + 0.4 * wave(3.1, f64::from(up) * 4.0))
        });
        self.grain(out);
    }

    /// The lake: what is above it upside down, darker, broken by waves that grow towards us.
    fn water(&self, seconds: f64, moved: f32, out: &mut [u8]) {
        let (land, width, height) = (&self.landscape, self.size.width as usize, self.size.height as usize);
        let (shore, scale) = (land.shore, self.size.height as f32 / 720.0);
        let wave = |speed: f64, phase: f64| ((seconds * speed + phase) % std::f64::consts::TAU).sin() as f32;
        let (y, u, v) = planes(out, self.size);
        let (above, below) = y.split_at_mut(shore * width);
        for (row, line) in below.chunks_exact_mut(width).enumerate() {
            let near = row as f32 / (height - shore) as f32;
            let swell = wave(1.6, row as f64 * (0.55 - 0.40 * f64::from(near)) / f64::from(scale.max(0.2)));
            let mirrored = row as f32 * 1.25 + 1.0 + scale * (0.6 + 3.5 * near) * swell;
            let from = shore - 1 - (mirrored.max(0.0) as usize).min(shore - 1);
            let there = moved * (0.4 + 1.2 * near) + 6.0 * scale * wave(0.5, 0.0);
            let back = 2.0 * moved * (0.4 + 0.6 * near) + 40.0;
            let at =
                |shift: f32| row * land.ripple_stride + shift.rem_euclid(land.period as f32) as usize % land.period;
            let (one, other) = (&land.ripples[at(there)..][..width], &land.ripples[at(-back)..][..width]);
            let strength = (20.0 + 44.0 * near) as i16;
            for (((out, &mirror), &one), &other) in line.iter_mut().zip(&above[from * width..]).zip(one).zip(other) {
                let light = ((i16::from(one) + i16::from(other) - 256) * strength) >> 7;
                // 0.78 of the mirrored light above black, and what the ripples add.
                let dimmed = ((i16::from(mirror) - 16) * 25) >> 5;
                *out = (16 + dimmed + light).clamp(16, 235) as u8;
            }
        }
        let half = width / 2;
        for (plane, tint) in [(u, 2i16), (v, -2i16)] {
            let (above, below) = plane.split_at_mut(shore / 2 * half);
            for (row, line) in below.chunks_exact_mut(half).enumerate() {
                let from = shore / 2 - 1 - ((row as f32 * 1.25) as usize).min(shore / 2 - 1);
                for (out, &mirror) in line.iter_mut().zip(&above[from * half..]) {
                    *out = (128 + tint + (((i16::from(mirror) - 128) * 27) >> 5)) as u8;
                }
            }
        }
    }

    /// Birds far away: two wings each, that beat.
    fn birds(&self, seconds: f64, out: &mut [u8]) {
        let (width, height) = (f64::from(self.size.width), f64::from(self.size.height));
        for bird in 0..BIRDS {
            let random = |n: u64| f64::from(unit(mix(bird * 8 + n)));
            let speed = 0.035 + 0.02 * random(1);
            let along = (random(2) * 0.3 + 0.1 + seconds * speed) % 1.3 - 0.15;
            let x = (along * width) as f32;
            let y = (height * (0.14 + 0.16 * random(3) + 0.01 * (seconds * 0.7 + random(4) * 6.0).sin())) as f32;
            let span = (height * (0.009 + 0.007 * random(5))) as f32;
            let beat = ((seconds * (9.0 + 4.0 * random(6)) + random(7) * 6.0).sin() * 0.55 - 0.15) as f32;
            for side in [-1.0, 1.0] {
                self.wing(out, (x, y), (x + side * span, y + beat * span), 0.09 * span);
            }
        }
    }

    /// A dark line that gets thinner towards its end.
    fn wing(&self, out: &mut [u8], from: (f32, f32), to: (f32, f32), thick: f32) {
        let (width, height) = (self.size.width as i32, self.size.height as i32);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length = (dx * dx + dy * dy).max(1e-3);
        let range =
            |a: f32, b: f32, end: i32| ((a.min(b) - 2.0) as i32).clamp(0, end)..((a.max(b) + 3.0) as i32).clamp(0, end);
        for y in range(from.1, to.1, height) {
            for x in range(from.0, to.0, width) {
                let (px, py) = (x as f32 + 0.5 - from.0, y as f32 + 0.5 - from.1);
                let along = ((px * dx + py * dy) / length).clamp(0.0, 1.0);
                let away = (px - along * dx).hypot(py - along * dy);
                let cover = (thick * (1.2 - along) + 0.7 - away).clamp(0.0, 1.0);
                let sample = &mut out[(y * width + x) as usize];
                *sample = (f32::from(*sample) + (42.0 - f32::from(*sample)) * 0.85 * cover) as u8;
            }
        }
    }

    fn grain(&self, out: &mut [u8]) {
        let (width, grain) = (self.size.width as usize, &self.landscape.grain);
        // Each row begins somewhere else in one long strip, in each picture anew.
        let places = (grain.len() - width) as u64;
        for (row, line) in out[..self.size.pixels()].chunks_exact_mut(width).enumerate() {
            let place = (mix(self.number << 16 | row as u64) % places) as usize;
            for (sample, &grain) in line.iter_mut().zip(&grain[place..]) {
                *sample = (i16::from(*sample) + i16::from(grain)).clamp(16, 235) as u8;
            }
        }
    }
}

impl Source for Scene {
    fn next_frame(&mut self, pool: &mut Pool) -> Result<Arc<Frame>, Error> {
        let now = self.pace.wait();
        self.number += 1;
        let (frame, ()) = pool.fill(Format::i420(self.size), |frame| {
            self.paint(self.begin + (now - self.started), frame.data_mut());
            (frame.number, frame.captured) = (self.number, Some(now));
            Ok::<(), Error>(())
        })?;
        Ok(frame)
    }

    fn describe(&self) -> String {
        format!("painted landscape, {} at {} fps", self.size, self.fps)
    }

    fn period(&self) -> Option<Duration> {
        Some(self.pace.period())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_like_a_picture_and_moves_everywhere() {
        let size = Size::new(320, 180);
        let scene = Scene::new(size, 30, "");
        let paint = |ms| {
            let mut out = vec![0; size.pixels() * 3 / 2];
            scene.paint(Duration::from_millis(ms), &mut out);
            out
        };
        let (first, later) = (paint(0), paint(4000));
        let luma = &first[..size.pixels()];
        assert!(luma.iter().all(|sample| (16..=235).contains(sample)));
        let mean = luma.iter().map(|&sample| f64::from(sample)).sum::<f64>() / luma.len() as f64;
        assert!((70.0..170.0).contains(&mean), "{mean}");
        let changed = |rows: std::ops::Range<usize>| {
            let part = rows.start * 320..rows.end * 320;
            let changed =
                first[part.clone()].iter().zip(&later[part.clone()]).filter(|(a, b)| a.abs_diff(**b) > 3).count();
            changed as f64 / part.len() as f64
        };
        for rows in [0..60, 60..110, 112..140, 150..180] {
            let share = changed(rows.clone());
            assert!(share > 0.08, "{rows:?}: {share}");
        }
        // From one picture to the next it moves little, as film does.
        let next = paint(33);
        let step = luma.iter().zip(&next).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / luma.len() as f64;
        assert!(step < 8.0, "{step}");
    }

    #[test]
    fn every_size_and_any_time_can_be_painted() {
        for (width, height) in [(160, 90), (162, 94), (90, 160), (4096, 90)] {
            let size = Size::new(width, height);
            let scene = Scene::new(size, 30, "");
            let mut out = vec![0; size.pixels() * 3 / 2];
            for seconds in [0, 77, 100_000_000] {
                scene.paint(Duration::from_secs(seconds), &mut out);
            }
        }
    }
}
