//! The handshake at the start of each connection: both ends prove that they hold the key of the pinned certificate.
//!
//! Plain data, no socket. Each end sends a `hello` (certificate, fresh nonce, session), and in answer to the other's hello a
//! `proof`: its signature over everything that both hellos said. A signature can therefore be used in this one connection, in
//! this one direction, and nowhere else.
//!
//! Through somebody else's machine (a hub, a broker) the hellos also carry one half each of a fresh secret; the signatures cover them,
//! and what is said afterwards is sealed with it.

use super::message::{Malformed, SessionId, hex, read, to_json};
use super::sealing::{Half, Keys, PublicKey};
use crate::pairing::{self, Fingerprint, Identity};
use serde::{Deserialize, Serialize};

/// The version of handshake and messages; another one is refused.
pub const VERSION: u32 = 1;

/// The longest frame of a handshake, in bytes: twice the hexadecimal form of the largest certificate.
pub const LONGEST_FRAME: usize = 16 * 1024;

/// What a proof's signature begins with, as TLS 1.3 does it (RFC 8446, section 4.4.3). The same key signs in DTLS 1.2, where the
/// first 64 bytes are both sides' randoms: no such signature can be passed off as ours, nor the other way round.
const CONTEXT: [&[u8]; 2] = [&[b' '; 64], b"screen-portal signalling 1\0"];
/// The same for a connection that is sealed: no signature of one kind can be passed off as one of the other.
const SEALED_CONTEXT: [&[u8]; 2] = [&[b' '; 64], b"screen-portal sealed signalling 1\0"];

/// Which side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Made the connection.
    Dialler,
    /// Accepted it.
    Listener,
}

impl Role {
    /// The other end's.
    pub fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }
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
    /// The sender's half of the secret; only where messages are to be sealed.
    #[serde(default, with = "optional_key", skip_serializing_if = "Option::is_none")]
    key: Option<PublicKey>,
}

mod optional_key {
    use super::{PublicKey, hex};
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(key: &Option<PublicKey>, serializer: S) -> Result<S::Ok, S::Error> {
        hex::serialize(key.as_ref().map_or(&[][..], |key| key), serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PublicKey>, D::Error> {
        hex::deserialize(deserializer).map(Some)
    }
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
    /// It does not want to seal what it says, or its half of the secret is none.
    #[error("it does not seal what it says, as portals do that meet through a hub or a broker")]
    Unsealed,
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
            Self::Malformed(_) | Self::OutOfTurn | Self::Unsealed => 4000,
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
    half: Option<Half>,
}

/// A handshake that waits for the other end's proof.
#[derive(Debug)]
pub struct Proving {
    their_message: Vec<u8>,
    theirs: Hello,
    keys: Option<Keys>,
}

/// The other end is the far end.
#[derive(Debug)]
pub struct Proven {
    /// Its run.
    pub session: SessionId,
    /// Where what is said is to be sealed: with these.
    pub keys: Option<Keys>,
}

impl<'a> Handshake<'a> {
    /// Our side of a fresh connection.
    pub fn new(identity: &'a Identity, far_end: Fingerprint, session: SessionId, role: Role) -> Self {
        let certificate = identity.certificate_der().to_vec();
        let hello = Hello { version: VERSION, session, nonce: rand::random(), certificate, key: None };
        Self { identity, far_end, role, hello, half: None }
    }

    /// The same for a connection through somebody else's machine, whose messages are sealed.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn sealed(
        identity: &'a Identity,
        far_end: Fingerprint,
        session: SessionId,
        role: Role,
    ) -> Result<Self, Refusal> {
        let mut handshake = Self::new(identity, far_end, session, role);
        let half = Half::new().ok_or_else(|| Refusal::OwnProof("the system has no random numbers".into()))?;
        handshake.hello.key = Some(half.public);
        handshake.half = Some(half);
        Ok(handshake)
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
        let ours = to_be_signed(self.role, dialler, listener);
        let their_message = to_be_signed(self.role.other(), dialler, listener);
        let keys = match (self.half, theirs.key) {
            (None, _) => None,
            (Some(_), None) => return Err(Refusal::Unsealed),
            (Some(half), Some(key)) => {
                let context = to_be_signed(Role::Dialler, dialler, listener);
                Some(half.finish(&key, self.role, &context).ok_or(Refusal::Unsealed)?)
            }
        };
        let signature = self.identity.sign(&ours).map_err(|error| Refusal::OwnProof(error.to_string()))?;
        Ok((Proving { their_message, theirs, keys }, to_json(&Frame::Proof { signature })))
    }
}

impl Proving {
    /// Takes the other end's second frame. Now it is the far end.
    pub fn receive_proof(self, text: &str) -> Result<Proven, Refusal> {
        let Frame::Proof { signature } = read(text, LONGEST_FRAME)? else { return Err(Refusal::OutOfTurn) };
        pairing::verify(&self.theirs.certificate, &self.their_message, &signature).map_err(|_| Refusal::Unproven)?;
        Ok(Proven { session: self.theirs.session, keys: self.keys })
    }
}

/// Who signs, then of dialler and listener: nonce, session, fingerprint, and the half of the secret if there is one. All parts have a fixed length.
fn to_be_signed(signer: Role, dialler: &Hello, listener: &Hello) -> Vec<u8> {
    let is_sealed = dialler.key.is_some() && listener.key.is_some();
    let mut message = if is_sealed { SEALED_CONTEXT } else { CONTEXT }.concat();
    message.push(match signer {
        Role::Dialler => b'D',
        Role::Listener => b'L',
    });
    for hello in [dialler, listener] {
        message.extend_from_slice(&hello.nonce);
        message.extend_from_slice(hello.session.bytes());
        message.extend_from_slice(Fingerprint::of(&hello.certificate).bytes());
        message.extend(hello.key.filter(|_| is_sealed).iter().flatten());
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
        assert_eq!(dialler.receive_proof(&listener_proof).unwrap().session, south_session);
        assert_eq!(listener.receive_proof(&dialler_proof).unwrap().session, north_session);
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
        assert_eq!(
            proving.receive_proof(&to_json(&Frame::Proof { signature: forged })).unwrap_err(),
            Refusal::Unproven
        );
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
        assert_eq!(proving.receive_proof(&first_proof).unwrap_err(), Refusal::Unproven);
        // The listener's own proof sent back to it.
        let (proving, _) = pair.listener().receive_hello(&first_hello).unwrap();
        assert_eq!(proving.receive_proof(&listener_proof).unwrap_err(), Refusal::Unproven);
        // North as a listener signs something else than north as a dialler, in the same words.
        let north = Handshake::new(&pair.north, pair.south.fingerprint(), SessionId::random(), Role::Listener);
        let south = Handshake::new(&pair.south, pair.north.fingerprint(), SessionId::random(), Role::Listener);
        let (north_hello, south_hello) = (north.hello(), south.hello());
        let (proving, _) = south.receive_hello(&north_hello).unwrap();
        let (_, north_proof) = north.receive_hello(&south_hello).unwrap();
        assert_eq!(proving.receive_proof(&north_proof).unwrap_err(), Refusal::Unproven);
    }

    /// The machine in between exchanges the halves of the secret for its own, or takes them out.
    #[test]
    fn whoever_carries_the_hellos_cannot_get_at_the_keys() {
        let pair = pair();
        let dialler = || Handshake::sealed(&pair.north, pair.south.fingerprint(), SessionId::random(), Role::Dialler);
        let listener = || Handshake::sealed(&pair.south, pair.north.fingerprint(), SessionId::random(), Role::Listener);
        let exchanged = |hello: &str| {
            let mut hello: serde_json::Value = serde_json::from_str(hello).unwrap();
            hello["key"] = data_encoding::HEXLOWER.encode(&Half::new().unwrap().public).into();
            hello.to_string()
        };
        let (north, south) = (dialler().unwrap(), listener().unwrap());
        let (to_south, to_north) = (north.hello(), south.hello());
        let (north, north_proof) = north.receive_hello(&exchanged(&to_north)).unwrap();
        let (south, south_proof) = south.receive_hello(&exchanged(&to_south)).unwrap();
        assert_eq!(north.receive_proof(&south_proof).unwrap_err(), Refusal::Unproven);
        assert_eq!(south.receive_proof(&north_proof).unwrap_err(), Refusal::Unproven);

        let without = pair.dialler().hello();
        assert_eq!(listener().unwrap().receive_hello(&without).unwrap_err(), Refusal::Unsealed);
        let weak = to_south.replace(&data_encoding::HEXLOWER.encode(&serde_key(&to_south)), &"00".repeat(32));
        assert_eq!(listener().unwrap().receive_hello(&weak).unwrap_err(), Refusal::Unsealed);

        let (north, south) = (dialler().unwrap(), listener().unwrap());
        let (to_south, to_north) = (north.hello(), south.hello());
        let (north, north_proof) = north.receive_hello(&to_north).unwrap();
        let (south, south_proof) = south.receive_hello(&to_south).unwrap();
        let mut north = north.receive_proof(&south_proof).unwrap().keys.unwrap();
        let mut south = south.receive_proof(&north_proof).unwrap().keys.unwrap();
        let (number, sealed) = north.seal(b"hello".to_vec()).unwrap();
        assert_eq!(south.open(number, sealed).unwrap(), b"hello");
    }

    fn serde_key(hello: &str) -> PublicKey {
        serde_json::from_str::<Hello>(hello).unwrap().key.unwrap()
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
        assert_eq!(proving.receive_proof(&hello).unwrap_err(), Refusal::OutOfTurn);
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
