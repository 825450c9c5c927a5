//! Threads that give way to all others.

/// The calling thread's share of a busy processor becomes a tenth of an ordinary thread's (sched(7): each step is a factor of 1.25).
const NICE: libc::c_int = 10;

/// Makes the calling thread, and no other, yield to every thread of ordinary priority that wants the processor.
pub fn yield_to_others() {
    // SAFETY: takes three numbers. 0 names the calling thread (setpriority(2), "C library/kernel differences": nice values are per thread).
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        // Where that is forbidden, the bound on its share of a core remains.
        tracing::debug!("a thread for guests keeps its priority: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_calling_thread_yields() {
        // SAFETY: takes two numbers.
        let nice = || unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
        let before = nice();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                yield_to_others();
                assert!(nice() >= NICE);
            });
        });
        assert_eq!(nice(), before);
    }
}
