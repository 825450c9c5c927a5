//! Scenarios of the state machine in which there is no picture to be had on purpose: no camera, privacy.

use super::state::{Event, Role};
use super::state_tests::{World, offers};
use crate::ops::{FarCamera, LinkState, Slate};

#[test]
fn without_a_camera_pings_keep_the_link() {
    for (camera, slate) in [(FarCamera::Missing, Slate::FarCameraMissing), (FarCamera::Private, Slate::FarPrivate)] {
        let mut world = World::live(Role::Offers);
        world.camera = camera;
        world.event(Event::FarCamera(camera));
        world.run(3600.0);
        assert_eq!(world.state(), (LinkState::Live, slate));
        assert_eq!(world.actions, []);
        // Dead all the same, it is noticed.
        world.path = false;
        world.run(3.2);
        assert_eq!(world.times(offers).len(), 1);
        world.path = true;
        world.camera = FarCamera::Running;
        world.event(Event::FarCamera(FarCamera::Running));
        world.run(0.2);
        assert_eq!(world.state(), (LinkState::Live, Slate::Hidden));
    }
}

#[test]
fn the_slate_of_an_absence_stays_until_the_picture_is_there() {
    for (camera, slate) in [(FarCamera::Missing, Slate::FarCameraMissing), (FarCamera::Private, Slate::FarPrivate)] {
        for picture_comes in [true, false] {
            let mut world = World::live(Role::Offers);
            world.camera = camera;
            world.event(Event::FarCamera(camera));
            world.run(5.0);
            // After privacy the camera is being opened; and the word that it runs is there before its picture.
            for word in [FarCamera::Unknown, FarCamera::Running] {
                world.event(Event::FarCamera(word));
                assert_eq!(world.state(), (LinkState::Live, slate));
                world.run(0.9);
                assert_eq!(world.state(), (LinkState::Live, slate));
            }
            world.camera = if picture_comes { FarCamera::Running } else { camera };
            world.run(0.2);
            let then =
                if picture_comes { (LinkState::Live, Slate::Hidden) } else { (LinkState::Stalled, Slate::Paused) };
            assert_eq!(world.state(), then);
            // From then on a picture that stops is one that stops.
            world.camera = camera;
            world.run(1.5);
            assert_eq!(world.state(), (LinkState::Stalled, Slate::Paused));
        }
    }
}

#[test]
fn our_own_privacy_is_no_stall() {
    let mut world = World::live(Role::Offers);
    world.event(Event::Private(true));
    world.presenting = false;
    world.run(3600.0);
    assert_eq!((world.state().0, &world.actions[..]), (LinkState::Live, &[][..]));
    world.event(Event::Private(false));
    world.presenting = true;
    world.run(1.0);
    assert_eq!((world.state().0, &world.actions[..]), (LinkState::Live, &[][..]));
}
