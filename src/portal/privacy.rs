//! Privacy in what is left on the disk, and after a restart.
//!
//! Privacy outlives the program: whoever pressed the key does not know that it was restarted, by a watchdog or by the mains.
//!
//! While privacy is on there is a file in `data.folder`; a portal that starts and finds it begins private, and stays so until the key is
//! pressed. A portal that begins again by itself needs no disk for that ([`ending::set_private`]); but where the file cannot be written,
//! which is said, the end of the process would end privacy.

use crate::files;
use crate::media::mailbox;
use crate::ops::ending;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For whoever finds the file.
const CONTENTS: &[u8] = b"While this file is here, the portal starts with its camera off. The key P removes it.\n";

/// How long one waits for a disk that is slow; one that hangs must not hold up the keys.
const DISK_LIMIT: Duration = Duration::from_secs(1);

/// Where it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    /// To the thread that writes. A wish that it has not begun with gives way to the next one.
    notes: mailbox::Sender<Note>,
}

/// Whether privacy is on, and whom to tell when that is on the disk.
type Note = (bool, Sender<()>);

/// A note that is on its way to the disk.
#[must_use = "the disk may be slow"]
pub(super) struct Written(Receiver<()>);

impl Kept {
    /// In the folder of the portal's data.
    ///
    /// # Errors
    /// The system has no thread for the one who writes.
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let path = folder.join("private");
        let (notes, wishes) = mailbox::mailbox::<Note>();
        let written_to = path.clone();
        std::thread::Builder::new().name("privacy-note".into()).spawn(move || {
            // Ends with the one who wishes.
            while let Ok(wish) = wishes.wait(Duration::MAX) {
                if let Some((private, done)) = wish {
                    write(&written_to, private);
                    // Nobody waits any more where that took long.
                    let _ = done.try_send(());
                }
            }
        })?;
        Ok(Self { path, notes })
    }

    /// Whether privacy was on. What cannot be told counts as on.
    pub(super) fn is_private(&self) -> bool {
        if ending::was_private() {
            return true;
        }
        match std::fs::symlink_metadata(&self.path) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                tracing::warn!("whether privacy was on cannot be read from {}: {error}; it is on", self.path.display());
                true
            }
        }
    }

    /// Keeps it on the disk, as soon as that takes it. One caller at a time.
    pub(super) fn keep(&self, private: bool) -> Written {
        let (done, written) = bounded(1);
        self.notes.put((private, done));
        Written(written)
    }
}

impl Written {
    /// Waits for the disk, but not for long: who quits right after the key finds it kept.
    pub(super) fn wait(self) {
        // Disconnected means that a newer wish took its place.
        if self.0.recv_timeout(DISK_LIMIT) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("the disk hangs: whether privacy is on will be written when it takes it");
        }
    }
}

fn write(path: &Path, private: bool) {
    let done = match private {
        true => files::replace(path, CONTENTS, 0o600),
        false => match std::fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        },
    };
    if let Err(error) = done {
        let (path, word) = (path.display(), if private { "lose" } else { "bring back" });
        tracing::warn!("privacy cannot be kept in {path}: {error}; a restart would {word} it");
    }
}

/// A core dump would hold whole pictures: if the program crashes, the system writes none.
pub(super) fn no_core_dumps() {
    let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: reads one rlimit, which lives until the call returns.
    if unsafe { libc::setrlimit(libc::RLIMIT_CORE, &none) } != 0 {
        tracing::warn!("core dumps cannot be switched off: {}", std::io::Error::last_os_error());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_again_and_doubt_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::new(folder.path()).unwrap();
        assert!(!kept.is_private());
        kept.keep(true).wait();
        assert!(Kept::new(folder.path()).unwrap().is_private());
        kept.keep(false).wait();
        kept.keep(false).wait();
        assert!(!kept.is_private());
        // A file where a folder should be: neither there nor not there.
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Kept::new(&file).unwrap().is_private());
    }

    /// A disk that hangs, here a thread that is not there: the newest wish is what would be written when it goes on.
    #[test]
    fn who_wishes_waits_for_no_disk_and_the_last_wish_holds() {
        let (notes, wishes) = mailbox::mailbox::<Note>();
        let kept = Kept { path: PathBuf::new(), notes };
        let (first, second) = (kept.keep(false), kept.keep(true));
        let start = std::time::Instant::now();
        first.wait();
        assert!(start.elapsed() < DISK_LIMIT, "it was replaced");
        second.wait();
        assert!(start.elapsed() >= DISK_LIMIT && start.elapsed() < 3 * DISK_LIMIT);
        assert!(matches!(wishes.take(), Some((true, _))) && wishes.take().is_none());
    }
}
