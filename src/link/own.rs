//! Our own side, as the far end is told of it.

use super::control::Message;
use crate::hours::Announced;
use crate::ops::FarCamera;
use tokio::sync::watch;

/// With each so manieth introduction opening hours are told: every ten seconds, because any message may be lost.
const HOURS_EACH: u32 = 10;

/// What the portal says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Own {
    /// The name of this place.
    pub site: String,
    pub camera: FarCamera,
    pub private: bool,
    /// Outside opening hours.
    pub closed: bool,
    pub hours: Option<Vec<Announced>>,
}

impl Own {
    /// At the start: nothing is known yet.
    pub fn new(site: String) -> Self {
        Self { site, camera: FarCamera::Unknown, private: false, closed: false, hours: None }
    }

    /// What the far end is told of our camera.
    fn told(&self) -> FarCamera {
        match self {
            Self { private: true, .. } => FarCamera::Private,
            Self { closed: true, .. } => FarCamera::Closed,
            // It was switched off with us, and is about to be opened again.
            Self { camera: FarCamera::Private, .. } => FarCamera::Unknown,
            Self { camera, .. } => *camera,
        }
    }
}

/// The session's end of it.
pub(super) struct Introductions {
    own: watch::Receiver<Own>,
    said: u32,
    last: (FarCamera, bool),
}

impl Introductions {
    pub fn new(own: watch::Receiver<Own>) -> Self {
        Self { own, said: 0, last: (FarCamera::Unknown, false) }
    }

    /// Waits for news, which are then to be told at once. An error means that nobody will have any.
    pub async fn changed(&mut self) -> Result<(), watch::error::RecvError> {
        self.own.changed().await
    }

    /// Nothing is sent, and nothing of the far end's is shown.
    pub fn is_shut(&self) -> bool {
        let own = self.own.borrow();
        own.private || own.closed
    }

    /// Takes the news. Whether it is about the camera, or being private or closed: what the far end sees changes with that.
    pub fn take_news(&mut self) -> bool {
        let shut = self.is_shut();
        let now = (self.own.borrow_and_update().told(), shut);
        self.begin_anew();
        std::mem::replace(&mut self.last, now) != now
    }

    /// Somebody new listens: the next introduction is a whole one.
    pub fn begin_anew(&mut self) {
        self.said = 0;
    }

    /// Who we are and whether there is something to see.
    pub fn message(&mut self) -> Message {
        let with_hours = self.said.is_multiple_of(HOURS_EACH);
        self.said = self.said.wrapping_add(1);
        let own = self.own.borrow();
        Message::presence(&own.site, own.told(), own.hours.clone().filter(|_| with_hours))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privacy_goes_before_opening_hours_and_both_before_the_camera() {
        let (tell, own) = watch::channel(Own::new("Oslo".into()));
        let mut introductions = Introductions::new(own);
        let mut news = |change: fn(&mut Own)| {
            tell.send_modify(change);
            let matters = introductions.take_news();
            let Message::Presence { camera, .. } = introductions.message() else { panic!() };
            (matters, camera, introductions.is_shut())
        };
        assert_eq!(news(|own| own.camera = FarCamera::Running), (true, FarCamera::Running, false));
        assert_eq!(news(|own| own.site = "Bergen".into()), (false, FarCamera::Running, false));
        assert_eq!(news(|own| own.closed = true), (true, FarCamera::Closed, true));
        assert_eq!(news(|own| own.private = true), (true, FarCamera::Private, true));
        assert_eq!(news(|own| own.closed = false), (false, FarCamera::Private, true));
        // The camera's own word comes later than the key's.
        assert_eq!(news(|own| own.camera = FarCamera::Private), (false, FarCamera::Private, true));
        assert_eq!(news(|own| own.private = false), (true, FarCamera::Unknown, false));
        assert_eq!(news(|own| own.camera = FarCamera::Running), (true, FarCamera::Running, false));
    }

    #[test]
    fn hours_are_told_at_once_and_then_now_and_then() {
        let (tell, own) = watch::channel(Own::new("Oslo".into()));
        let mut introductions = Introductions::new(own);
        tell.send_modify(|own| own.hours = Some(Vec::new()));
        let mut told = || matches!(introductions.message(), Message::Presence { hours: Some(_), .. });
        let first: Vec<bool> = (0..21).map(|_| told()).collect();
        assert_eq!(first.iter().filter(|told| **told).count(), 3);
        assert!(first[0] && first[10] && first[20]);
        introductions.begin_anew();
        assert!(matches!(introductions.message(), Message::Presence { hours: Some(_), .. }));
    }
}
