//! How like its original a shown picture is: structural similarity of luma, in windows of 8x8 pixels that overlap by half.

/// Mean and least of some likenesses, for people.
pub fn spread(values: &[f64]) -> String {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    format!("{mean:.4} ({least:.4}), {} pictures", values.len())
}

/// Mean structural similarity of two luma planes of the same size, from row `top` on. (Wang et al., 2004, with the flat windows and
/// constants that are customary for video.)
pub fn ssim(a: &[u8], b: &[u8], width: usize, top: usize) -> f64 {
    let height = a.len().min(b.len()) / width;
    let (mut total, mut windows) = (0.0, 0_u64);
    for y in (top..height.saturating_sub(7)).step_by(4) {
        for x in (0..width.saturating_sub(7)).step_by(4) {
            total += window(a, b, width, x, y);
            windows += 1;
        }
    }
    total / windows.max(1) as f64
}

fn window(a: &[u8], b: &[u8], width: usize, x: usize, y: usize) -> f64 {
    let (mut sum_a, mut sum_b, mut squares, mut products) = (0_i64, 0_i64, 0_i64, 0_i64);
    for row in y..y + 8 {
        let at = row * width + x;
        for (&a, &b) in a[at..at + 8].iter().zip(&b[at..at + 8]) {
            let (a, b) = (i64::from(a), i64::from(b));
            sum_a += a;
            sum_b += b;
            squares += a * a + b * b;
            products += a * b;
        }
    }
    const PIXELS: f64 = 64.0;
    let (mean_a, mean_b) = (sum_a as f64 / PIXELS, sum_b as f64 / PIXELS);
    // Unbiased, as the paper has it.
    let variances = (squares as f64 - PIXELS * (mean_a * mean_a + mean_b * mean_b)) / (PIXELS - 1.0);
    let covariance = (products as f64 - PIXELS * mean_a * mean_b) / (PIXELS - 1.0);
    let (c1, c2) = ((0.01_f64 * 255.0).powi(2), (0.03_f64 * 255.0).powi(2));
    (2.0 * mean_a * mean_b + c1) * (2.0 * covariance + c2)
        / ((mean_a * mean_a + mean_b * mean_b + c1) * (variances + c2))
}

/// Mean squared difference of every eighth pixel of every eighth row: enough to tell one picture of a film from another.
pub fn rough_difference(a: &[u8], b: &[u8], width: usize, top: usize) -> f64 {
    let rows = a.chunks_exact(width).zip(b.chunks_exact(width)).skip(top).step_by(8);
    let (sum, pixels) = rows.fold((0_u64, 0_u64), |(sum, pixels), (a, b)| {
        let row = a.iter().zip(b).step_by(8).map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2)).sum::<u64>();
        (sum + row, pixels + (width as u64).div_ceil(8))
    });
    sum as f64 / pixels.max(1) as f64
}

/// A plane as large as another, bilinear: what a display makes of a picture that was sent smaller.
pub fn enlarged(plane: &[u8], (width, height): (usize, usize), (to_width, to_height): (usize, usize)) -> Vec<u8> {
    // Centres of pixels; the place between the two nearest ones in 1/256.
    let place = |at: usize, from: usize, to: usize| {
        let at = ((2 * at + 1) as f64 * from as f64 / to as f64 - 1.0).max(0.0) / 2.0;
        let first = (at as usize).min(from - 1);
        (first, (first + 1).min(from - 1), ((at - first as f64) * 256.0) as u32)
    };
    let mut out = Vec::with_capacity(to_width * to_height);
    for y in 0..to_height {
        let (above, below, v) = place(y, height, to_height);
        for x in 0..to_width {
            let (left, right, h) = place(x, width, to_width);
            let pixel = |x: usize, y: usize| u32::from(plane[y * width + x]);
            let across = |y: usize| pixel(left, y) * (256 - h) + pixel(right, y) * h;
            out.push(((across(above) * (256 - v) + across(below) * v + 32_768) >> 16) as u8);
        }
    }
    out
}

/// BT.709 luma in limited range of what a screen shows (blue, green, red, nothing).
pub fn luma_of_screen(bgrx: &[u8]) -> Vec<u8> {
    let luma = |pixel: &[u8]| {
        let [b, g, r] = [pixel[0], pixel[1], pixel[2]].map(f64::from);
        (16.0 + 219.0 / 255.0 * (0.2126 * r + 0.7152 * g + 0.0722 * b)).round() as u8
    };
    bgrx.chunks_exact(4).map(luma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u32, length: usize) -> Vec<u8> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn the_same_is_one_and_noise_is_nothing_like_it() {
        let (width, a) = (64, noise(1, 64 * 48));
        assert!((ssim(&a, &a, width, 0) - 1.0).abs() < 1e-9);
        assert!(ssim(&a, &noise(2, 64 * 48), width, 0) < 0.1);
        let brighter: Vec<u8> = a.iter().map(|v| v.saturating_add(4)).collect();
        assert!((0.95..1.0).contains(&ssim(&a, &brighter, width, 0)));
    }

    #[test]
    fn rows_above_the_top_do_not_count() {
        let a = noise(1, 64 * 48);
        let mut b = a.clone();
        b[..64 * 16].fill(0);
        assert!((ssim(&a, &b, 64, 16) - 1.0).abs() < 1e-9);
        assert_eq!(rough_difference(&a, &b, 64, 16), 0.0);
        assert!(rough_difference(&a, &b, 64, 0) > 100.0);
    }

    #[test]
    fn enlarging_keeps_flat_areas_and_grades_between() {
        assert_eq!(enlarged(&[7; 12], (4, 3), (8, 6)), [7; 48]);
        assert_eq!(enlarged(&[0, 200], (2, 1), (4, 1)), [0, 50, 150, 200]);
    }

    #[test]
    fn black_grey_and_white() {
        assert_eq!(luma_of_screen(&[0, 0, 0, 0, 255, 255, 255, 0, 128, 128, 128, 9]), [16, 235, 126]);
    }
}
