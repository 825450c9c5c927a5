//! Who a portal is, and whom it trusts.
//!
//! A portal's [`Identity`] is its DTLS certificate and key, made once and kept. The certificate's SHA-256 [`Fingerprint`] is the
//! portal's name in every trust decision: two portals pin each other's fingerprint, and neither media nor signalling passes
//! with anyone else.
//!
//! How they come to pin each other: a one-time [`Code`] is shown at one and entered at the other, and an [`Exchange`] makes of it what both pin.
//! All of that is plain data: [`crate::signaling::pair`] carries it over the network.
//!
//! | | |
//! |---|---|
//! | [`Code`], [`Draft`] | what a person reads out, and types |
//! | `keys`, `frames`, [`Exchange`] | the cryptography, the messages, their order |
//! | [`attempts`] | how long a code counts, and how often strangers may try |

pub mod attempts;
mod certificate;
mod code;
mod config;
mod draft;
mod exchange;
mod fingerprint;
mod frames;
mod identity;
mod keys;

pub use certificate::verify;
pub use code::{Code, NotACode};
pub use config::{Config, MOST_ADDRESSES};
pub use draft::Draft;
#[cfg(any(test, feature = "fuzzing"))]
pub use exchange::strangers_pair;
pub use exchange::{Exchange, Failure, LIMIT, Own, Paired, Step};
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use frames::{Card, Frame, LONGEST_FRAME, Sealed, VERSION, Way, direct_addresses};
pub use identity::{FILE_NAME, Identity};
pub use keys::Role;

use std::path::PathBuf;

/// What can go wrong with an identity.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or the file cannot be read or written.
    #[error("the identity {path} cannot be {action}: {source}; check that the data folder exists and is yours")]
    File {
        /// What was wanted of it.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Others can read the key.
    #[error(
        "others can read the identity {path} (mode {mode:04o}): whoever has it can pose as this portal; run `chmod 600 {path}`, \
         or, if it may have been copied, delete it, let a new one be made, and pair again"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is not what this program wrote.
    #[error("the identity {path} cannot be used: {problem}; restore it from a backup, or delete it and pair again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The cryptographic library failed.
    #[error("no identity could be made: {0}")]
    Crypto(String),
    /// The certificate of somebody else is not one that a portal makes.
    #[error("the certificate is not acceptable: {0}")]
    Certificate(&'static str),
    /// The signature was not made with the certificate's key.
    #[error("the signature does not fit the certificate")]
    Signature,
}
