//! What an installation has made, kept for taking it away again.

use super::Error;
use super::plan::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Where it is kept: a folder that is root's alone. Whoever could write it could have root remove any file.
pub const PLACE: &str = "/var/lib/screen-portal-service.json";

/// What an installation has made, over all its repetitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// How the portal gets its display.
    pub mode: Mode,
    /// Whose the portal is.
    pub user: String,
    /// Whether there was no such user before.
    pub made_user: bool,
    /// Groups that a user who was there before has joined.
    pub joined: BTreeSet<String>,
    /// Files that were not there before.
    pub files: BTreeSet<PathBuf>,
    /// The same, but the integrator's: kept unless asked.
    pub configuration: BTreeSet<PathBuf>,
    /// Folders that were not there before.
    pub folders: BTreeSet<PathBuf>,
}

impl Record {
    /// Nothing made yet.
    pub fn new(mode: Mode, user: &str) -> Self {
        Self {
            mode,
            user: user.into(),
            made_user: false,
            joined: BTreeSet::new(),
            files: BTreeSet::new(),
            configuration: BTreeSet::new(),
            folders: BTreeSet::new(),
        }
    }

    /// Of the machine below `root`; `None` if nothing is installed there.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn load(root: &Path) -> Result<Option<Self>, Error> {
        let path = Self::place(root);
        match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::File { path, source }),
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|error| Error::Record { path, problem: error.to_string() }),
        }
    }

    /// As it is kept.
    pub fn text(&self) -> String {
        // Only maps with keys that are no text fail, and there are none.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Its file, on the machine below `root`.
    pub fn place(root: &Path) -> PathBuf {
        root.join(PLACE.trim_start_matches('/'))
    }
}
