//! The exchange by which two portals pin each other: plain data, no socket, no clock.
//!
//! ```text
//! enters the code                         shows the code
//!    │── start: SPAKE2's element ───────────►│
//!    │◄────────────── reply: its element ────│
//!    │── proof ─────────────────────────────►│  knows now that the code is known there; a wrong one is burnt
//!    │◄──────────────── proof, sealed card ──│  who shows proves last: whoever connects learns nothing before
//!    │── sealed card ───────────────────────►│  pins
//!    │◄────────────────────── sealed done ───│
//!  pins
//! ```
//!
//! A card holds the sender's certificate, and a signature by its key over this exchange: who knows the code cannot pose as another portal whose
//! certificate it has seen. Whatever is wrong ends the exchange for good; there is nothing to be tried again inside it.

use super::code::Code;
use super::frames::{Card, Frame, Sealed, VERSION, Way};
use super::keys::{Half, Keys, Role};
use super::{Error, Fingerprint, Identity, verify};
use crate::signaling::Malformed;
use std::time::{Duration, Instant};

/// From the first message to the last.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What a card's signature begins with, as in [`crate::signaling::hello`]: 64 blanks, as TLS 1.3 does it (RFC 8446, section 4.4.3), and words
/// of its own. No signature of DTLS or of signalling can be passed off as one, nor the other way round.
const CONTEXT: [&[u8]; 2] = [&[b' '; 64], b"screen-portal pairing 1\0"];

/// What the other end shall know of us.
#[derive(Clone, Debug)]
pub struct Own {
    /// Who we are.
    pub identity: Identity,
    /// The name of our place.
    pub site: String,
    /// How to reach us.
    pub ways: Vec<Way>,
}

/// The portal at the far end, as it is pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paired {
    /// Its name in every trust decision.
    pub far_end: Fingerprint,
    /// Its own name for its place: untrusted text, at most 64 characters, no control characters.
    pub site: String,
    /// How to reach it.
    pub ways: Vec<Way>,
    /// Three words that its screen shows, too.
    pub words: String,
}

/// What comes of a message.
#[derive(Debug, Default)]
pub struct Step {
    /// To be stored, and then, not before, what is in `send` may be sent.
    pub paired: Option<Paired>,
    /// To be sent, in this order.
    pub send: Vec<String>,
}

/// Why an exchange ended without a far end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not a message, or not one of ours.
    #[error("it does not speak as a portal does: {0}")]
    Malformed(#[from] Malformed),
    /// Another message was due.
    #[error("it does not keep to the order of pairing")]
    OutOfTurn,
    /// Another version.
    #[error("it speaks version {0} of pairing, this portal version {VERSION}; update the older one")]
    Version(u32),
    /// The proof does not hold: another code, or somebody in between.
    #[error(
        "the code is not the one that is shown there, and does not count any more; enter the one that is shown now"
    )]
    WrongCode,
    /// What was sealed does not open.
    #[error("somebody on the way changed what it said; pair again, with the new code")]
    Changed,
    /// The card's certificate or signature.
    #[error("its certificate is not its own: {0}")]
    Certificate(String),
    /// It is us.
    #[error("it has this portal's own identity: delete the identity file of the copy, and pair again")]
    Ourselves,
    /// It took too long.
    #[error("it did not finish within 30 s")]
    Late,
    /// Our own cryptography failed.
    #[error("our own card cannot be made: {0}")]
    Own(String),
}

impl Failure {
    /// The WebSocket close code that tells the other end (4000 to 4999 are free for applications, RFC 6455, section 7.4.2).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::OutOfTurn => 4000,
            Self::Version(_) => 4001,
            Self::Ourselves => 4003,
            Self::Certificate(_) => 4004,
            Self::WrongCode => 4010,
            Self::Changed => 4011,
            Self::Late => 4012,
            Self::Own(_) => 1011,
        }
    }
}

/// One exchange, from either end.
pub struct Exchange {
    role: Role,
    own: Own,
    until: Instant,
    guessed: bool,
    state: State,
}

enum State {
    /// The one who shows waits for `start`, the other for `reply`.
    Element(Half),
    /// Both wait for `proof`.
    Proof(Keys),
    /// Both wait for the card.
    Card(Keys),
    /// The one who enters waits for `done`.
    Done(Keys, Paired),
    Over,
}

impl Exchange {
    /// This portal shows the code, and waits for the other one to begin.
    pub fn show(code: &Code, own: Own, now: Instant) -> Self {
        Self::new(code, Role::Shows, own, now).0
    }

    /// The code was entered here. The text is to be sent.
    pub fn enter(code: &Code, own: Own, now: Instant) -> (Self, String) {
        let (exchange, element) = Self::new(code, Role::Enters, own, now);
        (exchange, Frame::Start { version: VERSION, element }.to_json())
    }

    fn new(code: &Code, role: Role, own: Own, now: Instant) -> (Self, [u8; 33]) {
        let half = Half::new(code, role);
        let element = half.element();
        (Self { role, own, until: now + LIMIT, guessed: false, state: State::Element(half) }, element)
    }

    /// Whether the other end has tried a code here, so that the code shown is not to be used again, whatever came of it.
    pub fn is_spent(&self) -> bool {
        self.guessed
    }

    /// Whether our card is on its way, and the other end may have stored it.
    pub fn awaits_done(&self) -> bool {
        matches!(self.state, State::Done(..))
    }

    /// When it is over at the latest.
    pub fn until(&self) -> Instant {
        self.until
    }

    /// Takes the other end's next message. After a failure nothing more is taken.
    pub fn receive(&mut self, text: &str, now: Instant) -> Result<Step, Failure> {
        let state = std::mem::replace(&mut self.state, State::Over);
        if now >= self.until {
            return Err(Failure::Late);
        }
        let frame = Frame::parse(text)?;
        let (step, next) = match (state, frame) {
            (State::Element(half), Frame::Start { version, element }) if self.role == Role::Shows => {
                check_version(version)?;
                let reply = Frame::Reply { version: VERSION, element: half.element() };
                (send([reply]), State::Proof(finish(half, &element)?))
            }
            (State::Element(half), Frame::Reply { version, element }) if self.role == Role::Enters => {
                check_version(version)?;
                let keys = finish(half, &element)?;
                (send([Frame::Proof { mac: keys.proof() }]), State::Proof(keys))
            }
            (State::Proof(mut keys), Frame::Proof { mac }) => {
                self.guessed = true;
                if !keys.proves(&mac) {
                    return Err(Failure::WrongCode);
                }
                match self.role {
                    Role::Shows => {
                        let proof = Frame::Proof { mac: keys.proof() };
                        (send([proof, self.card(&mut keys)?]), State::Card(keys))
                    }
                    Role::Enters => (Step::default(), State::Card(keys)),
                }
            }
            (State::Card(mut keys), Frame::Sealed { text }) => {
                let Sealed::Card(card) = open(&mut keys, text)? else { return Err(Failure::OutOfTurn) };
                let paired = self.accept(card, &keys)?;
                match self.role {
                    Role::Shows => {
                        let done = seal(&mut keys, &Sealed::Done)?;
                        (Step { paired: Some(paired), ..send([done]) }, State::Over)
                    }
                    Role::Enters => (send([self.card(&mut keys)?]), State::Done(keys, paired)),
                }
            }
            (State::Done(mut keys, paired), Frame::Sealed { text }) => {
                let Sealed::Done = open(&mut keys, text)? else { return Err(Failure::OutOfTurn) };
                (Step { paired: Some(paired), send: Vec::new() }, State::Over)
            }
            _ => return Err(Failure::OutOfTurn),
        };
        self.state = next;
        Ok(step)
    }

    fn card(&self, keys: &mut Keys) -> Result<Frame, Failure> {
        let identity = &self.own.identity;
        let message = to_be_signed(self.role, keys.binding(), identity.fingerprint());
        let signature = identity.sign(&message).map_err(|error| Failure::Own(error.to_string()))?;
        let card = Card {
            certificate: identity.certificate_der().to_vec(),
            signature,
            site: self.own.site.clone(),
            ways: self.own.ways.clone(),
        };
        seal(keys, &Sealed::Card(card))
    }

    fn accept(&self, card: Card, keys: &Keys) -> Result<Paired, Failure> {
        let far_end = Fingerprint::of(&card.certificate);
        if far_end == self.own.identity.fingerprint() {
            return Err(Failure::Ourselves);
        }
        let message = to_be_signed(self.role.other(), keys.binding(), far_end);
        verify(&card.certificate, &message, &card.signature)
            .map_err(|error: Error| Failure::Certificate(error.to_string()))?;
        Ok(Paired { far_end, site: card.site, ways: card.ways, words: keys.words().to_owned() })
    }
}

fn check_version(version: u32) -> Result<(), Failure> {
    if version == VERSION { Ok(()) } else { Err(Failure::Version(version)) }
}

fn finish(half: Half, element: &[u8; 33]) -> Result<Keys, Failure> {
    half.finish(element).ok_or_else(|| Malformed::Unreadable("its element is none".into()).into())
}

fn seal(keys: &mut Keys, sealed: &Sealed) -> Result<Frame, Failure> {
    let text = keys.seal(&sealed.to_json()).ok_or_else(|| Failure::Own("it cannot be sealed".into()))?;
    Ok(Frame::Sealed { text })
}

fn open(keys: &mut Keys, text: Vec<u8>) -> Result<Sealed, Failure> {
    Ok(Sealed::parse(&keys.open(text).ok_or(Failure::Changed)?)?)
}

fn send<const N: usize>(frames: [Frame; N]) -> Step {
    Step { paired: None, send: frames.iter().map(Frame::to_json).collect() }
}

/// Who signs, the exchange, and its fingerprint. All parts have a fixed length.
fn to_be_signed(signer: Role, binding: &[u8; 32], fingerprint: Fingerprint) -> Vec<u8> {
    let mut message = CONTEXT.concat();
    message.push(signer.letter());
    message.extend_from_slice(binding);
    message.extend_from_slice(fingerprint.bytes());
    message
}

/// Plays a stranger against one end: each piece of bytes is a message by its first byte, well formed or not. Whether somebody was pinned, which must
/// never be. For the fuzz target, and for tests with random bytes.
#[cfg(any(test, feature = "fuzzing"))]
pub fn strangers_pair(shown: bool, pieces: &[&[u8]]) -> bool {
    use std::sync::OnceLock;
    static OWN: OnceLock<Own> = OnceLock::new();
    let own = OWN.get_or_init(|| {
        let identity = Identity::make().expect("an identity can be made");
        Own { identity, site: "Here".into(), ways: Vec::new() }
    });
    let (code, now) = (Code::random(), Instant::now());
    let mut exchange =
        if shown { Exchange::show(&code, own.clone(), now) } else { Exchange::enter(&code, own.clone(), now).0 };
    // A stranger with a half of his own, for a code that he makes up.
    let guess = Half::new(&Code::random(), if shown { Role::Enters } else { Role::Shows });
    let (element, mut guess, mut keys) = (guess.element(), Some(guess), None::<Keys>);
    for piece in pieces {
        let (kind, rest) = piece.split_first().map_or((0, *piece), |(kind, rest)| (*kind, rest));
        let filled = |to: &mut [u8]| to.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        let text = match kind % 8 {
            0 => String::from_utf8_lossy(rest).into_owned(),
            1 => {
                let mut element = element;
                filled(&mut element[1..]);
                Frame::Start { version: VERSION, element }.to_json()
            }
            2 => Frame::Start { version: VERSION, element }.to_json(),
            3 => Frame::Reply { version: VERSION, element }.to_json(),
            4 => {
                let mut mac = keys.as_ref().map_or([0; 32], Keys::proof);
                filled(&mut mac);
                Frame::Proof { mac }.to_json()
            }
            5 => Frame::Sealed { text: rest.to_vec() }.to_json(),
            6 => match keys.as_mut().and_then(|keys| keys.seal(&String::from_utf8_lossy(rest))) {
                Some(text) => Frame::Sealed { text }.to_json(),
                None => continue,
            },
            _ => Frame::Proof { mac: keys.as_ref().map_or([0; 32], Keys::proof) }.to_json(),
        };
        match exchange.receive(&text, now) {
            Ok(step) if step.paired.is_some() => return true,
            Ok(step) => {
                for said in step.send {
                    if let Ok(Frame::Reply { element, .. } | Frame::Start { element, .. }) = Frame::parse(&said) {
                        keys = guess.take().and_then(|guess| guess.finish(&element));
                    }
                }
            }
            Err(_) => {}
        }
    }
    false
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
