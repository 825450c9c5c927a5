//! Fractal noise that repeats seamlessly from left to right.

/// A number from a number, well mixed (the finaliser of SplitMix64).
pub(super) fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Evenly distributed from 0 to 1.
pub(super) fn unit(seed: u64) -> f32 {
    (mix(seed) >> 40) as f32 / (1 << 24) as f32
}

/// What the noise looks like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fractal {
    /// Width of the largest cells in pixels, a power of two that divides the width of the picture.
    pub cell: usize,
    /// How many times wider than high the cells are.
    pub stretch: usize,
    /// How many times the cells are halved.
    pub octaves: u32,
    /// How much weaker each halving is.
    pub gain: f32,
    pub seed: u64,
}

impl Fractal {
    /// Samples from 0 to 1, row by row, of a picture whose right edge continues at its left one.
    pub(super) fn fill(&self, width: usize, height: usize) -> Vec<f32> {
        let mut out = vec![0.0; width * height];
        let (mut amplitude, mut total) = (1.0, 0.0);
        for octave in 0..self.octaves {
            let cell = self.cell >> octave;
            if cell == 0 {
                break;
            }
            self.add(&mut out, width, cell, amplitude, u64::from(octave));
            total += amplitude;
            amplitude *= self.gain;
        }
        out.iter_mut().for_each(|sample| *sample /= total);
        out
    }

    /// One octave. Cell by cell along each row, so that the inner loop is a plain ramp.
    fn add(&self, out: &mut [f32], width: usize, cell: usize, amplitude: f32, octave: u64) {
        let tall = (cell / self.stretch).max(1);
        let columns = (width / cell).max(1);
        let corner = |column: usize, row: usize| {
            let place = (row as u64) << 32 | (column % columns) as u64;
            amplitude * unit(mix(self.seed << 8 | octave) ^ place)
        };
        let ramp: Vec<f32> = (0..cell).map(|n| smooth(n as f32 / cell as f32)).collect();
        let mut edges = vec![0.0; columns + 1];
        for (y, line) in out.chunks_exact_mut(width).enumerate() {
            let (row, down) = (y / tall, smooth((y % tall) as f32 / tall as f32));
            for (column, edge) in edges.iter_mut().enumerate() {
                let (above, below) = (corner(column, row), corner(column, row + 1));
                *edge = above + (below - above) * down;
            }
            for (samples, pair) in line.chunks_mut(cell).zip(edges.windows(2)) {
                for (sample, along) in samples.iter_mut().zip(&ramp) {
                    *sample += pair[0] + (pair[1] - pair[0]) * along;
                }
            }
        }
    }
}

/// From 0 to 1 with a soft begin and end.
pub(super) fn smooth(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_stays_in_range_and_has_no_seam() {
        let (width, height) = (256, 32);
        let noise = Fractal { cell: 64, stretch: 2, octaves: 5, gain: 0.5, seed: 7 }.fill(width, height);
        assert!(noise.iter().all(|sample| (0.0..=1.0).contains(sample)));
        let step = |a: usize, b: usize| {
            (0..height).map(|y| (noise[y * width + a] - noise[y * width + b]).abs()).sum::<f32>() / height as f32
        };
        let usual = (0..width - 1).map(|x| step(x, x + 1)).sum::<f32>() / (width - 1) as f32;
        assert!(usual > 0.001 && step(width - 1, 0) < 4.0 * usual, "{usual} {}", step(width - 1, 0));
    }
}
