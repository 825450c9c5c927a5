//! Makes one thread of a program hang, without the program's help: as a debugger does, with ptrace(2).
//!
//! To the thread it is as if a call into a driver or a library did not come back; all others go on. The program under test is the one that
//! is shipped.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

/// Threads that hang until this is dropped, or until their process ends or replaces itself.
pub struct Held {
    release: Arc<AtomicBool>,
    tracer: Option<JoinHandle<()>>,
}

/// Holds all threads of the process that have this name now. An error says why that cannot be done here.
pub fn hold(process: u32, name: &str) -> Result<Held, String> {
    let threads = threads(process, name);
    if threads.is_empty() {
        return Err(format!("process {process} has no thread `{name}`"));
    }
    let release = Arc::new(AtomicBool::new(false));
    let (held, ready) = mpsc::channel();
    let released = Arc::clone(&release);
    // Whoever seized a thread is the only one who may do anything with it.
    let tracer = std::thread::spawn(move || {
        let seized = threads.iter().try_for_each(|thread| stop(*thread));
        let failed = seized.is_err();
        // Whoever asked is still there: it waits for this.
        let _ = held.send(seized);
        let mut left = threads;
        while !failed && !released.load(Relaxed) && !left.is_empty() {
            // A process that replaces itself waits until its threads that ended were seen by whoever traces them.
            left.retain(|thread| !has_ended(*thread));
            std::thread::sleep(Duration::from_millis(5));
        }
        left.iter().for_each(|thread| go_on(*thread));
    });
    let held = Held { release, tracer: Some(tracer) };
    ready.recv().map_err(|error| error.to_string())??;
    Ok(held)
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release.store(true, Relaxed);
        if let Some(tracer) = self.tracer.take() {
            let _ = tracer.join();
        }
    }
}

/// The threads of the process that have this name.
pub fn threads(process: u32, name: &str) -> Vec<libc::pid_t> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return vec![] };
    let named = tasks
        .flatten()
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    named.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

fn stop(thread: libc::pid_t) -> Result<(), String> {
    let failed = |what: &str| format!("{what} {thread}: {}", std::io::Error::last_os_error());
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: these two take no memory of ours; the thread is another process's.
    unsafe {
        if libc::ptrace(libc::PTRACE_SEIZE, thread, nothing, nothing) != 0 {
            return Err(failed("PTRACE_SEIZE"));
        }
        if libc::ptrace(libc::PTRACE_INTERRUPT, thread, nothing, nothing) != 0 {
            return Err(failed("PTRACE_INTERRUPT"));
        }
    }
    let mut status = 0;
    // SAFETY: `status` is ours.
    match unsafe { libc::waitpid(thread, &mut status, libc::__WALL) } {
        stopped if stopped == thread && libc::WIFSTOPPED(status) => Ok(()),
        _ => Err(failed("waitpid")),
    }
}

fn has_ended(thread: libc::pid_t) -> bool {
    let mut status = 0;
    // SAFETY: `status` is ours.
    let seen = unsafe { libc::waitpid(thread, &mut status, libc::__WALL | libc::WNOHANG) };
    seen < 0 || (seen == thread && (libc::WIFEXITED(status) || libc::WIFSIGNALED(status)))
}

fn go_on(thread: libc::pid_t) {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: takes no memory of ours. It fails if the thread has ended, which is as good.
    unsafe { libc::ptrace(libc::PTRACE_DETACH, thread, nothing, nothing) };
}
