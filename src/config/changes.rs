//! What differs between two configurations, and what that asks of a portal that runs. Pure.

use super::Config;
use std::fmt;

/// When a changed key takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// At once; the link does not notice.
    Now,
    /// With a new connection to the far end, or to another one: the portal begins again, at once.
    Again,
    /// At the next start, whenever that is.
    NextStart,
}

/// A key that has another value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The section.
    pub section: String,
    /// The key.
    pub key: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.key)
    }
}

/// Keys that wait for the next start in sections of which others take effect at once.
const AT_NEXT_START: [(&str, &str); 6] = [
    ("encode", "complexity"),
    ("encode", "threads"),
    ("display", "overlays"),
    ("display", "hide_cursor"),
    ("display", "wait"),
    ("log", "format"),
];

impl Change {
    /// When it takes effect.
    pub fn effect(&self) -> Effect {
        let (section, key) = (self.section.as_str(), self.key.as_str());
        match section {
            _ if AT_NEXT_START.contains(&(section, key)) => Effect::NextStart,
            "site" | "source" | "privacy" | "encode" | "display" | "hours" | "operator" | "guests" => Effect::Now,
            "log" if key == "level" => Effect::Now,
            "link" | "signaling" | "pairing" | "discovery" => Effect::Again,
            // Sockets and folders that are in use, and whatever else there may come to be.
            _ => Effect::NextStart,
        }
    }
}

/// What becomes of changes, for the log: a line for each moment at which keys take effect. Where one of them makes the
/// portal begin again, those that wait for a start have it at once.
pub fn announcements(changes: &[Change]) -> Vec<String> {
    let begins_again = changes.iter().any(|change| change.effect() == Effect::Again);
    let moments = [
        (Effect::Now, "in use now"),
        (Effect::Again, "with a new connection: the portal begins again now"),
        (
            Effect::NextStart,
            if begins_again { "in use at once, as the portal begins again" } else { "at the next start" },
        ),
    ];
    let line = |(effect, words)| {
        let keys: Vec<_> = changes.iter().filter(|it| it.effect() == effect).map(Change::to_string).collect();
        (!keys.is_empty()).then(|| format!("{}; {words}", keys.join(", ")))
    };
    moments.into_iter().filter_map(line).collect()
}

/// The keys whose values differ, in the order of the sections' names.
pub fn changes(before: &Config, after: &Config) -> Vec<Change> {
    // A configuration is plain data; what cannot be written as TOML would not have been read from it.
    let table = |config: &Config| toml::Table::try_from(config).unwrap_or_default();
    let (before, after) = (table(before), table(after));
    let keys = |table: &toml::Table, section: &str| {
        table.get(section).and_then(toml::Value::as_table).cloned().unwrap_or_default()
    };
    let mut changes = Vec::new();
    for section in after.keys() {
        let (old, new) = (keys(&before, section), keys(&after, section));
        let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
        names.sort();
        names.dedup();
        let differs = names.into_iter().filter(|key| old.get(*key) != new.get(*key));
        changes.extend(differs.map(|key| Change { section: section.clone(), key: key.clone() }));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::Fingerprint;

    #[test]
    fn what_changes_needs_what() {
        type Case = (fn(&mut Config), &'static str, Effect);
        let table: [Case; 26] = [
            (|c| c.site.name = "Harbour".into(), "site.name", Effect::Now),
            (|c| c.source.fps = 25, "source.fps", Effect::Now),
            (|c| c.privacy.covered_lens = false, "privacy.covered_lens", Effect::Now),
            (|c| c.privacy.keys = vec!["F13".into()], "privacy.keys", Effect::Now),
            (|c| c.encode.bitrate_bps = 1_000_000, "encode.bitrate_bps", Effect::Now),
            (|c| c.encode.threads = 2, "encode.threads", Effect::NextStart),
            (|c| c.display.fit = crate::display::Fit::Contain, "display.fit", Effect::Now),
            (|c| c.display.rotate_deg = 90, "display.rotate_deg", Effect::Now),
            (|c| c.display.position_x = Some(1), "display.position_x", Effect::Now),
            (|c| c.display.overlays = false, "display.overlays", Effect::NextStart),
            (|c| c.hours.week = vec!["mon = closed".into()], "hours.week", Effect::Now),
            (|c| c.log.level = "debug".into(), "log.level", Effect::Now),
            (|c| c.log.format = crate::config::LogFormat::Json, "log.format", Effect::NextStart),
            (|c| c.link.ports = "50000-50010".into(), "link.ports", Effect::Again),
            (|c| c.link.ice_tcp = true, "link.ice_tcp", Effect::Again),
            (|c| c.signaling.dial = "there:1".into(), "signaling.dial", Effect::Again),
            (|c| c.signaling.listen = String::new(), "signaling.listen", Effect::Again),
            (|c| c.pairing.far_end = Some(Fingerprint::of(b"x")), "pairing.far_end", Effect::Again),
            (|c| c.discovery.enabled = false, "discovery.enabled", Effect::Again),
            (|c| c.guests.enabled = true, "guests.enabled", Effect::Now),
            (|c| c.status.enabled = false, "status.enabled", Effect::NextStart),
            (|c| c.status.listen.set_port(1), "status.listen", Effect::NextStart),
            (|c| c.data.folder = "/data".into(), "data.folder", Effect::NextStart),
            (|c| c.display.hide_cursor = false, "display.hide_cursor", Effect::NextStart),
            (|c| c.display.standby_command = vec!["x".into()], "display.standby_command", Effect::Now),
            (|c| c.operator.hold = true, "operator.hold", Effect::Now),
        ];
        for (change, name, effect) in table {
            let mut changed = Config::default();
            change(&mut changed);
            let found = changes(&Config::default(), &changed);
            assert_eq!(
                found.iter().map(|it| (it.to_string(), it.effect())).collect::<Vec<_>>(),
                [(name.to_owned(), effect)]
            );
            // Back again is a change, too.
            assert_eq!(changes(&changed, &Config::default()).len(), 1, "{name}");
        }
        assert!(changes(&Config::default(), &Config::default()).is_empty());
    }

    #[test]
    fn what_waits_for_a_start_has_it_when_the_portal_begins_again() {
        let lines = |change: fn(&mut Config)| {
            let mut changed = Config::default();
            change(&mut changed);
            announcements(&changes(&Config::default(), &changed))
        };
        assert_eq!(lines(|c| c.status.enabled = false), ["status.enabled; at the next start"]);
        let both = lines(|c| {
            (c.site.name, c.status.enabled, c.link.ice_tcp) = ("Harbour".into(), false, true);
        });
        assert_eq!(
            both,
            [
                "site.name; in use now",
                "link.ice_tcp; with a new connection: the portal begins again now",
                "status.enabled; in use at once, as the portal begins again"
            ]
        );
        assert!(lines(|_| {}).is_empty());
    }

    #[test]
    fn every_exception_exists() {
        let config = toml::Table::try_from(Config::default()).unwrap();
        for (section, key) in AT_NEXT_START {
            assert!(config.get(section).and_then(|it| it.get(key)).is_some(), "{section}.{key}");
        }
    }
}
