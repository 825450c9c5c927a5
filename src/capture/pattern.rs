//! The test pattern: colour bars, something moving, the time of day and the site's name.
//!
//! What stands still is painted once; a picture costs one copy of it and a few small drawings.

use super::paint::{Canvas, Ink, Mask};
use super::{Error, Pace, Source};
use crate::media::{Format, Frame, Pool, Size};
use std::f32::consts::TAU;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds that the ball takes from one side to the other and back.
const SWING_S: f32 = 4.0;

/// The test pattern, as a source.
#[derive(Debug)]
pub struct Pattern {
    size: Size,
    fps: u32,
    still: Vec<u8>,
    digits: Vec<Mask>,
    /// Between hours, minutes and seconds.
    colon: Mask,
    /// Before the thousandths.
    point: Mask,
    ball: Mask,
    pace: Pace,
    started: Instant,
    number: u64,
}

impl Pattern {
    /// A pattern of this size and rate that names `site`.
    pub fn new(size: Size, fps: u32, site: &str) -> Self {
        let height = size.height as f32;
        let mut still = vec![0; size.pixels() * 3 / 2];
        paint_still(&mut still, size, site);
        Self {
            size,
            fps,
            still,
            digits: (b'0'..=b'9').map(|digit| Mask::text(&char::from(digit).to_string(), height * 0.13, 999)).collect(),
            colon: Mask::text(":", height * 0.13, 999),
            point: Mask::text(".", height * 0.13, 999),
            ball: Mask::disc(height * 0.06),
            pace: Pace::per_second(fps),
            started: Instant::now(),
            number: 0,
        }
    }

    /// Paints the picture of one moment: `since` the start, at `time_ms` of the day.
    fn paint(&self, since: Duration, time_ms: u32, out: &mut [u8]) {
        out.copy_from_slice(&self.still);
        let (width, height) = (self.size.width as f32, self.size.height as f32);
        let mut canvas = Canvas::new(out, self.size);
        let phase = TAU * (since.as_secs_f32() % SWING_S) / SWING_S;
        let (x, y) = (width * (0.5 + 0.42 * phase.sin()), height * (0.42 - 0.12 * (2.0 * phase).cos()));
        let corner = |centre: f32| (centre - self.ball.width as f32 / 2.0) as i32;
        canvas.stamp(&self.ball, corner(x), corner(y), Ink::rgb(1.0, 1.0, 1.0));

        let (hours, minutes, seconds, thousandths) =
            (time_ms / 3_600_000, time_ms / 60_000 % 60, time_ms / 1000 % 60, time_ms % 1000);
        let cell = self.digits.iter().map(|digit| digit.width).max().unwrap_or(2) as i32;
        // From the right, with every digit in a cell of the same width, so that nothing jumps.
        let mut right = width as i32 - height as i32 / 20;
        let (top, ink) = ((height * 0.81) as i32, Ink::rgb(0.9, 0.9, 0.9));
        for (n, (value, places)) in [(thousandths, 3), (seconds, 2), (minutes, 2), (hours, 2)].into_iter().enumerate() {
            if n > 0 {
                right -= cell / 2;
                let mark = if n == 1 { &self.point } else { &self.colon };
                canvas.stamp(mark, right + (cell / 2 - mark.width as i32) / 2, top, ink);
            }
            let mut rest = value;
            for _ in 0..places {
                let digit = &self.digits[(rest % 10) as usize];
                rest /= 10;
                right -= cell;
                canvas.stamp(digit, right + (cell - digit.width as i32) / 2, top, ink);
            }
        }
    }
}

impl Source for Pattern {
    fn next_frame(&mut self, pool: &mut Pool) -> Result<Arc<Frame>, Error> {
        let now = self.pace.wait();
        self.number += 1;
        let (frame, ()) = pool.fill(Format::i420(self.size), |frame| {
            self.paint(now - self.started, local_time_ms(), frame.data_mut());
            (frame.number, frame.captured) = (self.number, Some(now));
            Ok::<(), Error>(())
        })?;
        Ok(frame)
    }

    fn describe(&self) -> String {
        format!("test pattern, {} at {} fps", self.size, self.fps)
    }

    fn period(&self) -> Option<Duration> {
        Some(self.pace.period())
    }
}

/// From top to bottom: the seven bars of SMPTE at 75 %, their opposites in short, a ramp from black to white, and a dark field
/// with the site's name on the left and room for the clock on the right.
fn paint_still(out: &mut [u8], size: Size, site: &str) {
    let (width, height) = (size.width as usize, size.height as usize);
    let mut canvas = Canvas::new(out, size);
    canvas.fill([0, 0, width, height], Ink::rgb(0.04, 0.05, 0.07));
    let rows = [0.62, 0.68, 0.76].map(|share| (height as f64 * share) as usize);
    const BAR: [[f64; 3]; 7] = [
        [0.75, 0.75, 0.75],
        [0.75, 0.75, 0.0],
        [0.0, 0.75, 0.75],
        [0.0, 0.75, 0.0],
        [0.75, 0.0, 0.75],
        [0.75, 0.0, 0.0],
        [0.0, 0.0, 0.75],
    ];
    for (n, [red, green, blue]) in BAR.into_iter().enumerate() {
        let (left, right) = (n * width / BAR.len(), (n + 1) * width / BAR.len());
        // The last one reaches to the edge even where the width is no multiple of seven.
        let right = if n + 1 == BAR.len() { width } else { right };
        canvas.fill([left, 0, right, rows[0]], Ink::rgb(red, green, blue));
        let [red, green, blue] = if n % 2 == 0 { BAR[BAR.len() - 1 - n] } else { [0.0; 3] };
        canvas.fill([left, rows[0], right, rows[1]], Ink::rgb(red, green, blue));
    }
    const STEPS: usize = 220;
    for step in 0..STEPS {
        let [left, right] = [step, step + 1].map(|step| step * width / STEPS);
        canvas.fill([left, rows[1], right.max(left + 2), rows[2]], Ink { y: 16 + step as u8, u: 128, v: 128 });
    }
    let name = Mask::text(site, height as f32 * 0.13, width * 9 / 20);
    canvas.stamp(&name, height as i32 / 20, (height as f32 * 0.81) as i32, Ink::rgb(1.0, 1.0, 1.0));
}

/// Milliseconds since local midnight.
fn local_time_ms() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs() as libc::time_t;
    // SAFETY: tm is plain data (and one pointer to a static name), all zeroes is a valid value of it.
    let mut local: libc::tm = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to values of our own; localtime_r is the reentrant variant.
    unsafe { libc::localtime_r(&seconds, &mut local) };
    let of = |value: libc::c_int, unit: u32| value.max(0) as u32 * unit;
    of(local.tm_hour, 3_600_000) + of(local.tm_min, 60_000) + of(local.tm_sec, 1000) + now.subsec_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Plane;

    const SIZE: Size = Size::new(1280, 720);

    #[test]
    fn bars_have_the_published_code_values() {
        let mut picture = vec![0; SIZE.pixels() * 3 / 2];
        paint_still(&mut picture, SIZE, "Somewhere");
        // SMPTE RP 219-1, 75 % bars in eight bits.
        let expected = [
            (180, 128, 128),
            (168, 44, 136),
            (145, 147, 44),
            (133, 63, 52),
            (63, 193, 204),
            (51, 109, 212),
            (28, 212, 120),
        ];
        for (n, (y, u, v)) in expected.into_iter().enumerate() {
            let (x, row) = (n * 1280 / 7 + 90, 200);
            let chroma = SIZE.pixels() + row / 2 * 640 + x / 2;
            assert_eq!(
                (picture[row * 1280 + x], picture[chroma], picture[chroma + SIZE.pixels() / 4]),
                (y, u, v),
                "bar {n}"
            );
        }
        assert!(picture[..SIZE.pixels()].iter().all(|&y| (16..=235).contains(&y)));
    }

    #[test]
    fn it_moves_tells_the_time_and_keeps_its_rate() {
        let mut pattern = Pattern::new(Size::new(320, 180), 50, "Here");
        let mut pool = Pool::new(4);
        let begin = Instant::now();
        let first = pattern.next_frame(&mut pool).unwrap();
        for _ in 0..4 {
            pattern.next_frame(&mut pool).unwrap();
        }
        let last = pattern.next_frame(&mut pool).unwrap();
        assert_eq!((first.number, last.number), (1, 6));
        assert!(begin.elapsed() >= Duration::from_millis(95));
        assert!(last.captured > first.captured);
        let differ = |rows: std::ops::Range<usize>| {
            let part = |frame: &Frame| frame.plane(Plane::Y)[rows.start * 320..rows.end * 320].to_vec();
            part(&first) != part(&last)
        };
        assert!(differ(40..110) && differ(140..180), "the ball and the clock");
        assert!(!differ(112..136), "the rest stands still");
    }

    #[test]
    fn every_size_can_be_painted() {
        for (width, height) in [(160, 90), (162, 90), (4096, 100), (320, 2000)] {
            let size = Size::new(width, height);
            let pattern = Pattern::new(size, 30, "A very long name of a place that never ends, \u{1F600} and so on");
            let mut out = vec![0; size.pixels() * 3 / 2];
            for ms in [0, 999, 3000] {
                pattern.paint(Duration::from_millis(ms), 86_399_999, &mut out);
            }
        }
    }
}
