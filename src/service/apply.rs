//! Makes what is planned, and takes it away: the only part that changes the machine.

use super::Error;
use super::machine::Machine;
use super::plan::{File, Mode, Plan, Step};
use super::record::{Program, Record, State};
use super::removal::Removal;
use crate::files;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether something is made, or only said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Made and said.
    Really,
    /// Only said, with the text of each file.
    DryRun,
}

/// Makes all of `plan`. Each line of what is done goes to `say`. Where all of it was there already, nothing is touched, and what runs is not
/// started again.
///
/// # Errors
/// What is missing, or the first thing that cannot be made. What was made until then is recorded: to install again goes on, to uninstall undoes
/// it. A dry run says what is missing and goes on.
pub fn install(machine: &Machine, plan: &Plan, doing: Doing, say: &mut dyn FnMut(String)) -> Result<(), Error> {
    if machine.is_this() && !machine.is_root && doing == Doing::Really {
        return Err(Error::NotRoot("install"));
    }
    if !plan.missing.is_empty() && doing == Doing::Really {
        return Err(Error::Missing(plan.missing.clone()));
    }
    let new = Record::new(plan.mode, &plan.user);
    // What goes before anything is made; in a dry run it is still there.
    let mut gone = BTreeSet::new();
    let mut record = match Record::load(&machine.root)? {
        Some(other) if other.is_installed() && (other.mode != plan.mode || other.user != plan.user) => {
            if plan.mode == Mode::Desktop && other.made_user && other.user == plan.user {
                return Err(Error::KiosksUser(other.user));
            }
            say(format!("what was installed for {} goes first", other.user));
            take_away(machine, &other, false, doing, say)?;
            gone.clone_from(&other.files);
            new.after(&other)
        }
        Some(same) if same.is_installed() => same,
        Some(left) => new.after(&left),
        None => new,
    };
    record.made_user |= plan.makes_user;
    if !record.made_user {
        record.joined.extend(plan.joins.iter().map(|group| group.to_string()));
    }
    let verdicts: Vec<_> = plan.files.iter().map(|file| (file, Verdict::of(machine, file, &record, &gone))).collect();
    let program = Program::look(machine, &plan.program);
    let is_same = record.state == State::Done
        && record.program == program
        && (plan.mode == Mode::Desktop || machine.is_enabled)
        // Users are made elsewhere where there is no system yet.
        && (machine.is_bare || !plan.makes_user && plan.joins.is_empty())
        && verdicts.iter().all(|(_, verdict)| *verdict != Verdict::Write);
    for (file, verdict) in &verdicts {
        if *verdict == Verdict::Write {
            let recorded = if file.is_configuration { &mut record.configuration } else { &mut record.files };
            recorded.insert(file.path.clone());
            record.folders.extend(missing_folders(machine, &file.path));
        }
    }
    let keep = |record: &Record| write(&Record::place(&machine.root), &record.text(), 0o644);
    let keeps = doing == Doing::Really && !is_same;
    if keeps {
        // First the record: what is interrupted now can still be taken away.
        record.state = State::Begun;
        keep(&record)?;
    }
    for (file, verdict) in verdicts {
        let path = machine.at(&file.path);
        let shown = path.display();
        match (verdict, doing) {
            (Verdict::Same, _) => say(format!("is there {shown}")),
            (Verdict::Packaged, _) => say(format!("is there {}", machine.at(&file.packaged).display())),
            (Verdict::Kept, _) => say(format!("kept     {shown}: it was there before")),
            (Verdict::Write, Doing::Really) => {
                write(&path, &file.contents, file.mode)?;
                say(format!("written  {shown}"));
            }
            (Verdict::Write, Doing::DryRun) => {
                say(format!("write    {shown} ({:04o})", file.mode));
                if !file.is_configuration {
                    file.contents.lines().for_each(|line| say(format!("    {line}")));
                }
            }
        }
    }
    for step in if is_same { &plan.steps_if_same } else { &plan.steps } {
        run(machine, step, doing, say)?;
    }
    if keeps {
        (record.state, record.program) = (State::Done, program);
        keep(&record)?;
    }
    if is_same {
        say("nothing to do: all of it is as it should be, and what runs was left alone".into());
    }
    for missing in &plan.missing {
        say(format!("missing  {missing}"));
    }
    plan.notes.iter().for_each(|note| say(format!("note     {note}")));
    Ok(())
}

/// Takes away what is recorded. `purge`: configuration, identity and logs too, also those that were kept before.
///
/// # Errors
/// A file that cannot be removed. The record stays then: to uninstall again goes on.
pub fn uninstall(machine: &Machine, purge: bool, doing: Doing, say: &mut dyn FnMut(String)) -> Result<(), Error> {
    if machine.is_this() && !machine.is_root && doing == Doing::Really {
        return Err(Error::NotRoot("uninstall"));
    }
    match Record::load(&machine.root)? {
        None => say("nothing is installed: there is nothing to take away".into()),
        Some(record) => {
            if !record.is_installed() {
                say("nothing is installed; this is left of what was:".into());
            }
            take_away(machine, &record, purge, doing, say)?;
        }
    }
    Ok(())
}

fn take_away(
    machine: &Machine,
    record: &Record,
    purge: bool,
    doing: Doing,
    say: &mut dyn FnMut(String),
) -> Result<(), Error> {
    let removal = Removal::new(machine, record, purge);
    for step in &removal.before {
        run(machine, step, doing, say)?;
    }
    let word = if doing == Doing::DryRun { "remove " } else { "removed" };
    for path in removal.files.iter().map(|path| machine.at(path)) {
        if doing == Doing::DryRun || remove(&path, |path| fs::remove_file(path))? {
            say(format!("{word}  {}", path.display()));
        }
    }
    for path in removal.data.iter().map(|path| machine.at(path)) {
        if doing == Doing::DryRun || remove(&path, |path| fs::remove_dir_all(path))? {
            say(format!("{word}  {} and what was in it", path.display()));
        }
    }
    if doing == Doing::Really {
        for path in &removal.folders {
            // It is not empty: then it is somebody else's too.
            let _ = fs::remove_dir(machine.at(path));
        }
    }
    for step in &removal.after {
        run(machine, step, doing, say)?;
    }
    // Now that nothing of that user runs any more.
    for path in removal.kept.iter().map(|path| machine.at(path)).filter(|path| path.exists()) {
        if removal.orphaned && doing == Doing::Really && machine.is_root {
            give_to_root(&path).map_err(|source| Error::File { path: path.clone(), source })?;
        }
        say(format!("kept     {} (--purge removes it)", path.display()));
    }
    if doing == Doing::Really {
        let place = Record::place(&machine.root);
        // For whoever wants the rest away later.
        match record.taken_away(machine).filter(|_| !purge) {
            Some(left) => write(&place, &left.text(), 0o644)?,
            None => drop(remove(&place, |path| fs::remove_file(path))?),
        }
    }
    Ok(())
}

/// What becomes of a planned file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Write,
    /// It is as planned.
    Same,
    /// The package brings the same.
    Packaged,
    /// Somebody else's, or the configuration.
    Kept,
}

impl Verdict {
    fn of(machine: &Machine, file: &File, record: &Record, gone: &BTreeSet<PathBuf>) -> Self {
        let same = |path: &Path| fs::read(machine.at(path)).is_ok_and(|there| there == file.contents.as_bytes());
        // Also what is no file and no folder, such as a link to nowhere.
        let there = !gone.contains(&file.path) && fs::symlink_metadata(machine.at(&file.path)).is_ok();
        match there {
            true if same(&file.path) => Self::Same,
            true if file.is_configuration || !record.files.contains(&file.path) => Self::Kept,
            true => Self::Write,
            false if same(&file.packaged) => Self::Packaged,
            false => Self::Write,
        }
    }
}

/// The folders above a file that are yet to be made.
fn missing_folders(machine: &Machine, path: &Path) -> Vec<PathBuf> {
    let above = path.ancestors().skip(1);
    above.filter(|folder| folder.parent().is_some() && !machine.at(folder).exists()).map(PathBuf::from).collect()
}

fn run(machine: &Machine, step: &Step, doing: Doing, say: &mut dyn FnMut(String)) -> Result<(), Error> {
    let command = step.argv.join(" ");
    let left_out = match step {
        step if step.needs_boot && !machine.is_booted => Some("systemd does not run here"),
        _ if doing == Doing::DryRun => {
            say(format!("run      {command}    # {}", step.why));
            return Ok(());
        }
        _ if !machine.is_root => Some("only root can"),
        _ => None,
    };
    if let Some(reason) = left_out {
        say(format!("left out {command} ({}): {reason}", step.why));
        return Ok(());
    }
    let mut words = step.argv.iter();
    let output = words.next().map(|program| Command::new(program).args(words).output());
    let problem = match output {
        None => None,
        Some(Ok(output)) if output.status.success() => None,
        Some(Ok(output)) => Some(match String::from_utf8_lossy(&output.stderr).trim() {
            "" => output.status.to_string(),
            said => said.replace('\n', "; "),
        }),
        Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
            Some(format!("there is no such program; it is systemd's or Debian's ({})", step.why))
        }
        Some(Err(error)) => Some(error.to_string()),
    };
    match problem {
        None => say(format!("done     {command}    # {}", step.why)),
        Some(problem) if step.may_fail => say(format!("skipped  {command} ({}): {problem}", step.why)),
        Some(problem) => return Err(Error::Step { command, problem }),
    }
    Ok(())
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), Error> {
    let written = || {
        fs::create_dir_all(path.parent().ok_or(ErrorKind::InvalidFilename)?)?;
        files::replace(path, text.as_bytes(), mode)?;
        // Whatever the umask of whoever installs is.
        fs::set_permissions(path, Permissions::from_mode(mode))
    };
    written().map_err(|source| Error::File { path: path.into(), source })
}

/// Whether there was something to remove.
fn remove(path: &Path, how: impl FnOnce(&Path) -> io::Result<()>) -> Result<bool, Error> {
    match how(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::File { path: path.into(), source }),
    }
}

/// A file, or a folder with all that is in it. Links are given, not followed.
fn give_to_root(path: &Path) -> io::Result<()> {
    lchown(path, Some(0), Some(0))?;
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_to_root(&entry?.path())?;
        }
    }
    Ok(())
}
