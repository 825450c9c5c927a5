//! `screen-portal check`: everything that a portal needs, looked at one after the other, each with a remedy.

mod named;
mod network;
mod running;

use super::Exit;
use crate::capture::{self, Kind, Outputs};
use crate::config::{self, Config, Loaded};
use crate::hours::{self, Verdict};
use crate::media::{Waker, mailbox};
use crate::ops::{CameraState, Figures, say};
use crate::pairing::Identity;
use crate::signaling;
use jiff::Timestamp;
use running::Running;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the source may take to its first picture.
const SOURCE: Duration = Duration::from_secs(5);

/// What is known of one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Finding {
    Good(String),
    /// It works, but somebody should know.
    Note(String),
    /// Cause and remedy.
    Bad(String),
    /// Why it was not looked at.
    Skipped(String),
}

use Finding::{Bad, Good, Note, Skipped};

/// Looks at everything and prints one line each. A problem in one does not keep from the next.
pub fn run(loaded: &Loaded, headless: bool) -> Exit {
    let config = &loaded.config;
    let mut failed = false;
    let mut print = |what: &str, finding: Finding| {
        failed |= matches!(finding, Bad(_));
        say(line(what, &finding));
    };
    print("configuration", configuration(loaded.file.as_deref()));
    print("set at the kiosk", settings(loaded));
    let identity = Identity::load_or_create(&config.data.folder);
    print(
        "identity",
        match &identity {
            Ok(identity) => Good(format!("{} in {}", identity.fingerprint(), config.data.folder.display())),
            Err(error) => Bad(error.to_string()),
        },
    );
    let running = running::ask(config);
    if let Some(running) = &running {
        let own = identity.as_ref().ok().map(Identity::fingerprint);
        print("running portal", running.itself(config, own));
    }
    print("pairing", pairing(config, identity.as_ref().ok()));
    print("opening hours", hours(&config.hours));
    if !config.log.file.as_os_str().is_empty() {
        print("log file", named::log_file(&config.log.file));
    }
    let search = std::env::var("PATH").unwrap_or_default();
    for (what, words) in
        [("standby command", &config.display.standby_command), ("wake command", &config.display.wake_command)]
    {
        if !words.is_empty() {
            print(what, named::command(words, &search));
        }
    }
    // Before anything is tried: what a portal has open cannot be had beside it.
    print("source", running.as_ref().map_or_else(|| source(config), Running::source));
    let without = || Skipped("--headless".into());
    match &running {
        _ if headless => print("display", without()),
        Some(running) => print("display", running.display()),
        None => print("display", display()),
    }
    match &running {
        _ if headless => print("Vulkan driver", without()),
        Some(running) if running.draws() => print("Vulkan driver", Good("in use by the portal that runs here".into())),
        _ => print("Vulkan driver", vulkan()),
    }
    print("signalling port", port(config.signaling.listen_address(), "--listen"));
    let status = config.status.enabled.then(|| config.status.listen.to_string());
    print("status port", port(status.as_deref(), "--status"));
    print("far end", far_end(config, identity.ok()));
    for finding in relays(config) {
        print("meeting place", finding);
    }
    for (what, finding) in network::findings(&config.link) {
        print(what, finding);
    }
    if failed { Exit::CheckFailed } else { Exit::Success }
}

fn line(what: &str, finding: &Finding) -> String {
    let (verdict, words) = match finding {
        Good(words) => ("ok  ", words),
        Note(words) => ("note", words),
        Bad(words) => ("FAIL", words),
        Skipped(words) => ("skip", words),
    };
    format!("{verdict}  {what:<16} {words}")
}

fn configuration(file: Option<&Path>) -> Finding {
    Good(file.map_or("no file: built-in defaults, environment and flags".into(), |path| path.display().to_string()))
}

/// Our own hours; the far end tells its own when the two portals are connected.
fn hours(config: &hours::Config) -> Finding {
    let schedule = match config.schedule() {
        Ok(schedule) => schedule,
        Err(invalid) => return Bad(invalid.to_string()),
    };
    let now = Timestamp::now();
    let clock = schedule.offset(now).to_datetime(now).strftime("%A %H:%M").to_string();
    match hours::verdict(&schedule, None, None, now) {
        _ if config.week.is_empty() && config.dates.is_empty() => Good("always open".into()),
        Verdict::Open => Good(format!("open now, {clock} by its clock")),
        Verdict::Closed(opening) => Note(format!("closed now, {clock} by its clock. {opening}")),
    }
}

/// What was set at the kiosk, and what of it counts.
fn settings(loaded: &Loaded) -> Finding {
    let path = config::settings::path(&loaded.config.data.folder);
    match (&loaded.ignored, loaded.set_here()) {
        (Some(error), _) => Bad(format!("does not count: {error}; mend or delete {}", path.display())),
        (None, keys) if keys.is_empty() => Good("nothing".into()),
        (None, keys) => Note(format!("{}: {} counts more than portal.toml", path.display(), keys.join(", "))),
    }
}

/// What the settings page of a portal that runs shows of the network: the far end, and each server, a line each.
pub(crate) fn network_lines(config: &Config) -> Vec<(bool, String)> {
    let identity = Identity::load_or_create(&config.data.folder).ok();
    let mut lines = vec![far_end(config, identity)];
    lines.extend(relays(config));
    lines.extend(network::findings(&config.link).into_iter().map(|(_, finding)| finding));
    let words = |finding| match finding {
        Good(words) | Note(words) | Skipped(words) => (true, words),
        Bad(words) => (false, words),
    };
    lines.into_iter().map(words).collect()
}

fn pairing(config: &Config, identity: Option<&Identity>) -> Finding {
    match config.pairing.far_end {
        None => Bad(
            "not paired: run `screen-portal pair` here and `screen-portal pair CODE` there, or put what `screen-portal identity` \
                     prints there into [pairing] far_end here, and the other way round"
                .into(),
        ),
        Some(far_end) if identity.is_some_and(|identity| identity.fingerprint() == far_end) => {
            Bad("the far end's fingerprint is our own: put there what `screen-portal identity` prints at the far end"
                .into())
        }
        Some(far_end) => Good(format!("with {far_end}")),
    }
}

/// Opens the source for real and waits for its first picture.
fn source(config: &Config) -> Finding {
    let ((encode, encode_out), (self_view, self_view_out)) = (mailbox::mailbox(), mailbox::mailbox());
    let outputs = Outputs { encode, self_view, tap: None, waker: Waker::new(), era: Default::default() };
    let (states, state) = std::sync::mpsc::channel();
    let on_state = Box::new(move |state| {
        // Nobody listens any more once a verdict is found.
        let _ = states.send(state);
    });
    let site = config.site.name.clone();
    let capture = capture::start(config.source.clone(), site, outputs, Arc::new(Figures::default()), on_state);
    let capture = match capture {
        Ok(capture) => capture,
        Err(error) => return Bad(error.to_string()),
    };
    let deadline = Instant::now() + SOURCE;
    let mut finding = Bad(format!("no picture within {} s", SOURCE.as_secs()));
    while let Ok(state) = state.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        match state {
            CameraState::Running { description } | CameraState::Covered { description } => {
                finding = Good(description);
                break;
            }
            CameraState::Missing { reason } => {
                finding = Bad(reason);
                // A film or a pattern that cannot be opened now cannot be opened later either; a camera may.
                if config.source.kind != Kind::Camera {
                    break;
                }
            }
            CameraState::Starting | CameraState::Private => {}
        }
    }
    drop(capture);
    drop((encode_out, self_view_out));
    finding
}

#[cfg(feature = "kiosk")]
fn display() -> Finding {
    use crate::display::server::Server;
    match Server::find() {
        Ok(Server::Wayland) => Good("Wayland".into()),
        Ok(Server::X11 { managed: true }) => Good("X11".into()),
        Ok(Server::X11 { managed: false }) => Good("X11 without a window manager".into()),
        Err(error) => Bad(error.to_string()),
    }
}

#[cfg(feature = "kiosk")]
fn vulkan() -> Finding {
    match crate::display::gpu::Gpu::open() {
        Ok(gpu) if crate::display::gpu::is_software(&gpu.adapter) => Note(format!(
            "{}: draws with the processor, which costs about a third of a core",
            gpu.adapter.get_info().name
        )),
        Ok(gpu) => Good(gpu.adapter.get_info().name),
        Err(error) => Bad(error.to_string()),
    }
}

#[cfg(not(feature = "kiosk"))]
fn display() -> Finding {
    Skipped("this build has no display (feature `kiosk`)".into())
}

#[cfg(not(feature = "kiosk"))]
fn vulkan() -> Finding {
    display()
}

fn port(address: Option<&str>, flag: &str) -> Finding {
    let Some(address) = address else { return Skipped("switched off".into()) };
    match TcpListener::bind(address) {
        Ok(_) => Good(format!("{address} is free")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Note(format!("{address} is in use: by a portal that runs already, or choose another one with {flag}"))
        }
        Err(error) => Bad(format!("{address}: {error}; choose another one with {flag}")),
    }
}

fn far_end(config: &Config, identity: Option<Identity>) -> Finding {
    let Some(address) = config.signaling.dial_address().or_else(|| config.pairing.addresses.first().cloned()) else {
        let how = if ways(config).has_relays() { "we meet elsewhere, or it dials us" } else { "it is to dial us" };
        return Skipped(format!("its address is not known here: {how}"));
    };
    let (Some(far_end), Some(identity)) = (config.pairing.far_end, identity) else {
        return Skipped("not paired".into());
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Bad(error.to_string()),
    };
    match runtime.block_on(signaling::probe(&address, &identity, far_end)) {
        Ok(()) => Good(format!("answers at {address} with the pinned fingerprint")),
        Err(problem) if ways(config).has_relays() => Note(format!("{address}: {problem}; there is another way, below")),
        Err(problem) => {
            Bad(format!("{address}: {problem}; is the portal there running, and its port open in the firewall?"))
        }
    }
}

/// How to meet, with what the far end told when it was paired.
fn ways(config: &Config) -> signaling::Config {
    config.pairing.ways(&config.signaling)
}

/// Whether the hub and the broker let us in, where there are any.
fn relays(config: &Config) -> Vec<Finding> {
    let ways = ways(config);
    if !ways.has_relays() {
        return Vec::new();
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return vec![Bad(error.to_string())],
    };
    let finding = |(name, trouble): (String, Option<String>)| match trouble {
        None => Good(format!("{name} lets us in")),
        Some(trouble) => {
            Bad(format!("{name}: {trouble}; check its address, what it asks for, and what is to be trusted"))
        }
    };
    match runtime.block_on(signaling::relay::try_out(&ways)) {
        Ok(found) => found.into_iter().map(finding).collect(),
        Err(error) => vec![Bad(error.to_string())],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::Fingerprint;

    fn config() -> Config {
        let mut config = Config::default();
        config.source.kind = Kind::Pattern;
        config.signaling.listen = "127.0.0.1:0".into();
        config
    }

    #[test]
    fn hours_are_told_with_the_clock_that_they_follow() {
        assert_eq!(hours(&hours::Config::default()), Good("always open".into()));
        let config = |week: &str| hours::Config { week: vec![week.into()], ..hours::Config::default() };
        assert!(matches!(hours(&config("daily = 00:00-24:00")), Good(words) if words.starts_with("open now, ")));
        assert!(matches!(hours(&config("mon = closed")), Note(words) if words.starts_with("closed now, ")));
        assert!(matches!(hours(&config("mon")), Bad(_)));
    }

    #[test]
    fn lines_are_easy_to_search() {
        assert_eq!(line("identity", &Bad("gone".into())), "FAIL  identity         gone");
        assert_eq!(line("pairing", &Good("fine".into())), "ok    pairing          fine");
    }

    #[test]
    fn hubs_are_really_asked() {
        let mut config = config();
        assert_eq!(relays(&config), []);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let token =
            crate::hub::Token { token: "sixteen characters".into(), rooms: vec!["portal-*".into()], roles: vec![] };
        let listen = "127.0.0.1:0".parse().unwrap();
        let of_hub = crate::hub::Config { listen, tokens: vec![token], ..crate::hub::Config::default() };
        let hub = runtime.block_on(async { crate::hub::start(&of_hub, folder.path()).unwrap() });
        // As the far end told it.
        config.pairing.hub = format!("ws://{}/", hub.address());
        let refused = relays(&config);
        assert!(matches!(&refused[..], [Bad(words)] if words.contains("token")), "{refused:?}");
        config.signaling.hub_token = "sixteen characters".into();
        assert!(matches!(&relays(&config)[..], [Good(words)] if words.contains("lets us in")));
        drop(hub);
        runtime.shutdown_background();
        assert!(matches!(&relays(&config)[..], [Bad(words)] if words.contains("refused")));
    }

    #[test]
    fn pairing_needs_another_portal() {
        let identity = Identity::make().unwrap();
        let mut config = config();
        assert!(matches!(pairing(&config, Some(&identity)), Bad(words) if words.contains("far_end")));
        config.pairing.far_end = Some(identity.fingerprint());
        assert!(matches!(pairing(&config, Some(&identity)), Bad(words) if words.contains("our own")));
        config.pairing.far_end = Some(Fingerprint::of(b"far"));
        assert!(matches!(pairing(&config, Some(&identity)), Good(_)));
    }

    #[test]
    fn sources_are_really_opened() {
        let mut config = config();
        assert!(matches!(source(&config), Good(_)));
        config.source.kind = Kind::File;
        config.source.file = "/nowhere/film.y4m".into();
        assert!(matches!(source(&config), Bad(words) if words.contains("/nowhere/film.y4m")));
    }

    #[test]
    fn ports_are_really_tried() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        assert!(matches!(port(Some(&address), "--listen"), Note(words) if words.contains("--listen")));
        drop(taken);
        assert!(matches!(port(Some(&address), "--listen"), Good(_)));
        assert!(matches!(port(Some("192.0.2.1:1"), "--listen"), Bad(_)), "an address of no machine");
        assert!(matches!(port(None, "--listen"), Skipped(_)));
    }

    #[test]
    fn the_far_end_is_really_asked() {
        let (here, there) = (Identity::make().unwrap(), Identity::make().unwrap());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (mut config, figures) = (config(), Arc::<Figures>::default());
        assert!(matches!(far_end(&config, Some(here.clone())), Skipped(_)));
        let listening = {
            let _inside = runtime.enter();
            let config = signaling::Config { listen: "127.0.0.1:0".into(), ..signaling::Config::default() };
            signaling::start(&config, &there, here.fingerprint(), Arc::clone(&figures)).unwrap()
        };
        let rejected = || figures.link.rejected_messages.get() + figures.link.rejected_identities.get();
        config.signaling.dial = listening.listening_on().unwrap().to_string();
        config.pairing.far_end = Some(there.fingerprint());
        assert!(matches!(far_end(&config, Some(here.clone())), Good(_)));
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(rejected(), 0, "the far end takes a check for a stranger");
        let stranger = Identity::make().unwrap();
        let finding = far_end(&config, Some(stranger));
        assert!(matches!(&finding, Bad(words) if words.contains("not paired with this portal")), "{finding:?}");
        let deadline = Instant::now() + SOURCE;
        while rejected() == 0 && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(rejected(), 1, "a stranger is one, whatever he wants");
        config.pairing.far_end = Some(Fingerprint::of(b"somebody else"));
        assert!(matches!(far_end(&config, Some(here.clone())), Bad(words) if words.contains("not the pinned")));
        config.signaling.dial = "127.0.0.1:1".into();
        assert!(matches!(far_end(&config, Some(here)), Bad(words) if words.contains("refused")));
    }
}
