//! Finding `portal.toml`; reading it, and the files of its kind that the program keeps itself.

use super::load::Entry;
use super::{Error, Origin};
use crate::files;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Names the file, if no flag does.
pub const VARIABLE: &str = "SCREEN_PORTAL_CONFIG";

/// Where the file is looked for when nobody names it; the first one that exists is used.
pub fn places(environment: &BTreeMap<String, String>) -> Vec<PathBuf> {
    let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let configuration = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let mut places = vec![PathBuf::from("portal.toml")];
    places.extend(configuration.map(|folder| folder.join("screen-portal/portal.toml")));
    places.push("/etc/screen-portal/portal.toml".into());
    places
}

/// Longer files are not configurations. Ours has 5 KiB.
const LONGEST: u64 = 1024 * 1024;

/// Its text. What the remedy is if there is none depends on whose file it is.
pub fn read(path: &Path) -> io::Result<String> {
    files::read_text(path, LONGEST)
}

/// What a file of the program's own in the data folder says; nothing if there is none.
pub fn read_kept(path: &Path) -> Result<Option<Contents>, Error> {
    match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Kept { path: path.into(), source }),
        Ok(text) => parse(path, &text).map(Some),
    }
}

type Sections = BTreeMap<String, Spanned<BTreeMap<String, Spanned<toml::Value>>>>;

/// What a file says.
pub struct Contents {
    /// All that it sets.
    pub entries: Vec<Entry>,
    /// The sections that it names, empty ones too.
    pub sections: Vec<(String, Origin)>,
}

/// Takes the file apart; whether what it says exists is not asked here.
pub fn parse(path: &Path, text: &str) -> Result<Contents, Error> {
    let at = |offset: usize| {
        let before = text.as_bytes().iter().take(offset);
        Origin::File { path: path.into(), line: 1 + before.filter(|byte| **byte == b'\n').count() }
    };
    let sections: Sections = toml::from_str(text).map_err(|error| {
        let origin = at(error.span().map_or(0, |span| span.start));
        let problem = match error.message() {
            // A key outside of any section, whose value may be a secret.
            message if message.ends_with("expected a map") => "expected a section, `[source]` for instance",
            message => message,
        };
        Error::Syntax { origin, problem: problem.into() }
    })?;
    let (mut entries, mut named) = (Vec::new(), Vec::new());
    for (section, keys) in sections {
        named.push((section.clone(), at(keys.span().start)));
        for (key, value) in keys.into_inner() {
            let origin = at(value.span().start);
            entries.push(Entry { section: section.clone(), key, candidates: vec![value.into_inner()], origin });
        }
    }
    Ok(Contents { entries, sections: named })
}
