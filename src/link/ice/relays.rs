//! Whether the TURN servers give us relays, for the log. The library says of a server that is dead that a transaction
//! has timed out, and neither which server that is nor what to do; so that is read off the datagrams to and from it.
//!
//! What a server does is told when it changes, not with each of the attempts to connect, and not once for each address
//! of this machine: a server that one of them reaches is not dead.

use super::server::{Reach, Server};
use rtc::stun::error_code::ErrorCodeAttribute;
use rtc::stun::message::{Getter, Message};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A server that leaves a request without an answer for so long is silent. The library repeats it after 0.2, 0.6 and
/// 1.4 s, and an attempt that leads nowhere ends after 3 s.
const SILENT: Duration = Duration::from_millis(1300);
/// Characters of what a server says that are told.
const CHARS: usize = 80;

/// Types of STUN messages (RFC 8489, section 5; RFC 8656, section 17).
const ALLOCATE_SUCCESS: [u8; 2] = [0x01, 0x03];
const ALLOCATE_ERROR: [u8; 2] = [0x01, 0x13];
/// Errors that are part of asking: who we are, and that a nonce has grown old (RFC 8489, section 9.2.5).
const UNAUTHENTICATED: u16 = 401;
const STALE_NONCE: u16 = 438;

/// What came of asking a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It relays for us.
    Gives,
    /// It does not answer.
    Silent,
    /// It does not know us.
    Stranger,
    /// It does not want to, in its own words.
    Unwilling(String),
}

/// One socket's talk with one server.
#[derive(Debug, Default)]
pub(super) struct Talk {
    began: Option<Instant>,
    /// When the request was sent that has had no answer.
    asked: Option<Instant>,
    challenged: bool,
}

impl Talk {
    /// A datagram is sent to the server. What that tells, and since when it has been so.
    pub fn sends(&mut self, datagram: &[u8], now: Instant) -> Option<(Outcome, Instant)> {
        if !is_request(datagram) {
            return None;
        }
        self.began.get_or_insert(now);
        let asked = *self.asked.get_or_insert(now);
        (now.saturating_duration_since(asked) >= SILENT).then_some((Outcome::Silent, asked))
    }

    /// A datagram has come from the server.
    pub fn hears(&mut self, datagram: &[u8], now: Instant) -> Option<(Outcome, Instant)> {
        self.asked = None;
        let began = self.began.unwrap_or(now);
        match *datagram.first_chunk()? {
            ALLOCATE_SUCCESS => Some((Outcome::Gives, began)),
            ALLOCATE_ERROR => {
                let (code, words) = error(datagram)?;
                match code {
                    // The first time it only asks who we are.
                    UNAUTHENTICATED if !std::mem::replace(&mut self.challenged, true) => None,
                    UNAUTHENTICATED => Some((Outcome::Stranger, began)),
                    STALE_NONCE => None,
                    _ => Some((Outcome::Unwilling(words), began)),
                }
            }
            _ => None,
        }
    }
}

/// Requests have both bits of the class unset. What is relayed is an indication, or no STUN at all: nobody owes an
/// answer to that.
fn is_request(datagram: &[u8]) -> bool {
    matches!(datagram, [0, method, ..] if method & 0x10 == 0)
}

/// The code and the words of an error response.
fn error(datagram: &[u8]) -> Option<(u16, String)> {
    let mut message = Message::new();
    message.raw = datagram.to_vec();
    message.decode().ok()?;
    let mut error = ErrorCodeAttribute::default();
    error.get_from(&message).ok()?;
    let reason = String::from_utf8_lossy(&error.reason);
    let reason: String = reason.chars().filter(|character| !character.is_control()).take(CHARS).collect();
    Some((error.code.0, format!("{} {reason}", error.code.0)))
}

/// What is known of all servers, from attempt to attempt; by their place in the configuration.
#[derive(Debug, Default)]
pub(super) struct Relays(Mutex<Vec<Known>>);

#[derive(Clone, Debug, Default)]
struct Known {
    /// What was told of it last; at first nothing.
    told: Option<Outcome>,
    gave: Option<Instant>,
    /// Why there was no connection to it, where there has to be one.
    broken: Option<String>,
}

impl Relays {
    /// Of so many servers.
    pub fn new(servers: usize) -> Self {
        Self(Mutex::new(vec![Known::default(); servers]))
    }

    /// What came of asking a server, as it has been since `since`. Logged if that is news.
    pub fn tell(&self, index: usize, server: &Server, (outcome, since): (Outcome, Instant), now: Instant) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = all.get_mut(index) else { return };
        let news = known.news(outcome, since, now).then(|| known.words(server));
        drop(all);
        match news {
            Some((words, true)) => tracing::info!("{words}"),
            Some((words, false)) => tracing::warn!("{words}"),
            None => {}
        }
    }

    /// The connection to a server could not be made or broke, for this reason; or it stands.
    pub fn connection(&self, index: usize, broken: Option<String>) {
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(index) {
            known.broken = broken;
        }
    }
}

impl Known {
    /// Whether this is to be told.
    fn news(&mut self, outcome: Outcome, since: Instant, now: Instant) -> bool {
        if outcome == Outcome::Gives {
            self.gave = Some(now);
        } else if self.gave.is_some_and(|gave| gave >= since) {
            // Another address of this machine reaches it.
            return false;
        }
        let before = self.told.replace(outcome);
        match (&before, &self.told) {
            // As it should be.
            (None, Some(Outcome::Gives)) => false,
            (before, now) => before != now,
        }
    }

    /// What is told of it, and whether that is good.
    fn words(&self, server: &Server) -> (String, bool) {
        let url = &server.url;
        let over = match server.reach {
            Reach::TurnUdp | Reach::Stun => "UDP",
            Reach::TurnTcp => "TCP",
            Reach::TurnTls => "TLS over TCP",
        };
        let silent = |what: String| {
            format!(
                "{what}, so there is no way through it: see that the server runs, and that this site's network lets {over} out to its \
                 port {} (`screen-portal check` asks all servers)",
                server.port
            )
        };
        let words = match (&self.told, &self.broken) {
            (None | Some(Outcome::Gives), _) => return (format!("the TURN server {url} relays again"), true),
            (Some(Outcome::Silent), None) => silent(format!("the TURN server {url} does not answer")),
            (Some(Outcome::Silent), Some(why)) => silent(format!("no connection to the TURN server {url} ({why})")),
            (Some(Outcome::Stranger), _) => format!(
                "the TURN server {url} does not know us, so there is no way through it: correct username and credential of this \
                 server in [link] ice_servers"
            ),
            (Some(Outcome::Unwilling(why)), _) => format!(
                "the TURN server {url} does not relay for us ({why}), so there is no way through it: ask whoever runs it, or name \
                 another one in [link] ice_servers"
            ),
        };
        (words, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::stun::attributes::ATTR_ERROR_CODE;
    use rtc::stun::message::{BINDING_REQUEST, MessageType, Setter, TransactionId};

    const REQUEST: &[u8] = &[0, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    const SEND_INDICATION: &[u8] = &[0, 0x16, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    const CHANNEL_DATA: &[u8] = &[0x40, 0, 0, 3, 7, 8, 9];
    const SUCCESS: &[u8] = &[1, 3, 0, 0, 0x21, 0x12, 0xa4, 0x42];

    fn refused(code: u16, reason: &str) -> Vec<u8> {
        let mut message = Message::new();
        message.build(&[Box::<TransactionId>::default(), Box::new(BINDING_REQUEST)]).unwrap();
        let mut kind = MessageType::default();
        kind.read_value(u16::from_be_bytes(ALLOCATE_ERROR));
        message.set_type(kind);
        let code = rtc::stun::error_code::ErrorCode(code);
        ErrorCodeAttribute { code, reason: reason.into() }.add_to(&mut message).unwrap();
        assert!(message.contains(ATTR_ERROR_CODE));
        message.raw.clone()
    }

    #[test]
    fn a_request_without_an_answer_is_silence() {
        let (mut talk, start) = (Talk::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for ms in [0, 200, 600] {
            assert_eq!(talk.sends(REQUEST, at(ms)), None);
        }
        assert_eq!(talk.sends(REQUEST, at(1400)), Some((Outcome::Silent, start)));
        // It was asked who we are: it is there.
        assert_eq!(talk.hears(&refused(401, "Unauthorized"), at(1500)), None);
        assert_eq!(talk.sends(REQUEST, at(1500)), None);
        assert_eq!(talk.hears(SUCCESS, at(1600)), Some((Outcome::Gives, start)));
        // What the far end does not answer is not the server's silence.
        for ms in (2000..20_000).step_by(100) {
            assert_eq!(talk.sends(SEND_INDICATION, at(ms)), None);
            assert_eq!(talk.sends(CHANNEL_DATA, at(ms)), None);
        }
        // Minutes later the relay is to be kept, and the server has gone.
        assert_eq!(talk.sends(REQUEST, at(300_000)), None);
        assert_eq!(talk.sends(REQUEST, at(301_400)), Some((Outcome::Silent, at(300_000))));
    }

    #[test]
    fn a_refusal_is_told_from_the_question_who_we_are() {
        let start = Instant::now();
        let heard = |answers: &[Vec<u8>]| {
            let mut talk = Talk::default();
            talk.sends(REQUEST, start);
            answers
                .iter()
                .filter_map(|answer| talk.hears(answer, start))
                .map(|(outcome, _)| outcome)
                .collect::<Vec<_>>()
        };
        let ask = || refused(401, "Unauthorized");
        assert_eq!(heard(&[ask()]), []);
        assert_eq!(heard(&[ask(), ask()]), [Outcome::Stranger]);
        assert_eq!(heard(&[ask(), refused(438, "Stale Nonce")]), []);
        let full = Outcome::Unwilling("486 Allocation Quota Reached".into());
        assert_eq!(heard(&[ask(), refused(486, "Allocation\u{7} Quota\r\n Reached")]), [full]);
        for damaged in [&[][..], &[1], &[1, 0x13], &[1, 0x13, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42], &[0xff; 40]] {
            assert_eq!(heard(&[damaged.to_vec()]), []);
        }
    }

    #[test]
    fn it_is_told_once_and_when_it_changes() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let (mut known, mut told) = (Known::default(), vec![]);
        for (s, outcome, since) in [
            (0, Outcome::Gives, 0),
            (10, Outcome::Silent, 9),
            // Each attempt finds the same.
            (14, Outcome::Silent, 13),
            (18, Outcome::Silent, 17),
            (60, Outcome::Gives, 60),
            // Another address of this machine does not reach it.
            (61, Outcome::Silent, 59),
            (70, Outcome::Stranger, 70),
            (80, Outcome::Unwilling("508".into()), 80),
            (90, Outcome::Gives, 90),
        ] {
            if known.news(outcome, at(since), at(s)) {
                told.push(s);
            }
        }
        assert_eq!(told, [10, 60, 70, 80, 90]);
    }

    #[test]
    fn the_server_the_cause_and_the_remedy_are_named() {
        let server = Server::parse("turns:relay.example:443", "portal", "secret").unwrap();
        let say = |told, broken: Option<&str>| {
            Known { told: Some(told), broken: broken.map(str::to_owned), ..Known::default() }.words(&server)
        };
        for (told, broken, expected) in [
            (Outcome::Silent, None, &["does not answer", "TLS over TCP", "443", "screen-portal check"][..]),
            (Outcome::Silent, Some("connection refused"), &["(connection refused)", "443", "screen-portal check"]),
            (Outcome::Stranger, None, &["does not know us", "username and credential", "ice_servers"]),
            (Outcome::Unwilling("486 Full".into()), None, &["(486 Full)", "ask whoever runs it"]),
        ] {
            let (words, good) = say(told, broken);
            assert!(!good && words.contains("turns:relay.example:443") && !words.contains("secret"), "{words}");
            assert!(expected.iter().all(|part| words.contains(part)), "{words}");
        }
        assert_eq!(
            say(Outcome::Gives, None),
            ("the TURN server turns:relay.example:443 relays again".to_owned(), true)
        );
    }
}
