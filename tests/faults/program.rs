//! Two portals as programs, without windows, that know each other.

use screen_portal::ops::ending::{Cause, Ending};
use screen_portal::ops::{LinkState, Slate, Snapshot, View};
use screen_portal::pairing::{Fingerprint, Identity};
use serde::Deserialize;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Held by each test that starts programs: what they measure, they would disturb in each other.
pub static ALONE: Mutex<()> = Mutex::new(());

#[derive(Debug, Deserialize)]
pub struct Status {
    pub view: View,
    pub figures: Snapshot,
    pub last_end: Option<Ending>,
}

impl Status {
    pub fn is_live(&self) -> bool {
        self.view.slate == Slate::Hidden && self.view.link == LinkState::Live
    }
}

/// How one portal is started.
pub struct Place {
    pub folder: tempfile::TempDir,
    far_end: Fingerprint,
    pub listen: String,
    pub dial: String,
    status: String,
    /// The network namespace that it runs in.
    pub namespace: Option<&'static str>,
    /// Where the data is, if not in the folder.
    pub data: Option<PathBuf>,
}

pub struct Program {
    pub process: Child,
    status: String,
    namespace: Option<&'static str>,
}

impl Place {
    pub fn start(&self) -> Program {
        let log = File::options().create(true).append(true).open(self.log_file()).unwrap();
        self.start_saying(log.into(), "info")
    }

    /// Started with another standard error output, and as talkative as this.
    pub fn start_saying(&self, stderr: Stdio, level: &str) -> Program {
        let folder = self.folder.path();
        let program = env!("CARGO_BIN_EXE_screen-portal");
        let mut command = match self.namespace {
            None => Command::new(program),
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, program]);
                command
            }
        };
        command.env_clear().env("HOME", folder).env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(folder);
        command.args(["run", "--headless", "--source", "scene", "--size", "320x180", "--status", &self.status]);
        command.args(["--listen", &self.listen, "--dial", &self.dial, "--far-end", &self.far_end.to_string()]);
        command.args(["--set", "link.loopback=true"]);
        command.arg("--data").arg(self.data.as_deref().unwrap_or(folder));
        command.env("RUST_LOG", level);
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn().unwrap();
        Program { process, status: format!("http://{}/status", self.status), namespace: self.namespace }
    }

    /// Where its status pages are.
    pub fn status(&self) -> &str {
        &self.status
    }

    /// The flags that name its far end.
    pub fn paired(&self) -> [String; 2] {
        ["--far-end".into(), self.far_end.to_string()]
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }
}

impl Program {
    pub fn id(&self) -> u32 {
        self.process.id()
    }

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

    pub fn signal(&self, signal: i32) {
        // SAFETY: sends a signal to a child that is not waited for yet, so the number is still its own.
        assert_eq!(unsafe { libc::kill(self.id() as libc::pid_t, signal) }, 0);
    }

    /// Asks it to end; how long that took, and how it did.
    pub fn end(&mut self) -> (Duration, ExitStatus) {
        let start = Instant::now();
        self.signal(libc::SIGTERM);
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (start.elapsed(), status);
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two places that know each other; the first dials.
pub fn places() -> [Place; 2] {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let fingerprints = folders.each_ref().map(|folder| Identity::load_or_create(folder.path()).unwrap().fingerprint());
    // Ports that were free a moment ago; held until all are drawn, so that all differ.
    let held = [(); 3].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let [meeting, a, b] = held.map(|listener| listener.local_addr().unwrap().to_string());
    let [first, second] = folders;
    let place = |folder, far_end, listen: &str, dial: &str, status| Place {
        folder,
        far_end,
        listen: listen.into(),
        dial: dial.into(),
        status,
        namespace: None,
        data: None,
    };
    [place(first, fingerprints[1], "", &meeting, a), place(second, fingerprints[0], &meeting, "", b)]
}

/// What was to be seen while something was waited for: slates of both, in their order; `None` while there was no answer.
pub type Shown = [Vec<Option<Slate>>; 2];

/// Waits until both present new pictures, and prints how long that took and what was shown.
pub fn until_live(what: &str, programs: [&Program; 2], limit: Duration) -> ([Status; 2], Shown) {
    let presented = |status: &Status| status.figures.incoming.presented;
    let mut first: [Option<u64>; 2] = [None; 2];
    let (mut statuses, shown) = until(what, programs, limit, |now| {
        let live = now.iter().zip(&mut first).map(|(status, first)| {
            let Some(status) = status.as_ref().filter(|status| status.is_live()) else {
                *first = None;
                return false;
            };
            presented(status) > *first.get_or_insert(presented(status)) + 3
        });
        // All are looked at, each time.
        live.filter(|live| *live).count() == 2
    });
    (statuses.each_mut().map(|status| status.take().unwrap()), shown)
}

/// Waits until `done` is content with the two statuses.
pub fn until(
    what: &str,
    programs: [&Program; 2],
    limit: Duration,
    mut done: impl FnMut(&[Option<Status>; 2]) -> bool,
) -> ([Option<Status>; 2], Shown) {
    let start = Instant::now();
    let mut shown = [vec![], vec![]];
    loop {
        let now = programs.map(Program::status);
        for (shown, status) in shown.iter_mut().zip(&now) {
            let slate = status.as_ref().map(|status| status.view.slate);
            if shown.last() != Some(&slate) {
                shown.push(slate);
            }
        }
        if done(&now) {
            println!("{:6} ms  {what} (shown {shown:?})", start.elapsed().as_millis());
            return (now, shown);
        }
        assert!(start.elapsed() < limit, "{what}: not within {limit:?}: {now:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How the run before this one ended.
pub fn cause(status: &Status) -> Option<Cause> {
    status.last_end.as_ref().map(|end| end.cause)
}

/// Whether there is time for everything.
pub fn long() -> bool {
    std::env::var_os("PORTAL_LONG_TESTS").is_some()
}
