//! Which pictures may be seen now: a pure policy that fails towards showing nothing.

use crate::ops::{CameraState, Slate, View};
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

/// What this view's slate means for pictures that come nevertheless.
pub fn stance(view: &View) -> Stance {
    match view.slate {
        _ if view.refuses() => Stance::Refuse,
        Slate::Hidden => Stance::Show,
        _ => Stance::Await,
    }
}

/// Whether the far end's picture that came last, at `arrived`, may be seen at `now`.
pub fn shows_remote(stance: Stance, arrived: Option<Instant>, now: Instant) -> bool {
    let life = match stance {
        Stance::Show => LAST_RESORT,
        Stance::Await => PICTURE_LIFE,
        Stance::Refuse => return false,
    };
    arrived.is_some_and(|arrived| now.saturating_duration_since(arrived) < life)
}

/// Whether one's own picture that came last, at `arrived`, may be seen at `now`.
pub fn shows_self_view(slate: Slate, camera: &CameraState, arrived: Option<Instant>, now: Instant) -> bool {
    let wanted = slate != Slate::Private && !matches!(camera, CameraState::Private | CameraState::Missing { .. });
    wanted && arrived.is_some_and(|arrived| now.saturating_duration_since(arrived) < PICTURE_LIFE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::FarCamera;

    #[test]
    fn a_private_slate_shows_no_picture_however_new() {
        let now = Instant::now();
        for slate in
            [Slate::Private, Slate::Closed, Slate::FarPrivate, Slate::FarOff, Slate::FarCameraMissing, Slate::NotPaired]
        {
            let stance = stance(&View { slate, ..View::default() });
            assert!(!shows_remote(stance, Some(now), now), "{slate:?}");
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
            let stance = stance(&View { slate, ..View::default() });
            assert!(shows_remote(stance, Some(came), at(40)));
            assert!(!shows_remote(stance, Some(came), at(1000)), "{slate:?}");
            assert!(!shows_remote(stance, None, at(0)));
        }
        assert!(shows_remote(Stance::Show, Some(came), at(1500)));
        assert!(!shows_remote(Stance::Show, Some(came), at(2000)), "even if the link is silent");
    }

    /// The picture that comes first takes the slate away: if it were refused, the slate would stay until the link worries.
    #[test]
    fn a_far_end_that_is_no_longer_private_is_waited_for() {
        for slate in [Slate::FarPrivate, Slate::FarCameraMissing, Slate::Closed] {
            for (far_camera, expected) in [
                (FarCamera::Private, Stance::Refuse),
                (FarCamera::Missing, Stance::Refuse),
                (FarCamera::Closed, Stance::Refuse),
                (FarCamera::Unknown, Stance::Refuse),
                (FarCamera::Running, Stance::Await),
                (FarCamera::Covered, Stance::Await),
            ] {
                assert_eq!(
                    stance(&View { slate, far_camera, ..View::default() }),
                    expected,
                    "{slate:?} {far_camera:?}"
                );
            }
        }
    }
}
