//! Keeps the configuration of a portal that runs: sees that a file has changed, takes what people set at the kiosk, and
//! passes on what differs to the rooms that it concerns.
//!
//! A thread of its own: disks may be slow, and looking at cameras and networks is.

use super::candidate;
use super::guests::Host;
use super::quit::{Ended, Quit};
use super::unpair;
use crate::capture::Capture;
use crate::cli::check;
use crate::codec::encode;
use crate::config::{self, Change, Config, Effect, Loaded, settings};
use crate::display::{Fit, Live};
use crate::hours;
use crate::link::Link;
use crate::media::Waker;
use crate::ops::{Figures, Value, logging};
use crate::pairing::Fingerprint;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;

/// How often the files are looked at. One that has changed is read when it has been the same twice: editors write in
/// pieces.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the keeper is asked for.
#[derive(Clone, Debug)]
pub(super) enum Order {
    /// SIGHUP: read the files, changed or not.
    Reload,
    /// A person at the kiosk sets something.
    Set(&'static str, &'static str, Value),
    /// A person at the kiosk wants another camera.
    NextCamera,
    /// A person at the kiosk opens the settings page.
    OpenSettings,
    /// A person at the kiosk wants to know about the network.
    TestNetwork,
    /// A person at the kiosk wants the far end to be forgotten.
    Unpair,
}

/// Whom the keeper tells.
pub(super) struct Rooms {
    pub guests: Arc<Host>,
    pub live: watch::Sender<Live>,
    pub hours: watch::Sender<hours::Config>,
    /// Whoever owns it decides when it ends.
    pub capture: Weak<Capture>,
    pub link: Option<Arc<Link>>,
    pub encoder: Arc<encode::Control>,
    pub quit: Quit,
    /// Our own.
    pub fingerprint: Fingerprint,
    pub waker: Waker,
    /// For a sign of life.
    pub figures: Arc<Figures>,
}

/// What a file is told from a later state of itself by: device, inode, size, and time of change.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

struct Keeper {
    loaded: Loaded,
    rooms: Rooms,
    /// The files as they were when they were last read, and when last looked at.
    read: [Stamp; 3],
    seen: [Stamp; 3],
}

/// What the display begins with.
pub(super) fn live(loaded: &Loaded) -> Live {
    let config = &loaded.config;
    Live {
        config: config.display.clone(),
        site: config.site.name.clone(),
        time_zone: config.hours.time_zone.clone(),
        operator: config.operator.clone(),
        privacy_keys: config.privacy.keys.clone(),
        camera: camera(config),
        far_end: unpair::far_end(loaded),
        ..Live::default()
    }
}

fn camera(config: &Config) -> String {
    config.source.camera.names().first().cloned().unwrap_or_default()
}

/// Starts the thread `configuration`. It ends with the last sender of orders.
pub(super) fn start(loaded: Loaded, rooms: Rooms, orders: Receiver<Order>) -> std::io::Result<()> {
    let now = stamps(&loaded);
    let mut keeper = Keeper { loaded, rooms, read: now, seen: now };
    std::thread::Builder::new().name("configuration".into()).spawn(move || {
        loop {
            keeper.rooms.figures.pulse.configuration.one();
            match orders.recv_timeout(LOOK_EVERY) {
                Ok(order) => keeper.carry_out(order),
                Err(RecvTimeoutError::Timeout) => keeper.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    })?;
    Ok(())
}

fn stamps(loaded: &Loaded) -> [Stamp; 3] {
    let stamp = |path: Option<PathBuf>| {
        let file = std::fs::metadata(path?).ok()?;
        Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    };
    loaded.files().map(stamp)
}

impl Keeper {
    fn look(&mut self) {
        let now = stamps(&self.loaded);
        let settled = std::mem::replace(&mut self.seen, now) == now;
        if settled && now != self.read {
            self.reload();
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Reload => {
                if !self.reload() {
                    tracing::info!("the configuration was read again: nothing in it has changed");
                }
            }
            Order::Set(section, key, value) => {
                let notice = match self.set(section, key, value) {
                    Ok(()) => {
                        tracing::info!("{section}.{key} set at the kiosk and saved");
                        "Saved".to_owned()
                    }
                    Err(notice) => {
                        tracing::warn!("{section}.{key} set at the kiosk: {notice}");
                        notice
                    }
                };
                self.show(|live| live.notice = notice);
            }
            Order::OpenSettings => {
                // What was found and told some other day says nothing of this one.
                self.show(|live| {
                    live.network.clear();
                    live.notice.clear();
                });
                // While private the list stays as it was.
                if let Some(cameras) = self.rooms.capture.upgrade().and_then(|capture| capture.names()) {
                    self.show(|live| live.cameras = cameras);
                }
            }
            Order::NextCamera => match self.rooms.capture.upgrade().and_then(|capture| capture.next_camera()) {
                Some(camera) => tracing::info!(camera, "chosen at the kiosk"),
                None => tracing::info!("there is no other camera to choose"),
            },
            Order::TestNetwork => self.test_network(),
            Order::Unpair => {
                if let Err(why) = unpair::forget(&self.loaded, self.rooms.fingerprint) {
                    tracing::warn!("unpaired at the kiosk, and still paired: {why}");
                    return self.show(|live| live.notice = format!("Still paired: {why}"));
                }
                self.reload();
            }
        }
    }

    /// Reads the files again. What cannot be used is refused as a whole. Returns whether there was anything to tell the operator.
    fn reload(&mut self) -> bool {
        self.read = stamps(&self.loaded);
        match Config::load(&self.loaded.sources) {
            Ok(loaded) => {
                for damage in loaded.damages() {
                    tracing::error!("{damage}");
                }
                match candidate::refusal(&self.loaded, &loaded, self.rooms.fingerprint) {
                    None => return self.apply(loaded),
                    Some(why) => tracing::error!("the configuration is refused, and what was in use stays: {why}"),
                }
            }
            Err(error) => tracing::error!("the configuration is refused, and what was in use stays: {error}"),
        }
        true
    }

    /// Passes on what differs; returns whether anything does.
    fn apply(&mut self, loaded: Loaded) -> bool {
        let changes = config::changes(&self.loaded.config, &loaded.config);
        self.loaded = loaded;
        if changes.is_empty() {
            return false;
        }
        for line in config::announcements(&changes) {
            tracing::info!("the configuration has changed: {line}");
        }
        let has = |section: &str| changes.iter().any(|it| it.section == section && it.effect() == Effect::Now);
        let config = self.loaded.config.clone();
        if has("source")
            && let Some(capture) = self.rooms.capture.upgrade()
        {
            capture.set_config(config.source.clone());
        }
        if has("privacy")
            && let Some(capture) = self.rooms.capture.upgrade()
        {
            capture.set_covered_lens(config.privacy.covered_lens);
        }
        if has("encode") {
            // The lower one first, so that no more is made than may be sent.
            self.rooms.encoder.set_ceiling_bps(config.encode.bitrate_bps);
            if let Some(link) = &self.rooms.link {
                link.set_ceiling_bps(config.encode.bitrate_bps);
            }
        }
        if has("site")
            && let Some(link) = &self.rooms.link
        {
            link.set_site(config.site.name.clone());
        }
        // They are known by the site's name, where no other is given.
        if has("guests") || (has("site") && config.guests.camera.is_empty()) {
            self.rooms.guests.set(&config.guests, &config.link, &config.site.name);
        }
        if has("hours") {
            self.rooms.hours.send_replace(config.hours.clone());
        }
        if has("log") {
            logging::set_level(&config.log.level);
        }
        let far_end = unpair::far_end(&self.loaded);
        self.show(|live| {
            live.config = config.display.clone();
            live.site.clone_from(&config.site.name);
            live.time_zone.clone_from(&config.hours.time_zone);
            live.operator = config.operator.clone();
            live.privacy_keys.clone_from(&config.privacy.keys);
            live.camera = camera(&config);
            live.far_end = far_end;
        });
        let again: Vec<_> = changes.iter().filter(|it| it.effect() == Effect::Again).map(Change::to_string).collect();
        if !again.is_empty() {
            self.rooms.quit.now(Ended::Changed(format!("the configuration has changed: {}", again.join(", "))));
        }
        true
    }

    /// Sets a key at once, and for good if it can be saved. The error says what came of it instead, for the page.
    fn set(&mut self, section: &'static str, key: &'static str, value: Value) -> Result<(), String> {
        if let Some(origin) = self.loaded.fixed_by(section, key) {
            return Err(format!("Not changed: fixed by the {origin}"));
        }
        let mut loaded = self.loaded.clone();
        if let Err(problem) = assign(&mut loaded.config, section, key, &value) {
            return Err(format!("Not changed: {problem}"));
        }
        if let Err((_, invalid)) = loaded.config.check() {
            return Err(format!("Not changed: {invalid}"));
        }
        let folder = loaded.config.data.folder.clone();
        self.apply(loaded);
        let saved = settings::save(&folder, section, key, toml_of(value));
        if saved.is_ok() {
            // Whatever was damaged there, it is whole now.
            self.loaded.ignored = None;
        }
        // Our own writing is no news; what the operator has written meanwhile is.
        let own = stamps(&self.loaded)[1];
        (self.read[1], self.seen[1]) = (own, own);
        let folder = folder.display();
        saved.map_err(|error| {
            format!("In use, but not saved: {error}. Lost when the portal starts again; make {folder} writable and set it anew")
        })
    }

    fn test_network(&self) {
        if self.rooms.live.borrow().testing {
            return;
        }
        self.show(|live| (live.testing, live.network) = (true, Vec::new()));
        let (live, waker, config) = (self.rooms.live.clone(), self.rooms.waker.clone(), self.loaded.config.clone());
        let test = move || {
            let network = check::network_lines(&config);
            live.send_modify(|live| (live.testing, live.network) = (false, network));
            waker.wake();
        };
        if let Err(error) = std::thread::Builder::new().name("network-test".into()).spawn(test) {
            self.show(|live| (live.testing, live.network) = (false, vec![(false, error.to_string())]));
        }
    }

    fn show(&self, change: impl FnOnce(&mut Live)) {
        self.rooms.live.send_modify(change);
        self.rooms.waker.wake();
    }
}

/// One of [`settings::KEYS`].
fn assign(config: &mut Config, section: &str, key: &str, value: &Value) -> Result<(), String> {
    match (section, key, value) {
        ("site", "name", Value::Text(name)) => config.site.name = name.trim().to_owned(),
        ("source", "camera", Value::Text(camera)) => config.source.camera = camera.as_str().into(),
        ("display", "fit", Value::Text(fit)) if fit == "cover" => config.display.fit = Fit::Cover,
        ("display", "fit", Value::Text(fit)) if fit == "contain" => config.display.fit = Fit::Contain,
        ("display", "rotate_deg", Value::Number(degrees)) => config.display.rotate_deg = *degrees,
        ("display", "self_view", Value::Flag(shown)) => config.display.self_view = *shown,
        _ => return Err(format!("{section}.{key} cannot be set here")),
    }
    Ok(())
}

fn toml_of(value: Value) -> toml::Value {
    match value {
        Value::Text(text) => toml::Value::String(text),
        Value::Number(number) => toml::Value::Integer(number.into()),
        Value::Flag(flag) => toml::Value::Boolean(flag),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture;
    use crate::config::{Flag, Sources};
    use crate::media::Eras;
    use crate::portal::board::Board;

    /// A keeper of what is in this folder, without rooms that do anything.
    fn keeper(folder: &std::path::Path) -> Keeper {
        let data = Flag::new("--data", "data", "folder", folder.display().to_string());
        let sources = Sources { file: Some(folder.join("portal.toml")), flags: vec![data], ..Sources::default() };
        let loaded = Config::load(&sources).unwrap();
        let (waker, eras, figures) = (Waker::new(), Eras::default(), Arc::<Figures>::default());
        let board = Board::new(false, false, Arc::clone(&figures), eras.clone(), waker.clone());
        let rooms = Rooms {
            guests: Host::start(&loaded.config, capture::tap().1, &Arc::new(board), &eras, &figures),
            live: watch::channel(live(&loaded)).0,
            hours: watch::channel(loaded.config.hours.clone()).0,
            capture: Weak::new(),
            link: None,
            encoder: Arc::new(encode::Control::new(&loaded.config.encode)),
            quit: Quit::new(waker.clone()),
            fingerprint: Fingerprint::of(b"ours"),
            waker,
            figures,
        };
        let now = stamps(&loaded);
        Keeper { loaded, rooms, read: now, seen: now }
    }

    #[test]
    fn the_page_opens_without_what_was_found_some_other_day() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("portal.toml"), "").unwrap();
        let mut keeper = keeper(folder.path());
        keeper.show(|live| (live.network, live.notice) = (vec![(false, "no answer".into())], "Saved".into()));
        keeper.carry_out(Order::OpenSettings);
        let live = keeper.rooms.live.borrow();
        assert!(live.network.is_empty() && live.notice.is_empty(), "{live:?}");
    }

    /// What takes the place of a file while the portal runs is not waited for, and costs nothing that was in use.
    #[test]
    fn what_is_no_file_leaves_what_was_in_use() {
        let (told, heard) = crossbeam_channel::bounded(4);
        std::thread::spawn(move || {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            std::fs::write(at("portal.toml"), "[source]\nkind = \"scene\"\n").unwrap();
            settings::save(folder.path(), "site", "name", "Harbour".into()).unwrap();
            let mut keeper = keeper(folder.path());
            for name in ["portal.toml", settings::FILE_NAME] {
                let kept = std::fs::read(at(name)).unwrap();
                std::fs::remove_file(at(name)).unwrap();
                assert!(std::process::Command::new("mkfifo").arg(at(name)).status().unwrap().success());
                let before = keeper.loaded.config.clone();
                keeper.carry_out(Order::Reload);
                told.send((name, keeper.loaded.config == before, before.site.name)).unwrap();
                std::fs::remove_file(at(name)).unwrap();
                std::fs::write(at(name), kept).unwrap();
            }
        });
        for expected in ["portal.toml", settings::FILE_NAME] {
            let (name, same, site) = heard.recv_timeout(Duration::from_secs(5)).expect("nothing is waited for");
            assert_eq!((name, same, site.as_str()), (expected, true, "Harbour"));
        }
    }

    #[test]
    fn every_setting_of_the_kiosk_can_be_assigned() {
        for (section, key) in settings::KEYS {
            let mut config = Config::default();
            let values = [Value::Text("contain".into()), Value::Number(90), Value::Flag(false)];
            let taken = values.iter().filter(|value| assign(&mut config, section, key, value).is_ok()).count();
            assert_eq!(taken, 1, "{section}.{key}");
            config.check().unwrap();
            assert_eq!(config::changes(&Config::default(), &config).len(), 1, "{section}.{key}");
        }
        assert!(assign(&mut Config::default(), "data", "folder", &Value::Text("/".into())).is_err());
    }
}
