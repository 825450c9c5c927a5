//! Measures two portals on one machine from outside: what `docs/measurements.md` says, anybody can have again with `make measure`.
//!
//! Each portal gets an X server in memory of its own; a probe reads the time code in its framebuffer a thousand times a second. What
//! is shown was therefore captured, encoded, sent by DTLS-SRTP over real sockets, decoded and drawn.
//!
//! The cases on a bad network (`impaired`) are about what the network does to the picture: their portals have no windows.
//!
//! `tests/measure/run` builds the tools, makes the film and calls this.

mod cases;
mod film;
mod impaired;
mod machine;
mod motion;
mod network;
mod original;
mod probe;
mod rig;
mod soak;
mod ssim;
mod watch;

use std::path::PathBuf;
use std::time::Duration;

/// Why a measurement has no result.
#[derive(Debug)]
pub enum Trouble {
    /// Something that this machine lacks.
    Skipped(String),
    /// It should have worked.
    Failed(String),
}

impl<E: std::error::Error> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A measurement's result: rows of (what, figure, aim).
pub type Rows = Vec<(String, String, &'static str)>;

/// One of them.
fn row(what: impl Into<String>, figure: impl Into<String>, aim: &'static str) -> (String, String, &'static str) {
    (what.into(), figure.into(), aim)
}

/// One measurement.
#[derive(Clone, Copy)]
pub struct Case {
    name: &'static str,
    about: &'static str,
    /// Runs only when it is named.
    long: bool,
    measure: fn(&Tools) -> Result<Rows, Trouble>,
}

impl Case {
    const fn new(name: &'static str, about: &'static str, measure: fn(&Tools) -> Result<Rows, Trouble>) -> Self {
        Self { name, about, long: false, measure }
    }

    const fn long(name: &'static str, about: &'static str, measure: fn(&Tools) -> Result<Rows, Trouble>) -> Self {
        Self { name, about, long: true, measure }
    }
}

/// What the measurements need from outside.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The program to measure.
    pub program: PathBuf,
    /// The folder with the built tools `probe` and `netsim`.
    pub tools: PathBuf,
    /// The folder with the films `720.y4m` and `1080.y4m`, if there are any.
    pub films: Option<PathBuf>,
    /// Where logs and pictures go.
    pub folder: PathBuf,
    /// How long each figure is measured, in seconds.
    pub seconds: u64,
    /// How long to wait before each measurement for others to be done, in seconds.
    pub patience: u64,
}

const USAGE: &str = "usage: measure --program FILE --tools DIR --folder DIR [--films DIR] [--seconds 20]
               [--patience 0] [NAME...]";

fn arguments() -> Option<(Tools, Vec<String>)> {
    let mut words = std::env::args().skip(1);
    let (mut program, mut tools, mut folder, mut films, mut seconds) = (None, None, None, None, 20);
    let mut patience = 0;
    let mut names = vec![];
    while let Some(word) = words.next() {
        match word.as_str() {
            "--program" => program = Some(PathBuf::from(words.next()?)),
            "--tools" => tools = Some(PathBuf::from(words.next()?)),
            "--folder" => folder = Some(PathBuf::from(words.next()?)),
            "--films" => films = Some(PathBuf::from(words.next()?)),
            "--seconds" => seconds = words.next()?.parse().ok()?,
            "--patience" => patience = words.next()?.parse().ok()?,
            name if !name.starts_with('-') => names.push(name.to_string()),
            _ => return None,
        }
    }
    Some((Tools { program: program?, tools: tools?, films, folder: folder?, seconds, patience }, names))
}

fn main() -> std::process::ExitCode {
    let all: Vec<Case> = cases::ALL.into_iter().chain(impaired::ALL).chain(soak::ALL).collect();
    let known = all.iter().map(|case| case.name).collect::<Vec<_>>().join(" ");
    let Some((tools, names)) = arguments() else {
        eprintln!("{USAGE}\nnames: {known}");
        return std::process::ExitCode::from(2);
    };
    if let Some(unknown) = names.iter().find(|name| all.iter().all(|case| case.name != name.as_str())) {
        eprintln!("there is no measurement {unknown}; there are: {known}");
        return std::process::ExitCode::from(2);
    }
    let mut failed = false;
    for case in all {
        let wanted = if names.is_empty() { !case.long } else { names.iter().any(|name| name == case.name) };
        if !wanted {
            continue;
        }
        println!("\n### {}: {}\n", case.name, case.about);
        let others = machine::wait_until_quiet(Duration::from_secs(tools.patience));
        println!("Other work on this machine before: {others:.2} cores.\n");
        let tools = Tools { folder: tools.folder.join(case.name), ..tools.clone() };
        match (case.measure)(&tools) {
            Ok(rows) => {
                println!("| what | measured | aim |\n|---|---|---|");
                rows.iter().for_each(|(what, figure, aim)| println!("| {what} | {figure} | {aim} |"));
            }
            Err(Trouble::Skipped(reason)) => println!("skipped: {reason}"),
            Err(Trouble::Failed(reason)) => {
                failed = true;
                println!("failed: {reason}");
            }
        }
    }
    std::process::ExitCode::from(u8::from(failed))
}
