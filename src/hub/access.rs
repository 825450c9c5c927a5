//! Who may what: tokens for rooms and roles, and which web pages may connect.

use super::config::{Config, Tls, Token};
use super::message::{Code, Refusal};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;
use std::sync::Arc;

/// What a client wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Role {
    /// Offers pictures.
    Camera,
    /// Looks at them; whoever says nothing else of itself.
    Viewer,
    /// Is one of two portals.
    Portal,
    /// Answers everybody else's offers.
    MediaServer,
}

/// What one client may.
#[derive(Clone, Debug)]
pub struct Rights {
    tokens: Arc<[Token]>,
    /// What it showed when it connected.
    shown: Option<String>,
}

impl Rights {
    /// By the hub's tokens, and by the one that a client showed with its first request.
    pub fn new(tokens: Arc<[Token]>, shown: Option<String>) -> Self {
        Self { tokens, shown }
    }

    /// Whether the client may enter `room` in this role; `token` is what it says now. The room of those who are in none is called "".
    ///
    /// # Errors
    /// It may not.
    pub fn allow(&self, room: &str, role: Role, token: Option<&str>) -> Result<(), Refusal> {
        let shown = [token, self.shown.as_deref()];
        let holds = |known: &Token| shown.into_iter().flatten().any(|shown| known.is(shown));
        if self.tokens.is_empty() || self.tokens.iter().any(|known| known.allows(room, role) && holds(known)) {
            return Ok(());
        }
        let who = match role {
            Role::Camera => "a camera",
            Role::Viewer => "a viewer",
            Role::Portal => "a portal",
            Role::MediaServer => "a media server",
        };
        let place = match room {
            "" => "among those who are in no room".to_owned(),
            // Escaped, since logs show it.
            room => format!("in the room {room:?}"),
        };
        let what = match shown {
            [None, None] => "this hub asks for a token of",
            _ => "the token does not allow",
        };
        let remedy = "ask the hub's operator for one, and send it as \"token\"";
        Err(Refusal::new(Code::NotAllowed, format!("{what} {who} {place}; {remedy}")))
    }
}

/// Whether a web page of `origin` may connect to the hub that the browser calls `host`. Programs that are no browsers send no origin, and a
/// page of the same host is the hub's own or its neighbour's; others have to be named in the configuration (RFC 6455, section 10.2).
pub fn admits_origin(config: &Config, origin: Option<&str>, host: Option<&str>) -> bool {
    let Some(origin) = origin else { return true };
    let named = config.origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin));
    let is_same = |host: &String| origin.split_once("://").is_some_and(|(_, at)| name_of(at) == *host);
    named || host.map(name_of).filter(is_same).is_some_and(|host| is_own(config, &host))
}

/// Whether a page of this host is one of ours, and no stranger's. A stranger's page can have a name of its own that leads to the hub in a private
/// network as soon as the page is there (DNS rebinding): neither a certificate nor a token comes with that. Without both, names count
/// that no stranger can have: addresses, `localhost`, names of one word, and those of RFC 6762, RFC 8375 and of the root zone's `internal`.
fn is_own(config: &Config, host: &str) -> bool {
    let private = [".localhost", ".local", ".home.arpa", ".internal"];
    config.tls != Tls::Off
        || !config.tokens.is_empty()
        || host.starts_with('[')
        || host.parse::<Ipv4Addr>().is_ok()
        || !host.contains('.')
        || private.iter().any(|end| host.ends_with(end))
}

/// The host without its port.
fn name_of(authority: &str) -> String {
    let end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    authority[..end].to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(token: &str, rooms: &[&str], roles: &[Role]) -> Token {
        Token { token: token.into(), rooms: rooms.iter().map(|it| (*it).into()).collect(), roles: roles.to_vec() }
    }

    #[test]
    fn tokens_are_for_rooms_and_roles() {
        let tokens: Arc<[Token]> = Arc::new([
            token("a-camera's-token", &["school-*"], &[Role::Camera]),
            token("everybody's-token", &["school-hall", ""], &[]),
        ]);
        let rights = |shown: Option<&str>| Rights::new(Arc::clone(&tokens), shown.map(Into::into));
        for (shown, said, room, role, allowed) in [
            (None, None, "school-hall", Role::Viewer, false),
            (None, Some("everybody's-token"), "school-hall", Role::Viewer, true),
            (Some("everybody's-token"), None, "school-hall", Role::Camera, true),
            (Some("everybody's-token"), None, "school-gym", Role::Camera, false),
            (Some("a-camera's-token"), None, "school-gym", Role::Camera, true),
            (Some("a-camera's-token"), None, "school-gym", Role::Viewer, false),
            (Some("a-camera's-token"), None, "office", Role::Camera, false),
            (Some("everybody's-toke"), Some(""), "school-hall", Role::Viewer, false),
            (Some("everybody's-token"), Some("wrong"), "", Role::MediaServer, true),
        ] {
            let may = rights(shown).allow(room, role, said);
            assert_eq!(may.is_ok(), allowed, "{shown:?} {said:?} {room} {role:?}");
            assert!(may.err().is_none_or(|refusal| refusal.code == Code::NotAllowed));
        }
        assert!(Rights::new(Arc::new([]), None).allow("anywhere", Role::Camera, None).is_ok(), "a hub without tokens");
    }

    #[test]
    fn pages_of_other_hosts_have_to_be_named() {
        let config = Config { origins: vec!["https://town.example".into()], tls: Tls::Own, ..Config::default() };
        for (origin, host, admitted) in [
            (None, Some("hub.example"), true),
            (Some("http://hub.example:8000"), Some("hub.example:7415"), true),
            (Some("http://HUB.example"), Some("hub.example"), true),
            (Some("https://town.example"), Some("hub.example"), true),
            (Some("https://town.example.evil.example"), Some("hub.example"), false),
            (Some("https://evil.example"), Some("hub.example"), false),
            (Some("null"), Some("hub.example"), false),
            (Some("http://[::1]:3000"), Some("[::1]:7415"), true),
            (Some("http://[::2]:3000"), Some("[::1]:7415"), false),
            (Some("http://hub.example"), None, false),
        ] {
            assert_eq!(admits_origin(&config, origin, host), admitted, "{origin:?} {host:?}");
        }
        let all = Config { origins: vec!["*".into()], ..Config::default() };
        assert!(admits_origin(&all, Some("null"), None));
    }
    #[test]
    fn a_name_that_a_stranger_can_have_is_not_our_own() {
        let open = Config::default();
        let token = Token { token: "sixteen characters".into(), rooms: vec![], roles: vec![] };
        let guarded = Config { tokens: vec![token], ..Config::default() };
        let named = Config { origins: vec!["https://hub.example".into()], ..Config::default() };
        for (host, admitted) in [
            ("evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("hub.local.evil.example", false),
            ("hub.", false),
            ("localhost", true),
            ("hub", true),
            ("hub.local", true),
            ("hub.home.arpa", true),
            ("10.0.0.7", true),
            ("[fd00::7]", true),
        ] {
            let origin = format!("http://{host}");
            assert_eq!(admits_origin(&open, Some(&origin), Some(&format!("{host}:7415"))), admitted, "{host}");
            assert!(admits_origin(&guarded, Some(&origin), Some(host)), "{host}: it has no token");
        }
        assert!(admits_origin(&named, Some("https://hub.example"), Some("hub.example")));
    }
}
