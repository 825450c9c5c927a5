//! A panic is a bug, and a bug in one thread must not leave a portal that looks alive.

use std::io::Write;
use std::process::exit;

/// The exit code after a panic: the one that Rust itself uses.
const PANICKED: i32 = 101;

/// From now on a panic in any thread but the main one is logged and ends the program, for the supervisor to start it again: without its
/// encoder, say, a portal would go on for ever and show nobody anything. The main thread ends by itself; the display catches
/// what the window system panics about, and says goodbye first.
pub fn end_the_program() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("nameless");
        tracing::error!("bug in thread {name}: {panic}");
        if name != "main" {
            // The log may be the part that is broken.
            let _ = writeln!(std::io::stderr(), "screen-portal: ended by a bug in thread {name}: {panic}");
            exit(PANICKED);
        }
    }));
}
