//! Exit codes, so that scripts and service managers can tell what happened.

use crate::{portal, signaling};
use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// As it was asked to: a key, a closed window, SIGINT or SIGTERM.
    Success = 0,
    /// For a reason that has no code of its own.
    Failed = 1,
    /// The command line cannot be understood. (clap's own code.)
    Usage = 2,
    /// The configuration is wrong: file, environment or flags.
    Configuration = 3,
    /// The identity cannot be made, read, or is not secret.
    Identity = 4,
    /// A port is taken: signalling or status pages.
    Port = 5,
    /// No window system, or no graphics driver.
    Display = 6,
    /// `check` found something to be mended; `cameras` found none.
    CheckFailed = 7,
    /// The demo did not show what it should.
    Demo = 8,
    /// Two portals were not paired, or not unpaired.
    Pairing = 9,
    /// A portal runs already with the same data folder.
    AlreadyRuns = 10,
}

/// For the help text.
pub const TABLE: &str = "\
Exit codes:
  0  ended as asked: by a key, a closed window, SIGINT or SIGTERM
  1  failed for a reason without a code of its own
  2  the command line cannot be understood
  3  the configuration is wrong
  4  the identity cannot be used
  5  a port is taken
  6  no display, or no graphics driver
  7  check found a problem; cameras found none
  8  the demo did not show what it should
  9  pair or unpair did not come about
 10  a portal runs already with the same data folder
101  ended by a bug (a panic): please report the line that it printed

Every key of the configuration can also be set by a variable, SCREEN_PORTAL_<SECTION>_<KEY>.";

impl Exit {
    /// The code for what ended a portal.
    pub fn of(error: &portal::Error) -> Self {
        match error {
            portal::Error::Identity(_) => Self::Identity,
            portal::Error::Signaling(signaling::Error::Bind { .. }) | portal::Error::Status(_) => Self::Port,
            portal::Error::Hours(_)
            | portal::Error::Signaling(signaling::Error::PairedWithOurselves | signaling::Error::Relay(_)) => {
                Self::Configuration
            }
            portal::Error::Display(_) => Self::Display,
            portal::Error::Capture(_) | portal::Error::Threads(_) => Self::Failed,
            portal::Error::Link(_) => Self::Identity,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_text_lists_every_code() {
        let all = [
            Exit::Success,
            Exit::Failed,
            Exit::Usage,
            Exit::Configuration,
            Exit::Identity,
            Exit::Port,
            Exit::Display,
            Exit::CheckFailed,
            Exit::Demo,
            Exit::Pairing,
            Exit::AlreadyRuns,
        ];
        for exit in all {
            assert!(TABLE.contains(&format!("\n{:3}  ", exit as u8)), "{exit:?}");
        }
    }
}
