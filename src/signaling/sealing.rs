//! The keys of a connection through somebody else's machine, and what is sealed with them.
//!
//! Both ends agree on a fresh secret (X25519, RFC 7748) inside the handshake, whose signatures cover both halves of it; HKDF (RFC 5869) makes one
//! key of it for each direction. Who carries the messages can read none of them, change none, send none of an earlier connection again and
//! none back to its sender. It can keep them back: that looks like a bad network, and is treated so.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::rand::SystemRandom;

use super::hello::Role;

/// One half of the secret, as it stands in a hello.
pub type PublicKey = [u8; 32];

/// Our half, for one handshake.
pub struct Half {
    private: EphemeralPrivateKey,
    /// To be told to the other end.
    pub public: PublicKey,
}

impl std::fmt::Debug for Half {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Half").field("public", &self.public).finish_non_exhaustive()
    }
}

impl Half {
    /// A fresh one; `None` if the system has no random numbers.
    pub fn new() -> Option<Self> {
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).ok()?;
        let public = private.compute_public_key().ok()?.as_ref().try_into().ok()?;
        Some(Self { private, public })
    }

    /// With the other end's half. `context`: what both ends have signed, so that other words make other keys. `None`: it is no half of a secret.
    pub fn finish(self, theirs: &PublicKey, role: Role, context: &[u8]) -> Option<Keys> {
        agree_ephemeral(self.private, &UnparsedPublicKey::new(&X25519, theirs), |secret| {
            let root = Salt::new(HKDF_SHA256, context).extract(secret);
            let key = |sender: Role| {
                let label: &[u8] = match sender {
                    Role::Dialler => b"screen-portal sealed signalling 1 dialler",
                    Role::Listener => b"screen-portal sealed signalling 1 listener",
                };
                let mut key = [0; 32];
                root.expand(&[label], Length).ok()?.fill(&mut key).ok()?;
                Some(LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key).ok()?))
            };
            Some(Keys { outgoing: key(role)?, incoming: key(role.other())?, sent: 0, received: 0 })
        })
        .ok()
        .flatten()
    }
}

struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

/// Seals what we say and opens what the other end says.
#[derive(Debug)]
pub struct Keys {
    outgoing: LessSafeKey,
    incoming: LessSafeKey,
    sent: u64,
    received: u64,
}

impl Keys {
    /// For the other end only: the number of the message, from 1, and its sealed form.
    pub fn seal(&mut self, mut bytes: Vec<u8>) -> Option<(u64, Vec<u8>)> {
        let number = self.sent + 1;
        self.outgoing.seal_in_place_append_tag(nonce(number), Aad::empty(), &mut bytes).ok()?;
        self.sent = number;
        Some((number, bytes))
    }

    /// What the other end sealed. `None`: it is not whole, not the other end's, or came before. Some may be missing between two.
    pub fn open(&mut self, number: u64, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        if number <= self.received {
            return None;
        }
        let length = self.incoming.open_in_place(nonce(number), Aad::empty(), &mut bytes).ok()?.len();
        bytes.truncate(length);
        self.received = number;
        Some(bytes)
    }
}

/// A key is used in one connection and one direction, where a number never comes twice.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(contexts: [&[u8]; 2]) -> (Keys, Keys) {
        let (a, b) = (Half::new().unwrap(), Half::new().unwrap());
        let (of_a, of_b) = (a.public, b.public);
        (a.finish(&of_b, Role::Dialler, contexts[0]).unwrap(), b.finish(&of_a, Role::Listener, contexts[1]).unwrap())
    }

    #[test]
    fn what_one_end_seals_only_the_other_opens_once_and_in_order() {
        let (mut a, mut b) = pair([b"same"; 2]);
        let (first, sealed) = a.seal(b"first".to_vec()).unwrap();
        assert!(a.open(first, sealed.clone()).is_none(), "a mirror");
        assert_eq!(b.open(first, sealed.clone()).unwrap(), b"first");
        assert!(b.open(first, sealed.clone()).is_none(), "again");
        let (second, later) = a.seal(b"second".to_vec()).unwrap();
        assert!(b.open(second + 1, later.clone()).is_none(), "another number");
        let mut changed = later.clone();
        changed[0] ^= 1;
        assert!(b.open(second, changed).is_none(), "changed");
        let (third, last) = a.seal(b"third".to_vec()).unwrap();
        assert_eq!(b.open(third, last).unwrap(), b"third", "one was lost");
        assert!(b.open(second, later).is_none(), "it comes too late");
        let (mut other, _) = pair([b"same"; 2]);
        assert!(other.open(first, sealed).is_none(), "another connection");
    }

    #[test]
    fn other_words_make_other_keys() {
        let (mut a, mut b) = pair([b"signed here", b"signed there"]);
        let (number, sealed) = a.seal(b"x".to_vec()).unwrap();
        assert!(b.open(number, sealed).is_none());
    }

    #[test]
    fn halves_that_give_no_secret_are_refused() {
        for weak in [[0; 32], {
            let mut one = [0; 32];
            one[0] = 1;
            one
        }] {
            assert!(Half::new().unwrap().finish(&weak, Role::Dialler, b"").is_none());
        }
    }
}
