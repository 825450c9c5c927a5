//! `screen-portal report`: what somebody who helps from afar needs to know, in one readable file, without secrets and without pictures.

use super::{Exit, Failure, page};
use crate::config::{Config, Secrets};
use crate::ops::{ending, logging, say, try_say};
use crate::{capture, files};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Where it goes if nobody says.
pub const FILE: &str = "screen-portal-report.txt";
/// How much of a log is taken.
const LOG_LINES: usize = 3000;
/// The most that is read of any one file or answer.
const MOST_BYTES: u64 = 4 * 1024 * 1024;
/// How long any one question may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks everything and writes the file; `-` prints it.
pub fn run(config: &Config, file: Option<&Path>, out: &Path) -> Result<Exit, Failure> {
    let secrets = Secrets::of(config);
    let text = secrets.remove(&text(config, file, &secrets));
    if out == Path::new("-") {
        try_say(text).map_err(|error| (Exit::Failed, format!("the report cannot be printed: {error}")))?;
        return Ok(Exit::Success);
    }
    // Only for whoever asked: it has addresses and names.
    files::replace(out, text.as_bytes(), 0o600).map_err(|error| {
        let problem =
            format!("the report cannot be written to {}: {error}; name another file with --out", out.display());
        (Exit::Failed, problem)
    })?;
    say(format_args!(
        "{}: read it before you send it; secrets are left out, names and addresses are not",
        out.display()
    ));
    Ok(Exit::Success)
}

fn text(config: &Config, file: Option<&Path>, secrets: &Secrets) -> String {
    let data = &config.data.folder;
    let mut text = format!("{} {}\n", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let mut add = |title: &str, body: String| {
        // Writing to a String does not fail.
        let _ = write!(text, "\n======== {title}\n\n{}\n", body.trim_end());
    };
    add("machine", machine());
    add("graphics", graphics());
    add("cameras", cameras());
    let origin = file.map_or("built-in defaults".into(), |file| file.display().to_string());
    let variables = std::env::vars().map(|(name, _)| name).filter(|name| name.starts_with("SCREEN_PORTAL_"));
    let variables = variables.collect::<Vec<_>>().join(" ");
    add("configuration", format!("# from {origin}; variables: {variables}\n{}", secrets.configuration()));
    add("last end", read(&data.join(ending::FILE_NAME)));
    add("data folder", ask(Command::new("ls").arg("-la").arg(data)) + &ask(Command::new("df").arg("-h").arg(data)));
    add("service", ask(Command::new("systemctl").args(["status", "--no-pager", "--lines=0", "screen-portal*"])));
    for page in ["health", "status", "metrics"] {
        add(&format!("/{page} of the running portal"), page_text(config, page));
    }
    add("log", log(config));
    text
}

fn machine() -> String {
    let load = read(Path::new("/proc/loadavg"));
    let memory: String = read(Path::new("/proc/meminfo")).lines().take(3).collect::<Vec<_>>().join("\n");
    let model = read(Path::new("/proc/device-tree/model"));
    let processor =
        read(Path::new("/proc/cpuinfo")).lines().find(|line| line.starts_with("model name")).map(String::from);
    let addresses = if_addrs::get_if_addrs().unwrap_or_default();
    let addresses: Vec<_> = addresses.iter().map(|address| format!("{} {}", address.name, address.ip())).collect();
    [
        ask(Command::new("uname").arg("-a")),
        read(Path::new("/etc/os-release")).lines().next().unwrap_or_default().into(),
        model.trim_end_matches('\0').into(),
        processor.unwrap_or_default(),
        format!("processors {}", std::thread::available_parallelism().map_or(0, usize::from)),
        memory,
        format!("load {load}"),
        format!("uptime {}", read(Path::new("/proc/uptime"))),
        addresses.join(", "),
    ]
    .map(|line| line.trim().to_owned())
    .join("\n")
}

/// Drivers of graphics cards, and what is connected to them.
fn graphics() -> String {
    let mut lines = Vec::new();
    let mut entries: Vec<_> =
        fs::read_dir("/sys/class/drm").into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    entries.sort();
    for entry in entries {
        let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let driver = read(&entry.join("device/uevent"));
        let driver = driver.lines().filter(|line| line.starts_with("DRIVER=") || line.starts_with("PCI_ID="));
        let driver = driver.collect::<Vec<_>>().join(" ");
        let (status, modes) = (entry.join("status"), entry.join("modes"));
        if status.exists() {
            let modes = read(&modes);
            lines.push(format!("{name} {} {}", read(&status).trim(), modes.lines().next().unwrap_or_default()));
        } else if !driver.is_empty() {
            lines.push(format!("{name} {driver}"));
        }
    }
    if lines.is_empty() { "none that the kernel knows".into() } else { lines.join("\n") }
}

fn cameras() -> String {
    let mut text = String::new();
    for camera in capture::cameras() {
        let problem = camera.problem.as_deref().unwrap_or("usable");
        let _ = writeln!(text, "{} at {}: {problem}", camera.name(), camera.node().display());
        for format in &camera.formats {
            let _ = writeln!(text, "    {format}");
        }
    }
    if text.is_empty() { "none".into() } else { text }
}

/// What a running portal says of itself.
fn page_text(config: &Config, page: &str) -> String {
    let text = page::ask(&config.status, page).unwrap_or_else(|problem| problem);
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(json) => serde_json::to_string_pretty(&json).unwrap_or(text),
        Err(_) => text,
    }
}

/// The end of the log, with where it is from: the configured file and the one before it, and where neither says anything, the journal.
fn log(config: &Config) -> String {
    let file = &config.log.file;
    let why = if file.as_os_str().is_empty() {
        "no file is configured".to_owned()
    } else {
        let files = [logging::aged(file, 1), file.clone()];
        let parts: Vec<_> = files.iter().map(|path| (path, try_read(path))).collect();
        let texts: String = parts.iter().filter_map(|(_, text)| text.as_deref().ok()).collect();
        // Mostly there is no older one yet, which is not worth a word.
        let is_worth = |error: &io::Error, path: &Path| error.kind() != io::ErrorKind::NotFound || path == file;
        let problems = parts.iter().filter_map(|(path, text)| {
            let problem = text.as_ref().err().filter(|error| is_worth(error, path))?;
            Some(format!("{}: {problem}", path.display()))
        });
        let problems = problems.collect::<Vec<_>>().join("; ");
        if !texts.trim().is_empty() {
            let read = parts.iter().filter(|(_, text)| text.is_ok()).map(|(path, _)| path.display().to_string());
            let read = read.collect::<Vec<_>>().join(" and ");
            let but = if problems.is_empty() { String::new() } else { format!("; {problems}") };
            return format!("# the end of {read}{but}\n{}", last_lines(&texts));
        }
        if problems.is_empty() { format!("{} is empty", file.display()) } else { problems }
    };
    let lines = format!("--lines={LOG_LINES}");
    let ours = ["_COMM=screen-portal", "+", "SYSLOG_IDENTIFIER=screen-portal"];
    let mut journalctl = Command::new("journalctl");
    let said = ask(journalctl.args(["--no-pager", "--output=short-iso-precise", "--quiet", &lines]).args(ours));
    let said = match said.trim() {
        "" => "# it says nothing of the portal, or not to this user: sudo screen-portal report",
        _ => &said,
    };
    format!("# the end of systemd's journal: {why}\n{said}")
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// A file's end, or why it cannot be read.
fn read(path: &Path) -> String {
    try_read(path).unwrap_or_else(|error| format!("{}: {error}", path.display()))
}

fn try_read(path: &Path) -> io::Result<String> {
    let mut file = files::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(MOST_BYTES)))?;
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// What a command prints, within [`PATIENCE`].
fn ask(command: &mut Command) -> String {
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return format!("{}: {error}\n", command.get_program().display()),
    };
    let Some(output) = child.stdout.take() else { return String::new() };
    let reading = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        // What came before an error is told all the same.
        let _ = output.take(MOST_BYTES).read_to_end(&mut bytes);
        bytes
    });
    let begin = Instant::now();
    while !reading.is_finished() && begin.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(5));
    }
    // One that has ended is not harmed, and one that has not is not waited for.
    let _ = child.kill();
    let _ = child.wait();
    String::from_utf8_lossy(&reading.join().unwrap_or_default()).into_owned()
}
