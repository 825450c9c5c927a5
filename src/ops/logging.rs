//! The log: lines for people, JSON, or systemd's journal, and once a minute a line that says how the portal does.
//!
//! Nobody waits for the log. Lines go through a bounded queue to a thread that writes them; if that one is held up (a
//! pipe that nobody reads, a disk that hangs), lines are lost, counted, and their number is logged when there is room
//! again. What repeats itself is summed up.

mod journal;
mod repetition;
mod rotation;

use super::{CameraState, Figures, LinkState, Slate, Snapshot, View, Words};
use crate::config::{Log, LogFormat};
use journal::{Journal, JournalFormat};
use repetition::Calm;
pub use rotation::aged;
use rotation::{Refused, Rotation};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing::Metadata;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

/// Between two lines that say how the portal does.
pub const REPORT_EVERY: Duration = Duration::from_secs(60);
/// How often is looked for what is to be summed up.
const SUM_EVERY: Duration = Duration::from_secs(10);
/// How often it is said that the file takes nothing.
const REFUSED_EVERY: Duration = Duration::from_secs(600);
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
    file: Option<LogFile>,
}

/// The log's file, as far as it takes nothing.
struct LogFile {
    path: PathBuf,
    refused: Arc<Refused>,
    told: Option<Instant>,
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

/// Starts the log, on the standard error output or in the journal if that is the same, and in a file if one is
/// configured. `rust_log` is the value of the variable RUST_LOG, which overrides the level.
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
            Ok(file) => {
                running.file = Some(LogFile { path: config.file.clone(), refused: file.refused(), told: None });
                layers.push(lines(config.format, false, running.writer(file, "log-file")));
            }
            Err(error) => problem = Some(error),
        }
    }
    let (filter, handle) = reload::Layer::new(filter);
    tracing_subscriber::registry().with(layers).with(filter).with(filter_fn(shows_no_media)).with(&*CALM).try_init()?;
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

/// Where the library prints packets that it has decrypted, pieces of pictures, as errors when nobody takes them: after a portal stood still for some
/// seconds. What is lost is counted at our end. No configuration of the log brings these back, for nothing is recorded.
const PRINTS_MEDIA: &str = "webrtc::peer_connection::driver";

fn shows_no_media(line: &Metadata<'_>) -> bool {
    !line.target().starts_with(PRINTS_MEDIA)
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
    // A log that takes no more lines (a full disk, a reader that is gone) must not end the portal, as the library's own
    // complaint about it on the same output would.
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

/// Writes what waits, for a fifth of a second at most. To be called before the process ends or replaces itself; nothing
/// is logged afterwards. False if there was no log, or it could not be written in time.
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
    // This line is one more that the disk does not take.
    if let Some(file) = &mut running.file
        && file.told.is_none_or(|at| now.saturating_duration_since(at) >= REFUSED_EVERY)
        && let Some((news, why)) = file.refused.take()
    {
        file.told = Some(now);
        tracing::warn!(lines = news, "{news} lines of the log could not be written to {}: {why}", file.path.display());
    }
}

/// What the library says of TURN servers at its level of errors: neither which one it is nor what to do.
/// `link::ice::relays` says both.
const TURN_OF_THE_LIBRARY: &str = "webrtc::peer_connection::transport::turn_relayer";

/// A bare level is meant for our own lines: what the libraries have to say, warnings included, is of use to developers
/// only, and what matters of it reaches us as an error that we report in our own words.
pub fn directives(level: &str) -> String {
    let level = level.trim();
    if level.contains(['=', ',']) {
        level.to_owned()
    } else {
        format!("error,{TURN_OF_THE_LIBRARY}=off,screen_portal={level}")
    }
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

/// A length of time, as exactly as somebody asks who reads of it later.
fn span(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..120 => format!("{whole} s"),
        120..7200 => format!("{} min", whole / 60),
        7200..172_800 => format!("{} h {} min", whole / 3600, whole / 60 % 60),
        _ => format!("{} days {} h", whole / 86_400, whole / 3600 % 24),
    }
}

/// How the portal does, in one line of plain words: the figures of what goes on now, and since when it does not.
pub fn summary(snapshot: &Snapshot, view: &View) -> String {
    let (is_live, is_shown) = (view.link == LinkState::Live, view.slate == Slate::Hidden);
    let mut line = view.link.words().to_owned();
    // Writing to a String does not fail.
    if let Some(site) = &view.far_site {
        let _ = if is_live { write!(line, " with {site}") } else { write!(line, " ({site})") };
    }
    if let Some(reason) = view.slate.reason() {
        let _ = write!(line, ", {reason}");
    }
    if !is_live || !is_shown {
        let _ = write!(line, " for {}", span(snapshot.state_since_s));
    }
    if let Some(trouble) = view.trouble.as_ref().filter(|_| !is_live) {
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
    // What was last measured of something that has stopped since is not how the portal does.
    let words = Words::new(snapshot, view);
    let sends = is_live && !matches!(view.slate, Slate::Private | Slate::Closed);
    for (of, lines, is_so) in [
        ("from there", words.from_there, is_live && is_shown),
        ("to there", words.to_there, sends),
        ("link", words.link, is_live),
    ] {
        if is_so {
            let _ = write!(line, "; {of}: {}", lines.join(", "));
        }
    }
    let _ = write!(line, "; {:.2} cores, {} MB", snapshot.now.cpu_cores, snapshot.resident_bytes / 1_000_000);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);
    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl MakeWriter<'_> for Said {
        type Writer = Self;
        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    impl Said {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_bare_level_is_for_our_own_lines() {
        assert!(directives("info").starts_with("error,") && directives("info").ends_with(",screen_portal=info"));
        assert_eq!(directives("info,screen_portal::link=debug"), "info,screen_portal::link=debug");
        for level in ["error", "warn", "info", "debug", "trace", "off"] {
            directives(level).parse::<EnvFilter>().unwrap();
        }
    }

    /// What the libraries say is let through by a filter of these directives, or not.
    #[test]
    fn the_librarys_word_on_turn_servers_is_not_heard_and_its_other_errors_are() {
        let said = Said::default();
        let filter = directives("info").parse::<EnvFilter>().unwrap();
        let lines = tracing_subscriber::fmt::layer().with_writer(said.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines).with(filter), || {
            tracing::error!(target: "webrtc::peer_connection::transport::turn_relayer", "TURN transaction timed out");
            tracing::error!(target: "webrtc::peer_connection", "something else");
            tracing::info!("the TURN server does not answer");
        });
        let said = said.text();
        assert!(!said.contains("transaction timed out"), "{said}");
        assert!(said.contains("something else") && said.contains("does not answer"), "{said}");
    }

    #[test]
    fn what_prints_media_is_never_heard() {
        let said = Said::default();
        let lines = tracing_subscriber::fmt::layer().with_writer(said.clone());
        let log = tracing_subscriber::registry().with(lines).with("trace".parse::<EnvFilter>().unwrap());
        tracing::subscriber::with_default(log.with(filter_fn(shows_no_media)), || {
            tracing::error!(target: "webrtc::peer_connection::driver", "payload: a picture");
            tracing::error!(target: "webrtc::peer_connection", "something else");
        });
        let said = said.text();
        assert!(said.contains("something else") && !said.contains("payload"), "{said}");
    }

    /// A portal that has shown and sent pictures, and whose view became this one at the 100th second; its line at the
    /// given one.
    fn line_at(second: u64, view: &View) -> String {
        let start = Instant::now();
        let (figures, at) = (Figures::new(start), |s| start + Duration::from_secs(s));
        let live = View { link: LinkState::Live, slate: Slate::Hidden, ..View::default() };
        figures.watches(&live, at(10));
        figures.presented(Some(at(99)), at(99) + Duration::from_millis(40));
        figures.incoming.width.set(1280);
        figures.outgoing.target_bps.set(2_500_000);
        figures.outgoing.width.set(1280);
        figures.link.round_trip_us.set(1_234);
        figures.watches(view, at(100));
        // What does not concern the link's state does not begin it anew.
        figures.watches(&View { camera: CameraState::Private, ..view.clone() }, at(101));
        summary(&figures.snapshot(at(second)), view)
    }

    #[test]
    fn says_how_it_does() {
        let camera = CameraState::Missing { reason: "unplugged".into() };
        let live = View {
            link: LinkState::Live,
            slate: Slate::Hidden,
            far_site: Some("Hilltop".into()),
            camera,
            ..View::default()
        };
        let line = line_at(102, &live);
        assert!(line.starts_with("live with Hilltop; no camera (unplugged); from there: 1280x"), "{line}");
        assert!(line.contains("40 ms old") && line.contains("a target of 2.50 Mb/s"), "{line}");
        assert!(line.contains("round trip 1.2 ms"), "{line}");
    }

    #[test]
    fn what_is_not_live_is_said_with_its_time_and_without_old_figures() {
        let view = |link, slate| View {
            link,
            slate,
            trouble: Some("10.0.0.2:7413: refused".into()),
            camera: CameraState::Running { description: "camera".into() },
            ..View::default()
        };
        for (view, second, expected) in [
            (
                view(LinkState::Signalling, Slate::NoFarEnd),
                400,
                "looking for the far end for 5 min (10.0.0.2:7413: refused); ",
            ),
            (
                view(LinkState::Signalling, Slate::FarOff),
                190,
                "looking for the far end, the far end is off for 90 s (10.0.0.2",
            ),
            (view(LinkState::Stalled, Slate::Paused), 103, "the far end's picture has stopped for 3 s (10.0.0.2"),
            (
                view(LinkState::Closed, Slate::Closed),
                100 + 9 * 3600 + 120,
                "closed, outside opening hours for 9 h 2 min (10.0.0.2",
            ),
            (view(LinkState::Live, Slate::Private), 100 + 3 * 86_400, "live, private here for 3 days 0 h; link: "),
        ] {
            let line = line_at(second, &view);
            assert!(line.starts_with(expected), "{line}");
            assert!(
                !line.contains("ms old") && !line.contains("pictures/s") && !line.contains("a target of"),
                "{line}"
            );
            assert!(line.contains(" cores, ") || line.contains(" cores,"), "{line}");
        }
        let named = View { far_site: Some("Hilltop".into()), ..view(LinkState::Connecting, Slate::Connecting) };
        let line = line_at(104, &named);
        assert!(line.starts_with("connecting (Hilltop) for 4 s (10.0.0.2"), "{line}");
        // They do not want to be seen; what we send goes on.
        let line = line_at(160, &view(LinkState::Live, Slate::FarPrivate));
        assert!(line.starts_with("live, the far end is private for 60 s; to there: 1280x"), "{line}");
    }
}
