//! Which pictures may be seen now: a pure policy that fails towards showing nothing.

use crate::ops::{CameraState, Slate};
use std::time::{Duration, Instant};

/// How long a picture stays on the screen without a newer one. After it, a picture is no view into another room but a photograph.
pub const PICTURE_LIFE: Duration = Duration::from_secs(1);

/// How long a picture may stay when the link says that all is well: the link's own "paused" comes first.
const LAST_RESORT: Duration = Duration::from_secs(2);

/// What a slate means for pictures that come nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stance {
    /// There is no slate.
    Show,
    /// The slate stands in for a picture that does not come: the first one that comes takes its place, and so makes the link live.
    Await,
    /// Somebody does not want to be seen, or ended it: nothing is shown, and what came is forgotten.
    Refuse,
}

/// What this slate means for pictures that come nevertheless.
pub fn stance(slate: Slate) -> Stance {
    match slate {
        Slate::Hidden => Stance::Show,
        Slate::Connecting | Slate::NoFarEnd | Slate::Paused => Stance::Await,
        Slate::NotPaired
        | Slate::FarCameraMissing
        | Slate::FarPrivate
        | Slate::FarOff
        | Slate::Closed
        | Slate::Private => Stance::Refuse,
    }
}

/// Whether the far end's picture that came last, at `arrived`, may be seen at `now`.
pub fn shows_remote(slate: Slate, arrived: Option<Instant>, now: Instant) -> bool {
    let life = match stance(slate) {
        Stance::Show => LAST_RESORT,
        Stance::Await => PICTURE_LIFE,
        Stance::Refuse => return false,
    };
    arrived.is_some_and(|arrived| now.saturating_duration_since(arrived) < life)
}

/// Whether one's own picture that came last, at `arrived`, may be seen at `now`.
pub fn shows_self_view(slate: Slate, camera: &CameraState, arrived: Option<Instant>, now: Instant) -> bool {
    let wanted = slate != Slate::Private && matches!(camera, CameraState::Running { .. } | CameraState::Starting);
    wanted && arrived.is_some_and(|arrived| now.saturating_duration_since(arrived) < PICTURE_LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_slate_shows_no_picture_however_new() {
        let now = Instant::now();
        for slate in
            [Slate::Private, Slate::Closed, Slate::FarPrivate, Slate::FarOff, Slate::FarCameraMissing, Slate::NotPaired]
        {
            assert!(!shows_remote(slate, Some(now), now), "{slate:?}");
        }
        let camera = CameraState::Running { description: String::new() };
        assert!(!shows_self_view(Slate::Private, &camera, Some(now), now));
        assert!(!shows_self_view(Slate::Hidden, &CameraState::Private, Some(now), now));
        assert!(shows_self_view(Slate::FarPrivate, &camera, Some(now), now));
    }

    #[test]
    fn a_picture_never_outlives_its_second() {
        let came = Instant::now();
        let at = |ms| came + Duration::from_millis(ms);
        for slate in [Slate::Connecting, Slate::NoFarEnd, Slate::Paused] {
            assert!(shows_remote(slate, Some(came), at(40)));
            assert!(!shows_remote(slate, Some(came), at(1000)), "{slate:?}");
            assert!(!shows_remote(slate, None, at(0)));
        }
        assert!(shows_remote(Slate::Hidden, Some(came), at(1500)));
        assert!(!shows_remote(Slate::Hidden, Some(came), at(2000)), "even if the link is silent");
    }
}
