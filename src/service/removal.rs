//! What taking an installation away consists of, as data: the reverse of [`super::plan`], made of what was recorded.

use super::NAME;
use super::machine::Machine;
use super::plan::{Mode, Step};
use super::record::Record;
use std::path::PathBuf;

/// All of a removal, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Run first: nothing may be running whose files go.
    pub before: Vec<Step>,
    /// Removed.
    pub files: Vec<PathBuf>,
    /// Removed with all that is in them.
    pub data: Vec<PathBuf>,
    /// Kept for the integrator.
    pub kept: Vec<PathBuf>,
    /// Whether that is given to root, with all that is in it: it must not fall to whoever gets the number of a user who goes.
    pub orphaned: bool,
    /// Removed where they are empty then, the inner ones first.
    pub folders: Vec<PathBuf>,
    /// Run last.
    pub after: Vec<Step>,
}

impl Removal {
    /// Plans the removal of what `record` lists. `purge`: configuration and identity too.
    pub fn new(machine: &Machine, record: &Record, purge: bool) -> Self {
        if !record.is_installed() {
            return Self::of_what_was_kept(record, purge);
        }
        let unit = format!("{NAME}.service");
        let user = record.user.as_str();
        let root = machine.root.display().to_string();
        let on_root = format!("--root={root}");
        let mut before = Vec::new();
        match record.mode {
            Mode::Kiosk => {
                before.push(booted(step(&["systemctl", "stop", &unit], "stop")));
                let words = if machine.is_this() { vec!["systemctl"] } else { vec!["systemctl", &on_root] };
                before.push(step(&[&words[..], &["disable", &unit]].concat(), "do not start at boot"));
            }
            Mode::Desktop => {
                let manager = format!("--machine={user}@.host");
                before.push(booted(step(&["systemctl", "--user", &manager, "stop", &unit], "stop")));
            }
        }
        let mut after = Vec::new();
        for group in &record.joined {
            let words = if machine.is_this() { vec!["gpasswd"] } else { vec!["gpasswd", "--root", &root] };
            after.push(step(&[&words[..], &["--delete", user, group]].concat(), "leave the group"));
        }
        if record.made_user {
            // Mostly the group goes with its user: login.defs(5), USERGROUPS_ENAB.
            for (program, why) in [("userdel", "remove the user"), ("groupdel", "remove its group")] {
                let words = if machine.is_this() { vec![program] } else { vec![program, "--prefix", &root] };
                after.push(step(&[&words[..], &[user]].concat(), why));
            }
        }
        after.push(booted(step(&["systemctl", "daemon-reload"], "forget the unit")));
        if record.mode == Mode::Kiosk {
            after.push(booted(step(&["systemctl", "reset-failed", &unit], "forget how it ended")));
            after.push(booted(step(&["systemctl", "--no-block", "start", "getty@tty1.service"], "a login again")));
        }
        let rest = Self::of_what_was_kept(record, purge);
        let files = record.files.iter().cloned().chain(rest.files).collect();
        Self { before, files, after, orphaned: record.made_user, ..rest }
    }

    /// The integrator's: configuration, identity, logs.
    fn of_what_was_kept(record: &Record, purge: bool) -> Self {
        let configuration = record.configuration.iter().cloned();
        let data = record.data().into_iter();
        let (files, data, kept) = match purge {
            true => (configuration.collect(), data.collect(), Vec::new()),
            false => (Vec::new(), Vec::new(), configuration.chain(data).collect()),
        };
        // A folder sorts before what is in it.
        let folders = record.folders.iter().rev().cloned().collect();
        Self { before: Vec::new(), files, data, kept, orphaned: false, folders, after: Vec::new() }
    }
}

/// None of them keeps from the next: what is gone already cannot be stopped, and what cannot be done is said.
fn step(argv: &[&str], why: &'static str) -> Step {
    Step { argv: argv.iter().map(|word| word.to_string()).collect(), why, needs_boot: false, may_fail: true }
}

fn booted(step: Step) -> Step {
    Step { needs_boot: true, ..step }
}
