//! The program itself, running with a camera.

use screen_portal::ops::{CameraState, Snapshot, View};
use screen_portal::pairing::Identity;
use serde::Deserialize;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What `/status` says, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub struct Status {
    pub view: View,
    pub figures: Snapshot,
}

impl Status {
    /// Why there are no pictures, if there are none.
    pub fn camera_missing(&self) -> Option<&str> {
        match &self.view.camera {
            CameraState::Missing { reason } => Some(reason),
            _ => None,
        }
    }
}

/// `screen-portal run --headless`.
pub struct Portal {
    process: Child,
    status: String,
}

impl Portal {
    /// Starts it with the identity in `folder`, dialling `far_end` at the address `dial`.
    pub fn start(folder: &Path, dial: &str, far_end: &Identity, options: &[&str]) -> Self {
        // A port that was free a moment ago; nobody else opens any in the machine.
        let status = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
        command.env_clear().env("HOME", folder).current_dir(folder).args(["run", "--headless", "--data", "."]);
        command.args(["--site", "Camera", "--listen", "", "--dial", dial, "--status", &status]);
        command.args(["--far-end", &far_end.fingerprint().to_string(), "--set", "link.loopback=true"]);
        let process = command.args(options).stdin(Stdio::null()).spawn().unwrap();
        Self { process, status: format!("http://{status}/status") }
    }

    /// What it says of itself.
    pub fn status(&self) -> Status {
        ureq::get(&self.status).call().unwrap().body_mut().read_json().unwrap()
    }

    /// Waits until its status is right.
    pub fn until(&self, what: &str, right: impl Fn(&Status) -> bool) -> Status {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let status = self.status();
            if right(&status) {
                return status;
            }
            assert!(Instant::now() < end, "not {what}: {:?}", status.view);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it as a service manager does, and waits for a good end.
    pub fn end(mut self) {
        // SAFETY: sends a signal to a child that is not waited for yet, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.process.id() as libc::pid_t, libc::SIGTERM) }, 0);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if let Some(code) = self.process.try_wait().unwrap() {
                assert!(code.success(), "{code}");
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
