//! Privacy in what is left on the disk, and after a restart.
//!
//! Privacy outlives the program: whoever pressed the key does not know that it was restarted, by a watchdog or by the mains.
//!
//! While privacy is on there is a file in `data.folder`; a portal that starts and finds it begins private, and stays so until the key is
//! pressed. Where the file cannot be written, that is said, and a restart would end privacy.

use crate::files;
use std::io::ErrorKind;
use std::path::PathBuf;

/// For whoever finds the file.
const CONTENTS: &[u8] = b"While this file is here, the portal starts with its camera off. The key P removes it.\n";

/// Where it is kept.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
}

impl Kept {
    /// In the folder of the portal's data.
    pub(super) fn new(folder: &std::path::Path) -> Self {
        Self { path: folder.join("private") }
    }

    /// Whether privacy was on. What cannot be told counts as on.
    pub(super) fn is_private(&self) -> bool {
        match std::fs::symlink_metadata(&self.path) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => {
                tracing::warn!("whether privacy was on cannot be read from {}: {error}; it is on", self.path.display());
                true
            }
        }
    }

    /// Keeps it. May wait for the disk.
    pub(super) fn keep(&self, private: bool) {
        let done = match private {
            true => files::replace(&self.path, CONTENTS, 0o600),
            false => match std::fs::remove_file(&self.path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                done => done,
            },
        };
        if let Err(error) = done {
            let (path, word) = (self.path.display(), if private { "lose" } else { "bring back" });
            tracing::warn!("privacy cannot be kept in {path}: {error}; a restart would {word} it");
        }
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
        let kept = Kept::new(folder.path());
        assert!(!kept.is_private());
        kept.keep(true);
        assert!(Kept::new(folder.path()).is_private());
        kept.keep(false);
        kept.keep(false);
        assert!(!kept.is_private());
        // A file where a folder should be: neither there nor not there.
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Kept::new(&file).is_private());
    }
}
