//! What is wrong with a configuration, where, and what is allowed.

use std::fmt;
use std::path::PathBuf;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it: the built-in default.
    Default,
    /// A line of the file, counted from 1.
    File {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag of the command line, as it was written.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("not set"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operator's file cannot be read.
    #[error("the configuration {} cannot be read: {source}; give another one with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file that the program keeps itself cannot be read. No flag names another one; [`super::Loaded::damages`] says what to do.
    #[error("{} cannot be read: {source}", path.display())]
    Kept {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The file is not TOML, or its top level is not made of sections.
    #[error("{origin}: {problem}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        problem: String,
    },
    /// A key or section that does not exist.
    #[error("{origin}: there is no {what}{}; allowed: {allowed}", suggestion(.nearest))]
    Unknown {
        /// Where.
        origin: Origin,
        /// What was written.
        what: String,
        /// What may have been meant.
        nearest: Option<String>,
        /// What there is.
        allowed: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{origin}: [{section}] {key}: {problem}")]
    Value {
        /// Where.
        origin: Origin,
        /// The section.
        section: &'static str,
        /// The key.
        key: String,
        /// What is wrong, and what is allowed.
        problem: String,
    },
    /// A flag `--set` without the form of one.
    #[error("flag --set {0}: write --set section.key=value, for instance --set source.fps=25")]
    Set(String),
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|nearest| format!(" (is {nearest} meant?)")).unwrap_or_default()
}

impl Error {
    /// Something unknown among what there is, with the nearest of it.
    pub(super) fn unknown(origin: Origin, kind: &str, what: &str, allowed: &[&str]) -> Self {
        let nearest = allowed
            .iter()
            .map(|candidate| (strsim::damerau_levenshtein(what, candidate), candidate))
            .min()
            .filter(|(distance, candidate)| *distance <= 2 && *distance < candidate.len())
            .map(|(_, candidate)| candidate.to_string());
        Self::Unknown { origin, what: format!("{kind} `{what}`"), nearest, allowed: allowed.join(", ") }
    }
}
