//! Portals as programs, with a configuration that can change while they run.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running portal without a window, with the test pattern for a camera unless the options name another one.
pub struct Portal {
    child: Child,
    status: String,
    folder: PathBuf,
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
    command.env_clear().env("HOME", folder).env("TMPDIR", folder).current_dir(folder).args(["--data", "data"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

pub fn fingerprint(folder: &Path) -> String {
    let output = program(folder).arg("identity").stdout(Stdio::piped()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The section `[guests]` for this room.
pub fn guests(hub: &str, room: &str) -> String {
    format!("[guests]\nenabled = true\nhub = \"{hub}\"\nroom = \"{room}\"\ncamera = \"door\"\n")
}

impl Portal {
    pub fn start(folder: &Path, configuration: &str, options: &[&str]) -> Self {
        Self::configure(folder, configuration);
        let status = format!("127.0.0.1:{}", free_port());
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let mut command = program(folder);
        command.stderr(log).args(["run", "--headless"]);
        if !options.contains(&"--source") {
            command.args(["--source", "pattern", "--size", "640x360"]);
        }
        command.args(["--site", "Harbour", "--status", &status, "--set", "link.loopback=true"]).args(options);
        let child = command.spawn().unwrap();
        Self { child, status: format!("http://{status}"), folder: folder.to_owned() }
    }

    /// Writes the configuration, of a portal that runs, too.
    pub fn configure(folder: &Path, configuration: &str) {
        let (file, new) = (folder.join("portal.toml"), folder.join("new"));
        std::fs::write(&new, format!("[discovery]\nenabled = false\n{configuration}")).unwrap();
        std::fs::rename(new, file).unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    pub fn get(&self, page: &str) -> Option<String> {
        let url = format!("{}{page}", self.status);
        std::thread::spawn(move || ureq::get(&url).call().ok()?.body_mut().read_to_string().ok()).join().unwrap()
    }

    pub fn status(&self) -> Value {
        self.get("/status").and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// Waits until what `/status` says is right.
    pub async fn until(&mut self, what: &str, right: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let ended = self.child.try_wait().unwrap();
            assert_eq!(ended, None, "it has ended:\n{}", self.log());
            let status = self.status();
            if right(&status) {
                return status;
            }
            assert!(Instant::now() < end, "not {what}: {status}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}
