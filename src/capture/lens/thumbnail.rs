//! What can be measured of a picture for next to nothing: how bright it is, and how much there is to see in it.

use super::Sight;
use crate::media::{Frame, Plane, Range};
use std::time::{Duration, Instant};

/// Cells from left to right and from top to bottom: 16x16 pixels each at 720p.
const COLUMNS: usize = 80;
const ROWS: usize = 45;
const CELLS: usize = COLUMNS * ROWS;
/// Rows of pixels that are looked at in each cell. More would only repeat what these say, and cost.
const SAMPLED: usize = 4;
/// A cell that differs from the mean of its neighbours by so much, of 219 steps from black to white, has something to be seen in it.
/// What is left of a sensor's noise after the means over a cell and over time is far below it, and so is a smooth gradient.
const VISIBLE: f32 = 4.0;
/// The same in a dark picture, whose contrasts are smaller, too: at most this bright, and up to where it becomes the one above.
const VISIBLE_IN_DARK: f32 = 2.0;
const DARK: f32 = 0.05;
const LIGHT: f32 = 0.20;
/// What stands out by less than so many standard deviations of the noise, as it is after smoothing, is taken for noise.
const ABOVE_NOISE: f32 = 3.2;
/// The quarter of the cells that change least tell the noise: people and cars are elsewhere. A quarter of what is distributed normally
/// is within so many standard deviations.
const QUARTER: f32 = 0.3186;
/// The changes of cells are counted in steps as fine as this, up to the number of bins.
const BIN: f32 = 0.125;
const BINS: usize = 64;
/// Noise stays; what the whole picture does for a moment (a step of the exposure, a push against the camera) is none. So it is believed
/// down at once, and up within this time.
const NOISE_RISES: Duration = Duration::from_millis(700);
/// Cells are smoothed over this time, against noise. Longer ones would smear what moves, and notice later.
const SMOOTHED: Duration = Duration::from_millis(120);

/// The means of the picture's cells, smoothed over time.
///
/// *Detail* is the share of cells that stand out from their neighbours (a discrete Laplacian). Something close to the lens is far
/// out of its focus: its edges are as wide as a tenth of the picture, its cells lie between their neighbours, and it has no
/// detail, whatever its colours are. A dark scene still has edges. Noise has none that outlive the smoothing; where there is so much of
/// it that some do, in the dark, it is measured and subtracted: a tape over the lens leaves nothing but noise.
#[derive(Debug)]
pub struct Thumbnail {
    cells: Box<[f32; CELLS]>,
    /// Of one picture.
    fresh: Box<[f32; CELLS]>,
    /// Mean of the smoothed ones, 0 to 1.
    brightness: f32,
    at: Option<Instant>,
    /// Standard deviation of a cell of one picture, in steps.
    noise: f32,
    sight: Sight,
}

impl Default for Thumbnail {
    fn default() -> Self {
        Self {
            cells: Box::new([0.0; CELLS]),
            fresh: Box::new([0.0; CELLS]),
            brightness: 0.0,
            at: None,
            noise: 0.0,
            sight: Sight::default(),
        }
    }
}

impl Thumbnail {
    /// Measures a picture taken at `now`. One that is smaller than the cells (80x45) has nothing to be measured and counts as seen.
    pub fn look(&mut self, frame: &Frame, now: Instant) -> Sight {
        let (width, height) = (frame.format.size.width as usize, frame.format.size.height as usize);
        let (across, down) = (width / COLUMNS, height / ROWS);
        if across == 0 || down == 0 {
            self.sight = Sight { detail: 1.0, brightness: 1.0 };
            return self.sight;
        }
        let (black, white) = match frame.format.colour.range {
            Range::Limited => (16.0, 235.0),
            Range::Full => (0.0, 255.0),
        };
        let to_steps = 219.0 / (white - black);
        let since_s = self.at.replace(now).map(|last| now.saturating_duration_since(last).as_secs_f32());
        let part = |time: Duration| since_s.map_or(1.0, |since_s| 1.0 - (-since_s / time.as_secs_f32()).exp());
        let weight = part(SMOOTHED);
        let luma = frame.plane(Plane::Y);
        let sampled = SAMPLED.min(down);
        let each = to_steps / (sampled * across) as f32;
        for (row, cells) in self.fresh.chunks_exact_mut(COLUMNS).enumerate() {
            let mut sums = [0u32; COLUMNS];
            for sample in 0..sampled {
                let y = row * down + (2 * sample + 1) * down / (2 * sampled);
                let pixels = &luma[y * width..][..COLUMNS * across];
                for (sum, pixels) in sums.iter_mut().zip(pixels.chunks_exact(across)) {
                    *sum += pixels.iter().map(|&pixel| u32::from(pixel)).sum::<u32>();
                }
            }
            for (cell, sum) in cells.iter_mut().zip(sums) {
                *cell = sum as f32 * each - black * to_steps;
            }
        }
        let brightness = self.fresh.iter().sum::<f32>() / (219.0 * CELLS as f32);
        // The exposure multiplies the whole picture: that is no noise.
        let exposure = if self.brightness > 0.0 { brightness / self.brightness } else { 1.0 };
        let mut changes = [0u16; BINS];
        for (cell, fresh) in self.cells.iter_mut().zip(self.fresh.iter()) {
            let change = (fresh - exposure * *cell).abs();
            changes[((change / BIN) as usize).min(BINS - 1)] += 1;
            *cell += weight * (fresh - *cell);
        }
        self.brightness = self.cells.iter().sum::<f32>() / (219.0 * CELLS as f32);
        let brightness = self.brightness;
        // A new value differs from a smoothed one by the noise of both.
        let noise = quarter(&changes) / QUARTER * (1.0 - weight / 2.0).sqrt();
        // The first picture has none before it.
        let rises = since_s.map_or(0.0, |_| part(NOISE_RISES));
        self.noise += if noise > self.noise { rises } else { 1.0 } * (noise - self.noise);
        // What is left of it in the difference of a smoothed cell from the mean of its four neighbours.
        let left = self.noise * (weight / (2.0 - weight) * 1.25).sqrt();
        let visible_from = visible(brightness, ABOVE_NOISE * left);
        self.sight = Sight { detail: self.detail(visible_from), brightness };
        self.sight
    }

    /// What was measured last.
    pub fn sight(&self) -> Sight {
        self.sight
    }

    fn detail(&self, visible_from: f32) -> f32 {
        let cells = &self.cells[..];
        let mut visible = 0u32;
        for row in 1..ROWS - 1 {
            let [above, own, below] = [row - 1, row, row + 1].map(|row| &cells[row * COLUMNS..][..COLUMNS]);
            for column in 1..COLUMNS - 1 {
                let around = above[column] + below[column] + own[column - 1] + own[column + 1];
                visible += u32::from((own[column] - around / 4.0).abs() > visible_from);
            }
        }
        visible as f32 / ((ROWS - 2) * (COLUMNS - 2)) as f32
    }
}

/// The change that a quarter of the cells is below, in steps.
fn quarter(changes: &[u16; BINS]) -> f32 {
    let mut below = 0;
    let bin = changes.iter().position(|&count| {
        below += usize::from(count);
        below >= CELLS / 4
    });
    (bin.unwrap_or(BINS) as f32 + 0.5) * BIN
}

/// By how much a cell must stand out in a picture of this brightness. Noise matters where it is dark; where there is light it is far below.
fn visible(brightness: f32, noise: f32) -> f32 {
    let light = ((brightness - DARK) / (LIGHT - DARK)).clamp(0.0, 1.0);
    let in_dark = noise.max(VISIBLE_IN_DARK);
    in_dark + light * (VISIBLE - in_dark)
}
