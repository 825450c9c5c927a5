//! The handshake at the start of each connection: both ends prove that they hold the key of the pinned certificate.
//!
//! Plain data, no socket. Each end sends a `hello` (certificate, fresh nonce, session), and in answer to the other's hello a
//! `proof`: its signature over everything that both hellos said. A signature can therefore be used in this one connection, in
//! this one direction, and nowhere else.

use super::message::{Malformed, SessionId, hex, read, to_json};
use crate::pairing::{self, Fingerprint, Identity};
use serde::{Deserialize, Serialize};

/// The version of handshake and messages; another one is refused.
pub const VERSION: u32 = 1;

/// The longest frame of a handshake, in bytes: twice the hexadecimal form of the largest certificate.
pub const LONGEST_FRAME: usize = 16 * 1024;

/// What a proof's signature begins with, as TLS 1.3 does it (RFC 8446, section 4.4.3). The same key signs in DTLS 1.2, where the
/// first 64 bytes are both sides' randoms: no such signature can be passed off as ours, nor the other way round.
const CONTEXT: [&[u8]; 2] = [&[b' '; 64], b"screen-portal signalling 1\0"];

/// Which side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Made the connection.
    Dialler,
    /// Accepted it.
    Listener,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Frame {
    Hello(Hello),
    Proof {
        #[serde(with = "hex")]
        signature: Vec<u8>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hello {
    version: u32,
    session: SessionId,
    #[serde(with = "hex")]
    nonce: [u8; 32],
    #[serde(with = "hex")]
    certificate: Vec<u8>,
}

/// Why a handshake ended without a connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a frame of the handshake, or not now.
    #[error("it does not speak as a portal does: {0}")]
    Malformed(#[from] Malformed),
    /// The other frame was due.
    #[error("it does not keep to the order of the handshake")]
    OutOfTurn,
    /// Another version.
    #[error("it speaks version {0} of the signalling, this portal version {VERSION}; update the older one")]
    Version(u32),
    /// Another certificate than the pinned one.
    #[error(
        "it shows the fingerprint {0}, which is not the pinned far end's; if it is the far end, set pairing.far_end to it"
    )]
    Stranger(Fingerprint),
    /// Our own certificate.
    #[error("it is this portal itself: the address to dial must be the far end's")]
    Ourselves,
    /// The certificate without its key.
    #[error("it shows the far end's certificate but does not have its key")]
    Unproven,
    /// We cannot sign.
    #[error("the proof cannot be made: {0}")]
    OwnProof(String),
}

impl Refusal {
    /// Whether somebody tried to be the far end and is not.
    pub fn is_identity(&self) -> bool {
        matches!(self, Self::Stranger(_) | Self::Unproven)
    }

    /// The WebSocket close code that tells the other end (4000 to 4999 are free for applications, RFC 6455, section 7.4.2).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OutOfTurn => 4000,
            Self::Version(_) => 4001,
            Self::Stranger(_) => 4002,
            Self::Ourselves => 4003,
            Self::Unproven => 4004,
            Self::OwnProof(_) => 1011,
        }
    }
}

/// A handshake that waits for the other end's hello.
#[derive(Debug)]
pub struct Handshake<'a> {
    identity: &'a Identity,
    far_end: Fingerprint,
    role: Role,
    hello: Hello,
}

/// A handshake that waits for the other end's proof.
#[derive(Debug)]
pub struct Proving {
    their_message: Vec<u8>,
    theirs: Hello,
}

impl<'a> Handshake<'a> {
    /// Our side of a fresh connection.
    pub fn new(identity: &'a Identity, far_end: Fingerprint, session: SessionId, role: Role) -> Self {
        let certificate = identity.certificate_der().to_vec();
        let hello = Hello { version: VERSION, session, nonce: rand::random(), certificate };
        Self { identity, far_end, role, hello }
    }

    /// The frame to send first.
    pub fn hello(&self) -> String {
        to_json(&Frame::Hello(self.hello.clone()))
    }

    /// Takes the other end's first frame; gives what to wait for next and the frame to send.
    pub fn receive_hello(self, text: &str) -> Result<(Proving, String), Refusal> {
        let Frame::Hello(theirs) = read(text, LONGEST_FRAME)? else { return Err(Refusal::OutOfTurn) };
        if theirs.version != VERSION {
            return Err(Refusal::Version(theirs.version));
        }
        let fingerprint = Fingerprint::of(&theirs.certificate);
        if fingerprint == self.identity.fingerprint() {
            return Err(Refusal::Ourselves);
        }
        if fingerprint != self.far_end {
            return Err(Refusal::Stranger(fingerprint));
        }
        let (dialler, listener) = match self.role {
            Role::Dialler => (&self.hello, &theirs),
            Role::Listener => (&theirs, &self.hello),
        };
        let (our_role, their_role) = match self.role {
            Role::Dialler => (Role::Dialler, Role::Listener),
            Role::Listener => (Role::Listener, Role::Dialler),
        };
        let ours = to_be_signed(our_role, dialler, listener);
        let their_message = to_be_signed(their_role, dialler, listener);
        let signature = self.identity.sign(&ours).map_err(|error| Refusal::OwnProof(error.to_string()))?;
        Ok((Proving { their_message, theirs }, to_json(&Frame::Proof { signature })))
    }
}

impl Proving {
    /// Takes the other end's second frame; gives its session. Now it is the far end.
    pub fn receive_proof(self, text: &str) -> Result<SessionId, Refusal> {
        let Frame::Proof { signature } = read(text, LONGEST_FRAME)? else { return Err(Refusal::OutOfTurn) };
        pairing::verify(&self.theirs.certificate, &self.their_message, &signature).map_err(|_| Refusal::Unproven)?;
        Ok(self.theirs.session)
    }
}

/// Who signs, then of dialler and listener: nonce, session, fingerprint. All parts have a fixed length.
fn to_be_signed(signer: Role, dialler: &Hello, listener: &Hello) -> Vec<u8> {
    let mut message = CONTEXT.concat();
    message.push(match signer {
        Role::Dialler => b'D',
        Role::Listener => b'L',
    });
    for hello in [dialler, listener] {
        message.extend_from_slice(&hello.nonce);
        message.extend_from_slice(hello.session.bytes());
        message.extend_from_slice(Fingerprint::of(&hello.certificate).bytes());
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Pair {
        north: Identity,
        south: Identity,
    }

    fn pair() -> Pair {
        Pair { north: Identity::make().unwrap(), south: Identity::make().unwrap() }
    }

    impl Pair {
        fn dialler(&self) -> Handshake<'_> {
            Handshake::new(&self.north, self.south.fingerprint(), SessionId::random(), Role::Dialler)
        }
        fn listener(&self) -> Handshake<'_> {
            Handshake::new(&self.south, self.north.fingerprint(), SessionId::random(), Role::Listener)
        }
    }

    #[test]
    fn both_ends_prove_themselves() {
        let pair = pair();
        let (dialler, listener) = (pair.dialler(), pair.listener());
        let (north_session, south_session) = (dialler.hello.session, listener.hello.session);
        let (to_listener, to_dialler) = (dialler.hello(), listener.hello());
        let (dialler, dialler_proof) = dialler.receive_hello(&to_dialler).unwrap();
        let (listener, listener_proof) = listener.receive_hello(&to_listener).unwrap();
        assert_eq!(dialler.receive_proof(&listener_proof), Ok(south_session));
        assert_eq!(listener.receive_proof(&dialler_proof), Ok(north_session));
    }

    #[test]
    fn strangers_and_mirrors_are_refused_at_their_hello() {
        let pair = pair();
        let stranger = Identity::make().unwrap();
        let theirs = Handshake::new(&stranger, pair.south.fingerprint(), SessionId::random(), Role::Dialler).hello();
        let refused = pair.listener().receive_hello(&theirs).unwrap_err();
        assert_eq!(refused, Refusal::Stranger(stranger.fingerprint()));
        assert!(refused.is_identity());
        let mirror = pair.dialler();
        let own = mirror.hello();
        assert_eq!(mirror.receive_hello(&own).unwrap_err(), Refusal::Ourselves);
    }

    #[test]
    fn the_certificate_without_its_key_is_refused() {
        let pair = pair();
        let listener = pair.listener();
        let (proving, _) = listener.receive_hello(&pair.dialler().hello()).unwrap();
        let forged = Identity::make().unwrap().sign(&proving.their_message).unwrap();
        assert_eq!(proving.receive_proof(&to_json(&Frame::Proof { signature: forged })), Err(Refusal::Unproven));
    }

    /// A proof of another connection, of the other role, or for another far end does not count.
    #[test]
    fn proofs_cannot_be_used_again() {
        let pair = pair();
        let listener = pair.listener();
        let listener_hello = listener.hello();
        let first = pair.dialler();
        let first_hello = first.hello();
        let (_, first_proof) = first.receive_hello(&listener_hello).unwrap();
        let (proving, listener_proof) = listener.receive_hello(&first_hello).unwrap();
        assert!(proving.receive_proof(&first_proof).is_ok());

        // The same hello and proof again, to a listener with a fresh nonce.
        let (proving, _) = pair.listener().receive_hello(&first_hello).unwrap();
        assert_eq!(proving.receive_proof(&first_proof), Err(Refusal::Unproven));
        // The listener's own proof sent back to it.
        let (proving, _) = pair.listener().receive_hello(&first_hello).unwrap();
        assert_eq!(proving.receive_proof(&listener_proof), Err(Refusal::Unproven));
        // North as a listener signs something else than north as a dialler, in the same words.
        let north = Handshake::new(&pair.north, pair.south.fingerprint(), SessionId::random(), Role::Listener);
        let south = Handshake::new(&pair.south, pair.north.fingerprint(), SessionId::random(), Role::Listener);
        let (north_hello, south_hello) = (north.hello(), south.hello());
        let (proving, _) = south.receive_hello(&north_hello).unwrap();
        let (_, north_proof) = north.receive_hello(&south_hello).unwrap();
        assert_eq!(proving.receive_proof(&north_proof), Err(Refusal::Unproven));
    }

    #[test]
    fn order_and_version_are_kept() {
        let pair = pair();
        let proof = to_json(&Frame::Proof { signature: vec![] });
        assert_eq!(pair.listener().receive_hello(&proof).unwrap_err(), Refusal::OutOfTurn);
        let hello = pair.dialler().hello();
        let later = hello.replace("\"version\":1", "\"version\":2");
        assert_eq!(pair.listener().receive_hello(&later).unwrap_err(), Refusal::Version(2));
        let (proving, _) = pair.listener().receive_hello(&hello).unwrap();
        assert_eq!(proving.receive_proof(&hello), Err(Refusal::OutOfTurn));
    }

    proptest! {
        #[test]
        fn total_on_any_text(text in ".*") {
            let pair = pair();
            prop_assert!(pair.listener().receive_hello(&text).is_err());
            let (proving, _) = pair.listener().receive_hello(&pair.dialler().hello()).unwrap();
            prop_assert!(proving.receive_proof(&text).is_err());
        }

        #[test]
        fn total_on_damaged_hellos(at: prop::sample::Index, with: char) {
            let pair = pair();
            let mut text: Vec<char> = pair.dialler().hello().chars().collect();
            let at = at.index(text.len());
            text[at] = with;
            let _ = pair.listener().receive_hello(&text.into_iter().collect::<String>());
        }
    }
}
