//! What guests may see now. Pure; whatever is doubtful is a slate.

use crate::ops::{CameraState, Slate, View};
use std::time::Duration;

/// Without a new picture of the camera for so long, the last one is no picture of now.
pub const STALE: Duration = Duration::from_secs(1);

/// What guests see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What the far end sees.
    Camera,
    /// A slate, and why.
    Slate(Why),
}

/// Why there is no picture of the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Switched off on purpose.
    Private,
    /// Outside opening hours.
    Closed,
    /// There is none, or it gives no pictures.
    Missing,
    /// It has just begun, or stopped: nobody knows yet.
    Waiting,
}

impl Why {
    /// In words for guests. No cause is told that is nobody else's business.
    pub fn words(self) -> &'static str {
        match self {
            Self::Private => "The camera is switched off",
            Self::Closed => "Closed at this hour",
            Self::Missing => "The camera gives no picture",
            Self::Waiting => "A moment, please",
        }
    }
}

/// Judges by what the portal is doing and by the age of the camera's newest picture that may still be seen.
pub fn sight(view: &View, newest: Option<Duration>) -> Sight {
    let why = match (view.slate, &view.camera) {
        (Slate::Private, _) => Why::Private,
        // Whoever is not paired has hours, too, and no slate for them.
        (Slate::Closed, _) => Why::Closed,
        _ if view.opening.is_some() => Why::Closed,
        (_, CameraState::Private) => Why::Private,
        (_, CameraState::Missing { .. }) => Why::Missing,
        (_, CameraState::Starting) => Why::Waiting,
        (_, CameraState::Running { .. } | CameraState::Covered { .. }) => match newest {
            Some(age) if age < STALE => return Sight::Camera,
            _ => Why::Waiting,
        },
    };
    Sight::Slate(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_camera_that_runs_is_seen() {
        use Sight::{Camera, Slate as Card};
        let running = CameraState::Running { description: "camera".into() };
        let covered = CameraState::Covered { description: "camera".into() };
        let missing = CameraState::Missing { reason: "unplugged".into() };
        let (fresh, stale) = (Some(Duration::from_millis(40)), Some(Duration::from_millis(1000)));
        let opening = || Some("opens at 8".to_owned());
        for (slate, camera, opening, newest, seen) in [
            (Slate::Hidden, &running, None, fresh, Camera),
            (Slate::NotPaired, &running, None, fresh, Camera),
            (Slate::NoFarEnd, &running, None, fresh, Camera),
            (Slate::FarPrivate, &running, None, fresh, Camera),
            // Blurred already.
            (Slate::Hidden, &covered, None, fresh, Camera),
            (Slate::Hidden, &running, None, stale, Card(Why::Waiting)),
            (Slate::Hidden, &running, None, None, Card(Why::Waiting)),
            (Slate::Hidden, &CameraState::Starting, None, fresh, Card(Why::Waiting)),
            (Slate::Hidden, &missing, None, fresh, Card(Why::Missing)),
            (Slate::Hidden, &CameraState::Private, None, fresh, Card(Why::Private)),
            // The board is told before the camera has heard of it.
            (Slate::Private, &running, None, fresh, Card(Why::Private)),
            (Slate::Closed, &running, None, fresh, Card(Why::Closed)),
            (Slate::NotPaired, &running, opening(), fresh, Card(Why::Closed)),
            (Slate::Private, &running, opening(), fresh, Card(Why::Private)),
        ] {
            let view = View { slate, camera: camera.clone(), opening, ..View::default() };
            assert_eq!(sight(&view, newest), seen, "{view:?}");
        }
    }
}
