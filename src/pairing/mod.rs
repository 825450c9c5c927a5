//! Who a portal is, and whom it trusts.
//!
//! A portal's [`Identity`] is its DTLS certificate and key, made once and kept. The certificate's SHA-256 [`Fingerprint`] is the
//! portal's name in every trust decision: two portals pin each other's fingerprint, and neither media nor signalling passes
//! with anyone else.

mod certificate;
mod config;
mod fingerprint;
mod identity;

pub use certificate::verify;
pub use config::Config;
pub use fingerprint::{Fingerprint, NotAFingerprint};
pub use identity::{FILE_NAME, Identity};

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
