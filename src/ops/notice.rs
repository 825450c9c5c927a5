//! What is said small, over the picture or beside a slate: what whoever stands here should know of our camera or theirs.

use super::{CameraState, FarCamera, Slate, View};

/// Up to four short lines, or nothing. Our own privacy has a slate of its own, which says enough: nobody sees us then.
pub fn notice(view: &View) -> Option<String> {
    if view.slate == Slate::Private {
        return None;
    }
    let own = match &view.camera {
        CameraState::Covered { .. } => Some("Our camera is covered, or it is dark: they see us blurred.".to_owned()),
        // The reason is for whoever can do something about it: on the overlay of I and in the log.
        CameraState::Missing { .. } => Some("Our camera gives no picture: they do not see us.".to_owned()),
        CameraState::Starting | CameraState::Running { .. } | CameraState::Private => None,
    };
    let covered_there = view.slate == Slate::Hidden && view.far_camera == FarCamera::Covered;
    let far = covered_there.then(|| {
        let far = view.far_site.as_deref().unwrap_or("the other side");
        format!("The camera of {far} is covered, or it is dark there.")
    });
    let paired = view.confirmation.as_ref().map(|words| format!("Paired. The other screen says the same: {words}"));
    // Whoever stands here should know. What guests are sent while there is no picture for the far end either is a slate.
    let shows = matches!(view.camera, CameraState::Running { .. } | CameraState::Covered { .. });
    let guests = match view.guests {
        0 => None,
        _ if !shows => None,
        1 => Some("1 guest watches this camera.".to_owned()),
        many => Some(format!("{many} guests watch this camera.")),
    };
    let lines: Vec<String> = [paired, far, own, guests].into_iter().flatten().collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_is_told_of_both_cameras() {
        let covered = CameraState::Covered { description: "camera".into() };
        let missing = CameraState::Missing { reason: "unplugged".into() };
        let running = CameraState::Running { description: "camera".into() };
        for (slate, camera, far_camera, words) in [
            (Slate::Hidden, &running, FarCamera::Running, &[][..]),
            (Slate::Hidden, &covered, FarCamera::Running, &["they see us blurred"]),
            (Slate::Hidden, &running, FarCamera::Covered, &["The camera of Oslo is covered"]),
            (Slate::Hidden, &missing, FarCamera::Covered, &["of Oslo", "do not see us"]),
            (Slate::FarCameraMissing, &missing, FarCamera::Missing, &["do not see us"]),
            (Slate::Paused, &running, FarCamera::Covered, &[]),
            (Slate::Private, &covered, FarCamera::Covered, &[]),
        ] {
            let far_site = Some("Oslo".to_owned());
            let view = View { slate, camera: camera.clone(), far_camera, far_site, ..View::default() };
            let said = notice(&view).unwrap_or_default();
            assert_eq!(said.lines().count(), words.len(), "{said}");
            assert!(words.iter().all(|word| said.contains(word)), "{said}");
        }
    }

    #[test]
    fn who_stands_here_is_told_of_guests() {
        let running = CameraState::Running { description: "camera".into() };
        for (slate, camera, guests, said) in [
            (Slate::Hidden, &running, 0, None),
            (Slate::Hidden, &running, 1, Some("1 guest watches this camera.")),
            (Slate::NoFarEnd, &running, 3, Some("3 guests watch this camera.")),
            (Slate::NotPaired, &running, 3, Some("3 guests watch this camera.")),
            (Slate::Private, &CameraState::Private, 3, None),
            (Slate::Closed, &CameraState::Private, 3, None),
        ] {
            let view = View { slate, camera: camera.clone(), guests, ..View::default() };
            assert_eq!(notice(&view).as_deref(), said, "{slate:?}");
        }
    }

    #[test]
    fn both_screens_confirm_that_they_are_paired() {
        let view = View { confirmation: Some("anchor lake ribbon".into()), slate: Slate::Hidden, ..View::default() };
        assert!(notice(&view).is_some_and(|said| said.ends_with("the same: anchor lake ribbon")));
        assert_eq!(notice(&View { slate: Slate::Private, ..view }), None);
    }
}
