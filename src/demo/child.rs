//! A child process that never outlives its parent, whatever ends the parent.

use super::Error;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child as Process, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a child may take to end in order before it is killed.
const PATIENCE: Duration = Duration::from_secs(3);
/// How many of its log's last lines are shown when a child fails.
const TAIL_LINES: usize = 5;
/// How much of the log's end is looked at for them.
const TAIL_BYTES: usize = 4096;

/// A running child with a process group and a log file of its own. Ctrl+C on the terminal reaches only the parent, which then
/// ends its children in order; a parent that is killed takes them along.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: Process,
    log: PathBuf,
}

impl Child {
    /// Starts `command`. Its standard error, and its standard output unless the command says otherwise, go into the file `log`.
    /// `parent_ended` is the signal that it gets from the kernel when the thread that called this ends.
    pub fn start(name: &str, mut command: Command, log: &Path, parent_ended: libc::c_int) -> Result<Self, Error> {
        let failed = |source| Error::Start { name: name.into(), source };
        let file = File::create(log).map_err(failed)?;
        command.stdin(Stdio::null()).stderr(file).process_group(0);
        let parent = std::process::id();
        let follow_parent = move || {
            // SAFETY: prctl with PR_SET_PDEATHSIG takes one integer, no pointer; it is async-signal-safe.
            if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, parent_ended as libc::c_ulong) } != 0 {
                return Err(io::Error::last_os_error());
            }
            // The parent may have ended before the call above.
            if std::os::unix::process::parent_id() != parent {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            Ok(())
        };
        // SAFETY: the closure only makes system calls that are allowed between fork and exec, and allocates nothing.
        unsafe { command.pre_exec(follow_parent) };
        let process = command.spawn().map_err(failed)?;
        Ok(Self { name: name.into(), process, log: log.into() })
    }

    /// What it is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Its standard output, if the command asked for a pipe; once.
    pub fn take_output(&mut self) -> Option<std::process::ChildStdout> {
        self.process.stdout.take()
    }

    /// How it ended, or `None` while it runs.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.try_wait().ok().flatten()
    }

    /// Waits up to `limit` for it to end by itself.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + limit;
        loop {
            match self.ended() {
                None if Instant::now() < until => std::thread::sleep(Duration::from_millis(10)),
                ended => return ended,
            }
        }
    }

    /// An error if it has ended although it should run.
    pub fn check(&mut self) -> Result<(), Error> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(Error::Ended { name: self.name.clone(), status, log: self.log_tail() }),
        }
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned();
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Asks it and all its descendants to end; does not wait.
    pub fn ask_to_end(&self) {
        self.signal(libc::SIGTERM);
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        // Reaps it; it cannot refuse.
        let _ = self.process.wait();
    }

    /// Ends it in order, by force after three seconds.
    pub fn stop(&mut self) {
        if self.ended().is_none() {
            self.ask_to_end();
            self.wait(PATIENCE);
        }
        // Its descendants too, if it left any.
        self.kill();
    }

    fn signal(&self, signal: libc::c_int) {
        // The child leads a group of its own, so its id is the group's. SAFETY: killpg takes two integers.
        unsafe { libc::killpg(self.process.id() as libc::pid_t, signal) };
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::start("shell", command, log, libc::SIGKILL).unwrap()
    }

    #[test]
    fn a_childs_end_is_an_error_with_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = shell("echo first >&2; echo 'no camera found' >&2; exit 3", &folder.path().join("log"));
        assert_eq!(child.wait(Duration::from_secs(10)).unwrap().code(), Some(3));
        let message = child.check().unwrap_err().to_string();
        assert!(message.contains("no camera found"), "{message}");
    }

    #[test]
    fn descendants_end_with_the_child() {
        let folder = tempfile::tempdir().unwrap();
        let (log, pid_file) = (folder.path().join("log"), folder.path().join("pid"));
        let script = format!("trap '' TERM; sleep 1000 & echo $! >{0}.new; mv {0}.new {0}; wait", pid_file.display());
        let mut child = shell(&script, &log);
        let until = Instant::now() + Duration::from_secs(10);
        while !pid_file.exists() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        let descendant: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
        child.kill();
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{descendant}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        let until = Instant::now() + Duration::from_secs(10);
        while !gone() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(gone());
        drop(child);
    }
}
