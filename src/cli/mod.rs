//! The command line: what the program can be asked for, and with which exit code it answers.
//!
//! `screen-portal` alone runs the portal. All commands share the flags of [`Settings`], which override the environment and the
//! configuration file, so that scripts and test rigs can drive a portal without writing files.

pub(crate) mod check;
mod discover;
mod exit;
mod hub;
mod page;
mod pair;
mod report;
mod service;
mod settings;

pub use exit::Exit;
pub use settings::Settings;

use crate::config::{Config, Flag, Loaded, Sources};
use crate::ops::ending::{self, Cause};
use crate::ops::{alone, logging, panics, say, systemd, try_say};
use crate::pairing::Identity;
use crate::portal::{Ended, Signals};
use crate::service::DATA;
use crate::service::plan::Mode;
use crate::service::record::Record;
use crate::{capture, demo, portal};
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "screen-portal", version, about = ABOUT, after_help = exit::TABLE)]
pub struct Cli {
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

const ABOUT: &str = "Two kiosks, two places, one window between them: an always-on video portal.\n\nWithout a command it runs the portal.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the portal (default)
    Run,
    /// Check configuration, identity, source, display, ports, far end and network; say what to do about each problem
    Check,
    /// List cameras with the names and formats that the configuration can refer to
    Cameras,
    /// Print this portal's fingerprint, for the far end's configuration; make the identity if there is none
    Identity,
    /// Show a code here, or enter the other portal's: from then on the two know each other
    Pair(pair::Pair),
    /// Forget the other portal, if it was paired by a code
    Unpair,
    /// List the portals in the local network
    Discover(discover::Discover),
    /// Collect what support needs in one text file: versions, configuration without secrets, state, figures and recent log (of the
    /// configured file, or else the journal)
    Report {
        /// The file to write; - prints it
        #[arg(long, value_name = "FILE", default_value = report::FILE)]
        out: PathBuf,
    },
    /// Start the portal at every boot: install, uninstall, status
    Service(service::Service),
    /// Run a hub: the signalling server where portals, browsers, cameras and media servers meet
    Hub(hub::Hub),
    /// Show two portals on this machine, paired with each other
    Demo {
        /// How long to run, in seconds. Default: until a window is closed, or 20 where there is no desktop
        #[arg(long, value_name = "SECONDS")]
        seconds: Option<u64>,
        /// Folder for screenshots, report and logs
        #[arg(long, value_name = "DIR", default_value = "target/demo")]
        out: PathBuf,
    },
}

/// The command line as it is parsed, and as help, manual and the shell's completions tell it.
pub fn command() -> clap::Command {
    settings::shown_where_they_work(Cli::command())
}

/// Reads the command line and does what it asks for. `started` is when the process started.
pub fn main(started: Instant) -> ExitCode {
    crate::ops::free_large_blocks_at_once();
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    let ended = cli.execute(started);
    logging::flush();
    match ended {
        Ok(exit) => exit.into(),
        Err((exit, problem)) => {
            // Not `eprintln!`, which panics where nobody reads; the exit code is still right then.
            let _ = writeln!(std::io::stderr(), "screen-portal: {problem}");
            exit.into()
        }
    }
}

/// Between two starts by a service manager, while another portal has the data.
const REFUSED_PAUSE: Duration = Duration::from_secs(10);

/// A failure that ends the program: its exit code, and one line with cause and remedy.
type Failure = (Exit, String);

impl Cli {
    fn execute(self, started: Instant) -> Result<Exit, Failure> {
        match &self.command {
            Some(Command::Cameras) => return Ok(cameras()),
            Some(Command::Service(service)) => return service::run(service, &self.settings),
            None | Some(Command::Run) => return run(&self.settings, started),
            _ => {}
        }
        let mut loaded = load(&self.settings)?;
        if let Some(Command::Report { .. } | Command::Pair(_) | Command::Unpair | Command::Discover(_)) = self.command {
            of_service(&mut loaded);
        }
        let Loaded { config, file, .. } = &loaded;
        match self.command.unwrap_or(Command::Run) {
            Command::Check => Ok(check::run(&loaded, self.settings.headless)),
            // Done above: two need no configuration of this user's, and a portal reads its own.
            Command::Run => run(&self.settings, started),
            Command::Cameras => Ok(cameras()),
            Command::Service(service) => service::run(&service, &self.settings),
            Command::Identity => {
                let identity = Identity::load_or_create(&config.data.folder);
                let identity = identity.map_err(|error| (Exit::Identity, error.to_string()))?;
                try_say(identity.fingerprint())
                    .map_err(|error| (Exit::Failed, format!("the fingerprint cannot be printed: {error}")))?;
                Ok(Exit::Success)
            }
            Command::Pair(pair) => pair::run(&pair, &loaded),
            Command::Discover(discover) => discover::run(&discover, &loaded),
            Command::Unpair => pair::unpair(&loaded),
            Command::Hub(hub) => hub::run(&hub, config, |name| std::env::var(name).ok()),
            Command::Report { out } => report::run(config, file.as_deref(), &out),
            Command::Demo { seconds, out } => {
                start_log(config)?;
                let options = demo::Options { seconds, folder: out, base: config.clone() };
                demo::run(&options).map(|()| Exit::Success).map_err(|error| (Exit::Demo, error.to_string()))
            }
        }
    }
}

fn load(settings: &Settings) -> Result<Loaded, Failure> {
    let failed = |error: crate::config::Error| (Exit::Configuration, error.to_string());
    let flags = settings.flags().map_err(failed)?;
    let sources = Sources { file: settings.config.clone(), flags, ..Sources::of_process() };
    Config::load(&sources).map_err(failed)
}

/// Runs the portal.
fn run(settings: &Settings, started: Instant) -> Result<Exit, Failure> {
    let failed = |error: portal::Error| (Exit::of(&error), error.to_string());
    // The very first thing: who ends a portal that has hardly begun ends it in order, too.
    let signals = Signals::listen().map_err(failed)?;
    let loaded = load(settings)?;
    let Loaded { config, file, .. } = &loaded;
    // Before anything is written, the log's file included. Given back with the end of the process.
    let lock = match alone::take(&config.data.folder) {
        Ok(lock) => lock,
        Err(taken) => return Ok(refuse(&taken)),
    };
    start_log(config)?;
    match file {
        Some(path) => tracing::info!("configuration: {}", path.display()),
        None => tracing::info!("configuration: no file, built-in defaults"),
    }
    lock.tell(&config.data.folder);
    for damage in loaded.damages() {
        tracing::error!("{damage}");
    }
    panics::end_the_program();
    let started = ending::begin(&config.data.folder, started);
    end(portal::run(&loaded, settings.headless, started, signals))
}

/// A second portal with the data of one that runs ends at once. One that a service manager started says so and waits first: it will be started again
/// until the other one has ended, and managers that do not wait longer each time (systemd before 254) must not do that every second.
fn refuse(taken: &alone::Taken) -> Exit {
    let _ = writeln!(std::io::stderr(), "screen-portal: {taken}");
    if systemd::is_there() {
        systemd::status(&taken.to_string());
        std::thread::sleep(REFUSED_PAUSE);
    }
    Exit::AlreadyRuns
}

/// Who reports of a kiosk is another user than the portal's, with another data folder: the service's is meant, unless one is named.
fn of_service(loaded: &mut Loaded) {
    let installed = Record::load(Path::new("/"));
    let kiosk = matches!(installed, Ok(Some(record)) if record.mode == Mode::Kiosk && record.is_installed());
    if kiosk && !loaded.origins.contains_key(&("data", "folder")) {
        let folder = Flag::new("of the service", "data", "folder", DATA);
        let sources =
            Sources { flags: [vec![folder], loaded.sources.flags.clone()].concat(), ..loaded.sources.clone() };
        // With the service's settings; what is wrong with them is told by the portal itself.
        if let Ok(service) = Config::load(&sources) {
            *loaded = service;
        }
    }
}

/// Notes how a portal ended, for the next start; or begins again.
fn end(ended: Result<Ended, portal::Error>) -> Result<Exit, Failure> {
    match ended {
        Ok(Ended::Asked(by)) => {
            ending::note(Cause::Asked, by);
            Ok(Exit::Success)
        }
        Ok(Ended::Again(reason)) => {
            tracing::warn!("begins again: {reason}");
            again(Cause::BeganAgain, &reason)
        }
        Ok(Ended::Changed(reason)) => {
            tracing::info!("begins again: {reason}");
            again(Cause::Changed, &reason)
        }
        Err(error) => {
            ending::note(Cause::Failed, &error.to_string());
            Err((Exit::of(&error), error.to_string()))
        }
    }
}

fn again(cause: Cause, reason: &str) -> Result<Exit, Failure> {
    let refused = ending::begin_again(cause, reason);
    Err((Exit::Failed, format!("cannot begin again after this: {reason}: {refused}")))
}

fn start_log(config: &Config) -> Result<(), Failure> {
    let rust_log = std::env::var("RUST_LOG").ok();
    logging::start(&config.log, rust_log.as_deref()).map_err(|error| (Exit::Configuration, error.to_string()))
}

fn cameras() -> Exit {
    let cameras = capture::cameras();
    if cameras.is_empty() {
        say("No camera found. Plug one in; see `ls /dev/video*` for what the system knows.");
        return Exit::CheckFailed;
    }
    for camera in cameras {
        say(camera.name());
        say(format_args!("    device   {}", camera.node().display()));
        for link in &camera.links {
            say(format_args!("    link     {}", link.display()));
        }
        if let Some(problem) = &camera.problem {
            say(format_args!("    problem  {problem}"));
        }
        for format in &camera.formats {
            say(format_args!("    format   {format}"));
        }
    }
    Exit::Success
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn flags_are_shown_where_they_work() {
        let help = |words: &[&str]| {
            let words = [&["screen-portal"], words, &["--help"]].concat();
            command().try_get_matches_from(words).unwrap_err().to_string()
        };
        for (words, shown, hidden) in [
            ([].as_slice(), ["--fps", "--data", "--windowed"].as_slice(), [].as_slice()),
            (&["run"], &["--fps", "--data", "--windowed"], &[]),
            (&["demo"], &["--fps", "--seconds"], &[]),
            (&["identity"], &["--data", "--set", "--config"], &["--fps", "--windowed"]),
            (
                &["pair"],
                &["--address", "--json", "--data", "--site", "--listen"],
                &["--fps", "--windowed", "--far-end"],
            ),
            (&["discover"], &["--seconds", "--json", "--data"], &["--fps", "--listen"]),
            (&["unpair"], &["--data", "--config"], &["--fps", "--listen"]),
            (&["report"], &["--out", "--data", "--status"], &["--fps", "--windowed"]),
            (&["cameras"], &[], &["--fps", "--data", "--config"]),
            (&["service"], &["install"], &["--fps", "--data", "--config", "--headless"]),
            (
                &["service", "install"],
                &["--user", "--root", "--dry-run"],
                &["--fps", "--data", "--config", "--headless"],
            ),
            (&["service", "status"], &["--root"], &["--fps", "--data", "--dry-run"]),
            (&["service", "uninstall"], &["--purge", "--root"], &["--fps", "--set"]),
        ] {
            let help = help(words);
            let says = |flag: &&str| help.split_whitespace().any(|word| word == *flag);
            assert!(shown.iter().all(says) && !hidden.iter().any(says), "{words:?}\n{help}");
        }
        // They are understood all the same, to be refused or not with a word of ours.
        for words in [["--fps", "25", "service", "status"], ["service", "status", "--fps", "25"]] {
            let matches = command().try_get_matches_from([&["screen-portal"], words.as_slice()].concat()).unwrap();
            assert_eq!(Cli::from_arg_matches(&matches).unwrap().settings.fps, Some(25));
        }
    }

    #[test]
    fn running_is_the_default_and_flags_stand_anywhere() {
        let cli = Cli::try_parse_from(["screen-portal", "--fps", "25", "run", "--headless"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Run)) && cli.settings.headless);
        let cli = Cli::try_parse_from(["screen-portal", "--windowed"]).unwrap();
        assert!(cli.command.is_none());
    }
}
