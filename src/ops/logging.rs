//! The log: lines for people, JSON, or systemd's journal, and once a minute a line that says how the portal does.
//!
//! Nobody waits for the log. Lines go through a bounded queue to a thread that writes them; if that one is held up (a pipe that nobody
//! reads, a disk that hangs), lines are lost, counted, and their number is logged when there is room again. What repeats itself is summed up.

mod journal;
mod repetition;
mod rotation;

use super::{CameraState, Figures, LinkState, Snapshot, View, Words};
use crate::config::{Log, LogFormat};
use journal::{Journal, JournalFormat};
use repetition::Calm;
use rotation::Rotation;
pub use rotation::aged;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Between two lines that say how the portal does.
pub const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How often is looked for what is to be summed up.
const SUM_EVERY: Duration = Duration::from_secs(10);
/// Lines that may wait for whoever writes them; more are lost. About half a megabyte.
const QUEUE_LINES: usize = 4096;
/// How long the end waits for lines to be written.
const FLUSH_LIMIT: Duration = Duration::from_millis(200);

/// What keeps the lines coming.
#[derive(Default)]
struct Running {
    writers: Vec<WorkerGuard>,
    lost: Vec<ErrorCounter>,
    /// Lost lines that were told of.
    told: usize,
}

static RUNNING: Mutex<Option<Running>> = Mutex::new(None);
static CALM: LazyLock<Calm> = LazyLock::new(Calm::new);

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `RUST_LOG` cannot be used.
    #[error(
        "the variable RUST_LOG is `{directives}`, which cannot be used ({problem}); write for instance info or debug"
    )]
    Directives {
        /// Its value.
        directives: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is one already.
    #[error("the log was started before: {0}")]
    Started(#[from] TryInitError),
}

/// Starts the log, on the standard error output or in the journal if that is the same, and in a file if one is configured. `rust_log` is the
/// value of the variable RUST_LOG, which overrides the level.
pub fn start(config: &Log, rust_log: Option<&str>) -> Result<(), Error> {
    let rust_log = rust_log.filter(|directives| !directives.trim().is_empty());
    let is_fixed = rust_log.is_some();
    let directives = match rust_log {
        Some(directives) => directives.to_owned(),
        None => directives(&config.level),
    };
    let filter = directives
        .parse::<EnvFilter>()
        .map_err(|error| Error::Directives { directives: directives.clone(), problem: error.to_string() })?;
    let mut running = Running::default();
    let journal = if journal::is_stderr() { Journal::connect().ok() } else { None };
    let mut layers: Vec<Lines> = vec![match journal {
        Some(journal) => {
            let layer = tracing_subscriber::fmt::layer().event_format(JournalFormat);
            Box::new(layer.log_internal_errors(false).with_writer(running.writer(journal, "log-journal")))
        }
        None => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines(config.format, colours, running.writer(std::io::stderr(), "log-stderr"))
        }
    }];
    let mut problem = None;
    if !config.file.as_os_str().is_empty() {
        match Rotation::open(&config.file, config.file_bytes, config.files) {
            Ok(file) => layers.push(lines(config.format, false, running.writer(file, "log-file"))),
            Err(error) => problem = Some(error),
        }
    }
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry().with(layers).with(filter).with(&*CALM).try_init()?;
    if !is_fixed {
        // The log is started once; there is nothing to be lost here.
        let _ = FILTER.set(Box::new(move |filter| handle.reload(filter)));
    }
    *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
    if let Some(error) = problem {
        tracing::warn!(
            "the log cannot be written to {}: {error}; it goes on without that file; make its folder, or name another in [log] (a kiosk can write below \
             /var/log/screen-portal only)",
            config.file.display()
        );
    }
    Ok(())
}

type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// How the level of the running log is changed; nobody's while RUST_LOG says it.
static FILTER: OnceLock<SetFilter> = OnceLock::new();

/// Logs from now on what this level or these directives, which were checked before, ask for.
pub fn set_level(level: &str) {
    let (Some(set), Ok(filter)) = (FILTER.get(), directives(level).parse::<EnvFilter>()) else { return };
    if let Err(error) = set(filter) {
        tracing::warn!(%error, "the level of the log cannot be changed");
    }
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

fn lines(format: LogFormat, colours: bool, writer: NonBlocking) -> Lines {
    // A log that takes no more lines (a full disk, a reader that is gone) must not end the portal, as the library's own complaint
    // about it on the same output would.
    let layer = tracing_subscriber::fmt::layer().log_internal_errors(false).with_writer(writer);
    match format {
        LogFormat::Human => Box::new(layer.with_ansi(colours).with_target(false)),
        LogFormat::Json => Box::new(layer.json().flatten_event(true)),
    }
}

impl Running {
    fn writer(&mut self, to: impl Write + Send + 'static, thread: &str) -> NonBlocking {
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(QUEUE_LINES).thread_name(thread);
        let (writer, guard) = builder.finish(to);
        self.writers.push(guard);
        self.lost.push(writer.error_counter());
        writer
    }
}

/// Writes what waits, for a fifth of a second at most. To be called before the process ends or replaces itself; nothing is logged afterwards.
/// False if there was no log, or it could not be written in time.
pub fn flush() -> bool {
    CALM.sum_up(Instant::now(), true);
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner).take();
    let Some(running) = running else { return false };
    let (done, flushed) = mpsc::channel();
    // Whoever drops the writers waits for them.
    let flush = move || {
        drop(running);
        let _ = done.send(());
    };
    std::thread::Builder::new().name("log-flush".into()).spawn(flush).is_ok()
        && flushed.recv_timeout(FLUSH_LIMIT).is_ok()
}

/// Says what was kept back, and how many lines were lost.
fn sum_up(now: Instant) {
    CALM.sum_up(now, false);
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(running) = running.as_mut() else { return };
    let lost: usize = running.lost.iter().map(ErrorCounter::dropped_lines).sum();
    let news = lost - std::mem::replace(&mut running.told, lost).min(lost);
    if news > 0 {
        tracing::warn!(lines = news, "{news} lines of the log were lost: whoever reads it was too slow");
    }
}

/// A bare level is meant for our own lines: what the libraries have to say, warnings included, is of use to developers only, and
/// what matters of it reaches us as an error that we report in our own words.
pub fn directives(level: &str) -> String {
    let level = level.trim();
    if level.contains(['=', ',']) { level.to_owned() } else { format!("error,screen_portal={level}") }
}

/// Logs [`summary`] once a minute, and what was kept back of the log, for as long as the view is published.
pub async fn report(figures: Arc<Figures>, view: watch::Receiver<View>) {
    let mut turn = tokio::time::interval(SUM_EVERY);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut reported = Instant::now();
    while view.has_changed().is_ok() {
        turn.tick().await;
        let now = Instant::now();
        sum_up(now);
        if now.saturating_duration_since(reported) >= REPORT_EVERY {
            reported = now;
            let line = summary(&figures.snapshot(now), &view.borrow());
            tracing::info!("{line}");
        }
    }
}

/// How the portal does, in one line of plain words.
pub fn summary(snapshot: &Snapshot, view: &View) -> String {
    let mut line = view.link.words().to_owned();
    // Writing to a String does not fail.
    if let Some(site) = &view.far_site {
        let _ = write!(line, " with {site}");
    }
    if let Some(trouble) = view.trouble.as_ref().filter(|_| view.link != LinkState::Live) {
        let _ = write!(line, " ({trouble})");
    }
    match &view.camera {
        CameraState::Starting => line += "; camera starting",
        CameraState::Running { .. } => {}
        CameraState::Covered { .. } => line += "; camera covered",
        CameraState::Missing { reason } => {
            let _ = write!(line, "; no camera ({reason})");
        }
        CameraState::Private => line += "; camera off on purpose",
    }
    let words = Words::new(snapshot, view);
    for (of, lines) in [("from there", words.from_there), ("to there", words.to_there), ("link", words.link)] {
        let _ = write!(line, "; {of}: {}", lines.join(", "));
    }
    let _ = write!(line, "; {:.2} cores, {} MB", snapshot.now.cpu_cores, snapshot.resident_bytes / 1_000_000);
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_for_our_own_lines() {
        assert_eq!(directives("info"), "error,screen_portal=info");
        assert_eq!(directives("info,screen_portal::link=debug"), "info,screen_portal::link=debug");
        for level in ["error", "warn", "info", "debug", "trace", "off"] {
            directives(level).parse::<EnvFilter>().unwrap();
        }
    }

    #[test]
    fn says_how_it_does() {
        let figures = Figures::default();
        figures.outgoing.target_bps.set(2_500_000);
        figures.outgoing.width.set(1280);
        figures.link.round_trip_us.set(1_234);
        let view = View {
            link: LinkState::Signalling,
            trouble: Some("10.0.0.2:7413: refused".into()),
            camera: CameraState::Missing { reason: "unplugged".into() },
            ..View::default()
        };
        let line = summary(&figures.snapshot(Instant::now()), &view);
        assert!(
            line.starts_with(
                "looking for the far end (10.0.0.2:7413: refused); no camera (unplugged); from there: nothing shown yet; "
            ),
            "{line}"
        );
        assert!(line.contains("a target of 2.50 Mb/s") && line.contains("round trip 1.2 ms"), "{line}");
        let live = View { link: LinkState::Live, far_site: Some("Hilltop".into()), ..View::default() };
        let now = Instant::now();
        figures.presented(Some(now), now + Duration::from_millis(40));
        figures.incoming.width.set(1280);
        let line = summary(&figures.snapshot(now), &live);
        assert!(
            line.starts_with("live with Hilltop; camera starting; from there: 1280x") && line.contains("40 ms old"),
            "{line}"
        );
    }
}
