//! A network between two namespaces that can be made bad, or taken away (`tests/tools/netsim.c`).

use crate::{Tools, Trouble};
use serde::Deserialize;
use std::io::{BufRead, BufReader, Lines, Write};
use std::os::fd::AsRawFd;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

/// Names of the namespaces: of the two portals, and one for what netsim leaves alone.
const NAMES: [&str; 3] = ["portal-a", "portal-b", "portal-r"];
/// Their addresses, as netsim wants them.
const ADDRESSES: [&str; 3] = ["10.99.0.2", "10.99.0.3", "10.99.0.1"];

/// The portals' addresses.
pub const HOSTS: [&str; 2] = [ADDRESSES[0], ADDRESSES[1]];

/// The network; gone when dropped.
pub struct Network {
    switch: Child,
    commands: Option<ChildStdin>,
    answers: Lines<BufReader<ChildStdout>>,
}

/// What has happened so far in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Direction {
    /// Packets that came.
    pub pkts: u64,
    /// Of these: lost on purpose.
    pub lost: u64,
    /// Of these: found the queue full.
    pub qdrop: u64,
    /// Bytes of UDP (with IP headers) that left the bottleneck.
    pub out_udp: u64,
    /// Bytes of TCP that left the bottleneck.
    pub out_tcp: u64,
    /// How long a packet that comes now would wait, in ms.
    pub queue_ms: f64,
    /// The longest wait since the last question, in ms.
    pub peak_ms: f64,
}

/// What has happened so far in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
pub struct Traffic {
    /// From A to B.
    pub ab: Direction,
    /// From B to A.
    pub ba: Direction,
}

impl Network {
    /// Makes the namespaces and the switch between them.
    pub fn start(tools: &Tools) -> Result<Self, Trouble> {
        // SAFETY: geteuid takes and changes nothing.
        if unsafe { libc::geteuid() } != 0 {
            return Err(Trouble::Skipped("network namespaces need root".into()));
        }
        if !std::path::Path::new("/dev/net/tun").exists() {
            return Err(Trouble::Skipped("this kernel has no /dev/net/tun".into()));
        }
        for name in NAMES {
            // Left by a run that was killed.
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
            ip(&["netns", "add", name])?;
        }
        let mut switch = Command::new(tools.tools.join("netsim"))
            .args(NAMES)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = switch.stdin.take();
        let output = switch.stdout.take().ok_or_else(|| Trouble::Failed("netsim has no output".into()))?;
        let mut network = Self { switch, commands, answers: BufReader::new(output).lines() };
        if network.answer()? != "ready" {
            return Err(Trouble::Skipped("netsim cannot make its interfaces here".into()));
        }
        for (name, address) in NAMES.iter().zip(ADDRESSES) {
            ip(&["-n", name, "addr", "add", &format!("{address}/24"), "dev", "pb0"])?;
            ip(&["-n", name, "link", "set", "pb0", "up"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        Ok(network)
    }

    /// The portals' namespaces and addresses.
    pub fn namespaces() -> [(String, String); 2] {
        [0, 1].map(|n| (NAMES[n].to_string(), ADDRESSES[n].to_string()))
    }

    /// Changes what happens between the portals: `both loss=100`, for instance.
    pub fn set(&mut self, command: &str) -> Result<(), Trouble> {
        self.ask(command).map(drop)
    }

    /// What has happened so far.
    pub fn traffic(&mut self) -> Result<Traffic, Trouble> {
        Ok(serde_json::from_str(&self.ask("stat")?)?)
    }

    fn ask(&mut self, command: &str) -> Result<String, Trouble> {
        if let Some(commands) = &mut self.commands {
            writeln!(commands, "{command}")?;
            commands.flush()?;
        }
        self.answer()
    }

    fn answer(&mut self) -> Result<String, Trouble> {
        Ok(self.answers.next().ok_or_else(|| Trouble::Failed("netsim has ended".into()))??)
    }
}

/// Runs `work` on a thread whose sockets, and its children's, are in the namespace of A (0) or B (1).
pub fn inside<T: Send + 'static>(n: usize, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<Option<T>> {
    let path = format!("/run/netns/{}", NAMES[n]);
    std::thread::spawn(move || {
        let namespace = std::fs::File::open(path).ok()?;
        // SAFETY: the descriptor is open, and only this thread changes its namespace.
        (unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } == 0).then(work)
    })
}

impl Drop for Network {
    fn drop(&mut self) {
        // The end of its standard input is the switch's end.
        self.commands = None;
        let _ = self.switch.wait();
        for name in NAMES {
            let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
        }
    }
}

fn ip(words: &[&str]) -> Result<(), Trouble> {
    let output = Command::new("ip").args(words).output().map_err(|error| Trouble::Skipped(format!("ip: {error}")))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(Trouble::Skipped(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
    }
}
