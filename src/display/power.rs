//! Switching the monitor to standby and on again: by DPMS on X11, or by programs that the configuration names.
//!
//! A Wayland compositor lets no window do that (cage 0.2 has no protocol for it at all), and a television listens to CEC rather than
//! to the absence of a signal: there a program is named. DPMS is spoken byte by byte (X11's DPMS protocol, version 1.2): three requests
//! without replies, for which x11rb's own module would mean building the whole display in another form.

use super::Config;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A program that takes longer is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why the monitor was not switched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing here can do it.
    #[error(
        "the monitor cannot be switched to standby here: name programs in [display] standby_command and wake_command"
    )]
    NoWay,
    /// The X server refuses.
    #[error("the X server does not switch the monitor: {0}")]
    X11(String),
    /// The program fails.
    #[error("{program} does not switch the monitor: {problem}")]
    Program {
        /// Which.
        program: String,
        /// What happened.
        problem: String,
    },
}

/// Switches the monitor on or to standby. Blocks, for ten seconds at most.
pub fn switch(config: &Config, on: bool) -> Result<(), Error> {
    let command = if on { &config.wake_command } else { &config.standby_command };
    if let Some((program, arguments)) = command.split_first() {
        return run(program, arguments);
    }
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("WAYLAND_DISPLAY") || set("WAYLAND_SOCKET") || !set("DISPLAY") {
        return Err(Error::NoWay);
    }
    dpms(on)
}

fn run(program: &str, arguments: &[String]) -> Result<(), Error> {
    let failed = |problem: String| Error::Program { program: program.to_owned(), problem };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let begin = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(failed(status.to_string())),
            Ok(None) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                // It is ours and has not been waited for: its number cannot be another's.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("takes longer than {} s", PATIENCE.as_secs())));
            }
            Err(error) => return Err(failed(error.to_string())),
        }
    }
}

#[cfg(not(feature = "kiosk"))]
fn dpms(_on: bool) -> Result<(), Error> {
    Err(Error::NoWay)
}

/// On: power saving is switched off as a whole, so that no time-out of the server's blanks a portal that is open.
#[cfg(feature = "kiosk")]
fn dpms(on: bool) -> Result<(), Error> {
    use std::io::IoSlice;
    use x11rb::connection::RequestConnection;
    use x11rb::protocol::xproto::{Blanking, ConnectionExt, Exposures};
    const ENABLE: u8 = 4;
    const DISABLE: u8 = 5;
    const FORCE_LEVEL: u8 = 6;
    const LEVEL_ON: u16 = 0;
    const LEVEL_OFF: u16 = 3;

    let failed = |problem: String| Error::X11(problem);
    let (connection, _) = x11rb::connect(None).map_err(|error| failed(error.to_string()))?;
    if on {
        // The server's own screen saver, which blanks by a time-out of its own.
        let saver = connection.set_screen_saver(0, 0, Blanking::DEFAULT, Exposures::DEFAULT);
        saver.map_err(|error| failed(error.to_string()))?.check().map_err(|error| failed(error.to_string()))?;
    }
    let extension = connection.extension_information("DPMS").map_err(|error| failed(error.to_string()))?;
    let opcode = extension.ok_or(Error::NoWay)?.major_opcode;
    let request = |bytes: &[u8]| {
        let sent = connection.send_request_without_reply(&[IoSlice::new(bytes)], Vec::new());
        sent.map_err(|error| failed(error.to_string()))?.check().map_err(|error| failed(error.to_string()))
    };
    // The length of a request is counted in units of four bytes, in the machine's byte order, which x11rb speaks.
    let plain = |minor: u8| {
        let length = 1_u16.to_ne_bytes();
        request(&[opcode, minor, length[0], length[1]])
    };
    let force = |level: u16| {
        let (length, level) = (2_u16.to_ne_bytes(), level.to_ne_bytes());
        request(&[opcode, FORCE_LEVEL, length[0], length[1], level[0], level[1], 0, 0])
    };
    plain(ENABLE)?;
    if on {
        force(LEVEL_ON)?;
        plain(DISABLE)
    } else {
        force(LEVEL_OFF)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(command: &[&str]) -> Config {
        let standby_command = command.iter().map(|part| part.to_string()).collect();
        Config { standby_command, ..Config::default() }
    }

    #[test]
    fn programs_are_run_without_a_shell_and_their_failures_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a b; touch c");
        switch(&named(&["touch", file.to_str().unwrap()]), false).unwrap();
        assert!(file.exists());
        let error = switch(&named(&["false"]), false).unwrap_err().to_string();
        assert!(error.contains("false does not switch"), "{error}");
        let error = switch(&named(&["/nowhere/cec-ctl"]), false).unwrap_err().to_string();
        assert!(error.contains("/nowhere/cec-ctl"), "{error}");
    }
}
