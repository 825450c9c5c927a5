//! `screen-portal service`: what an integrator types once per machine.

use super::{Exit, Failure, Settings, page};
use crate::config::{Config, Sources};
use crate::ops::say;
use crate::service::apply::{self, Doing};
use crate::service::machine::Machine;
use crate::service::plan::{Choice, Mode, Plan};
use crate::service::record::Record;
use crate::service::{CONFIGURATION, Error, NAME, status};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct Service {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start the portal at every boot, and again whenever it ends. May be repeated: what is as it should be is left alone
    Install(Install),
    /// Take away what install has made; configuration, identity and logs stay until --purge, now or later
    Uninstall {
        /// Configuration, identity and logs too, also what an earlier uninstall has kept: the other site must pair with this one anew
        #[arg(long)]
        purge: bool,
        #[command(flatten)]
        place: Place,
    },
    /// Say how the service does, and what to do next
    Status {
        /// Folder of another machine's files, an image for instance
        #[arg(long, value_name = "DIR", default_value = "/")]
        root: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Install {
    /// Whose the portal is; a kiosk's is made if there is none [default: the one before; for a new kiosk, screen-portal]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A kiosk: the compositor cage gives the whole screen to the portal (default)
    #[arg(long, conflicts_with = "desktop")]
    cage: bool,
    /// In the desktop session of --user, from when it is logged in
    #[arg(long)]
    desktop: bool,
    /// The program to start [default: this one]
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Place {
    /// Only say what would be done, and what is missing for it
    #[arg(long)]
    dry_run: bool,
    /// Folder of another machine's files, an image for instance: nothing is started then
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

impl Place {
    fn doing(&self) -> Doing {
        if self.dry_run { Doing::DryRun } else { Doing::Really }
    }
}

pub(super) fn run(service: &Service, settings: &Settings) -> Result<Exit, Failure> {
    let no_flags = settings.flags().is_ok_and(|flags| flags.is_empty()) && settings.config.is_none();
    if !no_flags || settings.headless {
        return Err((Exit::Usage, Error::Flags.to_string()));
    }
    match &service.action {
        Action::Install(install) => self::install(install),
        Action::Uninstall { purge, place } => machine(&place.root)
            .and_then(|machine| apply::uninstall(&machine, *purge, place.doing(), &mut |line| say(line)))
            .map(|()| Exit::Success),
        Action::Status { root } => self::status(root),
    }
    .map_err(|error| (Exit::Failed, error.to_string()))
}

fn machine(root: &Path) -> Result<Machine, Error> {
    let root = root.canonicalize().map_err(|source| Error::File { path: root.into(), source })?;
    Machine::below(&root).map_err(Error::Machine)
}

fn install(install: &Install) -> Result<Exit, Error> {
    let machine = machine(&install.place.root)?;
    let this = || std::env::current_exe().and_then(|path| path.canonicalize());
    let program = match &install.program {
        Some(program) => program.clone(),
        None => this().map_err(|source| Error::File { path: "/proc/self/exe".into(), source })?,
    };
    let mode = if install.desktop { Mode::Desktop } else { Mode::Kiosk };
    // To install again is to install for the same user.
    let earlier = Record::load(&machine.root)?.filter(|record| record.is_installed() && record.mode == mode);
    let user = install.user.clone().or(earlier.map(|record| record.user));
    let plan = Plan::new(&machine, &Choice { mode, user, program })?;
    apply::install(&machine, &plan, install.place.doing(), &mut |line| say(line))?;
    if !plan.missing.is_empty() {
        say("as long as that is missing, the installation is refused");
        return Ok(Exit::Failed);
    }
    next(plan.mode, &plan.user, &plan.program);
    Ok(Exit::Success)
}

fn status(root: &Path) -> Result<Exit, Error> {
    let machine = machine(root)?;
    // Who answers here is this machine's portal.
    let last_end = machine.is_this().then(last_end).flatten();
    let known = status::ask(&machine, Record::load(&machine.root)?, last_end);
    known.lines().iter().for_each(say);
    if let Some(record) = known.record.as_ref().filter(|record| record.is_installed()) {
        let program = record.program.as_ref().map_or(Path::new(NAME), |program| &program.path);
        next(record.mode, &record.user, program);
    }
    Ok(if known.is_well(&machine) { Exit::Success } else { Exit::CheckFailed })
}

fn next(mode: Mode, user: &str, program: &Path) {
    say("\nNext, as root:");
    status::next_steps(mode, user, program).iter().for_each(|step| say(format_args!("- {step}")));
}

/// Why the portal ended last, as the one that runs here tells on its status page; `None` if none runs or has an end to tell of.
fn last_end() -> Option<String> {
    let sources = Sources { file: Some(CONFIGURATION.into()), ..Sources::default() };
    let status = page::ask(&Config::load(&sources).ok()?.config.status, "status").ok()?;
    let status: serde_json::Value = serde_json::from_str(&status).ok()?;
    let end = status.get("last_end")?;
    Some(format!("{}: {}", end.get("cause")?.as_str()?, end.get("reason")?.as_str()?))
}
