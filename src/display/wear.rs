//! What spares the screen: less light by the clock, words that fade, and a slow drift of what stands still. Pure: times are given.
//!
//! A panel that shows the same bright edge at the same place for months keeps it (burn-in of OLED and plasma, image retention of LCD). The
//! far end's picture moves by itself; what does not is one's own picture's frame, the overlays, and the words of slates.

use super::brightness::Brightness;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::time::{Duration, Instant};

/// Words of a slate are bright for so long, and then fade.
const BRIGHT: Duration = Duration::from_secs(180);
/// How long fading takes.
const FADE: Duration = Duration::from_secs(30);
/// What is left of their light.
const FADED: f32 = 0.45;
/// Between two steps of the drift, one pixel each.
const STEP: Duration = Duration::from_secs(60);
/// How often the clock on the wall is asked.
const ASK: Duration = Duration::from_secs(5);

/// How much of their light words have that have stood for `since`, 0 to 1.
pub fn words(since: Duration) -> f32 {
    let faded = since.saturating_sub(BRIGHT).as_secs_f32() / FADE.as_secs_f32();
    1.0 - (1.0 - FADED) * faded.min(1.0)
}

/// Where what stands still is, beside its place: pixels to the right and down, up to `reach` each way. Each step is one pixel; the way leads
/// over every place of the square and back again, from the middle on.
pub fn drift(since: Duration, reach: u32) -> (i32, i32) {
    let side = u64::from(2 * reach.min(64) + 1);
    let places = side * side;
    // There and back without standing still at the ends: a period of twice the way.
    let period = (2 * (places - 1)).max(1);
    let step = (places / 2 + since.as_secs() / STEP.as_secs()) % period;
    let place = step.min(period - step);
    let (row, column) = (place / side, place % side);
    // Every other row the other way, as an ox ploughs.
    let column = if row.is_multiple_of(2) { column } else { side - 1 - column };
    let from_middle = |at: u64| at as i32 - (side / 2) as i32;
    (from_middle(column), from_middle(row))
}

/// What holds for a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// How much of its light everything has, 0 to 1.
    pub brightness: f32,
    /// Where what stands still is, beside its place, on the canvas.
    pub drift: (i32, i32),
}

/// Asks the clock on the wall, now and then.
#[derive(Debug)]
pub struct Wear {
    levels: Brightness,
    zone: TimeZone,
    started: Instant,
    asked: Option<(Instant, f32)>,
}

impl Wear {
    /// For levels that were checked; a zone that is not known counts as the system's.
    pub fn new(levels: Brightness, time_zone: &str, started: Instant) -> Self {
        let zone = if time_zone.is_empty() {
            TimeZone::system()
        } else {
            TimeZone::get(time_zone).unwrap_or(TimeZone::system())
        };
        Self { levels, zone, started, asked: None }
    }

    /// How things are to look on a canvas whose shorter side has hundredths of `vmin` pixels.
    pub fn look(&mut self, vmin: f32, now: Instant) -> Look {
        let fresh = self.asked.filter(|(at, _)| now.saturating_duration_since(*at) < ASK);
        let brightness = match fresh {
            Some((_, brightness)) => brightness,
            None => {
                let wall = Timestamp::now();
                let time = self.zone.to_offset(wall).to_datetime(wall).time();
                let second = 3600 * u32::from(time.hour().unsigned_abs())
                    + 60 * u32::from(time.minute().unsigned_abs())
                    + u32::from(time.second().unsigned_abs());
                let brightness = self.levels.at(second);
                self.asked = Some((now, brightness));
                brightness
            }
        };
        let reach = (0.5 * vmin).round().max(1.0) as u32;
        Look { brightness, drift: drift(now.saturating_duration_since(self.started), reach) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_drift_covers_a_square_evenly_one_pixel_at_a_time() {
        for reach in [1, 4, 11] {
            let at = |minute: u64| drift(Duration::from_secs(60 * minute + 7), reach);
            assert_eq!(at(0), (0, 0), "it begins in its place");
            let side = u64::from(2 * reach + 1);
            let period = 2 * (side * side - 1);
            let mut seen = HashSet::new();
            for minute in 0..period {
                let (now, next) = (at(minute), at(minute + 1));
                assert_eq!((now.0 - next.0).abs() + (now.1 - next.1).abs(), 1, "{reach} {minute}");
                assert!(now.0.unsigned_abs() <= reach && now.1.unsigned_abs() <= reach);
                seen.insert(now);
            }
            assert_eq!(seen.len() as u64, side * side);
            assert_eq!(at(0), at(period));
        }
        drift(Duration::MAX, u32::MAX);
    }

    #[test]
    fn words_fade_and_stay_legible() {
        assert_eq!(words(Duration::ZERO), 1.0);
        assert_eq!(words(BRIGHT), 1.0);
        assert!((words(BRIGHT + FADE / 2) - 0.725).abs() < 1e-4);
        assert_eq!(words(Duration::from_secs(1_000_000)), FADED);
    }
}
