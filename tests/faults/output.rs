//! A log that nobody reads, and one whose reader has gone: no portal waits for either.

use super::program::{ALONE, places, until, until_live};
use std::io::{PipeReader, PipeWriter, pipe};
use std::os::fd::AsRawFd;
use std::process::Stdio;
use std::sync::PoisonError;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// A pipe of one page, which `trace` fills within moments.
fn small_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    // SAFETY: takes no memory of ours; the descriptor is open.
    assert!(unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETPIPE_SZ, 4096) } > 0);
    (reader, writer)
}

fn waiting_bytes(reader: &PipeReader) -> i32 {
    let mut bytes = 0;
    // SAFETY: writes one int into `bytes`; the descriptor is open.
    assert_eq!(unsafe { libc::ioctl(reader.as_raw_fd(), libc::FIONREAD, &mut bytes) }, 0);
    bytes
}

#[test]
fn a_log_that_nobody_reads_holds_nobody_up() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for reader_goes in [false, true] {
        let what = if reader_goes { "the log's reader has gone" } else { "nobody reads the log" };
        let places = places();
        let (reader, writer) = small_pipe();
        let mut programs = [places[0].start_saying(Stdio::from(writer), "trace"), places[1].start()];
        until_live(what, programs.each_ref(), 15 * SECOND);
        assert!(waiting_bytes(&reader) > 3000, "the pipe is full: {}", waiting_bytes(&reader));
        let _kept = if reader_goes { None } else { Some(reader) };
        let presented = |status: &super::program::Status| status.figures.incoming.presented;
        let before = programs.each_ref().map(|program| presented(&program.status().unwrap()));
        std::thread::sleep(5 * SECOND);
        let (after, shown) = until_live(&format!("{what}, 5 s later"), programs.each_ref(), SECOND);
        for (after, before) in after.iter().zip(before) {
            // A landscape at 30 a second; how many of them a busy machine shows is not asked here.
            assert!(presented(after) > before + 60, "{what}: {} pictures", presented(after) - before);
        }
        assert!(shown.iter().all(|shown| shown.len() == 1), "{what}: no slate: {shown:?}");
        let (took, exit) = programs[0].end();
        println!("{:6} ms  SIGTERM, {what}", took.as_millis());
        assert!(took < SECOND && exit.code() == Some(0), "{what}: {took:?} {exit:?}");
        until(&format!("{what}: goodbye heard"), [&programs[1], &programs[1]], SECOND, |now| {
            now[0].as_ref().is_some_and(|status| status.view.slate == screen_portal::ops::Slate::FarOff)
        });
    }
}
