//! Whether somebody should have a look.

use crate::ops::{CameraState, LinkState, Privacy, PrivacyState, Slate, View};
use serde::Serialize;

/// The verdict on a portal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Whether the portal does what it should.
    pub ok: bool,
    /// Why, in plain words.
    pub reason: String,
}

/// Judges what the portal is doing.
///
/// It does what it should while the far end's picture is live and our own camera works, and also while a person, here or there,
/// has switched it off on purpose: privacy, an orderly end at the far end, opening hours. Everything else, a start that is
/// still under way included, wants attention if it lasts; how long is for the monitoring to say.
pub fn health(view: &View, privacy: &Privacy) -> Health {
    let verdict = |ok, reason: &str| Health { ok, reason: reason.into() };
    let with_trouble = |reason: &str| match &view.trouble {
        Some(trouble) => verdict(false, &format!("{reason}: {trouble}")),
        None => verdict(false, reason),
    };
    if privacy.state == PrivacyState::Private && !privacy.proven {
        return verdict(false, "privacy is on, and a camera is open or pictures were taken all the same: see /status");
    }
    match (view.slate, view.link, &view.camera) {
        (Slate::Closed, _, _) => verdict(true, "closed on purpose: outside opening hours"),
        (Slate::Private, _, _) | (_, _, CameraState::Private) => verdict(true, "private: switched off here on purpose"),
        (_, LinkState::Closed, _) => verdict(true, "closed on purpose"),
        (_, _, CameraState::Missing { reason }) => verdict(false, &format!("no camera: {reason}")),
        (_, _, CameraState::Covered { .. }) => verdict(false, "our camera is covered, or it is dark"),
        (Slate::FarPrivate, _, _) => verdict(true, "the far end is private"),
        (Slate::FarOff, _, _) => verdict(true, "the far end was switched off in order"),
        (Slate::FarCameraMissing, _, _) => verdict(false, "the far end's camera gives no picture"),
        (Slate::NotPaired, _, _) | (_, LinkState::Idle, _) => verdict(false, "not paired: run `screen-portal pair`"),
        (_, LinkState::Live, _) => verdict(true, "live"),
        (_, LinkState::Stalled, _) => with_trouble("the far end's picture has stopped"),
        (_, LinkState::Connecting, _) => with_trouble("connecting"),
        (_, LinkState::Signalling, _) => with_trouble("the far end cannot be reached"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Figures;
    use std::time::Instant;

    #[test]
    fn scenarios() {
        use LinkState::*;
        let running = CameraState::Running { description: "camera".into() };
        let missing = CameraState::Missing { reason: "unplugged".into() };
        let covered = CameraState::Covered { description: "camera".into() };
        let scenarios = [
            (Live, Slate::Hidden, &running, true, "live"),
            (Live, Slate::Hidden, &missing, false, "unplugged"),
            (Live, Slate::Hidden, &covered, false, "covered"),
            (Live, Slate::Private, &CameraState::Private, true, "private"),
            (Stalled, Slate::Private, &CameraState::Private, true, "private"),
            (Connecting, Slate::FarPrivate, &running, true, "far end is private"),
            (Connecting, Slate::FarPrivate, &missing, false, "unplugged"),
            (Signalling, Slate::FarOff, &running, true, "in order"),
            (Signalling, Slate::NoFarEnd, &running, false, "reached: nobody answers"),
            (Connecting, Slate::Connecting, &running, false, "connecting"),
            (Connecting, Slate::FarCameraMissing, &running, false, "no picture"),
            (Stalled, Slate::Paused, &running, false, "stopped"),
            (Idle, Slate::NotPaired, &running, false, "not paired"),
            (Idle, Slate::Connecting, &CameraState::Starting, false, "not paired"),
            (Closed, Slate::Connecting, &running, true, "on purpose"),
            (Live, Slate::Closed, &CameraState::Private, true, "opening hours"),
            (Signalling, Slate::Closed, &CameraState::Private, true, "opening hours"),
            (Live, Slate::Closed, &missing, true, "opening hours"),
        ];
        for (link, slate, camera, ok, word) in scenarios {
            let trouble = Some("nobody answers".into());
            let view = View { link, slate, camera: camera.clone(), trouble, ..View::default() };
            let privacy = Figures::default().privacy(&view, Instant::now());
            let health = health(&view, &privacy);
            assert_eq!(health.ok, ok, "{view:?}");
            assert!(health.reason.contains(word), "{health:?}");
        }
    }
}
