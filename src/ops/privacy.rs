//! The state of privacy, with what proves it: for `/status`.

use super::{CameraState, FarCamera, Figures, Slate, View};
use serde::{Deserialize, Serialize};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What becomes of our pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrivacyState {
    /// They are sent as they are, when there is somebody to send them to.
    #[default]
    Open,
    /// They are blurred before they are sent or shown: the lens seems covered.
    Blurred,
    /// Privacy was asked for a moment ago; the camera is being closed.
    Closing,
    /// The camera is closed: nothing is captured, sent or shown.
    Private,
}

impl PrivacyState {
    /// As this view says.
    pub fn of(view: &View) -> Self {
        match (&view.camera, view.slate) {
            (CameraState::Private, _) => Self::Private,
            (_, Slate::Private) => Self::Closing,
            (CameraState::Covered { .. }, _) => Self::Blurred,
            _ => Self::Open,
        }
    }
}

/// The state, and its proofs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Privacy {
    /// What becomes of our pictures.
    pub state: PrivacyState,
    /// For how many seconds it has been so.
    pub for_s: f64,
    /// Whether the capture thread has a camera open, by its own account.
    pub camera_open: bool,
    /// The video devices that this process has open, as the kernel lists them (`/proc/self/fd`): asked anew for each answer.
    pub devices_open: Vec<PathBuf>,
    /// Whether all of this agrees: in `private` no device is open by either account, and nothing was captured, sent or presented since.
    pub proven: bool,
    /// Pictures captured since the state began.
    pub captured: u64,
    /// Pictures sent since the state began; in `private` since a second later, when what was on its way has gone.
    pub sent: u64,
    /// Pictures of the far end presented, since then.
    pub presented: u64,
    /// What stands on our screen instead of the far end's picture (`hidden`: nothing does).
    pub shown: Slate,
    /// Why, in words.
    pub why: String,
}

/// What was being sent or shown in the moment of the key is sent or shown within this time.
const SETTLES: Duration = Duration::from_secs(1);

/// When the present state began, and what had been counted by then.
#[derive(Clone, Copy, Debug)]
pub(super) struct Since {
    state: PrivacyState,
    at: Instant,
    captured: u64,
    sent: u64,
    presented: u64,
    /// Whether what had begun before has ended.
    settled: bool,
}

impl Since {
    pub fn new(at: Instant) -> Self {
        Self { state: PrivacyState::default(), at, captured: 0, sent: 0, presented: 0, settled: false }
    }

    /// The state is this one now. To be told of every change.
    pub fn becomes(&mut self, state: PrivacyState, figures: &Figures, now: Instant) {
        if state != self.state {
            let (outgoing, incoming) = (&figures.outgoing, &figures.incoming);
            let (captured, sent) = (outgoing.captured.get(), outgoing.sent.get());
            *self = Self { state, at: now, captured, sent, presented: incoming.presented.get(), settled: false };
        }
    }

    /// To be called about once a second. A packet that was being written, or a picture that was being presented, when the camera's thread
    /// said that it is off is counted after that; it must not stand against all of a night's privacy. Captured nothing may be from then on: that
    /// thread is the one who captures.
    pub fn settles(&mut self, figures: &Figures, now: Instant) {
        let begun = now.saturating_duration_since(self.at) >= SETTLES;
        if self.state == PrivacyState::Private && begun && !self.settled {
            (self.sent, self.presented) = (figures.outgoing.sent.get(), figures.incoming.presented.get());
            self.settled = true;
        }
    }

    pub fn privacy(&self, figures: &Figures, view: &View, now: Instant) -> Privacy {
        let (outgoing, incoming) = (&figures.outgoing, &figures.incoming);
        let mut devices_open: Vec<PathBuf> = open_devices().into_iter().map(|(_, device)| device).collect();
        devices_open.sort_unstable();
        devices_open.dedup();
        let mut privacy = Privacy {
            state: self.state,
            for_s: now.saturating_duration_since(self.at).as_secs_f64(),
            camera_open: outgoing.camera_open.get() > 0,
            devices_open,
            proven: true,
            captured: outgoing.captured.get().saturating_sub(self.captured),
            sent: outgoing.sent.get().saturating_sub(self.sent),
            presented: incoming.presented.get().saturating_sub(self.presented),
            shown: view.slate,
            why: why(view),
        };
        let nothing = privacy.captured + privacy.sent + privacy.presented == 0;
        privacy.proven = match privacy.state {
            PrivacyState::Private => nothing && !privacy.camera_open && privacy.devices_open.is_empty(),
            PrivacyState::Closing => false,
            PrivacyState::Open | PrivacyState::Blurred => true,
        };
        privacy
    }
}

/// The video devices that this process has open, with their descriptors, as the kernel lists them.
pub fn open_devices() -> Vec<(RawFd, PathBuf)> {
    let entries = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let open = entries.filter_map(|entry| {
        let descriptor = entry.file_name().to_str()?.parse().ok()?;
        Some((descriptor, std::fs::read_link(entry.path()).ok()?))
    });
    open.filter(|(_, target)| is_video_device(target)).collect()
}

/// `/dev/video0`, also when it is gone: the kernel adds " (deleted)" to what has no name any more.
fn is_video_device(path: &Path) -> bool {
    path.to_str()
        .and_then(|path| path.strip_prefix("/dev/video"))
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn why(view: &View) -> String {
    match view.slate {
        Slate::Hidden if view.far_camera == FarCamera::Covered => "the far end's picture, which comes blurred",
        Slate::Hidden => "the far end's picture",
        Slate::Connecting => "there is no connection yet",
        Slate::NotPaired => "no far end is pinned",
        Slate::NoFarEnd => "the far end cannot be reached",
        Slate::FarCameraMissing => "the far end's camera gives no picture",
        Slate::FarPrivate => "the far end switched its camera off",
        Slate::FarOff => "the far end said goodbye",
        Slate::Paused => "the far end's picture has stopped",
        Slate::Closed if view.opening.is_some() => "outside opening hours",
        Slate::Closed => "the far end is closed: opening hours",
        Slate::Private => "the privacy key was pressed here",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_is_proven_only_while_nothing_contradicts() {
        let figures = Figures::default();
        figures.outgoing.captured.add(10);
        let now = Instant::now();
        let private = View { slate: Slate::Private, camera: CameraState::Private, ..View::default() };
        let closing = View { slate: Slate::Private, camera: CameraState::Starting, ..View::default() };
        assert!(figures.privacy(&View::default(), now).proven);
        figures.watches(&closing, now);
        figures.outgoing.captured.one();
        assert!(!figures.privacy(&closing, now).proven, "the camera is still on its way");
        figures.watches(&private, now);
        let proof = figures.privacy(&private, now);
        assert!(proof.proven && proof.state == PrivacyState::Private && proof.captured == 0, "{proof:?}");
        for contradiction in [&figures.outgoing.captured, &figures.outgoing.sent, &figures.incoming.presented] {
            contradiction.one();
            assert!(!figures.privacy(&private, now).proven);
            figures.watches(&View::default(), now);
            figures.watches(&private, now);
            assert!(figures.privacy(&private, now).proven);
        }
        figures.outgoing.camera_open.set(1);
        assert!(!figures.privacy(&private, now).proven);
    }

    /// When something is counted after the camera was off, in milliseconds; whether privacy is proven then, and after two seconds.
    #[test]
    fn what_was_on_its_way_counts_only_while_it_may_be() {
        let private = View { slate: Slate::Private, camera: CameraState::Private, ..View::default() };
        for (what, at_ms, then, at_last) in [
            ("nothing", 100, true, true),
            ("sent", 100, false, true),
            ("presented", 900, false, true),
            ("sent", 1100, false, false),
            ("presented", 1100, false, false),
            ("captured", 100, false, false),
        ] {
            let (figures, start) = (Figures::default(), Instant::now());
            let at = |ms| start + Duration::from_millis(ms);
            figures.watches(&private, start);
            let mut proven = None;
            for ms in (0..=2000).step_by(100) {
                if ms == at_ms {
                    match what {
                        "captured" => figures.outgoing.captured.one(),
                        "sent" => figures.outgoing.sent.one(),
                        "presented" => figures.incoming.presented.one(),
                        _ => {}
                    }
                    proven = Some(figures.privacy(&private, at(ms)).proven);
                }
                if ms % 1000 == 0 {
                    figures.tick(at(ms));
                }
            }
            let last = figures.privacy(&private, at(2000)).proven;
            assert_eq!((proven, last), (Some(then), at_last), "{what} after {at_ms} ms");
        }
    }

    #[test]
    fn devices_are_told_from_other_files() {
        assert!(open_devices().is_empty());
        for (path, is) in
            [("/dev/video0", true), ("/dev/video12 (deleted)", true), ("/dev/videos", false), ("/dev/v4l", false)]
        {
            assert_eq!(is_video_device(Path::new(path)), is, "{path}");
        }
    }
}
