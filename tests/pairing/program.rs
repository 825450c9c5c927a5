//! A portal as a program, without a window, that nobody has paired yet.

use screen_portal::ops::{LinkState, Slate, Snapshot, View};
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead, BufReader, Lines};
use std::net::TcpListener;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Held by each test that starts portals: what they measure, they would disturb in each other.
pub static ALONE: Mutex<()> = Mutex::new(());

#[derive(Debug, Deserialize)]
pub struct Status {
    pub view: View,
    pub figures: Snapshot,
}

/// Where one portal is, running or not.
pub struct Place {
    folder: tempfile::TempDir,
    site: &'static str,
    pub listen: String,
    status: String,
    /// The network namespace that it is in.
    namespace: Option<&'static str>,
    /// `KEY=VALUE`, besides.
    setting: Option<String>,
}

/// A portal that runs until this is dropped.
pub struct Program {
    process: Child,
    status: String,
    namespace: Option<&'static str>,
}

/// A command that talks JSON, until this is dropped.
pub struct Talking {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// Two ports nobody listens on.
fn ports() -> [String; 2] {
    let held = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().to_string())
}

impl Place {
    pub fn new(site: &'static str) -> Self {
        let [listen, status] = ports();
        Self { folder: tempfile::tempdir().unwrap(), site, listen, status, namespace: None, setting: None }
    }

    /// Nobody can reach it; it has another way.
    pub fn through(site: &'static str, setting: &str) -> Self {
        Self { listen: String::new(), setting: Some(setting.into()), ..Self::new(site) }
    }

    /// In a network namespace, on the usual ports.
    pub fn inside(site: &'static str, namespace: &'static str) -> Self {
        let (listen, status) = ("0.0.0.0:7413".to_owned(), "127.0.0.1:7414".to_owned());
        Self { listen, status, namespace: Some(namespace), ..Self::new(site) }
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let folder = self.folder.path();
        let program = env!("CARGO_BIN_EXE_screen-portal");
        let mut command = Command::new(if self.namespace.is_some() { "ip" } else { program });
        if let Some(namespace) = self.namespace {
            command.args(["netns", "exec", namespace, program]);
        }
        command.env_clear();
        if self.namespace.is_none() {
            // Tests that run at once would find each other.
            command.env("SCREEN_PORTAL_DISCOVERY_ENABLED", "false");
        }
        command.env("HOME", folder).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(folder);
        command.args(arguments).args(["--listen", &self.listen, "--site", self.site, "--set", "link.loopback=true"]);
        if let Some(setting) = &self.setting {
            command.args(["--set", setting]);
        }
        command.arg("--data").arg(folder).stdin(Stdio::null());
        command
    }

    pub fn command(&self, arguments: &[&str]) -> Output {
        self.program(arguments).output().unwrap()
    }

    pub fn start(&self) -> Program {
        let log = File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let mut command =
            self.program(&["run", "--headless", "--source", "scene", "--size", "320x180", "--status", &self.status]);
        let process = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Program { process, status: format!("http://{}/status", self.status), namespace: self.namespace }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Takes the far end's addresses out of what pairing stored.
    pub fn forget_addresses(&self) {
        let path = self.folder.path().join("paired.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with("addresses")).collect();
        assert!(kept.len() < text.lines().count(), "{text}");
        std::fs::write(&path, kept.join("\n")).unwrap();
    }

    /// What `screen-portal pair` prints first beside the portal that runs here and waits for the n-th time.
    pub fn shown_code(&self, n: usize) -> String {
        within(Duration::from_secs(20), || self.log().matches("waiting for another portal").count() >= n);
        pair(self, &["pair", "--json"]).next("code")["code"].as_str().unwrap().to_owned()
    }
}

impl Program {
    pub fn status(&self) -> Option<Status> {
        let Some(namespace) = self.namespace else { return self.ask() };
        std::thread::scope(|scope| {
            let ask = || {
                let file = File::open(format!("/run/netns/{namespace}")).ok()?;
                // SAFETY: the descriptor is open, and only this thread, which is about to end, changes its namespace.
                let moved = unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&file), libc::CLONE_NEWNET) };
                if moved == 0 { self.ask() } else { None }
            };
            scope.spawn(ask).join().unwrap()
        })
    }

    fn ask(&self) -> Option<Status> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(1))).build().new_agent();
        agent.get(&self.status).call().ok()?.body_mut().read_json().ok()
    }

    pub fn is_live(&self) -> bool {
        self.status().is_some_and(|it| it.view.slate == Slate::Hidden && it.view.link == LinkState::Live)
    }

    pub fn is_unpaired(&self) -> bool {
        self.status().is_some_and(|it| it.view.slate == Slate::NotPaired)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a command that pairs and prints JSON.
pub fn pair(place: &Place, arguments: &[&str]) -> Talking {
    let mut process = place.program(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    Talking { process, lines }
}

impl Talking {
    pub fn next(&mut self, event: &str) -> serde_json::Value {
        let line = self.lines.next().unwrap_or_else(|| panic!("it ended without `{event}`")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["event"], event, "{line}");
        value
    }

    pub fn end(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }
}

impl Drop for Talking {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Waits until it holds.
pub fn within(limit: Duration, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "not within {limit:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
