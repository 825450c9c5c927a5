//! Making our certificate, and checking what the holder of another one signed.

use super::Error;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_parser::prelude::{FromDer, X509Certificate};

/// The largest certificate that is looked at, in bytes. A portal's own has about 400.
pub const LARGEST_CERTIFICATE: usize = 4096;

/// 9999-12-31: "no well-defined expiration date" (RFC 5280, section 4.1.2.5). The fingerprint is pinned for good, and a kiosk's
/// clock may be wrong when it starts.
const NEVER: (i32, u8, u8) = (9999, 12, 31);

/// 9999-12-31 as seconds since 1970.
pub(super) const EXPIRES_UNIX_S: u64 = 253_402_214_400;

/// Object identifiers of an elliptic-curve key and of the curve P-256 (RFC 5480, section 2.1.1).
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const PRIME256V1: &str = "1.2.840.10045.3.1.7";

/// A fresh ECDSA P-256 key, and a certificate that it signed itself, in DER form. It names nobody: its fingerprint is the name.
pub(super) fn make() -> Result<(KeyPair, Vec<u8>), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "screen-portal");
    params.not_after = date_time_ymd(NEVER.0, NEVER.1, NEVER.2);
    let certificate = params.self_signed(&key)?;
    Ok((key, certificate.der().to_vec()))
}

/// The uncompressed P-256 point that a certificate carries.
pub(super) fn public_key(certificate_der: &[u8]) -> Result<Vec<u8>, Error> {
    if certificate_der.len() > LARGEST_CERTIFICATE {
        return Err(Error::Certificate("it is larger than 4096 bytes"));
    }
    let (rest, certificate) = X509Certificate::from_der(certificate_der)
        .map_err(|_| Error::Certificate("it is not an X.509 certificate in DER form"))?;
    if !rest.is_empty() {
        return Err(Error::Certificate("something follows it"));
    }
    let key = certificate.public_key();
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    let is_p256 = key.algorithm.algorithm.to_id_string() == EC_PUBLIC_KEY
        && curve.is_some_and(|curve| curve.to_id_string() == PRIME256V1);
    if !is_p256 {
        return Err(Error::Certificate("its key is not an ECDSA key on P-256"));
    }
    Ok(key.subject_public_key.data.to_vec())
}

/// Checks that `signature` (ECDSA with SHA-256, in ASN.1 form) over `message` was made with the key of the certificate.
///
/// Proves possession of the key and nothing else: whether the certificate is the wanted one is said by its fingerprint.
pub fn verify(certificate_der: &[u8], message: &[u8], signature: &[u8]) -> Result<(), Error> {
    let key = public_key(certificate_der)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(message, signature).map_err(|_| Error::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rcgen::SigningKey;

    #[test]
    fn verifies_only_what_the_key_signed() {
        let (key, certificate) = make().unwrap();
        let (_, other) = make().unwrap();
        let mut signature = key.sign(b"message").unwrap();
        verify(&certificate, b"message", &signature).unwrap();
        assert!(matches!(verify(&certificate, b"messagf", &signature), Err(Error::Signature)));
        assert!(matches!(verify(&other, b"message", &signature), Err(Error::Signature)));
        *signature.last_mut().unwrap() ^= 1;
        assert!(matches!(verify(&certificate, b"message", &signature), Err(Error::Signature)));
    }

    #[test]
    fn foreign_certificates_are_refused() {
        let (_, mut certificate) = make().unwrap();
        certificate.push(0);
        assert!(matches!(verify(&certificate, b"", b""), Err(Error::Certificate("something follows it"))));
        assert!(matches!(verify(&vec![0x30; 5000], b"", b""), Err(Error::Certificate(_))));
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let ed25519 = CertificateParams::default().self_signed(&key).unwrap();
        let message = b"message";
        let refused = verify(ed25519.der(), message, &key.sign(message).unwrap());
        assert!(matches!(refused, Err(Error::Certificate(problem)) if problem.contains("P-256")));
    }

    proptest! {
        #[test]
        fn total_on_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(verify(&bytes, b"", &bytes).is_err());
        }

        #[test]
        fn total_on_damaged_certificates(at in 0usize..300, to: u8) {
            let (_, mut certificate) = make().unwrap();
            let at = at % certificate.len();
            certificate[at] = to;
            prop_assert!(verify(&certificate, b"message", b"signature").is_err());
        }
    }
}
