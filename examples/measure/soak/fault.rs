//! What happens to the portals of the soak: one fault after the other, each with its own end.

use super::Soak;
use crate::Trouble;
use std::time::{Duration, Instant};

/// Something that happens on a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The switch between them loses its power for a moment.
    NoNetwork(u64),
    /// Bad radio for half a minute.
    Loss,
    /// Somebody else uses the line for half a minute.
    Narrow,
    /// The program is killed, and started again.
    Killed(usize),
    /// The program is ended in order, and started again.
    Ended(usize),
    /// Program and all its threads stand still.
    Stopped(usize),
    /// The X server dies and is started again after two seconds.
    NoScreen(usize),
    /// The X server stands still.
    FrozenScreen(usize),
}

impl Fault {
    /// In the order in which they happen.
    pub const ALL: [Self; 12] = [
        Self::NoNetwork(5),
        Self::Killed(0),
        Self::Loss,
        Self::NoScreen(1),
        Self::Stopped(0),
        Self::Narrow,
        Self::Ended(1),
        Self::FrozenScreen(0),
        Self::NoNetwork(60),
        Self::NoScreen(0),
        Self::Killed(1),
        Self::Stopped(1),
    ];

    /// In words.
    pub fn about(&self) -> String {
        let name = |n: &usize| ["A", "B"][*n];
        match self {
            Self::NoNetwork(seconds) => format!("no network for {seconds} s"),
            Self::Loss => "10 % loss for 30 s".into(),
            Self::Narrow => "1 Mb/s for 30 s".into(),
            Self::Killed(n) => format!("{} killed, started again after 1 s", name(n)),
            Self::Ended(n) => format!("{} ended by SIGTERM, started again after 1 s", name(n)),
            Self::Stopped(n) => format!("{} stopped for 20 s", name(n)),
            Self::NoScreen(n) => format!("{}'s X server dies, another after 2 s", name(n)),
            Self::FrozenScreen(n) => format!("{}'s X server stopped for 10 s", name(n)),
        }
    }

    /// Lets it happen, until it is over.
    pub fn happen(&self, soak: &mut Soak) -> Result<(), Trouble> {
        let wait = |soak: &mut Soak, seconds| {
            let until = Instant::now() + Duration::from_secs(seconds);
            while Instant::now() < until {
                soak.tick()?;
            }
            Ok::<(), Trouble>(())
        };
        match *self {
            Self::NoNetwork(seconds) => {
                soak.network.set("both loss=100")?;
                wait(soak, seconds)?;
                soak.network.set("both loss=0")?;
            }
            Self::Loss => {
                soak.network.set("both loss=10 delay=25")?;
                wait(soak, 30)?;
                soak.network.set("both loss=0 delay=0")?;
            }
            Self::Narrow => {
                soak.network.set("both rate=1 queue=250")?;
                wait(soak, 30)?;
                soak.network.set("both rate=0")?;
            }
            // Started again by whoever looks after what has ended.
            Self::Killed(n) => soak.rig.kill(n),
            Self::Ended(n) => {
                if let Some(mut portal) = soak.rig.portals[n].take() {
                    portal.child.stop();
                }
            }
            Self::Stopped(n) => {
                let pid = soak.rig.portals[n].as_ref().map(|portal| portal.child.id());
                signal(pid, libc::SIGSTOP);
                wait(soak, 20)?;
                signal(pid, libc::SIGCONT);
            }
            Self::NoScreen(n) => {
                soak.kill_screen(n);
                wait(soak, 2)?;
                soak.start_screen(n)?;
            }
            Self::FrozenScreen(n) => {
                let pid = soak.screens[n].as_ref().map(|screen| screen.id());
                signal(pid, libc::SIGSTOP);
                wait(soak, 10)?;
                signal(pid, libc::SIGCONT);
            }
        }
        Ok(())
    }
}

fn signal(pid: Option<u32>, signal: libc::c_int) {
    if let Some(pid) = pid {
        // SAFETY: kill takes two integers; the process is a child of ours that was not waited for.
        unsafe { libc::kill(pid as libc::pid_t, signal) };
    }
}
