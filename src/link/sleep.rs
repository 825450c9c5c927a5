//! Notices that this machine has slept.
//!
//! Linux's monotonic clock, which is Rust's `Instant`, stands still while the machine is suspended; `CLOCK_BOOTTIME` does not
//! (clock_gettime(2)). To us nothing has happened; the far end has waited, and may have given us up.

use std::time::Duration;

/// Less is no sleep: the two clocks are not read at the same moment.
const SHORTEST: Duration = Duration::from_millis(500);

/// Remembers by how much the clock that counts sleep is ahead.
#[derive(Debug)]
pub(super) struct SleepWatch {
    ahead: Duration,
}

impl SleepWatch {
    /// Begins to watch.
    pub fn new() -> Self {
        Self { ahead: ahead() }
    }

    /// How long the machine has slept since the last call, if it has.
    pub fn slept(&mut self) -> Option<Duration> {
        self.slept_until(ahead())
    }

    fn slept_until(&mut self, ahead: Duration) -> Option<Duration> {
        let slept = ahead.saturating_sub(std::mem::replace(&mut self.ahead, ahead));
        (slept >= SHORTEST).then_some(slept)
    }
}

fn ahead() -> Duration {
    let awake = read(libc::CLOCK_MONOTONIC);
    read(libc::CLOCK_BOOTTIME).saturating_sub(awake)
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that the call may write to. It fails only for clocks that the kernel does not know; then the
    // time stays zero, and no sleep is ever seen.
    unsafe { libc::clock_gettime(clock, &mut time) };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sleep_counts() {
        let mut watch = SleepWatch::new();
        assert_eq!(watch.slept(), None);
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(watch.slept(), None, "time that both clocks count");
        let (ahead, ms) = (watch.ahead, Duration::from_millis);
        for (now, slept) in [
            (ahead + ms(10), None),
            (ahead + ms(3_600_010), Some(ms(3_600_000))),
            (ahead + ms(3_600_010), None),
            (ahead, None),
        ] {
            assert_eq!(watch.slept_until(now), slept);
        }
    }
}
