//! What counts as a sign of life of the far end, and what is told of it.

use super::{Action, Duration, FarCamera, Instant, LinkState, Machine, Slate, Status};

/// A remote picture within this keeps the link live.
const PICTURE: Duration = Duration::from_secs(1);
/// An answered ping within this does, while there is no picture to be expected.
const PING: Duration = Duration::from_secs(2);
/// Stalled for this long, the link counts as down.
const DOWN: Duration = Duration::from_secs(6);
/// With signalling gone as well, the far end counts as gone after this.
const GONE: Duration = Duration::from_millis(1500);
/// RFC 7675: without consent for 30 s, sending must stop.
const CONSENT: Duration = Duration::from_secs(30);
/// So long after the start, an absent far end is still being looked for.
const STARTING: Duration = Duration::from_secs(5);

impl Machine {
    pub(super) fn set_far_camera(&mut self, camera: FarCamera, now: Instant) {
        if camera != self.far_camera {
            self.absent = without_picture(self.far_camera).or(self.absent);
            (self.far_camera, self.camera_changed) = (camera, now);
        }
    }

    pub(super) fn pictures_expected(&self) -> bool {
        !self.private && !matches!(self.far_camera, FarCamera::Missing | FarCamera::Private | FarCamera::Closed)
    }

    /// How long `last` is ago, counted from when it could first be expected.
    pub(super) fn silence(&self, last: Option<Instant>, now: Instant) -> Duration {
        let since = self.current.map_or(self.started, |current| current.since).max(self.camera_changed);
        let since = since.max(self.resumed);
        now.saturating_duration_since(last.map_or(since, |last| last.max(since)))
    }

    fn picture_silence(&self, now: Instant) -> Duration {
        self.silence(self.presented, now)
    }

    /// Silence of the network: of pictures, or of the far end altogether while it has none.
    pub(super) fn network_silence(&self, now: Instant) -> Duration {
        let last = if self.pictures_expected() { self.received.max(self.presented) } else { self.heard };
        self.silence(last, now)
    }

    /// Silence of the data channel, as far as it is not the path's.
    pub(super) fn channel_silence(&self, now: Instant) -> Duration {
        if self.pictures_expected() {
            self.alive_since.map_or(Duration::ZERO, |since| self.silence(self.heard.max(Some(since)), now))
        } else {
            self.silence(self.heard, now)
        }
    }

    pub(super) fn alive(&self, now: Instant) -> bool {
        let (last, within) = if self.pictures_expected() { (self.presented, PICTURE) } else { (self.heard, PING) };
        let fresh = last.filter(|last| *last > self.resumed);
        self.current.is_some() && fresh.is_some_and(|last| now.saturating_duration_since(last) < within)
    }

    pub(super) fn has_consent(&self, now: Instant) -> bool {
        let lost = |lost| now.saturating_duration_since(lost) >= CONSENT;
        self.current.is_some_and(|current| !current.lost.is_some_and(lost))
    }

    /// While pictures do not come although they should, each second again.
    pub(super) fn ask_for_keyframe(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let Some(current) = self.current else { return };
        let lately = self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < PICTURE);
        if lately || !self.pictures_expected() || self.picture_silence(now) < PICTURE {
            return;
        }
        if self.asked.replace(now).is_none() && self.was_live {
            actions.push(Action::Stalled);
        }
        actions.push(Action::AskForKeyframe(current.id));
    }

    /// What the operator and the passer-by are to be told.
    pub fn status(&self, now: Instant) -> Status {
        let (state, slate) = self.state(now);
        let trouble = if state == LinkState::Live { None } else { self.trouble.clone() };
        // What it said last is no news any more once it has gone.
        let known = self.current.is_some() && slate != Slate::NoFarEnd;
        let far_camera = if known { self.far_camera } else { FarCamera::Unknown };
        Status { state, slate, far_camera, far_site: None, far_hours: None, path: None, trouble }
    }

    fn state(&self, now: Instant) -> (LinkState, Slate) {
        if self.closed {
            return (LinkState::Closed, Slate::Connecting);
        }
        if self.far_off {
            return (LinkState::Signalling, Slate::FarOff);
        }
        if self.alive(now) {
            return (LinkState::Live, without_picture(self.far_camera).unwrap_or(Slate::Hidden));
        }
        // The far end's word is ahead of its picture; another slate in between would only flash.
        if let Some(slate) = self.absent.filter(|_| self.current.is_some() && self.picture_silence(now) < PICTURE) {
            return (LinkState::Live, slate);
        }
        let answered = self.next.is_some_and(|next| next.answered);
        let state = match self.current {
            Some(_) if self.picture_silence(now) < DOWN && self.was_live => LinkState::Stalled,
            Some(_) if self.picture_silence(now) < DOWN => LinkState::Connecting,
            _ if answered => LinkState::Connecting,
            _ => LinkState::Signalling,
        };
        let starting = now.saturating_duration_since(self.started) < STARTING && self.presented.is_none();
        let last = self.presented.max(self.heard).unwrap_or(self.started);
        let gone = !self.signaling && !starting && now.saturating_duration_since(last) >= GONE;
        let slate = match state {
            _ if gone => Slate::NoFarEnd,
            LinkState::Stalled => Slate::Paused,
            _ => Slate::Connecting,
        };
        (state, slate)
    }
}

/// The slate for a far end that has no picture to give, by its own account.
fn without_picture(camera: FarCamera) -> Option<Slate> {
    match camera {
        FarCamera::Missing => Some(Slate::FarCameraMissing),
        FarCamera::Private => Some(Slate::FarPrivate),
        FarCamera::Closed => Some(Slate::Closed),
        FarCamera::Unknown | FarCamera::Running | FarCamera::Covered => None,
    }
}
