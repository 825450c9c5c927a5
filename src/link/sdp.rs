//! The little that we read in a session description ourselves: whose certificate it announces.
//!
//! Everything else in it is `webrtc`'s. This is read *before* a description is applied, so that one which does not announce the
//! pinned certificate touches nothing.

use crate::pairing::Fingerprint;

/// Larger descriptions are refused unread. Ours, with a dozen addresses, have 3 kB.
pub(super) const MAX_BYTES: usize = 64 * 1024;

/// Why a description is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Error {
    #[error("the session description has {0} bytes, more than {MAX_BYTES}")]
    TooLarge(usize),
    #[error("the session description announces no SHA-256 certificate fingerprint")]
    NoFingerprint,
    #[error("the session description announces a fingerprint in a form or with a hash that is not accepted")]
    Unreadable,
    #[error(
        "the session description announces the certificate {0}, which is not the pinned one; was the far end set up anew?"
    )]
    NotPinned(Fingerprint),
}

/// Checks that a description announces the pinned certificate and no other (RFC 8122: `a=fingerprint`, at session level or in
/// each media section). The hash must be SHA-256: a fingerprint with a weaker one would not prove what the pin demands.
pub(super) fn check_fingerprint(sdp: &str, pinned: Fingerprint) -> Result<(), Error> {
    if sdp.len() > MAX_BYTES {
        return Err(Error::TooLarge(sdp.len()));
    }
    let mut found = false;
    for line in sdp.lines() {
        // Attribute names are case-sensitive (RFC 8866), but a parser that is more lenient than us must not see more than us.
        let Some(value) = strip_prefix_ignoring_case(line.trim(), "a=fingerprint:") else { continue };
        let Some((hash, digits)) = value.trim().split_once(' ') else { return Err(Error::Unreadable) };
        if !hash.eq_ignore_ascii_case("sha-256") {
            return Err(Error::Unreadable);
        }
        let announced: Fingerprint = digits.parse().map_err(|_| Error::Unreadable)?;
        if announced != pinned {
            return Err(Error::NotPinned(announced));
        }
        found = true;
    }
    if found { Ok(()) } else { Err(Error::NoFingerprint) }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sdp(lines: &[String]) -> String {
        format!("v=0\r\n{}\r\nm=video 9 UDP/TLS/RTP/SAVPF 125\r\n", lines.join("\r\n"))
    }

    #[test]
    fn only_the_pinned_certificate_passes() {
        let (pinned, other) = (Fingerprint::of(b"far end"), Fingerprint::of(b"somebody"));
        let line = |of: Fingerprint| format!("a=fingerprint:sha-256 {of}");
        let check = |lines: &[String]| check_fingerprint(&sdp(lines), pinned);
        assert_eq!(check(&[line(pinned)]), Ok(()));
        assert_eq!(check(&[line(pinned), line(pinned)]), Ok(()));
        assert_eq!(check(&[line(pinned).to_lowercase()]), Ok(()));
        assert_eq!(check(&[line(other)]), Err(Error::NotPinned(other)));
        assert_eq!(check(&[line(pinned), line(other)]), Err(Error::NotPinned(other)));
        assert_eq!(check(&[line(pinned), line(other).replace("a=f", "A=F")]), Err(Error::NotPinned(other)));
        assert_eq!(check(&[]), Err(Error::NoFingerprint));
        assert_eq!(check(&["a=fingerprint:sha-1 AB:CD".into()]), Err(Error::Unreadable));
        assert_eq!(check(&["a=fingerprint:".into()]), Err(Error::Unreadable));
        assert!(matches!(check(&[" ".repeat(MAX_BYTES)]), Err(Error::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*", tail in "(a=fingerprint:[^\n]{0,90}\n){0,3}") {
            let pinned = Fingerprint::of(b"far end");
            let sdp = format!("{text}\n{tail}");
            prop_assert!(check_fingerprint(&sdp, pinned).is_err());
        }
    }
}
