//! What else this machine is doing: figures taken beside somebody else's work are somebody else's figures.

use std::time::{Duration, Instant};

/// Less than this many cores of other work does not show in the figures.
const QUIET_CORES: f64 = 0.1;

/// Processor time that the whole machine has used, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    seconds: f64,
    at: Instant,
}

impl Busy {
    /// Now.
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        Self { seconds: busy_seconds(&text), at: Instant::now() }
    }

    /// How many cores were busy on average since then.
    pub fn cores_since(&self) -> f64 {
        let now = Self::now();
        (now.seconds - self.seconds) / (now.at - self.at).as_secs_f64().max(1e-3)
    }
}

/// The first line counts hundredths of a second: user, nice, system, idle, waiting for disks, interrupts twice, stolen.
fn busy_seconds(stat: &str) -> f64 {
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    let busy =
        fields.enumerate().filter(|(n, _)| ![3, 4].contains(n)).filter_map(|(_, field)| field.parse::<f64>().ok());
    busy.sum::<f64>() / 100.0
}

/// Waits until the machine has been quiet for three seconds, at most for `patience`; says how busy it is then.
pub fn wait_until_quiet(patience: Duration) -> f64 {
    let until = Instant::now() + patience;
    loop {
        let busy = Busy::now();
        std::thread::sleep(Duration::from_secs(3));
        let cores = busy.cores_since();
        if cores < QUIET_CORES || Instant::now() >= until {
            return cores;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_does_not_count() {
        assert_eq!(busy_seconds("cpu  100 20 30 9000 500 4 5 6 0 0\ncpu0 1 2 3"), 1.65);
    }
}
