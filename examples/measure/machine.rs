//! What else this machine is doing: figures taken beside somebody else's work are somebody else's figures.

use std::time::{Duration, Instant};

/// Less than this many cores of other work does not show in the figures.
const QUIET_CORES: f64 = 0.1;

/// Processor time that the whole machine has used, and that what we started has, at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Busy {
    seconds: f64,
    ours: f64,
    at: Instant,
}

impl Busy {
    /// Now.
    pub fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        Self { seconds: busy_seconds(&text), ours: our_seconds(), at: Instant::now() }
    }

    /// How many cores others kept busy on average since then. Only right while none of our processes has ended.
    pub fn others_since(&self) -> f64 {
        let now = Self::now();
        let others = (now.seconds - self.seconds) - (now.ours - self.ours);
        (others / (now.at - self.at).as_secs_f64().max(1e-3)).max(0.0)
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

/// Processor time of all processes of our session: of the measurement and of what it started.
fn our_seconds() -> f64 {
    // SAFETY: getsid takes an integer and changes nothing.
    let session = unsafe { libc::getsid(0) };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let stats = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter_map(|stat| of_session(&stat, session)).sum()
}

/// Seconds in user and system mode, if the process is of this session (proc_pid_stat(5)).
fn of_session(stat: &str, session: i32) -> Option<f64> {
    // The name, in parentheses, may contain anything.
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 2..)?.split(' ').collect();
    let number = |n: usize| fields.get(n)?.parse::<f64>().ok();
    (number(3)? == f64::from(session)).then_some((number(11)? + number(12)?) / 100.0)
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
    fn only_our_session_is_ours() {
        let stat = "7 (a) b) S 1 7 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 1 0 100 1000 10";
        assert_eq!(of_session(stat, 42), Some(2.0));
        assert_eq!(of_session(stat, 7), None);
        assert_eq!(of_session("damaged", 7), None);
    }

    #[test]
    fn idle_time_does_not_count() {
        assert_eq!(busy_seconds("cpu  100 20 30 9000 500 4 5 6 0 0\ncpu0 1 2 3"), 1.65);
    }
}
