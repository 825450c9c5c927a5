//! The section `[hub]`.

use super::access::Role;
use crate::config::Invalid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The signalling server that `screen-portal hub` is: where it listens, whom it lets in, and how much of everything there may be.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on. The variable `PORT` replaces the port. Default: `0.0.0.0:7415`.
    pub listen: SocketAddr,
    /// Whether connections are encrypted. Default: `off`, for a private network or behind a proxy that does it.
    pub tls: Tls,
    /// With `tls = "files"`: the certificate and what leads to its root, PEM. Read at the start.
    pub certificate: PathBuf,
    /// With `tls = "files"`: its key, PEM.
    pub key: PathBuf,
    /// Web pages that may connect, by their origin (`https://town.example`), or `*` for all. Pages of the hub's own host may (without
    /// tokens and TLS, if it has a local name or is named by its address), and programs that are no browsers. Default: none.
    pub origins: Vec<String>,
    /// Who may enter: at most 1000. Default: none, everybody may.
    pub tokens: Vec<Token>,
    /// Clients at once, 1 to 1000000; more are answered with 503. Default: 10000.
    pub max_clients: usize,
    /// Clients from one address, 1 to 1000000; more are answered with 429. Default: 256.
    pub max_clients_per_address: usize,
    /// Rooms at once, 1 to 1000000. Default: 2500.
    pub max_rooms: usize,
    /// Members of a room, 2 to 10000. Default: 64.
    pub max_members: usize,
    /// The longest message in bytes, 1024 to 1048576; a longer one ends its sender's connection. Default: 65536.
    pub max_message_bytes: usize,
    /// Messages that a client may send in one go, 1 to 100000. Default: 100.
    pub burst_messages: u32,
    /// Messages a second for longer, 1 to 100000; what comes faster is read more slowly. Default: 20.
    pub messages_per_s: u32,
    /// Messages that wait for a client that reads slowly, 4 to 10000; with one more its connection ends. Default: 128.
    pub queue_messages: usize,
    /// Bytes that wait for one client, 4096 to 268435456, 128 for each message included; with more its connection ends. Default: 1048576.
    pub queue_bytes: usize,
    /// Bytes that wait for all clients together, from `queue_bytes` to 68719476736. With more, the connections of those for whom most waits
    /// end, until a quarter is free. Default: 67108864.
    pub all_queues_bytes: usize,
    /// Seconds without any sign of life after which a client is gone, 5 to 3600; it is asked for one after a third of that. Default: 60.
    pub silence_s: u64,
    /// Seconds after which somebody who has connected and said nothing is sent away, 1 to 86400. Default: 120.
    pub idle_s: u64,
}

/// How connections are encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tls {
    /// Not.
    #[default]
    Off,
    /// With a certificate that the hub makes for itself and keeps in the data folder. Portals do not need to trust it, browsers ask once.
    Own,
    /// With a certificate from files.
    Files,
}

/// Lets its holders into some rooms in some roles.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// At least 16 characters that nobody guesses: `openssl rand -hex 16`.
    pub token: String,
    /// Names of rooms; one that ends in `*` stands for all that begin so. Default: none, all rooms.
    #[serde(default)]
    pub rooms: Vec<String>,
    /// `camera`, `viewer`, `portal`, `mediaServer`. Default: none, all roles.
    #[serde(default)]
    pub roles: Vec<Role>,
}

/// Never shows the token.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("rooms", &self.rooms).field("roles", &self.roles).finish_non_exhaustive()
    }
}

impl Token {
    const FEWEST_CHARACTERS: usize = 16;

    /// Whether this is it. Compared by hashes, so that the time tells nothing.
    pub fn is(&self, shown: &str) -> bool {
        Sha256::digest(&self.token) == Sha256::digest(shown)
    }

    /// Whether its holders may enter this room in this role.
    pub fn allows(&self, room: &str, role: Role) -> bool {
        let names = |pattern: &String| match pattern.strip_suffix('*') {
            Some(beginning) => room.starts_with(beginning),
            None => room == pattern,
        };
        (self.rooms.is_empty() || self.rooms.iter().any(names)) && (self.roles.is_empty() || self.roles.contains(&role))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([0, 0, 0, 0], 7415)),
            tls: Tls::Off,
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            origins: Vec::new(),
            tokens: Vec::new(),
            max_clients: 10_000,
            max_clients_per_address: 256,
            max_rooms: 2_500,
            max_members: 64,
            max_message_bytes: 65_536,
            burst_messages: 100,
            messages_per_s: 20,
            queue_messages: 128,
            queue_bytes: 1_048_576,
            all_queues_bytes: 67_108_864,
            silence_s: 60,
            idle_s: 120,
        }
    }
}

impl Config {
    /// Says what is wrong with the values.
    ///
    /// # Errors
    /// The first one that cannot be.
    pub fn check(&self) -> Result<(), Invalid> {
        let within = |key, value: u64, least: u64, most: u64| {
            let problem = format!("{value}: must be from {least} to {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(Invalid { key, problem }) }
        };
        within("max_clients", self.max_clients as u64, 1, 1_000_000)?;
        within("max_clients_per_address", self.max_clients_per_address as u64, 1, 1_000_000)?;
        within("max_rooms", self.max_rooms as u64, 1, 1_000_000)?;
        within("max_members", self.max_members as u64, 2, 10_000)?;
        within("max_message_bytes", self.max_message_bytes as u64, 1024, 1_048_576)?;
        within("burst_messages", self.burst_messages.into(), 1, 100_000)?;
        within("messages_per_s", self.messages_per_s.into(), 1, 100_000)?;
        within("queue_messages", self.queue_messages as u64, 4, 10_000)?;
        within("queue_bytes", self.queue_bytes as u64, 4096, 268_435_456)?;
        within("all_queues_bytes", self.all_queues_bytes as u64, self.queue_bytes as u64, 68_719_476_736)?;
        within("silence_s", self.silence_s, 5, 3600)?;
        within("idle_s", self.idle_s, 1, 86_400)?;
        let named = [("certificate", &self.certificate), ("key", &self.key)];
        for (key, path) in named {
            if self.tls == Tls::Files && path.as_os_str().is_empty() {
                let problem = "must name a PEM file with tls = \"files\"".into();
                return Err(Invalid { key, problem });
            }
        }
        for origin in &self.origins {
            let is_origin =
                |origin: &str| origin.split_once("://").is_some_and(|(_, at)| !at.is_empty() && !at.contains('/'));
            if origin != "*" && !is_origin(origin) {
                let problem = format!("`{origin}` is no origin such as https://town.example, nor *");
                return Err(Invalid { key: "origins", problem });
            }
        }
        if self.tokens.len() > 1000 {
            return Err(Invalid { key: "tokens", problem: format!("{}: at most 1000", self.tokens.len()) });
        }
        if self.tokens.iter().any(|it| it.token.chars().count() < Token::FEWEST_CHARACTERS) {
            let problem = "a token has fewer than 16 characters; make one with `openssl rand -hex 16`".into();
            return Err(Invalid { key: "tokens", problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let with = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().map_err(|invalid| invalid.key)
        };
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|it| it.max_members = 1), Err("max_members"));
        assert_eq!(with(|it| it.max_message_bytes = 2_000_000), Err("max_message_bytes"));
        assert_eq!(with(|it| it.queue_bytes = 0), Err("queue_bytes"));
        assert_eq!(with(|it| it.all_queues_bytes = it.queue_bytes - 1), Err("all_queues_bytes"));
        assert_eq!(with(|it| it.silence_s = 0), Err("silence_s"));
        assert_eq!(with(|it| it.tls = Tls::Files), Err("certificate"));
        assert_eq!(with(|it| it.origins = vec!["https://a.example/path".into()]), Err("origins"));
        assert_eq!(with(|it| it.origins = vec!["https://a.example".into(), "*".into()]), Ok(()));
        let short = |it: &mut Config| it.tokens = vec![Token { token: "short".into(), rooms: vec![], roles: vec![] }];
        assert_eq!(with(short), Err("tokens"));
        let token = Token { token: "a secret of the operator's".into(), rooms: vec![], roles: vec![] };
        let config = Config { tokens: vec![token], ..Config::default() };
        assert!(!format!("{config:?}").contains("secret of"));
    }
}
