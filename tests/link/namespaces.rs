//! Network namespaces of Linux: machines in one machine. Needs root and `ip`.

use std::fs::File;
use std::process::{Command, Stdio};
use tokio::runtime::Runtime;
use tokio::sync::Mutex;

/// Held by each test that has namespaces: what they measure, they would disturb in each other.
pub static ALONE: Mutex<()> = Mutex::const_new(());

/// Namespaces that go when this does.
pub struct Namespaces(Vec<&'static str>);

impl Namespaces {
    pub fn make(names: &[&'static str]) -> Result<Self, String> {
        // Left by a run that was killed.
        names.iter().for_each(|name| delete(name));
        let namespaces = Self(names.to_vec());
        for name in names {
            ip(&format!("netns add {name}"))?;
        }
        Ok(namespaces)
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        self.0.iter().for_each(|name| delete(name));
    }
}

fn delete(name: &str) {
    let _ = Command::new("ip").args(["netns", "del", name]).stderr(Stdio::null()).status();
}

/// `ip` with these words; what it prints.
pub fn ip(words: &str) -> Result<String, String> {
    run(Command::new("ip").args(words.split_whitespace()))
}

/// A command in a namespace; what it prints.
pub fn inside(name: &str, words: &str) -> Result<String, String> {
    ip(&format!("netns exec {name} {words}"))
}

/// Waits for a command; what it prints.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let problem = || format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).into()) } else { Err(problem()) }
}

/// A runtime whose threads, and so its sockets, are in a namespace: threads inherit it from the one that starts them.
pub fn runtime_in(name: &'static str) -> Result<Runtime, String> {
    let build = move || {
        let namespace = File::open(format!("/run/netns/{name}")).map_err(|error| error.to_string())?;
        // SAFETY: the descriptor is open, and only this thread, which is about to end, changes its namespace.
        if unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&namespace), libc::CLONE_NEWNET) } != 0 {
            return Err(format!("setns: {}", std::io::Error::last_os_error()));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.map_err(|error| error.to_string())
    };
    std::thread::spawn(build).join().unwrap()
}
