//! The name of a portal in every trust decision.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// SHA-256 of a certificate in DER form (RFC 8122, section 5). Shown as `AB:CD:…`, read with or without colons, in either case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// The text is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits, with or without colons, as `screen-portal identity` prints it")]
pub struct NotAFingerprint;

impl Fingerprint {
    /// The fingerprint of a certificate in DER form.
    pub fn of(certificate_der: &[u8]) -> Self {
        Self(Sha256::digest(certificate_der).into())
    }

    /// The digest itself.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, byte) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    /// Digits in either case; colons, blanks and a leading `sha-256` (as in SDP) are passed over.
    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let text = text.trim();
        let text = match text.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("sha-256") => &text[7..],
            _ => text,
        };
        let mut bytes = [0; 32];
        let mut digits = 0;
        for c in text.chars().filter(|c| *c != ':' && !c.is_ascii_whitespace()) {
            let digit = c.to_digit(16).ok_or(NotAFingerprint)? as u8;
            let byte = bytes.get_mut(digits / 2).ok_or(NotAFingerprint)?;
            *byte = *byte << 4 | digit;
            digits += 1;
        }
        if digits == 64 { Ok(Self(bytes)) } else { Err(NotAFingerprint) }
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn of_a_known_digest() {
        let shown = Fingerprint::of(b"abc").to_string();
        assert!(shown.starts_with("BA:78:16:BF:8F:01:CF:EA:"), "{shown}");
        assert!(shown.ends_with(":F2:00:15:AD"), "{shown}");
    }

    #[test]
    fn reads_what_people_paste() {
        let fingerprint = Fingerprint::of(b"abc");
        let shown = fingerprint.to_string();
        let forms = [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace(':', ""),
            shown.replace(':', " "),
            format!("  {shown}\n"),
            format!("sha-256 {}", shown.to_lowercase()),
        ];
        for form in forms {
            assert_eq!(form.parse(), Ok(fingerprint), "{form}");
        }
        for wrong in ["", "sha-256", "AB", &shown[..94], &format!("{shown}:00"), &shown.replace('B', "G"), "ｆ"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NotAFingerprint), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_total(text in ".*") {
            let _ = text.parse::<Fingerprint>();
        }

        #[test]
        fn there_and_back(bytes: [u8; 32]) {
            prop_assert_eq!(Fingerprint(bytes).to_string().parse(), Ok(Fingerprint(bytes)));
        }
    }
}
