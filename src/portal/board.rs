//! Puts together what link, camera and operator say into the one [`View`] that everybody reads.

use crate::link;
use crate::media::{Eras, Waker};
use crate::ops::{CameraState, EnteredCode, FarCamera, Figures, Invitation, Slate, View, Waiting};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// The one writer of the [`View`]. Shared by whoever has news; each change wakes the display.
#[derive(Debug)]
pub(super) struct Board {
    state: Mutex<State>,
    view: watch::Sender<View>,
    /// Told which slate there is: what stands still under one is not frozen.
    figures: Arc<Figures>,
    eras: Eras,
    waker: Waker,
}

#[derive(Debug)]
struct State {
    view: View,
    /// What the link would show if the operator had nothing against it.
    link_slate: Slate,
    private: bool,
    /// Outside opening hours: what people are told of the next opening.
    closed: Option<String>,
    /// The far end's privacy, as it last told it; what it does not tell (its hours, a connection that is gone) leaves it as it was.
    far_private: bool,
    /// What the source said last, and whether it hangs: then nobody else says so.
    camera: CameraState,
    source_hangs: bool,
}

/// What everybody sees while the source hangs.
const HANGS: &str =
    "the camera hangs: the system does not answer when asked for its pictures; unplug it and plug it in again";

impl Board {
    /// An empty board. `paired` says whether a far end is pinned: without one there is nothing to connect to. `private`: the privacy key was
    /// pressed before the program was started again.
    pub(super) fn new(paired: bool, private: bool, figures: Arc<Figures>, eras: Eras, waker: Waker) -> Self {
        let link_slate = if paired { Slate::Connecting } else { Slate::NotPaired };
        let slate = if private { Slate::Private } else { link_slate };
        let view = View { slate, ..View::default() };
        let camera = view.camera.clone();
        let state = State {
            view: view.clone(),
            link_slate,
            private,
            closed: None,
            far_private: false,
            camera,
            source_hangs: false,
        };
        let now = Instant::now();
        figures.shows(slate, now);
        figures.watches(&view, now);
        expect(&figures, &view);
        Self { state: Mutex::new(state), view: watch::Sender::new(view), figures, eras, waker }
    }

    /// A reader's end.
    pub(super) fn subscribe(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// The link has news.
    pub(super) fn link(&self, status: link::Status) {
        self.change(|state| {
            if let Some(private) = far_privacy(status.far_camera, &mut state.far_private) {
                let site = status.far_site.as_deref();
                tracing::info!(
                    private,
                    site,
                    "{}",
                    if private {
                        "the far end is private: its camera was switched off there"
                    } else {
                        "the far end is no longer private"
                    }
                );
            }
            state.view.link = status.state;
            state.view.far_camera = status.far_camera;
            state.view.far_site = status.far_site;
            state.view.trouble = status.trouble;
            state.view.path = status.path;
            state.link_slate = status.slate;
        });
    }

    /// What somebody can be paired by, while this portal is not.
    pub(super) fn invitation(&self, invitation: Option<Invitation>) {
        self.change(|state| state.view.invitation = invitation);
    }

    /// Who else in the local network waits to be paired.
    pub(super) fn waiting(&self, waiting: Vec<Waiting>) {
        self.change(|state| state.view.waiting = waiting);
    }

    /// What comes of a code that was entered here.
    pub(super) fn entered(&self, entered: EnteredCode) {
        self.change(|state| state.view.entered = entered);
    }

    /// The words that both screens say after pairing.
    pub(super) fn confirmation(&self, words: Option<String>) {
        self.change(|state| state.view.confirmation = words);
    }

    /// So many guests look at our camera.
    pub(super) fn guests(&self, guests: usize) {
        self.change(|state| state.view.guests = guests);
    }

    /// Our camera has news.
    pub(super) fn camera(&self, camera: CameraState) {
        self.change(|state| state.camera = camera);
    }

    /// The thread that would have news of our camera hangs, or goes on.
    pub(super) fn source_hangs(&self, hangs: bool) {
        self.change(|state| state.source_hangs = hangs);
    }

    /// Our camera's state, as everybody sees it.
    pub(super) fn camera_state(&self) -> CameraState {
        self.view.borrow().camera.clone()
    }

    /// Outside opening hours, with what people are told of the next opening; or `None` while it is open.
    pub(super) fn closed(&self, closed: Option<String>) {
        self.change(|state| {
            if state.closed.is_some() != closed.is_some() {
                self.eras.own.end();
            }
            state.closed = closed;
        });
    }

    /// Whether privacy is on.
    pub(super) fn is_private(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).private
    }

    /// Whether it is outside opening hours.
    pub(super) fn is_closed(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed.is_some()
    }

    /// Turns privacy on or off; returns whether it is on now.
    pub(super) fn toggle_private(&self) -> bool {
        let mut private = false;
        self.change(|state| {
            // First of all: whatever was taken until now is over, wherever it is.
            self.eras.own.end();
            state.private = !state.private;
            private = state.private;
        });
        private
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // A panic inside a change is a bug; the view is whole all the same.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let refused = self.view.borrow().refuses();
        state.view.camera = match &state.camera {
            camera if !state.source_hangs || *camera == CameraState::Private => camera.clone(),
            _ => CameraState::Missing { reason: HANGS.into() },
        };
        // Our own privacy goes before anything that the far end does. Who is not paired yet has no hours to keep.
        state.view.slate = match (state.private, &state.closed) {
            (true, _) => Slate::Private,
            (false, Some(_)) if state.link_slate != Slate::NotPaired => Slate::Closed,
            _ => state.link_slate,
        };
        state.view.opening = state.closed.clone();
        // Both ways: what came until now was for other eyes, and what came meanwhile was for none.
        if state.view.refuses() != refused {
            self.eras.far.end();
        }
        let changed = self.view.send_if_modified(|view| {
            let changed = *view != state.view;
            if changed {
                view.clone_from(&state.view);
            }
            changed
        });
        if changed {
            let now = Instant::now();
            self.figures.shows(state.view.slate, now);
            self.figures.watches(&state.view, now);
            expect(&self.figures, &state.view);
            self.waker.wake();
        }
    }
}

/// Whether the far end's privacy is on from now on, if that is news.
fn far_privacy(camera: FarCamera, was: &mut bool) -> Option<bool> {
    let now = match camera {
        FarCamera::Private => true,
        FarCamera::Running | FarCamera::Covered | FarCamera::Missing => false,
        FarCamera::Unknown | FarCamera::Closed => return None,
    };
    (std::mem::replace(was, now) != now).then_some(now)
}

/// Tells the watchdog what to expect.
fn expect(figures: &Figures, view: &View) {
    let wanted = matches!(view.slate, Slate::Hidden | Slate::Paused | Slate::NoFarEnd | Slate::Connecting);
    figures.pulse.pictures_wanted.set(wanted.into());
    figures.pulse.source_off.set((view.camera == CameraState::Private).into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::LinkState;

    fn live() -> link::Status {
        link::Status {
            state: LinkState::Live,
            slate: Slate::Hidden,
            far_camera: FarCamera::Running,
            far_site: Some("There".into()),
            far_hours: None,
            trouble: None,
            path: None,
        }
    }

    #[test]
    fn privacy_hides_the_far_end_whatever_the_link_says() {
        let board = Board::new(true, false, Arc::default(), Eras::default(), Waker::new());
        let view = board.subscribe();
        board.link(live());
        assert_eq!(view.borrow().slate, Slate::Hidden);
        assert!(board.toggle_private());
        board.link(live());
        assert_eq!(view.borrow().slate, Slate::Private);
        assert!(!board.toggle_private());
        assert_eq!(view.borrow().slate, Slate::Hidden);
    }

    /// Whatever is under way when somebody does not want to be seen is not seen when he does again.
    #[test]
    fn each_refusal_ends_an_era_at_its_beginning_and_at_its_end() {
        let eras = Eras::default();
        let board = Board::new(true, false, Arc::default(), eras.clone(), Waker::new());
        let far = |camera, slate| board.link(link::Status { far_camera: camera, slate, ..live() });
        far(FarCamera::Running, Slate::Hidden);
        let (own, far_stamp) = (eras.own.now(), eras.far.now());
        far(FarCamera::Covered, Slate::Hidden);
        far(FarCamera::Running, Slate::Paused);
        far(FarCamera::Running, Slate::Hidden);
        assert!(eras.far.holds(far_stamp), "a pause is no refusal");
        far(FarCamera::Private, Slate::FarPrivate);
        let meanwhile = eras.far.now();
        assert!(!eras.far.holds(far_stamp));
        // It runs again, its picture is still to come: what came meanwhile is not it.
        far(FarCamera::Running, Slate::FarPrivate);
        let (awaited, view) = (eras.far.now(), board.subscribe());
        assert!(!eras.far.holds(meanwhile) && !view.borrow().refuses());
        far(FarCamera::Running, Slate::Hidden);
        assert!(eras.far.holds(awaited), "the first picture is the one that ends the slate");
        assert!(eras.own.holds(own), "none of this is about our own");

        board.toggle_private();
        assert!(!eras.own.holds(own) && !eras.far.holds(awaited));
        let private = (eras.own.now(), eras.far.now());
        board.toggle_private();
        assert!(!eras.own.holds(private.0) && !eras.far.holds(private.1));
    }

    #[test]
    fn the_far_end_s_privacy_is_told_once_for_each_change() {
        use FarCamera::*;
        let mut private = false;
        let told = [Unknown, Running, Private, Private, Unknown, Closed, Private, Missing, Covered, Running, Private]
            .map(|camera| far_privacy(camera, &mut private));
        let (on, off) = (Some(true), Some(false));
        assert_eq!(told, [None, None, on, None, None, None, None, off, None, None, on]);
    }

    #[test]
    fn a_portal_that_was_private_begins_private() {
        let board = Board::new(true, true, Arc::default(), Eras::default(), Waker::new());
        board.link(live());
        assert_eq!(board.subscribe().borrow().slate, Slate::Private);
    }

    #[test]
    fn outside_opening_hours_nothing_is_seen_and_the_slate_says_when() {
        let (eras, stamp) = (Eras::default(), Eras::default().own.now());
        let board = Board::new(true, false, Arc::default(), eras.clone(), Waker::new());
        let view = board.subscribe();
        board.link(live());
        board.closed(Some("Opens Monday 08:00.".into()));
        board.link(live());
        assert_eq!(view.borrow().slate, Slate::Closed);
        assert!(!eras.own.holds(stamp), "what was taken before is not sent when it opens");
        assert_eq!(view.borrow().opening.as_deref(), Some("Opens Monday 08:00."));
        assert!(board.toggle_private());
        assert_eq!(view.borrow().slate, Slate::Private);
        board.toggle_private();
        board.closed(None);
        assert_eq!((view.borrow().slate, view.borrow().opening.clone()), (Slate::Hidden, None));
    }

    #[test]
    fn without_a_far_end_the_slate_says_so() {
        assert_eq!(
            Board::new(false, false, Arc::default(), Eras::default(), Waker::new()).subscribe().borrow().slate,
            Slate::NotPaired
        );
    }
}
