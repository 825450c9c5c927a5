//! `paired.toml`: with whom this portal was paired at the kiosk or by `screen-portal pair`, kept beside the identity.
//!
//! It counts only where nobody else names a far end: who sets `pairing.far_end` in `portal.toml`, the environment or a flag, as fleets do, means it.

use super::load::Entry;
use super::{Error, Origin, file};
use crate::files;
use crate::pairing::Config;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name inside the data folder.
pub const FILE_NAME: &str = "paired.toml";

/// What it holds, all of it in the section `[pairing]`.
const KEYS: [&str; 7] = ["far_end", "site", "words", "addresses", "hub", "broker", "broker_topic"];

const HEADER: &str =
    "# Made by pairing. `screen-portal unpair` takes it away. A far end that portal.toml names counts more.\n";

/// Where it is.
pub fn path(folder: &Path) -> PathBuf {
    folder.join(FILE_NAME)
}

/// What it says; nothing if there is none.
pub(super) fn read(folder: &Path) -> Result<Vec<Entry>, Error> {
    let Some(contents) = file::read_kept(&path(folder))? else { return Ok(Vec::new()) };
    let strange = contents.entries.iter().find(|it| it.section != "pairing" || !KEYS.contains(&it.key.as_str()));
    if let Some(entry) = strange {
        return Err(Error::Unknown {
            origin: entry.origin.clone(),
            what: format!("key {}.{} of a pairing", entry.section, entry.key),
            nearest: None,
            allowed: KEYS.join(", "),
        });
    }
    Ok(contents.entries)
}

/// Stores it, for this user's eyes only, in the place of what was there.
///
/// # Errors
/// The system's own: a full or read-only disk. What was there before is whole then.
pub fn save(folder: &Path, pairing: &Config) -> io::Result<()> {
    let mut table = toml::Table::new();
    table.insert("pairing".into(), toml::Value::try_from(pairing).map_err(io::Error::other)?);
    let text = toml::to_string(&table).map_err(io::Error::other)?;
    files::replace(&path(folder), format!("{HEADER}\n{text}").as_bytes(), 0o600)
}

/// Takes it away; whether there was one.
///
/// # Errors
/// The system's own: a read-only disk, a folder of somebody else's.
pub fn remove(folder: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path(folder)) {
        Ok(()) => {
            std::fs::File::open(folder)?.sync_all()?;
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether a value stands in this file.
pub(super) fn is_origin(origin: &Origin, folder: &Path) -> bool {
    matches!(origin, Origin::File { path, .. } if *path == self::path(folder))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Loaded, Sources};
    use crate::pairing::Fingerprint;
    use std::os::unix::fs::MetadataExt;

    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn load(&self, text: &str, flags: Vec<Flag>) -> Loaded {
            let file = self.folder.path().join("portal.toml");
            std::fs::write(&file, text).unwrap();
            let data = Flag::new("--data", "data", "folder", self.folder.path().display().to_string());
            let sources = Sources { file: Some(file), flags: [vec![data], flags].concat(), ..Sources::default() };
            super::super::Config::load(&sources).unwrap()
        }
    }

    fn pairing() -> Config {
        let far_end = Some(Fingerprint::of(b"there"));
        let words = "anchor lake ribbon".into();
        Config {
            far_end,
            site: "Hilltop \"south\"".into(),
            words,
            addresses: vec!["192.0.2.1:7413".into()],
            ..Config::default()
        }
    }

    #[test]
    fn counts_where_nobody_else_names_a_far_end() {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        let folder = place.folder.path();
        assert_eq!(place.load("", vec![]).config.pairing, Config::default());
        save(folder, &pairing()).unwrap();
        assert_eq!(std::fs::metadata(path(folder)).unwrap().mode() & 0o777, 0o600);
        // As it stands in a file made of the reference.
        for text in ["", "[pairing]\nfar_end = \"\"\n", "[site]\nname = \"x\"\n"] {
            let loaded = place.load(text, vec![]);
            assert_eq!(loaded.config.pairing, pairing(), "{text}");
            assert!(loaded.is_paired_here(), "{text}");
        }
        let other = Fingerprint::of(b"other");
        let named = Config { far_end: Some(other), ..Config::default() };
        let loaded = place.load(&format!("[pairing]\nfar_end = \"{other}\"\n"), vec![]);
        assert!(loaded.config.pairing == named && !loaded.is_paired_here());
        let flag = Flag::new("--far-end", "pairing", "far_end", other.to_string());
        assert_eq!(place.load("", vec![flag]).config.pairing, named);
        assert!(remove(folder).unwrap() && !remove(folder).unwrap());
        assert_eq!(place.load("", vec![]).config.pairing, Config::default());
    }

    #[test]
    fn what_is_damaged_does_not_count_and_is_told() {
        let place = Place { folder: tempfile::tempdir().unwrap() };
        for damaged in
            ["[pairing]\nfar_end = \"AB\"\n", "[site]\nname = \"x\"\n", "[pairing]\npin = 3\n", "[", "far_end = 3\n"]
        {
            std::fs::write(path(place.folder.path()), damaged).unwrap();
            let loaded = place.load("[site]\nname = \"Here\"\n", vec![]);
            assert_eq!((loaded.config.pairing, loaded.config.site.name.as_str()), (Config::default(), "Here"));
            let said = loaded.damaged_pairing.unwrap().to_string();
            assert!(said.contains(FILE_NAME), "{said}");
        }
    }
}
