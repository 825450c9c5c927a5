//! One portal for each data folder.
//!
//! Two that run with the same folder are two with one identity: the far end turns one of them away, and each writes over what the other notes of its
//! end. So a portal that starts takes a lock, flock(2), on a file in the folder before it writes anything there, and keeps it until it ends. The kernel
//! gives the lock back with the process, however that ends: the file may stay, and nothing is ever stale. A program that begins again (execve(2)) gives
//! it back and takes it again some milliseconds later.
//!
//! Commands beside a portal (`check`, `report`, `pair` and the others) take no lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file's name inside the data folder. It holds the process id of whoever has the lock, for people.
pub const FILE_NAME: &str = "portal.lock";
/// Longer than any process id.
const PID_BYTES: u64 = 16;

/// Another portal has the lock.
#[derive(Debug, thiserror::Error)]
#[error(
    "a portal runs already with the data folder {}{}, and two would be one identity twice: leave it running, or end it first ({}); for \
     another portal on this machine name another folder with --data",
    .folder.display(),
    .pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
    .pid.map_or("a service: systemctl stop screen-portal".into(), |pid| format!("kill {pid}, or a service: systemctl stop screen-portal"))
)]
pub struct Taken {
    /// The folder that is in use.
    pub folder: PathBuf,
    /// By which process, if it could say so.
    pub pid: Option<u32>,
}

/// The lock, for as long as this lives.
#[derive(Debug)]
pub enum Lock {
    /// Nobody else can have it.
    Held(File),
    /// The disk has none to give, for this reason: the portal runs all the same.
    Impossible(io::Error),
}

/// Takes the lock of a data folder, which is made if it is not there. Never waits.
///
/// # Errors
/// Another portal has it.
pub fn take(folder: &Path) -> Result<Lock, Taken> {
    let file = match open(folder) {
        Ok(file) => file,
        Err(error) => return Ok(Lock::Impossible(error)),
    };
    match file.try_lock() {
        Ok(()) => {
            note_pid(&folder.join(FILE_NAME));
            Ok(Lock::Held(file))
        }
        Err(TryLockError::WouldBlock) => Err(Taken { folder: folder.into(), pid: pid(&file) }),
        // Some network file systems.
        Err(TryLockError::Error(error)) => Ok(Lock::Impossible(error)),
    }
}

/// Whether a portal runs with this data folder, for commands that act otherwise beside one. It is asked by taking the lock for a moment.
pub fn is_taken(folder: &Path) -> bool {
    let file = OpenOptions::new().read(true).custom_flags(FLAGS).open(folder.join(FILE_NAME));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

impl Lock {
    /// Logs that there is none, if so; for when there is a log.
    pub fn tell(&self, folder: &Path) {
        if let Self::Impossible(error) = self {
            tracing::warn!(
                "{} cannot be locked: {error}; the portal runs all the same, but a second one with this folder would not be noticed; free space on \
                 the disk, or make the folder writable",
                folder.join(FILE_NAME).display()
            );
        }
    }
}

/// Neither through a link nor waiting for somebody, whatever is there.
const FLAGS: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;

/// For reading only: a file that somebody has open for writing keeps an operator from making the disk read-only.
fn open(folder: &Path) -> io::Result<File> {
    let path = folder.join(FILE_NAME);
    // At the first start there is no folder yet; it will hold the identity too, so it is as closed as that wants it.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder).and_then(|()| {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600).custom_flags(FLAGS).open(&path)
    });
    // A disk that has become read-only may have the file from before, and that is enough for a lock.
    OpenOptions::new().read(true).custom_flags(FLAGS).open(&path).map_err(|error| made.err().unwrap_or(error))
}

/// For the message of whoever comes second. On a disk that takes nothing it says less.
fn note_pid(path: &Path) {
    let file = OpenOptions::new().write(true).truncate(true).custom_flags(FLAGS).open(path);
    if let Err(error) = file.and_then(|mut file| writeln!(file, "{}", std::process::id())) {
        tracing::debug!("{FILE_NAME} does not say who holds it: {error}");
    }
}

fn pid(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(PID_BYTES).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_the_first_is_and_nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        // Made where it is not there yet, and closed.
        let data = folder.path().join("made/data");
        let first = take(&data).unwrap();
        assert!(matches!(first, Lock::Held(_)));
        assert!(is_taken(&data) && !is_taken(&folder.path().join("other")));
        let taken = take(&data).unwrap_err();
        assert_eq!(taken.pid, Some(std::process::id()));
        let words = taken.to_string();
        for word in [data.to_str().unwrap(), &format!("kill {}", std::process::id()), "--data"] {
            assert!(words.contains(word), "{words}");
        }
        assert!(take(&folder.path().join("other")).is_ok(), "another folder is another portal");
        drop(first);
        assert!(!is_taken(&data));
        assert!(matches!(take(&data), Ok(Lock::Held(_))), "a file that stays is no lock");
    }

    #[test]
    fn where_there_can_be_no_lock_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        // Below a file there can be no folder, for root neither; a link leads who knows where.
        std::fs::write(folder.path().join("file"), "").unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join(FILE_NAME)).unwrap();
        for place in [folder.path().join("file/data"), folder.path().to_owned()] {
            assert!(matches!(take(&place), Ok(Lock::Impossible(_))), "{}", place.display());
        }
    }

    #[test]
    fn a_file_that_says_nothing_or_nonsense_names_nobody() {
        for (text, expected) in [("", None), ("nobody", None), ("42\n", Some(42)), ("99999999999999999999", None)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(FILE_NAME);
            std::fs::write(&path, text).unwrap();
            assert_eq!(pid(&File::open(&path).unwrap()), expected, "{text}");
        }
    }
}
