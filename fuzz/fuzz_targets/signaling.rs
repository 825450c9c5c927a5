//! What anybody who can reach the signalling port may say: messages, the handshake's frames; what a hub or a broker may pass on; and what the far end
//! may say on the control channel.
#![no_main]
use screen_portal::pairing::{Fingerprint, Identity};
use screen_portal::signaling::hello::{Handshake, Role};
use screen_portal::signaling::{Message, SessionId};
use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static IDENTITY: OnceLock<Identity> = OnceLock::new();
    let identity = IDENTITY.get_or_init(|| Identity::make().expect("an identity can be made"));
    let Some((kind, rest)) = bytes.split_first() else { return };
    if *kind >= 0xe0 {
        return screen_portal::signaling::relay::fuzzing::carried(rest);
    }
    if kind % 4 == 0 {
        return screen_portal::link::fuzzing::control_message(rest);
    }
    let Ok(text) = std::str::from_utf8(rest) else { return };
    if kind % 4 == 1 {
        if let Ok(message) = Message::parse(text) {
            assert_eq!(Message::parse(&message.to_json()).as_ref(), Ok(&message));
        }
        return;
    }
    // The far end that is expected is whoever says hello, so that the way to its proof is open.
    let anybody = certificate(text).map_or_else(|| Fingerprint::of(b"x"), |bytes| Fingerprint::of(&bytes));
    let role = if kind % 4 == 2 { Role::Dialler } else { Role::Listener };
    let (hello, proof) = text.split_once('\n').unwrap_or((text, ""));
    let handshakes = [
        Handshake::new(identity, anybody, SessionId::random(), role),
        Handshake::sealed(identity, anybody, SessionId::random(), role).expect("the system has random numbers"),
    ];
    for handshake in handshakes {
        if let Ok((proving, _)) = handshake.receive_hello(hello) {
            assert!(proving.receive_proof(proof).is_err(), "nobody can prove what he does not have");
        }
    }
});

/// The certificate in a hello frame: hexadecimal behind its key.
fn certificate(text: &str) -> Option<Vec<u8>> {
    let (_, rest) = text.split_once("\"certificate\":\"")?;
    let digits = rest.split('"').next()?.as_bytes();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
