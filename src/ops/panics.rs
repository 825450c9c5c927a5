//! A panic is a bug, and a bug in one thread must not leave a portal that looks alive.

use super::ending::{self, Cause};
use super::logging;
use std::cell::Cell;
use std::future::poll_fn;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::process::exit;
use std::sync::mpsc;
use std::time::Duration;

/// The exit code after a panic: the one that Rust itself uses.
const PANICKED: i32 = 101;

thread_local! {
    /// What this thread is running whose panic ends only itself.
    static CONTAINED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Something contained has panicked. The panic's hook has logged why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ended by a bug in {0}")]
pub struct Panicked(&'static str);

/// From now on a panic in any thread but the main one is logged and ends the program, for the supervisor to start it again: without its
/// encoder, say, a portal would go on for ever and show nobody anything. The main thread ends by itself; the display catches
/// what the window system panics about, and says goodbye first. What is [contained](contain) is only logged.
pub fn end_the_program() {
    std::panic::set_hook(Box::new(|panic| {
        if let Some(what) = CONTAINED.get() {
            return tracing::error!("bug in {what}, which ends it and nothing else: {panic}");
        }
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("nameless");
        tracing::error!("bug in thread {name}: {panic}");
        if name != "main" {
            let reason = format!("a bug in thread {name}: {panic}");
            ending::note(Cause::Panicked, &reason);
            if !logging::flush() {
                // The log may be the part that is broken.
                cry(format!("screen-portal: ended by {reason}"));
            }
            exit(PANICKED);
        }
    }));
}

/// Writes a line past the log; waits a fifth of a second for it at most, because nobody may read.
fn cry(line: String) {
    let (done, written) = mpsc::channel();
    let write = move || {
        let _ = writeln!(std::io::stderr(), "{line}");
        let _ = done.send(());
    };
    if std::thread::Builder::new().name("last-cry".into()).spawn(write).is_ok() {
        let _ = written.recv_timeout(Duration::from_millis(200));
    }
}

/// Runs `future`, named `what` in the log. If it panics, that is an error, and the program goes on: for parts that can be made anew and
/// share nothing with the rest that a panic could leave half done.
pub async fn contain<T>(what: &'static str, future: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut future = pin!(future);
    poll_fn(move |context| match contained(what, || future.as_mut().poll(context)) {
        Ok(polled) => polled.map(Ok),
        Err(panicked) => std::task::Poll::Ready(Err(panicked)),
    })
    .await
}

/// The same for what is no future.
pub fn contained<T>(what: &'static str, call: impl FnOnce() -> T) -> Result<T, Panicked> {
    let outer = CONTAINED.replace(Some(what));
    let returned = catch_unwind(AssertUnwindSafe(call));
    CONTAINED.set(outer);
    returned.map_err(|_| Panicked(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Tells the test program, started again, to panic.
    const CHILD: &str = "PORTAL_TEST_PANIC";

    #[tokio::test]
    async fn what_is_contained_ends_alone() {
        assert_eq!(contain("a part", async { 7 }).await, Ok(7));
        let part = async {
            tokio::task::yield_now().await;
            panic!("meant by the test")
        };
        assert_eq!(contain::<()>("a part", part).await, Err(Panicked("a part")));
        assert_eq!(CONTAINED.get(), None);
    }

    #[test]
    fn only_what_is_not_contained_ends_the_program() {
        if let Ok(how) = std::env::var(CHILD) {
            end_the_program();
            let run = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let part = async { panic!("meant by the test") };
                match how.as_str() {
                    "contained" => assert!(runtime.block_on(contain::<()>("a part", part)).is_err()),
                    _ => runtime.block_on(part),
                }
            };
            std::thread::Builder::new().name("part".into()).spawn(run).unwrap().join().unwrap();
            exit(0);
        }
        for (how, code) in [("contained", 0), ("not", PANICKED)] {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "ops::panics::tests::only_what_is_not_contained_ends_the_program", "--nocapture"]);
            let output = child.env(CHILD, how).output().unwrap();
            assert_eq!(output.status.code(), Some(code), "{how}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
