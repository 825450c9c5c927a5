//! What an installation has made, kept for taking it away again, all at once or in two steps: what a first removal keeps is recorded on.

use super::machine::{Machine, inside};
use super::plan::Mode;
use super::{DATA, Error, LOGS};
use crate::files;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Where it is kept: a folder that is root's alone. Whoever could write it could have root remove any file.
pub const PLACE: &str = "/var/lib/screen-portal-service.json";
/// It names some dozens of files.
const LARGEST_BYTES: u64 = 1024 * 1024;

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
    /// Folders that an earlier installation has filled. See [`Self::data`].
    #[serde(default)]
    pub earlier_data: BTreeSet<PathBuf>,
    /// How far it is.
    #[serde(default)]
    pub state: State,
    /// The program that it last started.
    #[serde(default)]
    pub program: Option<Program>,
}

/// How far an installation is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Under way, or interrupted: not all that is recorded is there, and not all was started.
    #[default]
    Begun,
    /// All of it was made.
    Done,
    /// Taken away but for the integrator's: nothing is installed.
    TakenAway,
}

/// A program's file, to notice when another one has taken its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Where it is, as the machine calls the place.
    pub path: PathBuf,
    bytes: u64,
    /// When it was last written, after 1970.
    modified_ns: u128,
}

impl Program {
    /// The one at `path` as it is now; `None` if it is not there.
    pub fn look(machine: &Machine, path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(machine.at(path)).ok()?;
        let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { path: path.into(), bytes: metadata.len(), modified_ns: modified.as_nanos() })
    }
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
            earlier_data: BTreeSet::new(),
            state: State::Begun,
            program: None,
        }
    }

    /// One that begins where another was taken away: what that one left belongs to this one now.
    pub fn after(self, other: &Self) -> Self {
        let both = |one: &BTreeSet<PathBuf>, two: &BTreeSet<PathBuf>| one.union(two).cloned().collect();
        Self {
            configuration: both(&self.configuration, &other.configuration),
            folders: both(&self.folders, &other.folders),
            earlier_data: other.data(),
            ..self
        }
    }

    /// What is left of it when it was taken away without the integrator's; `None` if that is nothing.
    pub fn taken_away(&self, machine: &Machine) -> Option<Self> {
        let left = |paths: &BTreeSet<PathBuf>| -> BTreeSet<_> {
            paths.iter().filter(|path| machine.at(path).symlink_metadata().is_ok()).cloned().collect()
        };
        let (configuration, data) = (left(&self.configuration), left(&self.data()));
        (!configuration.is_empty() || !data.is_empty()).then(|| Self {
            configuration,
            folders: left(&self.folders),
            earlier_data: data,
            state: State::TakenAway,
            ..Self::new(self.mode, &self.user)
        })
    }

    /// Folders that the service itself fills: identity and settings, logs. In a desktop they are its user's, among his other things.
    pub fn data(&self) -> BTreeSet<PathBuf> {
        let own: &[&str] = match self.mode {
            Mode::Kiosk => &[DATA, LOGS],
            Mode::Desktop => &[],
        };
        self.earlier_data.iter().cloned().chain(own.iter().map(PathBuf::from)).collect()
    }

    /// Whether it is one of something that is installed, if only in part.
    pub fn is_installed(&self) -> bool {
        self.state != State::TakenAway
    }

    /// Of the machine below `root`; `None` if nothing was ever installed there, or nothing is left of it.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn load(root: &Path) -> Result<Option<Self>, Error> {
        let path = Self::place(root);
        match files::read_text(&path, LARGEST_BYTES) {
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
        inside(root, Path::new(PLACE))
    }
}
