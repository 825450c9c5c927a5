//! The keys that both ends make of the code: one for each proof, one for each direction, and the words that people compare.
//!
//! SPAKE2 (as in magic-wormhole; the crate follows draft-irtf-cfrg-spake2-03 on Ed25519's group) gives both ends one secret if they have the same
//! code and nobody changed the messages. Who plays along without the code learns nothing and has tried one code. HKDF (RFC 5869) makes the keys of
//! it, with the whole of what was said before as context.

use super::code::{Code, three_words};
use super::frames::VERSION;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::hmac;
use sha2::{Digest, Sha256};
use spake2::{Ed25519Group, Identity, Password, Spake2};

/// What everything that is derived begins with.
const CONTEXT: &[u8] = b"screen-portal pairing 1";

/// Which end of the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its screen shows the code.
    Shows,
    /// A person enters the code there.
    Enters,
}

impl Role {
    /// The other end's.
    pub fn other(self) -> Self {
        match self {
            Self::Shows => Self::Enters,
            Self::Enters => Self::Shows,
        }
    }

    pub(super) fn letter(self) -> u8 {
        match self {
            Self::Shows => b'S',
            Self::Enters => b'E',
        }
    }
}

/// Our half of the key exchange.
pub struct Half {
    role: Role,
    spake: Spake2<Ed25519Group>,
    element: [u8; 33],
}

impl Half {
    /// A fresh half for this code. Roles are bound into it, so that no message can be sent back to its sender.
    pub fn new(code: &Code, role: Role) -> Self {
        let password = Password::new(code.password());
        let (enters, shows) =
            (Identity::new(b"screen-portal pairing 1 enters"), Identity::new(b"screen-portal pairing 1 shows"));
        let (spake, message) = match role {
            Role::Enters => Spake2::<Ed25519Group>::start_a(&password, &enters, &shows),
            Role::Shows => Spake2::<Ed25519Group>::start_b(&password, &enters, &shows),
        };
        let mut element = [0; 33];
        // The crate's messages have 33 bytes; another length would fit no frame, and no exchange would succeed.
        if message.len() == element.len() {
            element.copy_from_slice(&message);
        }
        Self { role, spake, element }
    }

    /// To be sent.
    pub fn element(&self) -> [u8; 33] {
        self.element
    }

    /// With the other end's element: the keys, which are the same there if the code is. `None`: the element is none.
    pub fn finish(self, theirs: &[u8; 33]) -> Option<Keys> {
        let (enters, shows) = match self.role {
            Role::Enters => (&self.element, theirs),
            Role::Shows => (theirs, &self.element),
        };
        let transcript =
            Sha256::new().chain_update(VERSION.to_be_bytes()).chain_update(enters).chain_update(shows).finalize();
        let secret = self.spake.finish(theirs).ok()?;
        let root = Salt::new(HKDF_SHA256, CONTEXT).extract(&secret);
        let derive = |label: &[u8], role: Role| derive(&root, &[label, &[role.letter()], &transcript]);
        let (ours, other) = (self.role, self.role.other());
        let seal = |role| Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &derive(b"seal", role)).ok()?));
        let mut words = [0; 5];
        words.copy_from_slice(&derive(b"words", Role::Shows)[..5]);
        Some(Keys {
            transcript: transcript.into(),
            prove: hmac::Key::new(hmac::HMAC_SHA256, &derive(b"proof", ours)),
            check: hmac::Key::new(hmac::HMAC_SHA256, &derive(b"proof", other)),
            binding: derive(b"binding", Role::Shows),
            words: three_words(words),
            outgoing: Channel { key: seal(ours)?, passed: 0 },
            incoming: Channel { key: seal(other)?, passed: 0 },
        })
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn derive(root: &Prk, info: &[&[u8]]) -> [u8; 32] {
    let mut key = [0; 32];
    // Fails for more than 255 times the digest's length only.
    let made = root.expand(info, Length(key.len())).and_then(|okm| okm.fill(&mut key));
    debug_assert!(made.is_ok());
    key
}

/// All that comes of a key exchange.
pub struct Keys {
    transcript: [u8; 32],
    prove: hmac::Key,
    check: hmac::Key,
    binding: [u8; 32],
    words: String,
    outgoing: Channel,
    incoming: Channel,
}

/// What one end seals for the other, in order.
struct Channel {
    key: LessSafeKey,
    /// Messages so far: the next one's nonce. The key is used in this one exchange, so it never comes twice.
    passed: u32,
}

impl Channel {
    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[8..].copy_from_slice(&self.passed.to_be_bytes());
        self.passed += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

impl Keys {
    /// Shows the other end that we know the code.
    pub fn proof(&self) -> [u8; 32] {
        let mut mac = [0; 32];
        mac.copy_from_slice(hmac::sign(&self.prove, &self.transcript).as_ref());
        mac
    }

    /// Whether the other end knows it. Takes the same time whatever is wrong.
    pub fn proves(&self, mac: &[u8; 32]) -> bool {
        hmac::verify(&self.check, &self.transcript, mac).is_ok()
    }

    /// What both ends sign, to tie their certificates to this exchange and no other.
    pub fn binding(&self) -> &[u8; 32] {
        &self.binding
    }

    /// Three words that are the same at both ends, for people to compare.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// For the other end only.
    pub fn seal(&mut self, text: &str) -> Option<Vec<u8>> {
        let mut bytes = text.as_bytes().to_vec();
        let nonce = self.outgoing.nonce();
        self.outgoing.key.seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes).ok()?;
        Some(bytes)
    }

    /// What the other end sealed; `None` if it is not whole, not the next one, or somebody else's.
    pub fn open(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let nonce = self.incoming.nonce();
        let length = self.incoming.key.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn halves(there: &str, here: &str) -> (Keys, Keys) {
        let enters = Half::new(&there.parse().unwrap(), Role::Enters);
        let shows = Half::new(&here.parse().unwrap(), Role::Shows);
        let (a, b) = (enters.element(), shows.element());
        (enters.finish(&b).unwrap(), shows.finish(&a).unwrap())
    }

    #[test]
    fn the_same_code_gives_the_same_keys() {
        let (mut enters, mut shows) = halves("47-latin-orbit", "47 LATI ORBI");
        assert!(shows.proves(&enters.proof()) && enters.proves(&shows.proof()));
        assert_eq!((enters.binding(), enters.words()), (shows.binding(), shows.words()));
        assert_eq!(enters.words().split(' ').count(), 3);
        for text in ["first", "second", ""] {
            let sealed = enters.seal(text).unwrap();
            assert_eq!(shows.open(sealed).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn another_code_gives_nothing_in_common() {
        let (mut enters, mut shows) = halves("47-latin-orbit", "48-latin-orbit");
        assert!(!shows.proves(&enters.proof()) && !enters.proves(&shows.proof()));
        assert!(enters.binding() != shows.binding() && enters.words() != shows.words());
        assert!(shows.open(enters.seal("x").unwrap()).is_none());
    }

    #[test]
    fn proofs_and_sealed_texts_hold_in_one_direction_and_one_order_only() {
        let (mut enters, mut shows) = halves("47-latin-orbit", "47-latin-orbit");
        assert!(!enters.proves(&enters.proof()), "a mirror");
        let (first, second) = (enters.seal("first").unwrap(), enters.seal("second").unwrap());
        assert!(enters.open(first.clone()).is_none(), "a mirror");
        assert!(shows.open(second.clone()).is_none(), "out of order");
        let (again, _) = halves("47-latin-orbit", "47-latin-orbit");
        assert!(!shows.proves(&again.proof()), "of another exchange with the same code");
    }

    #[test]
    fn what_is_no_element_is_refused() {
        let half = || Half::new(&"47-latin-orbit".parse().unwrap(), Role::Shows);
        let mirror = half().element();
        assert!(half().finish(&mirror).is_none(), "our own side's");
        assert!((0..=255u8).filter(|byte| half().finish(&[*byte; 33]).is_some()).count() <= 1, "the letter must be A");
    }
}
