//! Files and programs that the configuration names: whether they can be used, without making or starting any of them.

use super::Finding::{self, Bad, Good};
use std::path::{Path, PathBuf};

/// Where the log is to be kept. It is not written: whoever checks may be another user than the portal, and the file would be his.
pub(super) fn log_file(file: &Path) -> Finding {
    let shown = file.display();
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (file.metadata(), folder.is_dir()) {
        (Ok(found), _) if !found.is_file() => {
            Bad(format!("{shown} is no regular file; name another one in [log] file"))
        }
        (Ok(_), _) => Good(shown.to_string()),
        (Err(_), true) => Good(format!("{shown}, not begun yet")),
        (Err(_), false) => {
            Bad(format!("{shown}: there is no folder {}; make it, or name another file in [log]", folder.display()))
        }
    }
}

/// What is run for the monitor: `search` is where programs without a path are looked for, as in `PATH`.
pub(super) fn command(words: &[String], search: &str) -> Finding {
    let Some(program) = words.first() else { return Good("none".into()) };
    let places: Vec<PathBuf> = match program.contains('/') {
        true => vec![program.into()],
        false => std::env::split_paths(search).map(|folder| folder.join(program)).collect(),
    };
    match places.into_iter().find(|place| place.is_file()) {
        Some(place) => Good(place.display().to_string()),
        None => Bad(format!("there is no program {program}: install it, or correct the command")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_can_be_used_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("portal.log"), "").unwrap();
        for (name, good) in [("portal.log", true), ("new.log", true), ("missing/x.log", false), (".", false)] {
            assert_eq!(matches!(log_file(&at(name)), Good(_)), good, "{name}");
        }
        let search = folder.path().display().to_string();
        let full = at("portal.log").display().to_string();
        for (words, good) in [
            (vec![], true),
            (vec!["portal.log"], true),
            (vec!["cec-ctl", "--standby"], false),
            (vec!["/nowhere/x"], false),
            (vec![full.as_str()], true),
        ] {
            let words: Vec<_> = words.into_iter().map(String::from).collect();
            assert_eq!(matches!(command(&words, &search), Good(_)), good, "{words:?}");
        }
    }
}
