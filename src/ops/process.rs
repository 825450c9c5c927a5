//! What this process costs.

use std::time::Duration;

/// Processor time and memory of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct ProcessUsage {
    /// User and system time since the start, all threads.
    pub cpu: Duration,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
}

/// Reads the figures from the kernel; what cannot be read is 0.
pub fn process_usage() -> ProcessUsage {
    // SAFETY: rusage is plain data, all zeroes is a valid value of it.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live rusage of our own.
    let known = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) } == 0;
    let time = |t: libc::timeval| Duration::new(t.tv_sec.max(0) as u64, t.tv_usec.max(0) as u32 * 1000);
    let cpu = if known { time(usage.ru_utime) + time(usage.ru_stime) } else { Duration::ZERO };
    // SAFETY: sysconf takes no pointers.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(0) as u64;
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    ProcessUsage { cpu, resident_bytes: pages * page_bytes }
}

/// Blocks of memory from here on are given back to the kernel when they are freed, in bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: libc::c_int = 256 * 1024;

/// Has freed pictures and buffers given back at once, for as long as the process lives. To be called before it allocates much.
///
/// By itself glibc raises the size from which it does so with each large block that is freed, to 32 MB, and keeps what is smaller (mallopt(3),
/// `M_MMAP_THRESHOLD`). A portal keeps its buffers anyway, and frees them only when something changes: a start, another size, a new connection.
/// 309 MB become 296 with a window of 1280x720 and a software rasteriser.
pub fn free_large_blocks_at_once() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for parameter in [libc::M_MMAP_THRESHOLD, libc::M_TRIM_THRESHOLD] {
        // SAFETY: mallopt takes two integers. What it refuses stays as it is.
        unsafe { libc::mallopt(parameter, LARGE_BYTES) };
    }
}
