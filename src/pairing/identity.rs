//! A portal's key and certificate: made once, kept for good.

use super::certificate::{self, EXPIRES_UNIX_S};
use super::{Error, Fingerprint};
use crate::files;
use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey};
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

/// The identity's file inside the data folder: a PKCS #8 key and an X.509 certificate in PEM form, as OpenSSL reads them.
pub const FILE_NAME: &str = "identity.pem";

/// Longer files are not read.
const LARGEST_FILE: u64 = 64 * 1024;

/// The key and the certificate that a portal shows in DTLS and proves to have in signalling. Cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

struct Inner {
    key: KeyPair,
    certificate_der: Vec<u8>,
    fingerprint: Fingerprint,
}

impl std::fmt::Debug for Identity {
    /// Never the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({})", self.0.fingerprint)
    }
}

impl Identity {
    /// Reads the identity from the folder, or makes one there (and the folder, mode 0700) if there is none.
    ///
    /// The file appears whole or not at all, with mode 0600, and is never overwritten: of two programs that start at once in an
    /// empty folder both end up with the same identity. A file that others can read is refused.
    pub fn load_or_create(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE_NAME);
        match Self::load(&path) {
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            loaded_or_failed => return loaded_or_failed,
        }
        let failed = |action| {
            let path = path.clone();
            move |source| Error::File { action, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("created"))?;
        let made = Self::make()?;
        match files::create(&path, made.file_text().as_bytes(), 0o600) {
            Ok(()) => {
                tracing::info!(path = %path.display(), fingerprint = %made.fingerprint(), "made this portal's identity");
                Ok(made)
            }
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(&path),
            Err(error) => Err(failed("created")(error)),
        }
    }

    /// An identity that is kept nowhere: for tests and tools.
    pub fn make() -> Result<Self, Error> {
        let (key, certificate_der) = certificate::make().map_err(|error| Error::Crypto(error.to_string()))?;
        Ok(Self::new(key, certificate_der))
    }

    fn new(key: KeyPair, certificate_der: Vec<u8>) -> Self {
        let fingerprint = Fingerprint::of(&certificate_der);
        Self(Arc::new(Inner { key, certificate_der, fingerprint }))
    }

    fn load(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File { action: "read", path: path.into(), source };
        let damaged = |problem: &str| Error::Damaged { path: path.into(), problem: problem.into() };
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
        let file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(damaged("it is not a file"));
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::Exposed { path: path.into(), mode });
        }
        let mut bytes = Vec::new();
        file.take(LARGEST_FILE).read_to_end(&mut bytes).map_err(failed)?;
        let text = String::from_utf8(bytes).map_err(|_| damaged("it is not PEM (it is not even text)"))?;
        Self::parse(&text).map_err(|problem| damaged(&problem))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let blocks = pem::parse_many(text).map_err(|error| format!("it is not PEM ({error})"))?;
        let one = |tag: &str| {
            let mut found = blocks.iter().filter(|block| block.tag() == tag);
            match (found.next(), found.next()) {
                (Some(block), None) => Ok(block.contents()),
                _ => Err(format!("it should hold one block `{tag}`")),
            }
        };
        let certificate_der = one("CERTIFICATE")?.to_vec();
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&one("PRIVATE KEY")?.into(), &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| "its key is not an ECDSA key on P-256".to_string())?;
        let certified = certificate::public_key(&certificate_der).map_err(|error| error.to_string())?;
        if certified != key.public_key_raw() {
            return Err("its key is not the certificate's".into());
        }
        Ok(Self::new(key, certificate_der))
    }

    fn file_text(&self) -> String {
        let blocks = [self.key_block("PRIVATE KEY"), self.certificate_block()];
        pem::encode_many_config(&blocks, lf())
    }

    /// Key and certificate in the form that `rtc`'s `RTCCertificate::from_pem` reads (rtc 0.21): the blocks `EXPIRES` (seconds
    /// since 1970, little-endian), `PRIVATE_KEY` (with an underscore) and `CERTIFICATE`, with blank lines between. Secret.
    pub fn pem(&self) -> String {
        let blocks = [
            Pem::new("EXPIRES", EXPIRES_UNIX_S.to_le_bytes().to_vec()),
            self.key_block("PRIVATE_KEY"),
            self.certificate_block(),
        ];
        blocks.map(|block| pem::encode_config(&block, lf())).join("\n")
    }

    fn key_block(&self, tag: &str) -> Pem {
        Pem::new(tag, self.0.key.serialized_der())
    }

    fn certificate_block(&self) -> Pem {
        Pem::new("CERTIFICATE", self.0.certificate_der.clone())
    }

    /// The certificate in DER form, which the other end may see.
    pub fn certificate_der(&self) -> &[u8] {
        &self.0.certificate_der
    }

    /// The name by which the far end pins this portal.
    pub fn fingerprint(&self) -> Fingerprint {
        self.0.fingerprint
    }

    /// Signs with ECDSA and SHA-256; [`super::verify`] checks it.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.key.sign(message).map_err(|error| Error::Crypto(error.to_string()))
    }
}

fn lf() -> EncodeConfig {
    EncodeConfig::new().set_line_ending(LineEnding::LF)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::peer_connection::certificate::RTCCertificate;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn made_once_and_kept_secret() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let made = Identity::load_or_create(&data).unwrap();
        let path = data.join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&data).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1, "no temporary file is left");
        let again = Identity::load_or_create(&data).unwrap();
        assert_eq!(again.fingerprint(), made.fingerprint());
        assert_eq!(again.pem(), made.pem());
        assert_eq!(format!("{again:?}"), format!("Identity({})", made.fingerprint()));
    }

    #[test]
    fn two_that_start_at_once_agree() {
        let folder = tempfile::tempdir().unwrap();
        let load = || Identity::load_or_create(folder.path()).unwrap().fingerprint();
        let fingerprints = std::thread::scope(|scope| [(); 4].map(|()| scope.spawn(load)).map(|it| it.join().unwrap()));
        assert_eq!(fingerprints, [load(); 4]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn refuses_what_others_can_read() {
        let folder = tempfile::tempdir().unwrap();
        Identity::load_or_create(folder.path()).unwrap();
        let path = folder.path().join(FILE_NAME);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = Identity::load_or_create(folder.path()).unwrap_err();
        assert!(matches!(refused, Error::Exposed { mode: 0o640, .. }));
        assert!(refused.to_string().contains("chmod 600"), "{refused}");
    }

    #[test]
    fn refuses_what_is_damaged_and_never_overwrites_it() {
        let folder = tempfile::tempdir().unwrap();
        let good = Identity::make().unwrap();
        let other = Identity::make().unwrap();
        let path = folder.path().join(FILE_NAME);
        let mixed = pem::encode_many_config(&[good.key_block("PRIVATE KEY"), other.certificate_block()], lf());
        let whole = good.file_text();
        for text in ["", "not PEM", &whole[..whole.len() / 2], &mixed, &format!("{whole}{whole}")] {
            let _ = fs::remove_file(&path);
            files::create(&path, text.as_bytes(), 0o600).unwrap();
            let refused = Identity::load_or_create(folder.path()).unwrap_err();
            assert!(matches!(refused, Error::Damaged { .. }), "{refused}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(Identity::load_or_create(folder.path()), Err(Error::Damaged { .. })));
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        files::create(&elsewhere, Identity::make().unwrap().file_text().as_bytes(), 0o600).unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join(FILE_NAME)).unwrap();
        assert!(matches!(Identity::load_or_create(folder.path()), Err(Error::File { .. })));
    }

    #[test]
    fn webrtc_reads_it() {
        let identity = Identity::make().unwrap();
        let provider = rtc::crypto::default_provider().unwrap();
        let read = RTCCertificate::from_pem(&identity.pem(), provider.crypto()).unwrap();
        assert_eq!(read.dtls_certificate.certificate[0].as_ref(), identity.certificate_der());
        let shown = &read.get_fingerprints(provider.crypto()).unwrap()[0];
        assert_eq!(shown.value.parse(), Ok(identity.fingerprint()));
        assert!(read.expires > std::time::SystemTime::now());
    }
}
