//! The small sections that belong to no room of their own.

use super::Invalid;
use crate::ops::logging;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Section `[site]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Site {
    /// This place's name, for the people at the far end: at most 64 characters. Default: empty, which becomes the machine's name.
    pub name: String,
}

impl Site {
    /// Checks the name.
    pub fn check(&self) -> Result<(), Invalid> {
        let problem = match &self.name {
            name if name.chars().count() > 64 => "is longer than 64 characters",
            name if name.contains(char::is_control) => "contains control characters",
            _ => return Ok(()),
        };
        Err(Invalid { key: "name", problem: problem.into() })
    }
}

/// Section `[data]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Data {
    /// The folder that holds the identity; made if it does not exist. Default: empty, which becomes `$STATE_DIRECTORY` (set by
    /// systemd), else `$XDG_DATA_HOME/screen-portal`, else `~/.local/share/screen-portal`.
    pub folder: PathBuf,
}

impl Data {
    /// Every folder is allowed, but `~` is the shell's business: here it would be the name of a folder.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.folder.starts_with("~") {
            let problem = format!("`{}`: write the folder in full, ~ is not known here", self.folder.display());
            return Err(Invalid { key: "folder", problem });
        }
        Ok(())
    }
}

/// Section `[privacy]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Privacy {
    /// Blur the camera's pictures here and there while its lens is covered, pressed against, or something is held close to it.
    /// Default: true.
    pub covered_lens: bool,
    /// Further keys that do what `P` does, for a button on a GPIO pin or on USB, by their names in the log (level debug): `F13`,
    /// `Pause`, `xkb:0x1008ff8f`. At most 8. Default: none.
    pub keys: Vec<String>,
}

impl Default for Privacy {
    fn default() -> Self {
        Self { covered_lens: true, keys: Vec::new() }
    }
}

impl Privacy {
    /// Checks the names. Which of them a keyboard has is not known before it is pressed.
    pub fn check(&self) -> Result<(), Invalid> {
        let is_name = |name: &String| (1..=32).contains(&name.chars().count()) && !name.contains(char::is_whitespace);
        let wrong = self.keys.iter().find(|name| !is_name(name) || is_taken(name));
        let problem = match wrong {
            Some(name) if is_name(name) => {
                format!("`{name}` does something else already, or types the PIN: name another key, F13 for instance")
            }
            Some(name) => format!("`{name}` is no name of a key: F13, Pause, xkb:0x1008ff8f, or the letter on it"),
            None if self.keys.len() > 8 => format!("{} keys: at most 8", self.keys.len()),
            None => return Ok(()),
        };
        Err(Invalid { key: "keys", problem })
    }
}

/// What the portal itself listens to, and what types a PIN: whoever gave it to privacy as well could not get in any more.
fn is_taken(key: &str) -> bool {
    const NAMED: [&str; 13] = [
        "F1",
        "Enter",
        "Escape",
        "Backspace",
        "Space",
        "ArrowUp",
        "ArrowDown",
        "ArrowLeft",
        "ArrowRight",
        "Control",
        "Shift",
        "Alt",
        "AltGraph",
    ];
    let mut characters = key.chars();
    match (characters.next(), characters.next()) {
        (Some(one), None) => one.is_ascii_digit() || "rfvcis?".contains(one.to_ascii_lowercase()),
        _ => NAMED.iter().any(|named| named.eq_ignore_ascii_case(key)),
    }
}

/// Section `[log]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or directives of tracing-subscriber's `EnvFilter`, such as
    /// `info,screen_portal::link=debug`. A bare level is for this program's own lines; its libraries then report errors only. The variable RUST_LOG overrides it. Default: `info`.
    pub level: String,
    /// Default: `human`.
    pub format: LogFormat,
    /// A file to log to, beside the standard error output; only its user can read it. The kiosk's unit lets it write below `/var/log/screen-portal`.
    /// Default: empty, none.
    pub file: PathBuf,
    /// The size of one such file in bytes, 100000 to 1000000000. Default: 10000000.
    pub file_bytes: u64,
    /// How many such files there may be, the older ones with `.1`, `.2` … behind their name, 1 to 100. Default: 5.
    pub files: u32,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Human, file: PathBuf::new(), file_bytes: 10_000_000, files: 5 }
    }
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people; with colours on a terminal.
    #[default]
    Human,
    /// One JSON object per line.
    Json,
}

impl Log {
    /// Checks the directives. A bare word must be a level: as directives it would be the name of a library, and nothing of ours be
    /// logged.
    pub fn check(&self) -> Result<(), Invalid> {
        let outside = |key, value: u64, least: u64, most: u64| {
            let problem = format!("{value}: must be from {least} to {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(Invalid { key, problem }) }
        };
        outside("file_bytes", self.file_bytes, 100_000, 1_000_000_000)?;
        outside("files", self.files.into(), 1, 100)?;
        match logging::directives(&self.level).parse::<tracing_subscriber::EnvFilter>() {
            Ok(_) => Ok(()),
            Err(error) => {
                let problem = format!(
                    "`{}` cannot be used ({error}): error, warn, info, debug, trace, or `info,screen_portal::link=debug`",
                    self.level
                );
                Err(Invalid { key: "level", problem })
            }
        }
    }
}
