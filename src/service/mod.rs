//! `screen-portal service`: makes this machine a portal that starts by itself, and undoes it.
//!
//! - [`machine`] looks at what there is, [`plan`] says what is to be made of it (pure; the texts are in `unit`), [`apply`] makes it;
//! - [`record`] remembers what was made, [`removal`] says how no more than that is taken away again;
//! - [`status`] says how the service does and what to do next.
//!
//! Works on the folder of an image (`--root`) as on the machine itself, and as often as one likes.

pub mod apply;
pub mod machine;
pub mod plan;
pub mod record;
pub mod removal;
pub mod status;
pub mod unit;

use std::io;
use std::path::PathBuf;

/// The name of unit, folders and program.
pub const NAME: &str = "screen-portal";
/// The user that a kiosk gets if none is named.
pub const KIOSK_USER: &str = "screen-portal";
/// The configuration that the service reads.
pub const CONFIGURATION: &str = "/etc/screen-portal/portal.toml";
/// Where a kiosk's identity is.
pub const DATA: &str = "/var/lib/screen-portal";
/// Where a kiosk may write a log file, if its configuration wants one.
pub const LOGS: &str = "/var/log/screen-portal";
/// The configuration to begin with: every key with its default, explained.
pub const DEFAULT_CONFIGURATION: &str = include_str!("../../config/portal.toml");

/// Why nothing, or not all, was installed.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error("only root may install or remove a service: sudo screen-portal service {0}")]
    NotRoot(&'static str),
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Missing(Vec<Missing>),
    #[error("whose desktop is it? Name the user who is logged in there: --desktop --user NAME")]
    NoUser,
    #[error("there is no user {0}: make one (adduser {0}), and let the desktop log it in by itself")]
    UnknownUser(String),
    #[error(
        "{0} was made for the kiosk and goes with it, so it can have no desktop: name the user who is logged in there"
    )]
    KiosksUser(String),
    #[error("`{0}` cannot be the name of a user: small letters, digits, - and _, at most 32")]
    UserName(String),
    #[error("a portal does not run as root: leave --user out, or name another user")]
    Root,
    #[error(
        "the program is {0}, where a service cannot read it: install it first \
         (sudo install {0} /usr/local/bin/), then /usr/local/bin/screen-portal service install"
    )]
    ProgramPlace(PathBuf),
    #[error("the program is {0:?}: a unit needs a full path of letters, digits and / . _ - +")]
    ProgramName(PathBuf),
    #[error("the service reads {CONFIGURATION}: put the configuration there and leave the other flags out")]
    Flags,
    #[error("{path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("this machine cannot be read: {0}")]
    Machine(io::Error),
    #[error("{path} cannot be understood ({problem}): it lists what was installed; remove that by hand, then the file", path = path.display())]
    Record { path: PathBuf, problem: String },
    #[error("{command}: {problem}")]
    Step { command: String, problem: String },
}

/// A program of others without which a kiosk cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Missing {
    #[error(
        "the compositor cage is missing, which gives the portal the screen: apt install cage; \
         or use the desktop of a user who is logged in: screen-portal service install --desktop --user NAME"
    )]
    Cage,
    #[error("seatd is missing, which gives the compositor screen and keyboard: apt install seatd")]
    Seatd,
}
