//! Why the program ended last, and beginning again.
//!
//! While the program runs, a small file in the data folder says so; before it ends, it writes there why. What the next start finds is
//! logged and stands in `/status`: a file that still says "running" means that the program was killed, or that the power went
//! (the kernel's boot id tells which). Where the disk takes no file, a program that begins again tells itself by an environment
//! variable; what else the reason was is then only in the log.
//!
//! Some things cannot be mended inside a process: a window system that went away, a thread that hangs in a driver. Then the program
//! *begins again*: it replaces itself by execve(2), with the same process id, arguments and environment, so that it works under systemd,
//! under a compositor and in a terminal alike. Whoever begins again soon after a start waits longer each time, up to 30 s.

use super::{logging, systemd};
use crate::files;
use serde::{Deserialize, Serialize};
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The file's name inside the data folder.
pub const FILE_NAME: &str = "last-end.json";
/// Carries the reason over execve(2). Not named as keys of the configuration are: it is none.
const VARIABLE: &str = "PORTAL_LAST_END";
/// Carries privacy over execve(2), where the disk takes no file: there and not empty while it is on.
const PRIVATE: &str = "PORTAL_PRIVATE";
/// A run that lasted so long was a good one: whatever ended it, the next one starts at once.
const GOOD_RUN: Duration = Duration::from_secs(60);
/// The longest wait before the program begins again.
const LONGEST_DELAY: Duration = Duration::from_secs(30);
/// How long a disk may take to note why we end; one that hangs must not keep us from ending.
const NOTE_LIMIT: Duration = Duration::from_millis(300);
/// Longer files are not ours.
const LARGEST_FILE: u64 = 16 * 1024;
/// Characters of a reason that are kept.
const REASON_CHARS: usize = 500;

/// What kind of end it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// As it was asked to: a key, a closed window, SIGINT or SIGTERM.
    Asked,
    /// For something that it could not mend by itself, with an exit code.
    Failed,
    /// By a bug in this program.
    Panicked,
    /// It began again, because that was the only remedy left.
    BeganAgain,
    /// It began again with another configuration: somebody has changed it, or paired two portals.
    Changed,
    /// Without a word: killed, by a person or for want of memory, or crashed.
    Killed,
    /// Together with the machine: its power was cut, or its kernel crashed.
    PowerCut,
}

/// How a run of the program ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    /// What kind of end it was.
    pub cause: Cause,
    /// One line for people.
    pub reason: String,
    /// When, in seconds since 1970 by this machine's clock, if that is known.
    pub unix_s: Option<u64>,
    /// How long the run had lasted, in seconds, if that is known.
    pub ran_s: Option<f64>,
    /// How many runs in a row, this one included, ended by themselves within a minute.
    pub short_runs: u32,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Note {
    /// The program runs, in this boot of the machine, since so many seconds after 1970; with the short runs before it.
    Running {
        boot: String,
        short_runs: u32,
        #[serde(default)]
        since_unix_s: Option<u64>,
    },
    /// It has ended.
    Ended(Ending),
}

/// Of the run that is under way.
#[derive(Debug)]
struct Run {
    path: PathBuf,
    started: Instant,
    last: Option<Ending>,
    /// Somebody has said why it ends: the first one knows best.
    ending: AtomicBool,
}

static RUN: OnceLock<Run> = OnceLock::new();
static IS_PRIVATE: AtomicBool = AtomicBool::new(false);

/// To be called once, when a portal is about to start: reads why the program ended last, logs it, and
/// notes that it runs. If it began again soon after it had started, it waits here first. Returns when this run began, `started` if it did not wait.
pub fn begin(folder: &Path, started: Instant) -> Instant {
    let path = folder.join(FILE_NAME);
    let handed_over = std::env::var(VARIABLE).ok();
    let boot = boot_id();
    let last = last_end(read(&path).as_deref(), handed_over.as_deref(), &boot, unix_s());
    if let Some(last) = &last {
        tell(last);
    }
    let short_runs = last.as_ref().map_or(0, |last| last.short_runs);
    // Who was started by somebody else waited there.
    let delay = match &last {
        Some(last) if handed_over.is_some() => last.delay(),
        _ => Duration::ZERO,
    };
    let started = if delay.is_zero() { started } else { wait(delay) };
    let note = Note::Running { boot, short_runs, since_unix_s: unix_s() };
    // At the first start there is no folder yet; it will hold the identity too, so it is as closed as that wants it.
    let noted = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| write(&path, &note));
    if let Err(error) = noted {
        tracing::warn!(
            "{} cannot be written: {error}; the portal runs all the same, but its next start will not know why this one ended; free \
             space on the disk, or make the folder writable",
            path.display()
        );
    }
    // Called twice only by mistake; then the first one stands.
    let _ = RUN.set(Run { path, started, last, ending: AtomicBool::new(false) });
    started
}

/// How the run before this one ended, if there was one and it is known.
pub fn last() -> Option<&'static Ending> {
    RUN.get()?.last.as_ref()
}

/// Notes why this run ends, for the next start; to be called right before the end. Only the first call counts, and it takes a third of a
/// second at most, whatever the disk does.
pub fn note(cause: Cause, reason: &str) {
    if let Some(run) = RUN.get() {
        run.end(cause, reason);
    }
}

/// Whether privacy is on: whoever begins again begins with it.
pub fn set_private(private: bool) {
    IS_PRIVATE.store(private, Relaxed);
}

/// Whether privacy was on when the program began again, if it did.
pub fn was_private() -> bool {
    std::env::var_os(PRIVATE).is_some_and(|value| !value.is_empty())
}

/// Begins again: notes why (`cause` is [`Cause::BeganAgain`] or [`Cause::Changed`]), and replaces this program by itself. Other threads end here and now, so whatever should be orderly must have
/// been done before. Comes back only if the system refuses, with its answer.
pub fn begin_again(cause: Cause, reason: &str) -> io::Error {
    let ending = match RUN.get() {
        Some(run) => run.end(cause, reason),
        None => Ending::new(cause, reason, Duration::MAX, 0),
    };
    // An Ending has nothing that JSON cannot say.
    let handed_over = serde_json::to_string(&ending).unwrap_or_default();
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program());
    command.arg0(arguments.next().unwrap_or_default()).args(arguments).env(VARIABLE, handed_over);
    // Also over what an earlier life had handed over to this one.
    command.env(PRIVATE, if IS_PRIVATE.load(Relaxed) { "1" } else { "" });
    logging::flush();
    close_on_exec();
    command.exec()
}

impl Run {
    fn end(&self, cause: Cause, reason: &str) -> Ending {
        let before = self.last.as_ref().map_or(0, |last| last.short_runs);
        let ending = Ending::new(cause, reason, self.started.elapsed(), before);
        if !self.ending.swap(true, Relaxed) {
            let (done, finished) = mpsc::channel();
            let (path, note) = (self.path.clone(), Note::Ended(ending.clone()));
            let write = move || done.send(write(&path, &note));
            let writing = std::thread::Builder::new().name("last-words".into()).spawn(write);
            let written = writing.map(|_| finished.recv_timeout(NOTE_LIMIT));
            if let Some(problem) = not_noted(&written) {
                tracing::warn!("the next start may not know why this run ended: {}: {problem}", self.path.display());
            }
        }
        ending
    }
}

impl Ending {
    fn new(cause: Cause, reason: &str, ran: Duration, short_runs_before: u32) -> Self {
        let reason = reason.chars().take(REASON_CHARS).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let short = ran < GOOD_RUN && cause != Cause::Asked;
        let short_runs = if short { short_runs_before.saturating_add(1) } else { 0 };
        let ran_s = (ran < Duration::MAX).then(|| (ran.as_secs_f64() * 1e3).round() / 1e3);
        Self { cause, reason, unix_s: unix_s(), ran_s, short_runs }
    }

    /// Whether it was to begin again at once.
    pub fn is_again(&self) -> bool {
        matches!(self.cause, Cause::BeganAgain | Cause::Changed)
    }

    /// How long to wait before the program begins again. A configuration that was changed once is no reason to wait.
    fn delay(&self) -> Duration {
        let free = u32::from(self.cause == Cause::Changed);
        if self.short_runs <= free { Duration::ZERO } else { delay(self.short_runs) }
    }

    /// Of a run that left no last words.
    fn without_a_word(cause: Cause, short_runs_before: u32) -> Self {
        let reason = match cause {
            Cause::PowerCut => "the machine lost its power, or crashed",
            _ => "the program was killed or crashed; `journalctl -k` tells if memory ran out",
        };
        Self { cause, reason: reason.into(), unix_s: None, ran_s: None, short_runs: short_runs_before }
    }
}

/// Why the last words were not written, and what helps; `None` if they were. Outside: whether there was a thread to write them; then whether it
/// was done in time; then what the disk said.
fn not_noted(written: &io::Result<Result<io::Result<()>, RecvTimeoutError>>) -> Option<String> {
    Some(match written {
        Ok(Ok(Ok(()))) => return None,
        Ok(Ok(Err(error))) => {
            format!("it cannot be written ({error}); free space on the disk, or make the folder writable")
        }
        Ok(Err(RecvTimeoutError::Timeout)) => format!(
            "the disk took longer than {} ms; if it does so again, see what the kernel says of it (journalctl -k)",
            NOTE_LIMIT.as_millis()
        ),
        Ok(Err(RecvTimeoutError::Disconnected)) => {
            "whoever wrote it ended before it was written, which is a bug; please report it".into()
        }
        Err(error) => {
            format!("the system gave no thread to write it ({error}); see whether memory or TasksMax is exhausted")
        }
    })
}

/// By this machine's clock, if that is not set to before 1970.
fn unix_s() -> Option<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// How the last run ended, from what the file says, what was handed over by a program that began again, the id of this boot, and the clock.
fn last_end(file: Option<&[u8]>, handed_over: Option<&str>, boot: &str, now_unix_s: Option<u64>) -> Option<Ending> {
    // What was handed over is from the moment of the end; the file may be older where the disk takes nothing.
    if let Some(ending) = handed_over.and_then(|text| serde_json::from_str(text).ok()) {
        return Some(ending);
    }
    match serde_json::from_slice(file?) {
        Ok(Note::Ended(ending)) => Some(ending),
        Ok(Note::Running { boot: then, short_runs, since_unix_s }) => {
            let cause = if then == boot { Cause::Killed } else { Cause::PowerCut };
            // It began long ago: either it ran for long, or there was a long pause. Both are as good as a good run.
            let long_ago =
                since_unix_s.zip(now_unix_s).is_some_and(|(then, now)| now.saturating_sub(then) >= GOOD_RUN.as_secs());
            let short_runs = if long_ago { 0 } else { short_runs };
            Some(Ending::without_a_word(cause, short_runs))
        }
        Err(error) => {
            tracing::debug!("{FILE_NAME} is not what this version writes: {error}");
            None
        }
    }
}

/// How long to wait before the program begins again, after so many short runs in a row: 0, 1, 2, 4 … 30 s.
fn delay(short_runs: u32) -> Duration {
    match short_runs {
        0 => Duration::ZERO,
        runs => Duration::from_secs(1 << (runs - 1).min(5)).min(LONGEST_DELAY),
    }
}

/// Waits, and keeps systemd's watchdog content meanwhile. A signal ends the program here: nothing runs yet that would have to be ended in order.
fn wait(delay: Duration) -> Instant {
    tracing::warn!(seconds = delay.as_secs(), "begins again too often: waits first");
    systemd::status(&format!("begins again too often, waits {} s", delay.as_secs()));
    let until = Instant::now() + delay;
    loop {
        systemd::feed();
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Instant::now();
        }
        std::thread::sleep(left.min(Duration::from_secs(1)));
    }
}

fn tell(last: &Ending) {
    // Of a run that was killed nobody knows how long it lasted: then the field is left out.
    let Ending { cause, reason, ran_s, short_runs, .. } = last;
    match cause {
        Cause::Asked => tracing::info!(ran_s, "the last run ended as asked: {reason}"),
        Cause::Changed => tracing::info!(ran_s, "begun again: {reason}"),
        _ => tracing::warn!(?cause, ran_s, short_runs, "the last run ended by itself: {reason}"),
    }
}

fn read(path: &Path) -> Option<Vec<u8>> {
    // None is the usual case: the first start.
    files::read(path, LARGEST_FILE).ok()
}

fn write(path: &Path, note: &Note) -> io::Result<()> {
    files::replace(path, &serde_json::to_vec(note)?, 0o600)
}

/// The id that the kernel draws at each boot (random(4)); empty where it cannot be read, which then is the same at each start.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// This program's file: the one that stands where ours did, which after an update is the new one; else ours, through the kernel.
fn program() -> PathBuf {
    let known = std::env::current_exe().ok().and_then(|path| {
        let path = path.into_os_string().into_string().ok()?;
        // So the kernel names a file that was removed or replaced (proc(5)).
        Some(PathBuf::from(path.strip_suffix(" (deleted)").unwrap_or(&path)))
    });
    known.filter(|path| path.is_file()).unwrap_or_else(|| "/proc/self/exe".into())
}

/// Has every descriptor but the standard ones closed by execve(2): the libraries beneath may have forgotten some of theirs.
fn close_on_exec() {
    // SAFETY: takes numbers only, and changes nothing but flags of descriptors that are about to be closed.
    if unsafe { libc::close_range(3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC as libc::c_int) } != 0 {
        // Kernels before 5.11. Rust's own descriptors have the flag from the start.
        tracing::debug!("close_range: {}", io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::{Arc, Mutex};

    fn ended(short_runs: u32) -> Ending {
        Ending { cause: Cause::Failed, reason: "a port is taken".into(), unix_s: Some(7), ran_s: Some(3.5), short_runs }
    }

    #[test]
    fn what_the_next_start_learns() {
        let json = |note: &Note| serde_json::to_vec(note).unwrap();
        let since = |s| json(&Note::Running { boot: "one".into(), short_runs: 2, since_unix_s: Some(s) });
        let (running, long_ago) = (since(950), since(900));
        let file = json(&Note::Ended(ended(1)));
        let handed_over = serde_json::to_string(&Ending { cause: Cause::BeganAgain, ..ended(4) }).unwrap();
        for (file, variable, boot, expected) in [
            (None, None, "one", None),
            (Some(&running), None, "one", Some((Cause::Killed, 2))),
            (Some(&running), None, "two", Some((Cause::PowerCut, 2))),
            (Some(&long_ago), None, "one", Some((Cause::Killed, 0))),
            (
                Some(&b"{\"running\":{\"boot\":\"one\",\"short_runs\":2}}".to_vec()),
                None,
                "one",
                Some((Cause::Killed, 2)),
            ),
            (Some(&file), None, "two", Some((Cause::Failed, 1))),
            (Some(&file), Some(handed_over.as_str()), "one", Some((Cause::BeganAgain, 4))),
            (Some(&running), Some("no JSON"), "one", Some((Cause::Killed, 2))),
            (None, Some(handed_over.as_str()), "one", Some((Cause::BeganAgain, 4))),
            (Some(&b"{\"running\":".to_vec()), None, "one", None),
        ] {
            let last = last_end(file.map(Vec::as_slice), variable, boot, Some(1000));
            assert_eq!(last.map(|last| (last.cause, last.short_runs)), expected, "{file:?} {variable:?} {boot}");
        }
    }

    /// What is logged of an end.
    fn told(last: &Ending) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let log = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(log, || tell(last));
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn how_long_it_ran_is_told_only_if_it_is_known() {
        assert!(told(&ended(1)).contains("ran_s=3.5"), "{}", told(&ended(1)));
        let killed = told(&Ending::without_a_word(Cause::Killed, 0));
        assert!(killed.contains("the program was killed") && !killed.contains("ran_s"), "{killed}");
    }

    #[test]
    fn each_way_to_leave_no_last_words_has_its_cause_and_remedy() {
        let full = || io::Error::from_raw_os_error(libc::ENOSPC);
        for (written, words) in [
            (Ok(Ok(Ok(()))), None),
            (Ok(Ok(Err(full()))), Some(["No space left", "free space"])),
            (Ok(Err(RecvTimeoutError::Timeout)), Some(["longer than 300 ms", "journalctl -k"])),
            (Ok(Err(RecvTimeoutError::Disconnected)), Some(["ended before", "report it"])),
            (Err(io::Error::from_raw_os_error(libc::EAGAIN)), Some(["no thread", "TasksMax"])),
        ] {
            let said = not_noted(&written);
            assert_eq!(said.is_some(), words.is_some(), "{said:?}");
            let said = said.unwrap_or_default();
            assert!(words.into_iter().flatten().all(|word| said.contains(word)), "{said}");
            assert!(!said.contains("Ok(") && !said.contains("Err("), "{said}");
        }
    }

    #[test]
    fn short_runs_make_the_next_start_wait_and_a_good_one_ends_that() {
        let (mut short_runs, mut delays) = (0, vec![]);
        for ran_s in [3600, 5, 5, 5, 5, 5, 5, 59, 1, 60, 1] {
            short_runs = Ending::new(Cause::BeganAgain, "", Duration::from_secs(ran_s), short_runs).short_runs;
            delays.push(delay(short_runs).as_secs());
        }
        assert_eq!(delays, [0, 1, 2, 4, 8, 16, 30, 30, 30, 0, 1]);
        let changed = |short_runs| Ending { cause: Cause::Changed, ..ended(short_runs) }.delay().as_secs();
        assert_eq!([0, 1, 2, 3].map(changed), [0, 0, 2, 4], "once is free");
        assert_eq!(Ending::new(Cause::Asked, "", Duration::from_secs(1), 9).short_runs, 0);
        assert_eq!(delay(u32::MAX), LONGEST_DELAY);
    }

    #[test]
    fn a_reason_is_one_short_line() {
        let long = format!("first\nsecond\u{1b}[2J{}", "ü".repeat(5000));
        let reason = Ending::new(Cause::Failed, &long, Duration::ZERO, 0).reason;
        assert!(reason.starts_with("first second [2J") && reason.chars().count() == REASON_CHARS, "{reason}");
    }

    /// Tells the test program, started again, what to do, and in which folder.
    const CHILD: &str = "PORTAL_TEST_ENDING";
    const THIS: &str = "ops::ending::tests::a_program_that_begins_again_is_the_same_process_and_knows_why";

    /// Begins again twice in the same process: at once, then after a second.
    #[test]
    fn a_program_that_begins_again_is_the_same_process_and_knows_why() {
        if let Some(folder) = std::env::var_os(CHILD) {
            let began = begin(Path::new(&folder), Instant::now());
            let last = last();
            println!("child {} {last:?}", std::process::id());
            let times = last.map_or(0, |last| last.short_runs);
            println!("private {}", was_private());
            // Once, and not for ever.
            set_private(times == 0);
            if times == 2 {
                note(Cause::Asked, "the test is over");
                note(Cause::Failed, "too late to count");
                std::process::exit(42);
            }
            assert!(began.elapsed() < Duration::from_secs(1));
            // A descriptor that a library forgot to close at execve(2).
            // SAFETY: duplicates a descriptor that is open.
            let leaked = unsafe { libc::dup(1) };
            let open = std::fs::read_dir("/proc/self/fd").unwrap().count();
            assert!(leaked > 2 && open < 12, "{open} descriptors: those of earlier lives are still open");
            panic!("{}", begin_again(Cause::BeganAgain, &format!("time {times}")));
        }
        for writable in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            // A folder that is not there yet is made; below a file there can be none, for root neither.
            let path = folder.path().join(if writable { "made/folder" } else { "file/folder" });
            std::fs::write(folder.path().join("file"), "").unwrap();
            let start = Instant::now();
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", THIS, "--nocapture"])
                .env(CHILD, &path)
                .output()
                .unwrap();
            let output = String::from_utf8_lossy(&child.stdout);
            let errors = String::from_utf8_lossy(&child.stderr);
            assert_eq!(child.status.code(), Some(42), "{output}{errors}");
            let lives: Vec<_> = output.lines().filter(|line| line.starts_with("child ")).collect();
            let ids: Vec<_> = lives.iter().filter_map(|life| life.split(' ').nth(1)).collect();
            assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "{output}");
            let private: Vec<_> = output.lines().filter_map(|line| line.strip_prefix("private ")).collect();
            assert_eq!(private, ["false", "true", "false"], "handed over once, on a disk that takes nothing too");
            assert!(lives[0].ends_with("None"), "{output}");
            if writable {
                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o700, "the identity will be in it");
            }
            assert!(lives[1].contains("time 0") && lives[2].contains("time 1"), "{output}");
            assert!(start.elapsed() > Duration::from_secs(3), "it began again without a pause: {:?}", start.elapsed());
            let kept = read(&path.join(FILE_NAME));
            assert_eq!(kept.is_some(), writable);
            if let Some(kept) = kept {
                let last = last_end(Some(&kept), None, "", None).unwrap();
                assert_eq!((last.cause, last.reason.as_str()), (Cause::Asked, "the test is over"));
            }
        }
    }
}
