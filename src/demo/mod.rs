//! `screen-portal demo`: two portals on this machine, paired with each other over loopback, side by side.
//!
//! Nothing is played: two processes of this very program, each with its own configuration, identity, sockets and window, find each
//! other by signalling, shake hands by DTLS and show each other's pictures. On a desktop they are two windows, until one is closed;
//! elsewhere an X server in memory ([`Screen`]) takes the place of the monitor, and screenshots, a report and a verdict remain.
//!
//! The parts ([`Portal`], [`Screen`], [`Child`]) are public because the measurements (`examples/measure`) are made of them too.

mod child;
mod portal;
mod report;
mod screen;
mod stage;
mod status;

pub use child::Child;
pub use portal::{Plan, Portal, pair};
pub use report::{Frames, Latency, Machine, Observation, Portal as PortalReport, Report, Resolution};
pub use screen::{Picture, Region, Screen};
pub use stage::{Stage, Window};
pub use status::{Client, Status};

use crate::capture;
use crate::config::Config;
use crate::ops::{Slate, say};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

/// How long the demo runs where nobody can close its windows.
const SECONDS_OFF_SCREEN: u64 = 20;
/// The first picture must come within this time, however slow the machine.
const FIRST_PICTURE_LIMIT: Duration = Duration::from_secs(30);
/// Between two looks at the portals.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Between two screenshots that should differ.
const MOTION_TIME: Duration = Duration::from_millis(700);
/// A picture of which less than this share changes within [`MOTION_TIME`] stands still.
const LEAST_CHANGE: f64 = 0.001;
/// The two places.
const SITES: [&str; 2] = ["Harbour", "Hilltop"];

/// What the demo is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// How long to run, in seconds. `None`: until a window is closed, or 20 where there is no desktop.
    pub seconds: Option<u64>,
    /// Where screenshots, report, and the portals' folders go.
    pub folder: PathBuf,
    /// What both portals have in common. A source other than the camera is used as it is; the camera where there is one.
    pub base: Config,
}

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be written.
    #[error("cannot write {}: {problem}; choose another folder with --out", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        problem: String,
    },
    /// A process could not be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Which.
        name: String,
        /// The cause.
        source: std::io::Error,
    },
    /// There is neither a desktop nor the means to do without.
    #[error(
        "there is no display, and Xvfb, which could stand in for one, is not installed: run `make install-packages`"
    )]
    NoXvfb,
    /// Xvfb does not say that it is ready.
    #[error("Xvfb does not start; its log ends with:\n{log}")]
    XvfbSilent {
        /// The end of its log.
        log: String,
    },
    /// A process ended that should run.
    #[error("{name} ended ({status}); its log ends with:\n{log}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },
    /// No picture of the far end is shown.
    #[error("{site} shows no picture of the far end ({what}); its log ends with:\n{log}")]
    NoPicture {
        /// Which portal.
        site: String,
        /// What it shows instead, or says of itself.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// The far end's picture does not move.
    #[error("the picture that {site} shows stands still: {percent:.3} % of it changed in {} ms", MOTION_TIME.as_millis())]
    Still {
        /// Which portal.
        site: String,
        /// How much of the picture changed.
        percent: f64,
    },
    /// The screen could not be read.
    #[error("cannot take a screenshot: {0}")]
    Screenshot(String),
    /// The system gives no free ports.
    #[error("cannot find free ports on 127.0.0.1: {0}")]
    Ports(std::io::Error),
    /// The system gives no signals or timers.
    #[error("cannot wait for Ctrl+C: {0}")]
    Signals(std::io::Error),
    /// No identity for a portal.
    #[error(transparent)]
    Identity(#[from] crate::pairing::Error),
}

/// Runs the demo on the calling thread, prints progress and the table, and writes the report.
///
/// # Errors
/// A portal that ends by itself, shows no picture, or shows one that stands still. Whatever happens, no process is left behind.
pub fn run(options: &Options) -> Result<(), Error> {
    // Children are started from this thread and live no longer than it: the runtime must not move them to another.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Signals)?;
    runtime.block_on(show(options))
}

async fn show(options: &Options) -> Result<(), Error> {
    let folder = absolute(&options.folder)?;
    let mut stage = Stage::choose(&folder)?;
    let (sources, said) = sources(&options.base.source, &camera_names());
    say(format_args!("Two portals {}, source: {said}.", stage.describe()));

    let mut configs = pair(&options.base, SITES, &folder)?;
    let windows = stage.windows();
    for ((config, source), window) in configs.iter_mut().zip(sources).zip(windows) {
        config.source = source;
        window.apply(&mut config.display);
    }
    let executable = std::env::current_exe().map_err(|source| Error::Start { name: "screen-portal".into(), source })?;
    let start = |config: &Config| {
        let (executable, config) = (executable.clone(), config.clone());
        let (headless, environment) = (stage.is_headless(), stage.environment());
        Portal::start(&Plan { executable, wrapper: vec![], config, headless, environment })
    };
    let mut portals = [start(&configs[0])?, start(&configs[1])?];
    let seconds = options.seconds.or_else(|| (!stage.is_desktop()).then_some(SECONDS_OFF_SCREEN));
    let mut seen = [Observation::default(), Observation::default()];
    let end = watch(&mut portals, &mut seen, &mut stage, seconds).await?;

    let verdict = if end == End::Over { look(&portals, &seen, &stage, &folder) } else { Ok(()) };
    portals.iter().for_each(|portal| portal.child.ask_to_end());
    portals.iter_mut().for_each(|portal| portal.child.stop());
    conclude(&configs, &seen, &folder)?;
    verdict
}

/// How the watching ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The time is over: now it is judged.
    Over,
    /// Somebody closed a window or pressed Ctrl+C, maybe before there was anything to judge.
    Asked,
}

/// Looks at the portals until the time is over or somebody asks for the end.
async fn watch(
    portals: &mut [Portal; 2],
    seen: &mut [Observation; 2],
    stage: &mut Stage,
    seconds: Option<u64>,
) -> Result<End, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupted = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
    let mut terminated = signal(SignalKind::terminate()).map_err(Error::Signals)?;
    let started = Instant::now();
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for look in 0_u64.. {
        tokio::select! {
            _ = looks.tick() => {}
            _ = interrupted.recv() => return Ok(End::Asked),
            _ = terminated.recv() => return Ok(End::Asked),
        }
        for portal in portals.iter_mut() {
            // On a desktop, closing a window is how one ends the demo.
            if stage.is_desktop() && portal.child.ended().is_some_and(|status| status.success()) {
                return Ok(End::Asked);
            }
            portal.child.check()?;
        }
        stage.check()?;
        for (portal, seen) in portals.iter().zip(seen.iter_mut()) {
            if let Some(status) = portal.status() {
                seen.note(status.figures);
            }
        }
        if look > 0 && look % 2 == 0 {
            let lines = portals.iter().zip(seen.iter()).map(|(portal, seen)| progress(portal.site(), seen));
            say(format_args!("{:4} s   {}", started.elapsed().as_secs(), lines.collect::<Vec<_>>().join("   ")));
        }
        let late = portals.iter().zip(seen.iter()).find(|(_, seen)| !seen.has_picture());
        match late {
            Some((portal, _)) if started.elapsed() > FIRST_PICTURE_LIMIT => return Err(no_picture(portal)),
            _ => {}
        }
        if seconds.is_some_and(|seconds| started.elapsed().as_secs() >= seconds) {
            return Ok(End::Over);
        }
    }
    Ok(End::Over)
}

/// One portal's part of a line of progress.
fn progress(site: &str, seen: &Observation) -> String {
    match seen.last() {
        None => format!("{site}: starting"),
        Some(_) if !seen.has_picture() => format!("{site}: no picture yet"),
        Some(figures) => {
            let (fps, latency_ms) = (figures.now.presented_fps, figures.latency.p50_ms);
            let size = (figures.incoming.width, figures.incoming.height);
            format!("{site}: {fps:4.1} pictures/s, {latency_ms:5.1} ms, {}x{}", size.0, size.1)
        }
    }
}

/// Whether both portals show a moving picture of the far end, judged by what is on the screen where it can be read.
fn look(portals: &[Portal; 2], seen: &[Observation; 2], stage: &Stage, folder: &Path) -> Result<(), Error> {
    for (portal, seen) in portals.iter().zip(seen) {
        let shown = portal.status().is_some_and(|status| status.view.slate == Slate::Hidden);
        if !seen.has_picture() || !shown {
            return Err(no_picture(portal));
        }
    }
    let Some(first) = stage.pictures()? else { return Ok(()) };
    std::thread::sleep(MOTION_TIME);
    let Some(second) = stage.pictures()? else { return Ok(()) };
    for (portal, picture) in portals.iter().zip(&second) {
        picture.save(&folder.join(format!("{}.png", portal.site().to_lowercase())))?;
    }
    for ((portal, first), second) in portals.iter().zip(&first).zip(&second) {
        let changed = first.changed(second);
        if changed < LEAST_CHANGE {
            return Err(Error::Still { site: portal.site().into(), percent: changed * 100.0 });
        }
    }
    Ok(())
}

fn no_picture(portal: &Portal) -> Error {
    let what = portal.status().map_or("it does not answer".into(), |Status { view, .. }| {
        let trouble = view.trouble.map_or(String::new(), |trouble| format!(": {trouble}"));
        format!("link {:?}, slate {:?}{trouble}", view.link, view.slate)
    });
    Error::NoPicture { site: portal.site().into(), what, log: portal.child.log_tail() }
}

/// Prints the table and writes `report.json`.
fn conclude(configs: &[Config; 2], seen: &[Observation; 2], folder: &Path) -> Result<(), Error> {
    let portals =
        configs.iter().zip(seen).map(|(config, seen)| seen.report(&config.site.name, &describe(&config.source)));
    let adapter = configs.iter().find_map(|config| stage::adapter(&config.data.folder.join("portal.log")));
    let report = Report { machine: Machine::here(adapter), portals: portals.collect() };
    let path = folder.join("report.json");
    let failed = |problem: String| Error::Write { path: path.clone(), problem };
    let text = serde_json::to_string_pretty(&report).map_err(|error| failed(error.to_string()))?;
    std::fs::write(&path, text + "\n").map_err(|error| failed(error.to_string()))?;
    say(format_args!("\n{report}\nReport, screenshots and logs: {}", folder.display()));
    Ok(())
}

/// A folder that exists, by its full name: the portals get it too.
fn absolute(folder: &Path) -> Result<PathBuf, Error> {
    let failed = |error: std::io::Error| Error::Write { path: folder.into(), problem: error.to_string() };
    std::fs::create_dir_all(folder).map_err(failed)?;
    folder.canonicalize().map_err(failed)
}

/// Stable names of the cameras that can be used here; of the others it is said why not.
fn camera_names() -> Vec<String> {
    let usable = |camera: capture::CameraInfo| match &camera.problem {
        Some(problem) => {
            say(format_args!("{} cannot be used: {problem}", camera.title()));
            None
        }
        None => (!camera.formats.is_empty()).then(|| camera.name()),
    };
    capture::cameras().into_iter().filter_map(usable).collect()
}

/// The source of each portal, and how to call that in a sentence.
fn sources(base: &capture::Config, cameras: &[String]) -> ([capture::Config; 2], String) {
    if base.kind != capture::Kind::Camera {
        return ([base.clone(), base.clone()], describe(base));
    }
    let camera = |name: &String| capture::Config { camera: name.as_str().into(), ..base.clone() };
    let scene = capture::Config { kind: capture::Kind::Scene, ..base.clone() };
    match cameras {
        [] => ([scene.clone(), scene.clone()], format!("{} (this machine has no camera)", describe(&scene))),
        [only] => ([camera(only), scene.clone()], format!("camera {only}, and at the other end {}", describe(&scene))),
        [first, second, ..] => ([camera(first), camera(second)], format!("cameras {first} and {second}")),
    }
}

fn describe(source: &capture::Config) -> String {
    match source.kind {
        capture::Kind::Camera => format!("camera {}", source.camera),
        capture::Kind::Pattern => "test pattern".into(),
        capture::Kind::Scene => "painted landscape".into(),
        capture::Kind::File => format!("film {}", source.file.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::Kind;

    #[test]
    fn cameras_are_used_where_there_are_any() {
        let base = capture::Config::default();
        let kinds = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
            let ([a, b], _) = sources(&base, &names);
            [(a.kind, a.camera), (b.kind, b.camera)]
        };
        assert_eq!(kinds(&[]), [(Kind::Scene, "".into()), (Kind::Scene, "".into())]);
        assert_eq!(kinds(&["x"]), [(Kind::Camera, "x".into()), (Kind::Scene, "".into())]);
        assert_eq!(kinds(&["x", "y", "z"]), [(Kind::Camera, "x".into()), (Kind::Camera, "y".into())]);
        let pattern = capture::Config { kind: Kind::Pattern, ..base };
        assert_eq!(sources(&pattern, &["x".into()]).0, [pattern.clone(), pattern]);
    }
}
