//! What an installation consists of, as data: files, and the commands that make the rest of them.
//!
//! Users, groups and folders are declared (sysusers.d(5), tmpfiles.d(5)), not made: the same text does it on this machine, in the
//! folder of an image, and at an image's first boot. Each command may be repeated without harm.

use super::machine::Machine;
use super::unit::{self, Facts};
use super::{Error, KIOSK_USER, Missing, NAME};
use std::path::{Path, PathBuf};

/// How the portal gets its display.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// The machine shows nothing else: the compositor cage has the screen.
    Kiosk,
    /// In the desktop session of a user who is logged in, mostly automatically.
    Desktop,
}

/// What the integrator wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// How it gets its display.
    pub mode: Mode,
    /// Whose the portal is. Default: a user of its own for a kiosk; a desktop has no default.
    pub user: Option<String>,
    /// The program to start.
    pub program: PathBuf,
}

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where, as the machine calls the place.
    pub path: PathBuf,
    /// What.
    pub contents: String,
    /// Permissions.
    pub mode: u32,
    /// Where the Debian package brings it. If the same is there, it is not written a second time.
    pub packaged: PathBuf,
    /// The integrator's, once it exists: never written over, and taken away only when asked to.
    pub is_configuration: bool,
}

/// A command to run after the files are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What for, for people.
    pub why: &'static str,
    /// Needs a running systemd; left out for images.
    pub needs_boot: bool,
    /// A failure is told and does not end the installation.
    pub may_fail: bool,
}

/// All of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// How the portal gets its display.
    pub mode: Mode,
    /// Whose the portal is.
    pub user: String,
    /// Whether that user is yet to be made.
    pub makes_user: bool,
    /// Groups that the user joins now.
    pub joins: Vec<&'static str>,
    /// What is written.
    pub files: Vec<File>,
    /// What is run then.
    pub steps: Vec<Step>,
    /// What is run instead where all of it was there already, so that nothing that runs is disturbed.
    pub steps_if_same: Vec<Step>,
    /// The program that is started.
    pub program: PathBuf,
    /// Without what this is not carried out.
    pub missing: Vec<Missing>,
    /// What the integrator should know.
    pub notes: Vec<String>,
}

/// Folders that a service may not see, or that are emptied: a program there could not be started.
const UNSEEN: [&str; 5] = ["/home", "/root", "/tmp", "/var/tmp", "/run/user"];

impl Plan {
    /// Plans the installation that `choice` asks for on `machine`.
    ///
    /// # Errors
    /// What is missing, or cannot be, with its remedy.
    pub fn new(machine: &Machine, choice: &Choice) -> Result<Self, Error> {
        let program = &choice.program;
        if !program.is_absolute() || !plain(&program.to_string_lossy()) {
            return Err(Error::ProgramName(program.clone()));
        }
        if UNSEEN.iter().any(|folder| program.starts_with(folder)) {
            return Err(Error::ProgramPlace(program.clone()));
        }
        let user = match (&choice.user, choice.mode) {
            (Some(user), _) => user.as_str(),
            (None, Mode::Kiosk) => KIOSK_USER,
            (None, Mode::Desktop) => return Err(Error::NoUser),
        };
        if !valid_user(user) {
            return Err(Error::UserName(user.into()));
        }
        if user == "root" {
            return Err(Error::Root);
        }
        let account = machine.user(user);
        let facts = Facts { user, program };
        let group = account.map_or(user, |account| &account.group);
        let (mut files, groups): (_, &[&str]) = match choice.mode {
            Mode::Kiosk => {
                // Where it will be when it is installed.
                let cage = machine.cage.as_deref().unwrap_or(Path::new("/usr/bin/cage"));
                let files = vec![
                    file("/etc/systemd/system", &format!("{NAME}.service"), unit::kiosk(&facts, cage)),
                    file("/etc/sysusers.d", &format!("{NAME}.conf"), unit::kiosk_user(user)),
                ];
                (files, &unit::KIOSK_GROUPS)
            }
            Mode::Desktop if account.is_none() && !machine.is_bare => return Err(Error::UnknownUser(user.into())),
            Mode::Desktop => {
                let files = vec![
                    file("/etc/systemd/user", &format!("{NAME}.service"), unit::desktop(&facts)),
                    file("/etc/sysusers.d", &format!("{NAME}.conf"), unit::desktop_user(user)),
                    file("/etc/xdg/autostart", &format!("{NAME}.desktop"), unit::autostart()),
                ];
                (files, &unit::DESKTOP_GROUPS)
            }
        };
        files.push(file("/etc/tmpfiles.d", &format!("{NAME}.conf"), unit::configuration(group)));
        files.push(File {
            is_configuration: true,
            mode: 0o640,
            ..file("/etc/screen-portal", "portal.toml", super::DEFAULT_CONFIGURATION.into())
        });
        let is_member = |group: &&&str| machine.members.contains(&(group.to_string(), user.to_owned()));
        Ok(Self {
            mode: choice.mode,
            user: user.into(),
            // In a desktop it is somebody who is there, known or not.
            makes_user: account.is_none() && choice.mode == Mode::Kiosk,
            joins: groups.iter().filter(|group| !is_member(group)).copied().collect(),
            files,
            steps: steps(machine, choice.mode),
            steps_if_same: steps_if_same(choice.mode),
            program: program.clone(),
            missing: missing(machine, choice.mode),
            notes: notes(machine, choice.mode),
        })
    }
}

fn file(folder: &str, name: &str, contents: String) -> File {
    let path = Path::new(folder).join(name);
    // What a package brings is below /usr/lib, but for the configuration.
    let packaged = match folder.strip_prefix("/etc/") {
        Some("systemd/system") => Path::new("/usr/lib/systemd/system").join(name),
        Some("sysusers.d") => Path::new("/usr/lib/sysusers.d").join(name),
        Some("tmpfiles.d") => Path::new("/usr/lib/tmpfiles.d").join(name),
        _ => path.clone(),
    };
    File { path, contents, mode: 0o644, packaged, is_configuration: false }
}

fn step(argv: &[&str], why: &'static str) -> Step {
    Step { argv: argv.iter().map(|word| word.to_string()).collect(), why, needs_boot: false, may_fail: false }
}

fn steps(machine: &Machine, mode: Mode) -> Vec<Step> {
    // systemd's own way to work on an image instead of on the machine that it runs on.
    let root = format!("--root={}", machine.root.display());
    let on = |program: &str, words: &[&str], why| {
        let mut step = step(&[&[program], words].concat(), why);
        if !machine.is_this() {
            step.argv.insert(1, root.clone());
        }
        step
    };
    let conf = format!("{NAME}.conf");
    let unit = format!("{NAME}.service");
    let enable = || on("systemctl", &["enable", &unit], "start at boot");
    if machine.is_bare {
        // Users that were made here would take the place of all that the machine has; its first boot makes them there.
        return if mode == Mode::Kiosk { vec![enable()] } else { Vec::new() };
    }
    let mut steps = vec![
        on("systemd-sysusers", &[&conf], "user and groups"),
        // For an image that is not complete yet, its first boot does it.
        Step {
            may_fail: !machine.is_this(),
            ..on("systemd-tmpfiles", &["--create", &conf], "who may read the configuration")
        },
    ];
    match mode {
        Mode::Kiosk => {
            steps.push(enable());
            steps.push(Step { needs_boot: true, ..step(&["systemctl", "daemon-reload"], "read the unit") });
            // Does not wait: it may be that this very console makes room for the portal.
            let start = step(&["systemctl", "--no-block", "restart", &unit], "start now");
            steps.push(Step { needs_boot: true, ..start });
        }
        // The session starts it; a manager that runs already reads the unit with its next session.
        Mode::Desktop => {}
    }
    steps
}

/// systemd does nothing for a unit that is active.
fn steps_if_same(mode: Mode) -> Vec<Step> {
    let unit = format!("{NAME}.service");
    let start = step(&["systemctl", "--no-block", "start", &unit], "start, where it does not run");
    match mode {
        Mode::Kiosk => vec![Step { needs_boot: true, ..start }],
        Mode::Desktop => Vec::new(),
    }
}

fn missing(machine: &Machine, mode: Mode) -> Vec<Missing> {
    let needed = [(Missing::Cage, machine.cage.is_some()), (Missing::Seatd, machine.has_seatd)];
    // Of a machine that is not known nothing is known to be missing; a note says what it needs.
    let lacking = needed.into_iter().filter(|(_, there)| mode == Mode::Kiosk && !there && !machine.is_bare);
    lacking.map(|(program, _)| program).collect()
}

fn notes(machine: &Machine, mode: Mode) -> Vec<String> {
    let mut notes = Vec::new();
    if machine.is_bare {
        let needs = if mode == Mode::Kiosk { ": it needs cage, seatd and xwayland" } else { ", nor of its desktop" };
        notes.push(format!(
            "there is no system in this folder, so nothing is known of the machine that it will be laid over{needs}; users and groups are \
             made when it boots (systemd-sysusers)"
        ));
        return notes;
    }
    match (mode, &machine.display_manager) {
        (Mode::Kiosk, Some(manager)) => notes.push(format!(
            "{manager} starts a desktop at boot, and only one can have the screen: `systemctl disable --now {manager}`, \
             or install with --desktop"
        )),
        (Mode::Desktop, None) => {
            notes.push("no desktop starts at boot here: install one, or install the portal without --desktop".into());
        }
        _ => {}
    }
    if mode == Mode::Kiosk && !machine.has_xwayland {
        notes
            .push("Xwayland is missing, without which some versions of cage do not start: apt install xwayland".into());
    }
    notes
}

/// What useradd(8) takes on Debian: also what no unit, sysusers or tmpfiles line could read as something else.
fn valid_user(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= 32
        && bytes.next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_')
}

/// A path that needs no quoting in a unit.
fn plain(path: &str) -> bool {
    path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-+".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::machine::Account;

    fn kiosk() -> Choice {
        Choice { mode: Mode::Kiosk, user: None, program: "/usr/bin/screen-portal".into() }
    }

    fn machine() -> Machine {
        let pi = Account { name: "pi".into(), group: "people".into() };
        Machine {
            root: "/".into(),
            cage: Some("/usr/bin/cage".into()),
            has_seatd: true,
            has_xwayland: true,
            users: vec![pi],
            members: [("video".to_owned(), "pi".to_owned())].into(),
            ..Machine::default()
        }
    }

    fn words(steps: &[Step]) -> Vec<String> {
        steps.iter().map(|step| step.argv.join(" ")).collect()
    }

    #[test]
    fn a_user_who_is_there_joins_what_it_is_not_in() {
        let machine = machine();
        let of = |user: &str| Plan::new(&machine, &Choice { user: Some(user.into()), ..kiosk() }).unwrap();
        assert!(of("kim").makes_user && of("kim").joins == unit::KIOSK_GROUPS);
        assert!(!of("pi").makes_user && of("pi").joins == ["render", "audio", "input"]);
        let readable = of("pi").files.into_iter().find(|file| file.path.starts_with("/etc/tmpfiles.d")).unwrap();
        assert_eq!(readable.contents, "z /etc/screen-portal/portal.toml 0640 root people -\n");
    }

    #[test]
    fn an_image_is_prepared_and_not_started() {
        let here = Plan::new(&machine(), &kiosk()).unwrap();
        assert!(words(&here.steps).contains(&"systemctl --no-block restart screen-portal.service".into()));
        let image = Machine { root: "/mnt/image".into(), ..machine() };
        let there = Plan::new(&image, &kiosk()).unwrap();
        let at_once: Vec<_> = there.steps.into_iter().filter(|step| !step.needs_boot).collect();
        assert_eq!(
            words(&at_once),
            [
                "systemd-sysusers --root=/mnt/image screen-portal.conf",
                "systemd-tmpfiles --root=/mnt/image --create screen-portal.conf",
                "systemctl --root=/mnt/image enable screen-portal.service",
            ]
        );
    }

    #[test]
    fn what_will_be_in_the_way_is_said() {
        let desktop = Choice { mode: Mode::Desktop, user: Some("pi".into()), ..kiosk() };
        let managed = Machine { display_manager: Some("lightdm.service".into()), ..machine() };
        let bare = Machine { has_xwayland: false, ..machine() };
        for (machine, choice, words) in [
            (&machine(), &kiosk(), None),
            (&managed, &kiosk(), Some("disable --now lightdm.service")),
            (&bare, &kiosk(), Some("apt install xwayland")),
            (&managed, &desktop, None),
            (&bare, &desktop, Some("no desktop starts")),
        ] {
            let notes = Plan::new(machine, choice).unwrap().notes;
            assert_eq!(notes.len(), usize::from(words.is_some()), "{notes:?}");
            assert!(words.is_none_or(|words| notes[0].contains(words)), "{notes:?}");
        }
    }

    #[test]
    fn what_a_kiosk_lacks_is_listed_and_the_rest_is_planned() {
        use Missing::{Cage, Seatd};
        let without =
            |cage: bool, has_seatd| Machine { cage: cage.then(|| "/opt/cage".into()), has_seatd, ..machine() };
        for (machine, expected) in [
            (without(true, true), [].as_slice()),
            (without(false, true), &[Cage]),
            (without(true, false), &[Seatd]),
            (without(false, false), &[Cage, Seatd]),
        ] {
            let plan = Plan::new(&machine, &kiosk()).unwrap();
            let cage = if machine.cage.is_some() { "\nExecStart=/opt/cage" } else { "\nExecStart=/usr/bin/cage" };
            assert_eq!(plan.missing, expected);
            assert!(plan.files[0].contents.contains(cage) && !plan.steps.is_empty());
            let desktop = Choice { mode: Mode::Desktop, user: Some("pi".into()), ..kiosk() };
            assert!(Plan::new(&machine, &desktop).unwrap().missing.is_empty(), "a desktop needs neither");
        }
    }

    #[test]
    fn names_that_mean_something_else_in_a_unit_are_refused() {
        for name in ["", "Kim", "kim!", "-kim", "kim pi", "kim\nu root 0", &"k".repeat(33), "%i", "1kim"] {
            let choice = Choice { user: Some(name.into()), ..kiosk() };
            assert!(matches!(Plan::new(&machine(), &choice), Err(Error::UserName(_))), "{name:?}");
        }
        for program in ["screen-portal", "/usr/bin/a b", "/usr/bin/%i", "/usr/bin/x\nUser=root"] {
            let choice = Choice { program: program.into(), ..kiosk() };
            assert!(matches!(Plan::new(&machine(), &choice), Err(Error::ProgramName(_))), "{program:?}");
        }
    }
}
