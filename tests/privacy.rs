//! What a portal leaves behind, and what it proves of itself: run as a program, where no file may grow.

use serde_json::Value;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The largest file that the program may write here, in bytes: less than any picture takes, coded or not, more than the notes that it
/// keeps for itself. A longer one would end it (SIGXFSZ, setrlimit(2)).
const LARGEST_FILE: libc::rlim_t = 3000;

struct Portal(Child, String);

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
    command.env_clear().env("HOME", folder).env("TMPDIR", folder).current_dir(folder).args(["--data", "data"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn fingerprint(folder: &Path) -> String {
    let output = program(folder).arg("identity").stdout(Stdio::piped()).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Portal {
    fn start(folder: &Path, options: &[&str]) -> Self {
        let status = format!("127.0.0.1:{}", free_port());
        let mut command = program(folder);
        command.args(["run", "--headless", "--source", "scene", "--size", "640x360", "--status", &status]);
        command.args(["--set", "link.loopback=true"]).args(options);
        // SAFETY: setrlimit may be called between fork and exec; the pointer is to a value that lives until it returns.
        unsafe {
            command.pre_exec(|| {
                let limit = libc::rlimit { rlim_cur: LARGEST_FILE, rlim_max: LARGEST_FILE };
                match libc::setrlimit(libc::RLIMIT_FSIZE, &limit) {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            });
        }
        Self(command.spawn().unwrap(), format!("http://{status}/status"))
    }

    fn until(&mut self, what: &str, right: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            assert_eq!(self.0.try_wait().unwrap(), None, "it has ended: something wrote a file");
            let status: Option<Value> =
                ureq::get(&self.1).call().ok().and_then(|mut answer| answer.body_mut().read_json().ok());
            match status {
                Some(status) if right(&status) => return status,
                status => assert!(Instant::now() < end, "not {what}: {status:?}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The regular files that it has open for writing, as the kernel lists them.
    fn writes_to(&self) -> Vec<String> {
        let process = format!("/proc/{}", self.0.id());
        let mut files = Vec::new();
        for entry in std::fs::read_dir(format!("{process}/fd")).unwrap().flatten() {
            let number = entry.file_name().into_string().unwrap();
            let info = std::fs::read_to_string(format!("{process}/fdinfo/{number}")).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or("0").trim();
            let writes = i32::from_str_radix(flags, 8).unwrap() & libc::O_ACCMODE != libc::O_RDONLY;
            let is_file = std::fs::metadata(entry.path()).is_ok_and(|metadata| metadata.is_file());
            if writes && is_file {
                files.push(std::fs::read_link(entry.path()).unwrap().display().to_string());
            }
        }
        files
    }
}

fn files(folder: &Path, into: &mut Vec<(String, u64)>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => files(&entry.path(), into),
            metadata => into.push((entry.path().display().to_string(), metadata.len())),
        }
    }
}

/// Two portals send each other pictures where nothing larger than a note can be written, and nothing larger is.
#[test]
fn no_picture_is_ever_written_to_disk() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [a, b] = [folders[0].path(), folders[1].path()];
    let (name_a, name_b) = (fingerprint(a), fingerprint(b));
    let meeting = format!("127.0.0.1:{}", free_port());
    let mut portals = [
        Portal::start(a, &["--listen", &meeting, "--far-end", &name_b]),
        Portal::start(b, &["--listen", "", "--dial", &meeting, "--far-end", &name_a]),
    ];
    for portal in &mut portals {
        portal.until("live, with a hundred pictures both ways", |status| {
            let count = |direction: &str, name: &str| status["figures"][direction][name].as_u64().unwrap_or(0);
            count("outgoing", "sent") > 100 && count("incoming", "presented") > 100
        });
        assert_eq!(portal.writes_to(), [] as [String; 0]);
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", portal.0.id())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert!(core.split_whitespace().nth(4) == Some("0"), "a crash would leave pictures: {core}");
    }
    drop(portals);
    let mut found = Vec::new();
    [a, b].into_iter().for_each(|folder| files(folder, &mut found));
    println!("left behind: {found:?}");
    assert!(found.len() <= 6 && found.iter().all(|(_, bytes)| *bytes <= LARGEST_FILE), "{found:?}");
}

/// Nobody who pressed the key knows that the portal was started again since.
#[test]
fn privacy_outlives_a_restart_and_proves_itself() {
    let folder = tempfile::tempdir().unwrap();
    fingerprint(folder.path());
    std::fs::write(folder.path().join("data/private"), "").unwrap();
    let mut portal = Portal::start(folder.path(), &["--listen", &format!("127.0.0.1:{}", free_port())]);
    let status = portal.until("private", |status| status["privacy"]["state"] == "private");
    std::thread::sleep(Duration::from_millis(300));
    let status = [status, portal.until("private still", |_| true)];
    for privacy in status.iter().map(|status| &status["privacy"]) {
        assert_eq!((&privacy["proven"], &privacy["captured"]), (&true.into(), &0.into()), "{privacy}");
        assert_eq!((&privacy["camera_open"], &privacy["shown"]), (&false.into(), &"private".into()), "{privacy}");
        assert_eq!(privacy["why"], "the privacy key was pressed here");
    }
    // The note is gone, as if the disk had never taken it; and the portal begins again, here for another configuration.
    std::fs::remove_file(folder.path().join("data/private")).unwrap();
    std::fs::write(folder.path().join("portal.toml"), "[link]\nice_tcp = true\n").unwrap();
    let again = portal.until("begun again", |status| status["last_end"]["cause"] == "changed");
    assert_eq!(again["view"]["slate"], "private", "the camera is on again, without a note on the disk");
    portal.until("private again", |status| status["privacy"]["state"] == "private");
}
