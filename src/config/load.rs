//! Puts the sources of values together, in their order, and finds out whose fault an error is.

use super::{Config, Error, Origin, SECTIONS, Section, file, paired, secrets, settings};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Every environment variable that begins so must be known: a misspelt one is an error, not a surprise.
pub const ENVIRONMENT_PREFIX: &str = "SCREEN_PORTAL_";

/// Where values may come from, besides the built-in defaults.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named by a flag.
    pub file: Option<PathBuf>,
    /// The process's environment; what it says besides our own variables matters only for finding folders.
    pub environment: BTreeMap<String, String>,
    /// Flags, in the order in which they are to count.
    pub flags: Vec<Flag>,
}

/// One flag of the command line that sets one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flag {
    /// As it is written: `--fps`.
    pub name: String,
    /// The section.
    pub section: String,
    /// The key.
    pub key: String,
    /// TOML, or plain text where the key takes text.
    pub value: String,
}

impl Flag {
    /// A named flag for one key.
    pub fn new(name: &str, section: &str, key: &str, value: impl Into<String>) -> Self {
        Self { name: name.into(), section: section.into(), key: key.into(), value: value.into() }
    }

    /// The argument of `--set`: `section.key=value`.
    pub fn set(argument: &str) -> Result<Self, Error> {
        let parts = argument.split_once('=').and_then(|(name, value)| Some((name.trim().split_once('.')?, value)));
        let Some(((section, key), value)) = parts else {
            // The value may be a secret.
            return Err(Error::Set(argument.split('=').next().unwrap_or_default().into()));
        };
        Ok(Self::new(&format!("--set {section}.{key}"), section, key, value))
    }
}

/// Who set what: section and key.
pub type Origins = BTreeMap<(&'static str, &'static str), Origin>;

/// A configuration that is complete and checked.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values. What the defaults leave to the machine (its name, its folders) is filled in.
    pub config: Config,
    /// The file that was used.
    pub file: Option<PathBuf>,
    /// Who set what: section and key. What is not here has its built-in default.
    pub origins: Origins,
    /// Why what was set at the kiosk does not count, if it does not: a file that was damaged must not keep a portal from starting.
    pub ignored: Option<Arc<Error>>,
    /// Why the pairing that was made here does not count, if its file is damaged.
    pub damaged_pairing: Option<Arc<Error>>,
    /// Where all this was looked for, to look there again.
    pub sources: Sources,
}

impl Loaded {
    /// What was set or paired at the kiosk and does not count, with the remedy: a line for each.
    pub fn damages(&self) -> Vec<String> {
        let folder = &self.config.data.folder;
        let settings = self.ignored.iter().map(|error| {
            let path = settings::path(folder);
            format!("what was set at the kiosk does not count: {error}; mend or delete {}", path.display())
        });
        let pairing = self.damaged_pairing.iter().map(|error| {
            let path = paired::path(folder);
            format!("the pairing that was made here does not count: {error}; delete {}, and pair again", path.display())
        });
        settings.chain(pairing).collect()
    }

    /// The keys that count because they were set at the kiosk.
    pub fn set_here(&self) -> Vec<String> {
        let here = self.origins.iter().filter(|(_, origin)| settings::is_origin(origin, &self.config.data.folder));
        here.map(|((section, key), _)| format!("{section}.{key}")).collect()
    }

    /// Who keeps a key from being set at the kiosk: the environment or a flag, which count more.
    pub fn fixed_by(&self, section: &str, key: &str) -> Option<&Origin> {
        let origin = self.origins.iter().find(|((s, k), _)| *s == section && *k == key).map(|(_, origin)| origin);
        origin.filter(|origin| matches!(origin, Origin::Environment(_) | Origin::Flag(_)))
    }

    /// Whether the far end is the one that was paired here, by a code.
    pub fn is_paired_here(&self) -> bool {
        let origin = self.origins.get(&("pairing", "far_end"));
        self.config.pairing.far_end.is_some()
            && origin.is_some_and(|it| paired::is_origin(it, &self.config.data.folder))
    }

    /// The files that would be read now: the operator's, if there is one, what was set at the kiosk, and with whom it was paired.
    pub fn files(&self) -> [Option<PathBuf>; 3] {
        let folder = &self.config.data.folder;
        [self.sources.file(), Some(settings::path(folder)), Some(paired::path(folder))]
    }
}

/// One value of one source, before it is known what type it should have.
#[derive(Clone)]
pub struct Entry {
    pub section: String,
    pub key: String,
    /// The first one that the key takes counts.
    pub candidates: Vec<toml::Value>,
    pub origin: Origin,
}

impl Sources {
    /// The process's environment. Variables that are not text are left out, unless they are ours: then their damage shows.
    pub fn of_process() -> Self {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let value = if name.starts_with(ENVIRONMENT_PREFIX) {
                value.to_string_lossy().into_owned()
            } else {
                value.into_string().ok()?
            };
            Some((name, value))
        });
        Self { environment: environment.collect(), ..Self::default() }
    }

    fn file(&self) -> Option<PathBuf> {
        let named = self.environment.get(file::VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let found = || file::places(&self.environment).into_iter().find(|path| path.exists());
        self.file.clone().or(named).or_else(found)
    }
}

impl Config {
    /// Built-in defaults, then the file (named by flag or by `SCREEN_PORTAL_CONFIG`, or the first one of `./portal.toml`,
    /// `~/.config/screen-portal/portal.toml`, `/etc/screen-portal/portal.toml` that exists), then what was set at the kiosk
    /// ([`settings`], in the data folder), then the environment, then flags. Where none of them names a far end: with whom this portal was paired
    /// ([`paired`], in the data folder).
    pub fn load(sources: &Sources) -> Result<Loaded, Error> {
        let file = sources.file();
        let (mut entries, mut above) = (Vec::new(), Vec::new());
        if let Some(path) = &file {
            let text = file::read(path).map_err(|source| Error::Unreadable { path: path.clone(), source })?;
            let contents = file::parse(path, &text)?;
            for (name, origin) in contents.sections {
                section(&name, origin)?;
            }
            entries = contents.entries;
        }
        for (name, value) in &sources.environment {
            if let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX)
                && name != file::VARIABLE
            {
                above.push(of_environment(name, rest, value)?);
            }
        }
        for flag in &sources.flags {
            above.push(Entry {
                section: flag.section.clone(),
                key: flag.key.clone(),
                candidates: candidates(&flag.value),
                origin: Origin::Flag(flag.name.clone()),
            });
        }
        let all = |between: Vec<Entry>| {
            let entries = entries.iter().cloned().chain(between).chain(above.iter().cloned()).collect();
            let (mut config, origins) = merge(entries)?;
            config.fill_in(&sources.environment);
            Ok::<_, Error>((config, origins))
        };
        // First without what was set at the kiosk: where that is kept is to be found out.
        let without = all(Vec::new())?;
        let set_here = settings::read(&without.0.data.folder);
        let (with, ignored) =
            match set_here.and_then(|set_here| if set_here.is_empty() { Ok(None) } else { all(set_here).map(Some) }) {
                Ok(with) => (with, None),
                Err(error) => (None, Some(Arc::new(error))),
            };
        let (mut config, mut origins) = with.unwrap_or(without);
        let mut damaged_pairing = None;
        if config.pairing.far_end.is_none() {
            match paired::read(&config.data.folder).and_then(merge) {
                Ok((paired, its_origins)) if paired.pairing.far_end.is_some() => {
                    config.pairing = paired.pairing;
                    origins.extend(its_origins);
                }
                Ok(_) => {}
                Err(error) => damaged_pairing = Some(Arc::new(error)),
            }
        }
        Ok(Loaded { config, file, origins, ignored, damaged_pairing, sources: sources.clone() })
    }

    fn fill_in(&mut self, environment: &BTreeMap<String, String>) {
        if self.site.name.is_empty() {
            let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
            self.site.name = name.trim().chars().filter(|c| !c.is_control()).take(64).collect();
        }
        if self.data.folder.as_os_str().is_empty() {
            let set = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
            let data = || set("XDG_DATA_HOME").or_else(|| Some(set("HOME")?.join(".local/share")));
            // systemd lists several, if the unit has several, with colons between.
            let state =
                || Some(PathBuf::from(environment.get("STATE_DIRECTORY")?.split(':').find(|it| !it.is_empty())?));
            let folder = state().or_else(|| Some(data()?.join("screen-portal")));
            self.data.folder = folder.unwrap_or_else(|| "screen-portal-data".into());
        }
    }
}

/// The values of all entries, the later before the earlier, checked.
pub(super) fn merge(entries: Vec<Entry>) -> Result<(Config, Origins), Error> {
    let mut values = toml::Table::new();
    let mut origins = Origins::new();
    for entry in entries {
        let section = section(&entry.section, entry.origin.clone())?;
        let keys = (section.keys)();
        let Some(key) = keys.iter().find(|key| **key == entry.key) else {
            return Err(Error::unknown(entry.origin, &format!("key in [{}]", section.name), &entry.key, keys));
        };
        let value = accepted(section, key, &entry)?;
        let table = values.entry(section.name).or_insert_with(|| toml::Table::new().into());
        if let toml::Value::Table(table) = table {
            table.insert(key.to_string(), value);
        }
        origins.insert((section.name, *key), entry.origin);
    }
    // Each value was accepted alone and none depends on another one's type, so what is left are ranges.
    let config: Config = values
        .try_into()
        .map_err(|error: toml::de::Error| Error::Syntax { origin: Origin::Default, problem: error.message().into() })?;
    config.check().map_err(|(section, invalid)| Error::Value {
        origin: origins.get(&(section, invalid.key)).cloned().unwrap_or(Origin::Default),
        section,
        key: invalid.key.into(),
        problem: invalid.problem,
    })?;
    Ok((config, origins))
}

fn section(name: &str, origin: Origin) -> Result<&'static Section, Error> {
    SECTIONS.iter().find(|section| section.name == name).ok_or_else(|| {
        let allowed: Vec<_> = SECTIONS.iter().map(|section| section.name).collect();
        Error::unknown(origin, "section", name, &allowed)
    })
}

/// The first form of the value that the key takes. All keys have defaults, so each can be tried alone.
fn accepted(section: &'static Section, key: &str, entry: &Entry) -> Result<toml::Value, Error> {
    let mut problems = Vec::new();
    for candidate in &entry.candidates {
        match (section.accepts)([(key.to_string(), candidate.clone())].into_iter().collect()) {
            Ok(()) => return Ok(candidate.clone()),
            Err(error) => problems.push(error.message().to_owned()),
        }
    }
    // That the key wants another type says nothing about the candidate that has the right one.
    let telling = problems.iter().find(|problem| !problem.starts_with("invalid type")).or(problems.first());
    let is_secret = entry.candidates.iter().any(|value| secrets::holds_secret(key, value));
    let words = |problem: &String| if is_secret { secrets::without_value(problem) } else { plain(problem) };
    Err(Error::Value {
        origin: entry.origin.clone(),
        section: section.name,
        key: key.into(),
        problem: telling.map(words).unwrap_or_default(),
    })
}

/// What the libraries say of a value, in words for people who do not know Rust.
fn plain(problem: &str) -> String {
    match problem {
        "invalid socket address syntax" => "is not an address and port such as 127.0.0.1:7414".into(),
        "invalid IP address syntax" => "is not an IP address such as 192.168.1.20".into(),
        _ => ["u8", "u16", "u32", "i32", "usize"]
            .iter()
            .find_map(|kind| problem.strip_suffix(kind)?.strip_suffix("expected "))
            .map_or_else(|| problem.into(), |start| format!("{start}expected a whole number")),
    }
}

/// `value` as TOML if it is that, and as plain text: only the key knows which one it wants.
fn candidates(value: &str) -> Vec<toml::Value> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct One {
        value: toml::Value,
    }
    let as_toml = toml::from_str::<One>(&format!("value = {value}")).ok().map(|one| one.value);
    as_toml.into_iter().chain([toml::Value::String(value.into())]).collect()
}

fn of_environment(name: &str, rest: &str, value: &str) -> Result<Entry, Error> {
    let origin = Origin::Environment(name.into());
    let lower = rest.to_ascii_lowercase();
    let (section_name, key) = lower.split_once('_').unwrap_or((&lower, ""));
    let section = section(section_name, origin.clone())?;
    Ok(Entry { section: section.name.into(), key: key.into(), candidates: candidates(value), origin })
}
