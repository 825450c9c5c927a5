//! A network between two namespaces that can be made bad, or taken away (`tests/tools/netsim.c`).

use crate::{Tools, Trouble};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Names of the namespaces: of the two portals, and one for what netsim leaves alone.
const NAMES: [&str; 3] = ["portal-a", "portal-b", "portal-r"];
/// Their addresses, as netsim wants them.
const ADDRESSES: [&str; 3] = ["10.99.0.2", "10.99.0.3", "10.99.0.1"];

/// The network; gone when dropped.
pub struct Network {
    switch: Child,
    commands: Option<ChildStdin>,
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
        let mut ready = String::new();
        if let Some(output) = switch.stdout.take() {
            let mut output = BufReader::new(output);
            output.read_line(&mut ready)?;
            // It answers each command; nobody listens, but it must not block.
            std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        }
        let commands = switch.stdin.take();
        let network = Self { switch, commands };
        if ready.trim() != "ready" {
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
        if let Some(commands) = &mut self.commands {
            writeln!(commands, "{command}")?;
            commands.flush()?;
        }
        Ok(())
    }
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
