//! The probe of `tests/tools`: starts it, and reads what it saw.

use crate::{Tools, Trouble};
use screen_portal::demo::Child;
use serde::Deserialize;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// One change of what a screen showed. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// A new picture.
    Picture {
        /// When it was seen.
        at_ms: f64,
        /// When it was made, as its time code says.
        made_ms: f64,
        /// Its number.
        number: u16,
    },
    /// There is no time code on the screen any more.
    Gone {
        /// Since when.
        at_ms: f64,
    },
}

#[derive(Deserialize)]
struct Line {
    t: Option<f64>,
    ms: Option<f64>,
    n: Option<u16>,
}

/// A running probe.
pub struct Probe {
    _child: Child,
    log: PathBuf,
}

impl Probe {
    /// Watches a picture that is `width` pixels wide in the upper left corner of the framebuffer of the screen whose files are in
    /// `framebuffer`. With `grabs`, a copy of the framebuffer goes there every half second, so many times.
    pub fn start(
        tools: &Tools,
        name: &str,
        framebuffer: &Path,
        width: u32,
        grabs: Option<(&Path, u32)>,
    ) -> Result<Self, Trouble> {
        let log = tools.folder.join(format!("{name}.jsonl"));
        let block = width / 40;
        let mut command = Command::new(tools.tools.join("probe"));
        command.arg("--fb").arg(framebuffer.join("Xvfb_screen0")).arg("--out").arg(&log);
        command.args(["--x", &(4 * block).to_string(), "--y", &block.to_string(), "--block", &block.to_string()]);
        if let Some((grabs, times)) = grabs {
            std::fs::create_dir_all(grabs)?;
            command.args(["--grab-every", "0.5", "--grab-max", &times.to_string(), "--grab-dir"]).arg(grabs);
        }
        command.stdout(std::process::Stdio::null());
        let child = Child::start("probe", command, &tools.folder.join(format!("{name}-probe.log")), libc::SIGKILL)?;
        Ok(Self { _child: child, log })
    }

    /// All that it has seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        parse(&std::fs::read_to_string(&self.log).unwrap_or_default())
    }

    /// What it saw in about the last half minute: cheap enough to be asked all the time beside what is measured.
    fn recently_seen(&self) -> Vec<Seen> {
        const BYTES: u64 = 65_536;
        let mut text = String::new();
        let read = File::open(&self.log).and_then(|mut log| {
            let end = log.metadata()?.len();
            log.seek(SeekFrom::Start(end.saturating_sub(BYTES)))?;
            log.read_to_string(&mut text)
        });
        if read.is_ok() { parse(&text) } else { vec![] }
    }

    /// Waits for the first picture that was made at or after `since_ms`, and says when it was seen.
    pub fn first_picture_since(&self, since_ms: f64, limit: Duration) -> Option<f64> {
        self.wait(limit, |seen| match *seen {
            Seen::Picture { at_ms, made_ms, .. } => (made_ms >= since_ms).then_some(at_ms),
            Seen::Gone { .. } => None,
        })
    }

    /// Waits until no time code is on the screen, at or after `since_ms`, and says since when.
    pub fn gone_since(&self, since_ms: f64, limit: Duration) -> Option<f64> {
        self.wait(limit, |seen| match *seen {
            Seen::Gone { at_ms } => (at_ms >= since_ms).then_some(at_ms),
            Seen::Picture { .. } => None,
        })
    }

    fn wait(&self, limit: Duration, wanted: impl Fn(&Seen) -> Option<f64>) -> Option<f64> {
        let until = Instant::now() + limit;
        loop {
            match self.recently_seen().iter().find_map(&wanted) {
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
                found => return found,
            }
        }
    }
}

/// The first and the last line may be cut; what does not parse is left out.
fn parse(log: &str) -> Vec<Seen> {
    log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()).filter_map(Line::seen).collect()
}

impl Line {
    fn seen(self) -> Option<Seen> {
        let at_ms = self.t?;
        Some(match (self.ms, self.n) {
            (Some(made_ms), Some(number)) => Seen::Picture { at_ms, made_ms, number },
            _ => Seen::Gone { at_ms },
        })
    }
}

/// The clock of the time code.
pub fn now_ms() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
}

/// Figures of the pictures seen in a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Pictures a second.
    pub fps: f64,
    /// Median age in milliseconds.
    pub p50_ms: f64,
    /// 95 of 100 were younger.
    pub p95_ms: f64,
    /// The oldest.
    pub max_ms: f64,
    /// The longest time without a new picture.
    pub longest_gap_ms: f64,
    /// Pictures that were made in that time and never shown.
    pub missing: u32,
}

/// Summary of what was seen from one moment to another.
pub fn summary(seen: &[Seen], from_ms: f64, to_ms: f64) -> Option<Summary> {
    let pictures: Vec<(f64, f64, u16)> = seen
        .iter()
        .filter_map(|seen| match *seen {
            Seen::Picture { at_ms, made_ms, number } => Some((at_ms, made_ms, number)),
            Seen::Gone { .. } => None,
        })
        .filter(|(at_ms, ..)| (from_ms..to_ms).contains(at_ms))
        .collect();
    let (first, last) = (pictures.first()?, pictures.last()?);
    let mut ages: Vec<f64> = pictures.iter().map(|(at_ms, made_ms, _)| at_ms - made_ms).collect();
    ages.sort_by(f64::total_cmp);
    let quantile = |share: f64| ages[((ages.len() - 1) as f64 * share).round() as usize];
    let gaps = pictures.windows(2).map(|pair| pair[1].0 - pair[0].0);
    let steps = u32::from(last.2.wrapping_sub(first.2));
    Some(Summary {
        fps: (pictures.len() - 1) as f64 / ((last.0 - first.0) / 1e3).max(1e-3),
        p50_ms: quantile(0.5),
        p95_ms: quantile(0.95),
        max_ms: quantile(1.0),
        longest_gap_ms: gaps.fold(0.0, f64::max),
        missing: (steps + 1).saturating_sub(pictures.len() as u32),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_becomes_figures() {
        let log = "{\"t\":1010.00,\"ms\":1000,\"n\":65535,\"lat\":10.00}\n{\"t\":1050.50,\"ms\":1033,\"n\":0,\"lat\":17.50}\n\
                   {\"t\":1080.00,\"gone\":1}\n{\"t\":1110.00,\"ms\":1100,\"n\":2,\"lat\":10.0}\n{\"end\":1,\"sec\":1.0}\n{\"t\":11";
        let seen = parse(log);
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[2], Seen::Gone { at_ms: 1080.0 });
        let summary = summary(&seen, 0.0, 2000.0).unwrap();
        assert_eq!((summary.p50_ms, summary.max_ms, summary.missing), (10.0, 17.5, 1));
        assert_eq!((summary.fps, summary.longest_gap_ms), (20.0, 59.5));
        assert_eq!(super::summary(&seen, 2000.0, 3000.0), None);
    }
}
