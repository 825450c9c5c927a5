//! The log: lines for people or JSON, and once a minute a line that says how the portal does.

use super::{CameraState, Figures, LinkState, Snapshot, View, Words};
use crate::config::{Log, LogFormat};
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracing_subscriber::util::TryInitError;
use tracing_subscriber::{EnvFilter, reload};

/// Between two lines that say how the portal does.
pub const REPORT_EVERY: Duration = Duration::from_secs(60);

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

/// Starts the log, on the standard error output. `rust_log` is the value of the variable RUST_LOG, which overrides the level.
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
    use tracing_subscriber::util::SubscriberInitExt;
    // A log that takes no more lines (a full disk, a reader that is gone) must not end the portal, as the library's own complaint
    // about it on the same output would.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    match config.format {
        LogFormat::Human => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let builder = builder.with_ansi(colours).with_target(false).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init()?;
            keep(is_fixed, move |filter| handle.reload(filter));
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            builder.finish().try_init()?;
            keep(is_fixed, move |filter| handle.reload(filter));
        }
    }
    Ok(())
}

type SetFilter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// How the level of the running log is changed; nobody's while RUST_LOG says it.
static FILTER: OnceLock<SetFilter> = OnceLock::new();

fn keep(is_fixed: bool, set: impl Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync + 'static) {
    if !is_fixed {
        // The log is started once; there is nothing to be lost here.
        let _ = FILTER.set(Box::new(set));
    }
}

/// Logs from now on what this level or these directives, which were checked before, ask for.
pub fn set_level(level: &str) {
    let (Some(set), Ok(filter)) = (FILTER.get(), directives(level).parse::<EnvFilter>()) else { return };
    if let Err(error) = set(filter) {
        tracing::warn!(%error, "the level of the log cannot be changed");
    }
}

/// A bare level is meant for our own lines: what the libraries have to say, warnings included, is of use to developers only, and
/// what matters of it reaches us as an error that we report in our own words.
pub fn directives(level: &str) -> String {
    let level = level.trim();
    if level.contains(['=', ',']) { level.to_owned() } else { format!("error,screen_portal={level}") }
}

/// Logs [`summary`] once a minute, for as long as the view is published.
pub async fn report(figures: Arc<Figures>, view: watch::Receiver<View>) {
    let mut minute = tokio::time::interval(REPORT_EVERY);
    minute.tick().await;
    while view.has_changed().is_ok() {
        minute.tick().await;
        let line = summary(&figures.snapshot(Instant::now()), &view.borrow());
        tracing::info!("{line}");
    }
}

/// How the portal does, in one line of plain words.
pub fn summary(snapshot: &Snapshot, view: &View) -> String {
    let mut line = match view.link {
        LinkState::Idle => "not paired".to_owned(),
        LinkState::Signalling => "looking for the far end".to_owned(),
        LinkState::Connecting => "connecting".to_owned(),
        LinkState::Live => "live".to_owned(),
        LinkState::Stalled => "the far end's picture has stopped".to_owned(),
        LinkState::Closed => "closed".to_owned(),
    };
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
