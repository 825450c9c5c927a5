//! What the portal that runs here says of itself. Beside it neither its camera nor its display can be tried: it has the one open, and who comes over
//! ssh is not told where the other is. It knows both.

use super::Finding::{self, Bad, Good, Note};
use crate::cli::page;
use crate::config::Config;
use crate::ops::{CameraState, LinkValues, Snapshot, View};
use crate::pairing::Fingerprint;
use serde::Deserialize;

/// Of `/status`.
#[derive(Debug, Deserialize)]
pub(super) struct Running {
    program: String,
    fingerprint: Fingerprint,
    view: View,
    figures: Snapshot,
}

/// Who says so.
const BY: &str = "as the portal that runs here says";

/// The portal that answers at the configured status address; `None` if there is none, or it is something else.
pub(super) fn ask(config: &Config) -> Option<Running> {
    let text = page::ask(&config.status, "status").ok()?;
    let running: Running = serde_json::from_str(&text).ok()?;
    (running.program == env!("CARGO_PKG_NAME")).then_some(running)
}

impl Running {
    /// That it runs, and whether it is the one that is checked.
    pub(super) fn itself(&self, config: &Config, own: Option<Fingerprint>) -> Finding {
        let listen = config.status.listen;
        match own {
            Some(own) if own != self.fingerprint => Note(format!(
                "the one that answers at {listen} has another identity than this check, {}: camera and display are as it says; to check that \
                 one, name its data folder with --data",
                self.fingerprint
            )),
            _ => Good(format!("runs, and answers at {listen}: camera and display are as it says")),
        }
    }

    /// Its camera, or whatever it has for one.
    pub(super) fn source(&self) -> Finding {
        source(&self.view.camera)
    }

    /// Its display.
    pub(super) fn display(&self) -> Finding {
        display(&self.figures.link)
    }

    /// Whether it has a graphics device open.
    pub(super) fn draws(&self) -> bool {
        matches!(self.display(), Good(_))
    }
}

fn source(camera: &CameraState) -> Finding {
    match camera {
        CameraState::Running { description } => Good(format!("{description}, {BY}")),
        CameraState::Covered { description } => Note(format!("{description}: covered, or it is dark, {BY}")),
        CameraState::Starting => Note(format!("it is being opened, {BY}")),
        CameraState::Missing { reason } => Bad(format!("{reason}, {BY}")),
        CameraState::Private => {
            Note(format!("switched off on purpose, by the privacy key or outside opening hours, {BY}"))
        }
    }
}

fn display(link: &LinkValues) -> Finding {
    if link.display_waiting > 0 {
        return Bad(format!("no window system, or no graphics driver, {BY}: it waits for one; its log tells which"));
    }
    match (link.display_updates, link.display_without_monitor) {
        (0, _) => Note(format!("none: it was started without one (--headless), or just now, {BY}")),
        (_, 0) => Good(format!("shown, {BY}")),
        _ => Note(format!("no monitor is connected, or it is switched off, {BY}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_says_becomes_a_finding() {
        let words = || "C920, 1280x720".to_owned();
        for (camera, verdict) in [
            (CameraState::Running { description: words() }, "ok"),
            (CameraState::Covered { description: words() }, "note"),
            (CameraState::Starting, "note"),
            (CameraState::Missing { reason: "unplugged".into() }, "FAIL"),
            (CameraState::Private, "note"),
        ] {
            let line = super::super::line("source", &source(&camera));
            assert!(line.starts_with(verdict) && line.ends_with(BY), "{camera:?}: {line}");
        }
        for (waiting, updates, without_monitor, verdict) in
            [(1, 9, 0, "FAIL"), (0, 0, 0, "note"), (0, 9, 1, "note"), (0, 9, 0, "ok")]
        {
            let link = LinkValues {
                display_waiting: waiting,
                display_updates: updates,
                display_without_monitor: without_monitor,
                ..LinkValues::default()
            };
            let line = super::super::line("display", &display(&link));
            assert!(line.starts_with(verdict) && line.contains(BY), "{link:?}: {line}");
        }
    }
}
