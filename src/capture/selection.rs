//! Which camera is tried: a pure policy over what is there, what is configured, and what happened before.

use super::cameras::CameraInfo;
use super::{Error, Preference};
use std::time::{Duration, Instant};

/// How long a camera that went away is waited for before any other one is taken instead, where none is configured.
const GRACE: Duration = Duration::from_secs(5);
/// The same where the configuration names what to use instead: a USB bus that resets is back within it.
const LISTED_GRACE: Duration = Duration::from_secs(2);
/// For so long a camera that was opened and gave no picture is tried only after all others.
const SET_BACK: Duration = Duration::from_secs(60);

/// What was learnt of the cameras so far.
#[derive(Debug, Default)]
pub(super) struct Selection {
    /// The stable name of the camera that was used last.
    used: Option<String>,
    /// Since when it has been gone, if it went.
    lost: Option<Instant>,
    /// Cameras that were opened and gave no picture, and when. At most as many as there are names.
    silent: Vec<(String, Instant)>,
}

/// A camera that may be used, and its place in the order of preference: the lower, the better.
#[derive(Clone, Copy, Debug)]
struct Allowed<'a> {
    rank: usize,
    camera: &'a CameraInfo,
}

impl Selection {
    /// The cameras to try, best first. `chosen`, by a person at the kiosk, goes before what the configuration prefers.
    ///
    /// A camera that went away is waited for first: a loose cable must not move a portal to another view. Then any other that is
    /// allowed is better than none.
    pub fn candidates<'a>(
        &self,
        cameras: &'a [CameraInfo],
        wanted: &Preference,
        chosen: Option<&str>,
        now: Instant,
    ) -> Result<Vec<&'a CameraInfo>, Error> {
        let unplugged = || self.used.as_ref().map(|name| Error::Unplugged { camera: format!("camera \"{name}\"") });
        let mut allowed = allowed(cameras, wanted, chosen);
        if allowed.is_empty() {
            let names: Vec<_> = cameras.iter().map(|camera| format!("\"{}\"", camera.name())).collect();
            return Err(match names.is_empty() {
                true => unplugged().unwrap_or(Error::NoCamera),
                false => Error::NotFound { wanted: wanted.to_string(), present: names.join(", ") },
            });
        }
        let is_used = |camera: &CameraInfo| self.used.as_deref() == Some(camera.name().as_str());
        let grace = if wanted.is_any() { GRACE } else { LISTED_GRACE };
        let waits = self.lost.is_some_and(|lost| now.saturating_duration_since(lost) < grace);
        if waits && !self.used.as_deref().is_some_and(|name| self.is_silent(name, now)) {
            match allowed.iter().find(|allowed| is_used(allowed.camera)) {
                Some(found) => return Ok(vec![found.camera]),
                // A single camera is named by the configuration, and it may have been moved to another port.
                None if wanted.names().len() == 1 => {}
                None => return Err(unplugged().unwrap_or(Error::NoCamera)),
            }
        }
        // Stable: what is alike stays in the order of the list.
        allowed.sort_by_key(|Allowed { rank, camera }| {
            let silent = self.is_silent(&camera.name(), now);
            (silent, *rank, wanted.is_any() && !is_used(camera), camera.problem.is_some())
        });
        Ok(allowed.into_iter().map(|allowed| allowed.camera).collect())
    }

    /// The best of the cameras that are preferred to the one in use, if there is one that may work.
    pub fn better<'a>(
        &self,
        cameras: &'a [CameraInfo],
        wanted: &Preference,
        chosen: Option<&str>,
        now: Instant,
    ) -> Option<&'a CameraInfo> {
        let allowed = allowed(cameras, wanted, chosen);
        let rank_in_use =
            allowed.iter().find(|allowed| self.used.as_deref() == Some(allowed.camera.name().as_str()))?.rank;
        let better = allowed.into_iter().filter(|allowed| {
            let works = allowed.camera.problem.is_none() && !self.is_silent(&allowed.camera.name(), now);
            allowed.rank < rank_in_use && works
        });
        better.min_by_key(|allowed| allowed.rank).map(|allowed| allowed.camera)
    }

    /// A camera was opened.
    pub fn opened(&mut self, name: &str) {
        self.used = Some(name.to_owned());
        self.lost = None;
    }

    /// The camera in use gives pictures.
    pub fn delivered(&mut self) {
        let used = self.used.as_deref();
        self.silent.retain(|(name, _)| Some(name.as_str()) != used);
    }

    /// It gives none any more, or never did (`silent`).
    pub fn failed(&mut self, silent: bool, now: Instant) {
        self.lost.get_or_insert(now);
        self.silent.retain(|(_, at)| now.saturating_duration_since(*at) < SET_BACK);
        if let Some(name) = self.used.clone().filter(|_| silent) {
            self.silent.retain(|(known, _)| *known != name);
            self.silent.push((name, now));
        }
    }

    fn is_silent(&self, name: &str, now: Instant) -> bool {
        let fresh = |at: Instant| now.saturating_duration_since(at) < SET_BACK;
        self.silent.iter().any(|(known, at)| known == name && fresh(*at))
    }
}

/// The camera that follows the one in use, for the key: round and round through those that the configuration allows. `None` if there
/// is no other.
pub(super) fn next(cameras: &[CameraInfo], wanted: &Preference, in_use: Option<&str>) -> Option<String> {
    let round: Vec<String> = allowed(cameras, wanted, None)
        .into_iter()
        .filter(|allowed| allowed.camera.problem.is_none())
        .map(|allowed| allowed.camera.name())
        .collect();
    let at = round.iter().position(|name| Some(name.as_str()) == in_use);
    let next = round.get(at.map_or(0, |at| (at + 1) % round.len()))?;
    (Some(next.as_str()) != in_use).then(|| next.clone())
}

/// The cameras that may be used, best first: all, or those that the configuration names. Several that one name fits are alike; they
/// are sorted by their names, which tell the port, so that their order outlives a restart.
fn allowed<'a>(cameras: &'a [CameraInfo], wanted: &Preference, chosen: Option<&str>) -> Vec<Allowed<'a>> {
    let mut allowed: Vec<Allowed<'a>> = Vec::new();
    if wanted.is_any() {
        allowed.extend(cameras.iter().map(|camera| Allowed { rank: 1, camera }));
    }
    for (n, name) in wanted.names().iter().enumerate() {
        let mut found = fitting(cameras, name);
        found.retain(|camera| allowed.iter().all(|known| known.camera != *camera));
        found.sort_by_key(|camera| camera.name());
        allowed.extend(found.into_iter().map(|camera| Allowed { rank: n + 1, camera }));
    }
    for allowed in &mut allowed {
        if chosen == Some(allowed.camera.name().as_str()) {
            allowed.rank = 0;
        }
    }
    allowed
}

/// The cameras of this name, device node or link; else those that it is a part of the name of.
fn fitting<'a>(cameras: &'a [CameraInfo], name: &str) -> Vec<&'a CameraInfo> {
    let is = |camera: &&CameraInfo| {
        camera.name() == name
            || camera.node().as_os_str() == name
            || camera.links.iter().any(|link| link.as_os_str() == name)
    };
    let exactly: Vec<_> = cameras.iter().filter(is).collect();
    if !exactly.is_empty() {
        return exactly;
    }
    let part = name.to_lowercase();
    cameras.iter().filter(|camera| camera.name().to_lowercase().contains(&part)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::choose::{CameraFormat, Coding};
    use super::*;

    fn camera(number: u32, card: &str, bus: &str) -> CameraInfo {
        let formats = vec![CameraFormat { coding: Coding::Yuyv, width: 640, height: 480, fps: 30 }];
        let links = vec![format!("/dev/v4l/by-path/{bus}-video-index0").into()];
        CameraInfo { number, card: card.into(), bus: bus.into(), links, formats, problem: None, permitted: true }
    }

    fn cameras() -> [CameraInfo; 4] {
        let locked = CameraInfo { problem: Some("locked".into()), permitted: false, ..camera(0, "Locked", "usb-1") };
        [locked, camera(2, "Wide Cam", "usb-3"), camera(4, "Wide Cam", "usb-2"), camera(6, "Door", "usb-4")]
    }

    fn lost(name: &str, seconds: u64, now: Instant) -> Selection {
        Selection { used: Some(name.into()), lost: Some(now - Duration::from_secs(seconds)), silent: Vec::new() }
    }

    #[test]
    fn which_camera_is_tried() {
        let (cameras, now) = (cameras(), Instant::now() + Duration::from_secs(60));
        // (configured, the one that went and how many seconds ago, the numbers of those tried; empty: none)
        type Scenario = (&'static [&'static str], Option<(&'static str, u64)>, &'static [u32]);
        #[rustfmt::skip]
        let table: &[Scenario] = &[
            (&[], None, &[2, 4, 6, 0]),
            (&[], Some(("Wide Cam (usb-2)", 0)), &[4]),
            (&[], Some(("Wide Cam (usb-9)", 4)), &[]),
            (&[], Some(("Wide Cam (usb-9)", 6)), &[2, 4, 6, 0]),
            (&[], Some(("Door (usb-4)", 6)), &[6, 2, 4, 0]),
            (&["Wide Cam (usb-2)"], None, &[4]),
            (&["wide cam"], None, &[4, 2]), // by port, not by number
            (&["usb-4"], None, &[6]),
            (&["/dev/video2"], None, &[2]),
            (&["/dev/v4l/by-path/usb-2-video-index0"], None, &[4]),
            (&["Attic"], None, &[]),
            (&["Attic", "Door", "wide"], None, &[6, 4, 2]),
            (&["usb-2", "wide"], None, &[4, 2]),
            // Another port is still the camera that is named.
            (&["Door"], Some(("Door (usb-9)", 0)), &[6]),
            // What is named second waits a little; what is not named at all is never used.
            (&["Attic", "Door"], Some(("Attic (usb-9)", 1)), &[]),
            (&["Attic", "Door"], Some(("Attic (usb-9)", 3)), &[6]),
        ];
        for (wanted, gone, expected) in table {
            let selection = gone.map_or_else(Selection::default, |(name, seconds)| lost(name, seconds, now));
            let wanted = Preference::new(wanted.iter().copied());
            let tried = selection.candidates(&cameras, &wanted, None, now).unwrap_or_default();
            let tried: Vec<u32> = tried.iter().map(|camera| camera.number).collect();
            assert_eq!(tried, *expected, "{wanted:?} {gone:?}");
        }
        let problem = |selection: &Selection, cameras: &[CameraInfo], wanted: &str| {
            selection.candidates(cameras, &wanted.into(), None, now).unwrap_err()
        };
        let none = Selection::default();
        let message = problem(&none, &cameras[2..], "Attic").to_string();
        assert!(message.contains("\"Attic\" is not there, only \"Wide Cam (usb-2)\", \"Door (usb-4)\""), "{message}");
        assert!(matches!(problem(&none, &[], ""), Error::NoCamera));
        assert!(matches!(problem(&lost("x", 9, now), &[], ""), Error::Unplugged { .. }));
    }

    #[test]
    fn a_camera_that_gives_nothing_comes_last_for_a_minute() {
        let (cameras, start) = (cameras(), Instant::now());
        let wanted = Preference::new(["Door", "usb-2"]);
        let mut selection = Selection::default();
        let first = |selection: &Selection, seconds| {
            let now = start + Duration::from_secs(seconds);
            selection.candidates(&cameras, &wanted, None, now).unwrap()[0].number
        };
        selection.opened("Door (usb-4)");
        selection.delivered();
        selection.failed(false, start);
        assert_eq!(first(&selection, 0), 6, "it stopped: the same once more");
        selection.opened("Door (usb-4)");
        selection.failed(true, start);
        assert_eq!(first(&selection, 0), 4, "it gave nothing: the next in the list, at once");
        selection.opened("Wide Cam (usb-2)");
        selection.delivered();
        let better = |seconds| {
            let now = start + Duration::from_secs(seconds);
            selection.better(&cameras, &wanted, None, now).map(|camera| camera.number)
        };
        assert_eq!((better(59), better(60)), (None, Some(6)));
        assert_eq!(first(&selection, 61), 6);
    }

    #[test]
    fn a_person_goes_round_through_what_is_allowed() {
        let cameras = cameras();
        let round = |wanted: &[&str], mut in_use: Option<String>| {
            let wanted = Preference::new(wanted.iter().copied());
            let mut steps = Vec::new();
            for _ in 0..3 {
                in_use = next(&cameras, &wanted, in_use.as_deref());
                steps.push(in_use.clone().unwrap_or_default());
            }
            steps
        };
        assert_eq!(round(&[], None), ["Wide Cam (usb-3)", "Wide Cam (usb-2)", "Door (usb-4)"]);
        assert_eq!(round(&["Door", "usb-3"], Some("Door (usb-4)".into()))[..2], ["Wide Cam (usb-3)", "Door (usb-4)"]);
        assert_eq!(next(&cameras, &"Door".into(), Some("Door (usb-4)")), None, "there is no other");
        assert_eq!(next(&[], &Preference::default(), None), None);
    }

    #[test]
    fn what_a_person_chose_goes_before_the_list() {
        let (cameras, now) = (cameras(), Instant::now());
        let (wanted, chosen) = (Preference::new(["Door", "wide"]), Some("Wide Cam (usb-3)"));
        let mut selection = Selection::default();
        let tried = selection.candidates(&cameras, &wanted, chosen, now).unwrap();
        assert_eq!(tried.iter().map(|camera| camera.number).collect::<Vec<_>>(), [2, 6, 4]);
        selection.opened("Wide Cam (usb-3)");
        assert!(selection.better(&cameras, &wanted, chosen, now).is_none(), "the list does not take it away again");
        assert_eq!(selection.better(&cameras, &wanted, None, now).unwrap().number, 6);
    }
}
