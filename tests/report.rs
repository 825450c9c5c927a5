//! `screen-portal report`, beside a running portal: complete, and without secrets.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Must not be found in a report, wherever it was.
const SECRETS: [&str; 2] = ["hush-credential-4711", "hush-user-0815"];

#[test]
fn a_report_has_everything_but_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let status = free();
    let log = folder.path().join("portal.log");
    let config = format!(
        "[site]\nname = \"Harbour\"\n[source]\nkind = \"pattern\"\nwidth = 320\nheight = 180\n\
         [signaling]\nlisten = \"\"\ndial = \"127.0.0.1:1\"\n[status]\nlisten = \"{status}\"\n[log]\nfile = \"{}\"\n[data]\nfolder = \"{}\"\n\
         [link]\nice_servers = [{{ urls = [\"turn:turn.example.org\"], username = \"{}\", credential = \"{}\" }}]\n",
        log.display(),
        folder.path().display(),
        SECRETS[1],
        SECRETS[0],
    );
    let file = folder.path().join("portal.toml");
    std::fs::write(&file, config).unwrap();
    // As if a library had logged what it should not.
    std::fs::write(&log, format!("the server said: {} is wrong\n", SECRETS[0])).unwrap();
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_screen-portal"));
        command.env_clear().env("HOME", folder.path()).env("PATH", "/usr/bin:/bin").current_dir(folder.path());
        command.arg("--config").arg(&file).stdin(Stdio::null());
        command
    };
    let portal = Running(program().args(["run", "--headless"]).stderr(Stdio::null()).spawn().unwrap());
    let start = Instant::now();
    while std::net::TcpStream::connect(&status).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "the portal does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
    let out = folder.path().join("report.txt");
    let output = program().arg("report").arg("--out").arg(&out).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = std::fs::read_to_string(&out).unwrap();
    for section in
        ["machine", "graphics", "cameras", "configuration", "last end", "/health", "/status", "/metrics", "log"]
    {
        assert!(report.contains(&format!("======== {section}")), "no section {section}");
    }
    for words in [
        concat!("screen-portal ", env!("CARGO_PKG_VERSION")),
        "name = \"Harbour\"",
        "turn:turn.example.org",
        "\"captured\":",
        "screen_portal_outgoing_captured_total",
        "the server said: (removed) is wrong",
        "status pages are at",
        "{\"running\":",
    ] {
        assert!(report.contains(words), "{words} is not in it:\n{report}");
    }
    for secret in SECRETS {
        assert!(!report.contains(secret), "{secret} is in it");
    }
    let identity = std::fs::read_to_string(folder.path().join("identity.pem")).unwrap();
    for line in identity.lines().filter(|line| line.len() > 20 && !line.starts_with("---")) {
        assert!(!report.contains(line), "the identity is in it");
    }
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    drop(portal);
    // Without a portal that runs it is made all the same, and printed if wanted.
    let output = program().args(["report", "--out", "-"]).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && printed.contains("no portal answers") && printed.contains("Harbour"));
}

/// What `report` prints where this is in `[log] file`, with a journal that says what `journal` says.
fn printed(folder: &std::path::Path, file: &str, journal: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let journalctl = folder.join("journalctl");
    std::fs::write(&journalctl, format!("#!/bin/sh\n{journal}\n")).unwrap();
    std::fs::set_permissions(&journalctl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_screen-portal"))
        .args(["report", "--out", "-", "--data", "data", "--set", &format!("log.file={file}")])
        .env_clear()
        .env("HOME", folder)
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let report = String::from_utf8(output.stdout).unwrap();
    report.split_once("======== log\n\n").unwrap().1.to_owned()
}

#[test]
fn a_report_has_a_log_whatever_became_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let journal = "echo of the journal";
    let has = |log: &str, words: &[&str], lacks: &[&str]| {
        assert!(words.iter().all(|word| log.contains(word)), "{words:?} in:\n{log}");
        assert!(!lacks.iter().any(|word| log.contains(word)), "{lacks:?} in:\n{log}");
    };
    has(&printed(folder, "", journal), &["journal: no file is configured\nof the journal"], &[]);
    has(&printed(folder, "portal.log", journal), &["journal: portal.log: No such file", "\nof the journal"], &[".1"]);
    // What root cannot read either.
    std::fs::create_dir(folder.join("portal.log")).unwrap();
    has(
        &printed(folder, "portal.log", journal),
        &["journal: portal.log: it is a folder, and should be a regular file", "\nof the journal"],
        &[],
    );
    std::fs::write(folder.join("portal.log.1"), "an old line\n").unwrap();
    has(
        &printed(folder, "portal.log", journal),
        &["portal.log.1; portal.log: it is a folder, and should be a regular file\nan old line"],
        &["journal"],
    );
    std::fs::remove_dir(folder.join("portal.log")).unwrap();
    std::fs::write(folder.join("portal.log"), "a new line\n").unwrap();
    let both = printed(folder, "portal.log", journal);
    has(&both, &["portal.log.1 and portal.log\nan old line\na new line"], &["journal"]);
    for name in ["portal.log", "portal.log.1"] {
        std::fs::write(folder.join(name), "").unwrap();
    }
    has(&printed(folder, "portal.log", journal), &["journal: portal.log is empty\nof the journal"], &[]);
    // A user who may not read the journal hears nothing from it.
    has(&printed(folder, "", "exit 1"), &["sudo screen-portal report"], &[]);
}
