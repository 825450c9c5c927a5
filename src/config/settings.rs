//! `settings.toml`: what was set at the kiosk itself, kept beside the identity and apart from the operator's own file, whose comments and
//! order are nobody's to change.
//!
//! It counts more than `portal.toml`, and less than environment and flags. It holds the few keys of [`KEYS`] and no others.

use super::load::{Entry, merge};
use super::{Error, Origin, file};
use crate::files;
use std::path::{Path, PathBuf};

/// The file's name inside the data folder.
pub const FILE_NAME: &str = "settings.toml";

/// What can be set at the kiosk: section and key.
pub const KEYS: [(&str, &str); 5] =
    [("site", "name"), ("source", "camera"), ("display", "fit"), ("display", "rotate_deg"), ("display", "self_view")];

const HEADER: &str =
    "# Set at the kiosk (key S). Counts more than portal.toml; delete a line, or this file, to let that count again.\n";

/// Where it is.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// What it says; nothing if there is none.
pub(super) fn read(folder: &Path) -> Result<Vec<Entry>, Error> {
    let Some(contents) = file::read_kept(&path(folder))? else { return Ok(Vec::new()) };
    let strange = contents.entries.iter().find(|entry| !is_known(&entry.section, &entry.key));
    if let Some(entry) = strange {
        let allowed: Vec<String> = KEYS.iter().map(|(section, key)| format!("{section}.{key}")).collect();
        return Err(Error::Unknown {
            origin: entry.origin.clone(),
            what: format!("setting {}.{} of the kiosk", entry.section, entry.key),
            nearest: None,
            allowed: allowed.join(", "),
        });
    }
    Ok(contents.entries)
}

fn is_known(section: &str, key: &str) -> bool {
    KEYS.contains(&(section, key))
}

/// Sets one key and leaves the others as they are. What cannot be understood is left out: it did not count anyway.
///
/// # Errors
/// The system's own: a full or read-only disk. The old file is whole then.
pub fn save(folder: &Path, section: &str, key: &str, value: toml::Value) -> std::io::Result<()> {
    let mut table = toml::Table::new();
    let mut set = |section: &str, key: &str, value| {
        let keys = table.entry(section).or_insert_with(|| toml::Table::new().into());
        if let toml::Value::Table(keys) = keys {
            keys.insert(key.to_owned(), value);
        }
    };
    for entry in read(folder).unwrap_or_default() {
        // A value that is not allowed keeps all of the file from counting.
        if merge(vec![entry.clone()]).is_ok()
            && let [value] = &entry.candidates[..]
        {
            set(&entry.section, &entry.key, value.clone());
        }
    }
    set(section, key, value);
    let text = toml::to_string(&table).map_err(std::io::Error::other)?;
    files::replace(&path(folder), format!("{HEADER}\n{text}").as_bytes(), 0o644)
}

/// Where a value that was set at the kiosk stands, for those who compare origins.
pub(super) fn is_origin(origin: &Origin, folder: &Path) -> bool {
    matches!(origin, Origin::File { path, .. } if *path == self::path(folder))
}
