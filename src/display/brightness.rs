//! How bright the display is, by the clock on the wall: lines of the configuration, and the level at a moment. Pure.

/// Levels of brightness over a day. Without any it is always full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brightness {
    /// From this second of the day on, so many percent; in their order.
    levels: Vec<(u32, u8)>,
}

const DAY_S: u32 = 24 * 3600;
/// How long going from one level to the next takes.
const FADE_S: u32 = 120;
/// A darker picture is none.
const DARKEST: u8 = 5;
/// More lines are no plan for a day.
const MOST: usize = 24;

impl Brightness {
    /// Reads lines such as `22:00 = 30`.
    ///
    /// # Errors
    /// What is wrong with the first line that cannot be understood.
    pub fn parse(lines: &[String]) -> Result<Self, String> {
        if lines.len() > MOST {
            return Err(format!("{} lines are more than {MOST}", lines.len()));
        }
        let mut levels = Vec::new();
        for line in lines {
            let level = read(line).ok_or_else(|| {
                let line: String = line.chars().take(40).collect();
                format!("`{line}` is not understood: write `22:00 = 30`, a time and {DARKEST} to 100 percent")
            })?;
            if levels.iter().any(|(second, _)| *second == level.0) {
                return Err(format!("`{line}` names a time that another line has, too"));
            }
            levels.push(level);
        }
        levels.sort_unstable();
        Ok(Self { levels })
    }

    /// The part of the full light at a second of the day, 0 to 1.
    pub fn at(&self, second: u32) -> f32 {
        let Some(last) = self.levels.last() else { return 1.0 };
        // Before the first one of the day yesterday's last one holds.
        let now = self.levels.iter().rposition(|(from, _)| *from <= second);
        let (from, level) = now.map_or(*last, |now| self.levels[now]);
        let before = match now {
            Some(0) => last.1,
            Some(now) => self.levels[now - 1].1,
            None if self.levels.len() > 1 => self.levels[self.levels.len() - 2].1,
            None => level,
        };
        let since = (second + DAY_S - from) % DAY_S;
        let part = since.min(FADE_S) as f32 / FADE_S as f32;
        (f32::from(before) + (f32::from(level) - f32::from(before)) * part) / 100.0
    }
}

fn read(line: &str) -> Option<(u32, u8)> {
    let (time, level) = line.split_once('=')?;
    let second = 60 * u32::from(crate::hours::minutes(time).ok()?);
    let level = level.trim();
    let plain = level.bytes().all(|byte| byte.is_ascii_digit());
    let level = level.parse().ok().filter(|level| plain && (DARKEST..=100).contains(level))?;
    // The end of one day is the beginning of the next, which has a line of its own.
    (second < DAY_S).then_some((second, level))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(lines: &[&str]) -> Result<Brightness, String> {
        Brightness::parse(&lines.iter().map(|line| line.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn a_day() {
        let hm = |hour: u32, minute: u32| 3600 * hour + 60 * minute;
        let day = levels(&["22:00 = 30", "7:00=100", "23:30 = 10"]).unwrap();
        for (second, wanted) in [
            (hm(12, 0), 1.0),
            (hm(22, 0), 1.0),
            (hm(22, 1), 0.65),
            (hm(22, 2), 0.3),
            (hm(23, 59), 0.1),
            (hm(0, 0), 0.1),
            (hm(6, 59), 0.1),
            (hm(7, 1), 0.55),
            (hm(7, 2), 1.0),
        ] {
            assert!((day.at(second) - wanted).abs() < 1e-3, "{second}: {}", day.at(second));
        }
        assert_eq!(Brightness::default().at(0), 1.0);
        let one = levels(&["22:00 = 50"]).unwrap();
        assert!((0..DAY_S).step_by(30).all(|second| one.at(second) == 0.5));
    }

    #[test]
    fn never_jumps() {
        // One that begins in the fade of another, over midnight.
        let day = levels(&["23:59 = 20", "06:00 = 100"]).unwrap();
        for second in 0..DAY_S {
            let step = (day.at(second) - day.at((second + 1) % DAY_S)).abs();
            assert!(step < 0.01, "{second}: {step}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for line in [
            "22 = 30",
            "22:00",
            "24:00 = 30",
            "022:000 = 30",
            "22:00 = +30",
            "22:60 = 30",
            "22:00 = 4",
            "22:00 = 101",
            "22:00 = 30 %",
            "-1:00 = 50",
            "",
        ] {
            assert!(levels(&[line]).unwrap_err().contains("22:00 = 30"), "{line}");
        }
        assert!(levels(&["22:00 = 30", "22:00 = 40"]).unwrap_err().contains("another line"));
        assert!(Brightness::parse(&vec!["1:00 = 50".to_owned(); 25]).is_err());
    }
}
