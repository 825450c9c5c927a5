//! The hub's TLS: a certificate from files, or one of its own.

use super::config::{Config, Tls};
use crate::files;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Certificate and key of the hub's own, in the data folder.
const OWN: &str = "hub.pem";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read or written.
    #[error("the hub's certificate: {}: {source}; mend the file, or name another in [hub] certificate and key", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("the hub's certificate: {} holds no {what} in PEM form ({problem})", path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// What is missing.
        what: &'static str,
        /// In the library's words.
        problem: String,
    },
    /// Key and certificate do not belong together, or are of a kind that is not known.
    #[error("the hub's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// One of its own cannot be made.
    #[error("the hub's own certificate cannot be made: {0}")]
    Making(#[from] rcgen::Error),
}

/// What accepts TLS connections, if the hub does.
///
/// # Errors
/// The files cannot be used.
pub fn acceptor(config: &Config, folder: &Path) -> Result<Option<TlsAcceptor>, Error> {
    let (certificate, key) = match config.tls {
        Tls::Off => return Ok(None),
        Tls::Files => (config.certificate.clone(), config.key.clone()),
        Tls::Own => {
            let path = folder.join(OWN);
            if !path.exists() {
                make(&path)?;
            }
            (path.clone(), path)
        }
    };
    let read = |path: &Path| {
        files::read(path, files::LARGEST_PEM).map_err(|source| Error::File { path: path.to_owned(), source })
    };
    let chain = CertificateDer::pem_slice_iter(&read(&certificate)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| of_pem(&certificate, "certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(&read(&key)?).map_err(|error| of_pem(&key, "private key", &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Some(TlsAcceptor::from(Arc::new(tls))))
}

/// One that is valid for good under this machine's names: what it proves is that the hub is the same as last time.
fn make(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { path: path.to_owned(), source };
    let key = KeyPair::generate()?;
    let mut names = vec!["localhost".to_owned()];
    names.extend(std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()));
    let mut params = CertificateParams::new(names)?;
    params
        .subject_alt_names
        .extend(if_addrs::get_if_addrs().into_iter().flatten().map(|it| SanType::IpAddress(it.ip())));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "screen-portal hub");
    let certificate = params.self_signed(&key)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    match files::create(path, (certificate.pem() + &key.serialize_pem()).as_bytes(), 0o600) {
        // Another hub was quicker: its certificate is as good.
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(failed(error)),
        _ => Ok(()),
    }
}

fn of_pem(path: &Path, what: &'static str, error: &rustls::pki_types::pem::Error) -> Error {
    Error::Pem { path: path.to_owned(), what, problem: format!("{error:?}") }
}
