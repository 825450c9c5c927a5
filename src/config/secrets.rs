//! What of a configuration nobody else may read.

use super::Config;
use toml::{Table, Value};

/// A key with one of these words in its name holds a secret. Whoever makes a new key for one names it so; a test reads what
/// `config/portal.toml` says of each key.
const WORDS: [&str; 8] = ["credential", "password", "passphrase", "secret", "pin", "token", "key", "username"];
/// Shorter values are not looked for in other texts. They may be ordinary words: a user name "portal" stands in every path, and cut out there it would
/// spoil the text and be told by the gaps.
const SHORTEST: usize = 8;
/// Stands in the place of a secret.
const REMOVED: &str = "(removed)";

/// Whether the value of this key is a secret.
fn is_secret(key: &str) -> bool {
    key.split('_').any(|word| WORDS.contains(&word))
}

/// Whether the value of this key is a number that people type. Of any length it may be a year or a date, so it is not looked for in other texts.
fn is_pin(key: &str) -> bool {
    key.split('_').any(|word| word == "pin")
}

/// Whether the value of this key is a secret, or has one anywhere in it.
pub(super) fn holds_secret(key: &str, value: &Value) -> bool {
    is_secret(key)
        || match value {
            Value::Table(inner) => inner.iter().any(|(key, value)| holds_secret(key, value)),
            Value::Array(items) => items.iter().any(|item| holds_secret("", item)),
            _ => false,
        }
}

/// What a library says of a value, without the value: which of its words were ours and which are a secret is not told apart otherwise.
pub(super) fn without_value(problem: &str) -> String {
    // Serde's forms: "invalid type: integer `4711`, expected a string"; the names of fields are no values.
    match problem.rsplit_once(", expected ") {
        _ if problem.starts_with("missing field ") => problem.to_owned(),
        Some((_, "a string")) => "cannot be used, and is not repeated here: expected text in quotes".to_owned(),
        Some((_, expected)) => format!("cannot be used, and is not repeated here: expected {expected}"),
        None => "cannot be used, and is not repeated here; see config/portal.toml for how it is written".to_owned(),
    }
}

/// The secrets of a configuration, to keep them out of what leaves the machine.
#[derive(Debug)]
pub struct Secrets {
    public: Table,
    /// Those that are looked for in other texts, the longest first: one may be a part of another.
    values: Vec<String>,
}

impl Secrets {
    /// Takes the configuration apart.
    pub fn of(config: &Config) -> Self {
        let (mut public, mut values) = (Table::try_from(config).unwrap_or_default(), Vec::new());
        take_out(&mut public, &mut values);
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self { public, values }
    }

    /// The configuration as TOML, with a mark in the place of each secret.
    pub fn configuration(&self) -> String {
        toml::to_string(&self.public).unwrap_or_default()
    }

    /// The text without any of the long secrets, wherever they got into it. PINs and what is shorter than eight characters stay: those are
    /// kept out by their key, in [`Self::configuration`], and the program writes them nowhere else.
    pub fn remove(&self, text: &str) -> String {
        self.values.iter().fold(text.to_owned(), |text, secret| text.replace(secret, REMOVED))
    }
}

fn take_out(table: &mut Table, values: &mut Vec<String>) {
    for (key, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => take_out(inner, values),
            Value::Array(items) if !is_secret(key) => {
                items.iter_mut().filter_map(Value::as_table_mut).for_each(|inner| take_out(inner, values));
            }
            secret if is_secret(key) => {
                let text = secret.as_str().map_or_else(|| secret.to_string(), str::to_owned);
                if !text.is_empty() {
                    if text.len() >= SHORTEST && !is_pin(key) {
                        values.push(text);
                    }
                    *secret = Value::String(REMOVED.into());
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Token;
    use crate::link::IceServer;

    #[test]
    fn no_secret_is_left_in_any_text() {
        let mut config = Config::default();
        config.link.ice_servers = vec![IceServer {
            urls: vec!["turn:turn.example.org".into()],
            username: "harbour-user".into(),
            credential: "7hush-hush7".into(),
        }];
        config.hub.tokens =
            vec![Token { token: "hushed-for-the-school".into(), rooms: vec!["hall".into()], roles: vec![] }];
        let secrets = Secrets::of(&config);
        let configuration = secrets.configuration();
        assert!(configuration.contains("turn:turn.example.org") && configuration.contains("[source]"));
        let log = "refused 7hush-hush7, x7hush-hush7x; user harbour-user@there";
        for text in [configuration.as_str(), &secrets.remove(log), &secrets.remove(&configuration)] {
            assert!(!text.contains("hush") && !text.contains("harbour-user"), "{text}");
        }
        assert_eq!(secrets.remove(log), "refused (removed), x(removed)x; user (removed)@there");
    }

    #[test]
    fn the_longer_of_two_goes_first() {
        let mut config = Config::default();
        config.link.ice_servers =
            vec![IceServer { urls: vec![], username: "harbour-user".into(), credential: "harbour-user-4711".into() }];
        assert_eq!(Secrets::of(&config).remove("harbour-user-4711"), "(removed)");
    }

    /// They would be years, paths and words, and a gap in every one of them would tell the secret.
    #[test]
    fn a_pin_and_a_short_one_go_by_their_key_and_stay_in_texts() {
        let log = "2026-11-22 20261122 /var/lib/screen-portal: portal said secret";
        for pin in ["2026", "20261122"] {
            let operator = toml::from_str(&format!("pin = \"{pin}\"")).unwrap();
            let mut config = Config { operator, ..Config::default() };
            config.link.ice_servers =
                vec![IceServer { urls: vec![], username: "portal".into(), credential: "secret".into() }];
            let secrets = Secrets::of(&config);
            assert_eq!(secrets.remove(log), log);
            let configuration = secrets.configuration();
            let of = |key: &str| configuration.lines().find_map(|line| line.strip_prefix(key)).unwrap();
            for key in ["pin = ", "username = ", "credential = "] {
                assert_eq!(of(key), "\"(removed)\"", "{configuration}");
            }
            assert!(!configuration.contains(pin) && !configuration.contains("\"portal\""), "{configuration}");
        }
    }

    #[test]
    fn what_is_said_of_a_value_is_said_without_it() {
        for (problem, says) in [
            (
                "invalid type: integer `4711`, expected a string",
                "cannot be used, and is not repeated here: expected text in quotes",
            ),
            (
                "invalid type: string \"a, expected b\", expected a map",
                "cannot be used, and is not repeated here: expected a map",
            ),
            ("missing field `urls`", "missing field `urls`"),
        ] {
            assert_eq!(without_value(problem), says);
        }
        assert!(!without_value("hush is no word").contains("hush"));
        let inside = toml::from_str::<Table>("ice_servers = [{ urls = [], credential = 4711 }]").unwrap();
        assert!(inside.iter().all(|(key, value)| holds_secret(key, value)));
        assert!(!holds_secret("width", &Value::Integer(4711)));
    }

    /// The reference of all keys says in words which of them are secret; the program must know the same ones.
    #[test]
    fn each_key_that_is_described_as_a_secret_is_known_as_one() {
        let reference = std::fs::read_to_string("config/portal.toml").unwrap();
        let says_so = |words: &str| {
            // A pin is a contact of a plug.
            let secret = |word: &str| {
                let words = ["secret", "password", "passphrase", "token", "credential"];
                word == "PIN" || words.contains(&word.to_lowercase().as_str())
            };
            words.split(|c: char| !c.is_alphanumeric()).any(secret)
        };
        let (mut comment, mut found) = (String::new(), 0);
        for line in reference.lines() {
            match line.split_once('=') {
                Some((key, _)) if !line.starts_with("# ") && !line.starts_with('[') => {
                    let key = key.trim().trim_start_matches('#').trim();
                    // Its secrets are inside, and have names of their own.
                    if !["ice_servers", "tokens"].contains(&key) && says_so(&comment) {
                        found += 1;
                        assert!(
                            is_secret(key) || says_it_is_none(&comment),
                            "{key} is described as a secret:\n{comment}"
                        );
                    }
                    comment.clear();
                }
                _ if line.starts_with('#') => comment += line,
                _ => comment.clear(),
            }
        }
        println!("{found} keys are described as secrets");
        assert!(["credential", "username", "pin", "kiosk_pin"].iter().all(|key| is_secret(key)));
        assert!(!["far_end", "pins", "listen", "file"].iter().any(|key| is_secret(key)));
    }

    /// A key that only speaks of a secret says so.
    fn says_it_is_none(comment: &str) -> bool {
        comment.contains("not a secret")
    }
}
