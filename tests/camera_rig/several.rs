//! Several cameras: which one is used, when it goes, when it returns, and when somebody chooses. And one whose lens is covered.

use super::capture::{Running, start};
use super::far_end::FarEnd;
use super::process::Portal;
use super::rig::{USB, Usb, inside};
use screen_portal::capture::{self, Config, Preference, Scene};
use screen_portal::media::{Plane, Size};
use screen_portal::ops::{CameraState, FarCamera, LinkState, Slate, open_devices};
use screen_portal::pairing::Identity;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const SIZES: [&str; 2] = ["640x360", "320x240"];

fn small(camera: Preference) -> Config {
    Config { camera, width: 640, height: 360, ..Config::default() }
}

impl Running {
    /// Waits for pictures of a camera whose description contains this, and says when.
    fn until_camera(&self, seconds: u64, name: &str) -> Instant {
        self.until(seconds, |state| matches!(state, CameraState::Running { description } if description.contains(name)))
            .1
    }
}

/// Until the machine knows so many cameras.
fn until_cameras(count: usize) -> Vec<String> {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let names: Vec<_> = capture::cameras().iter().map(|camera| camera.name()).collect();
        if names.len() == count {
            return names;
        }
        assert!(Instant::now() < end, "{names:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn the_list_is_followed_when_cameras_go_and_return() {
    if !inside("several::the_list_is_followed_when_cameras_go_and_return", &USB) {
        return;
    }
    let mut door = Usb::plug_into(0, "Door Cam", &SIZES, None);
    let _wide = Usb::plug_into(1, "Wide Cam", &SIZES, None);
    // Not in the list.
    let _attic = Usb::plug_into(2, "Attic Cam", &SIZES, None);
    println!("{:?}", until_cameras(3));
    let running = start(small(Preference::new(["door", "wide"])));
    running.until_camera(10, "Door Cam");

    let unplugged = door.say("unplug");
    let second = running.until_camera(10, "Wide Cam");
    println!("the first of the list unplugged: the second's picture after {:.2?}", second - unplugged);
    assert!(second - unplugged < Duration::from_secs(4), "two seconds of waiting for the first, and opening");
    let plugged = door.say("plug");
    let back = running.until_camera(30, "Door Cam");
    println!("plugged in again: taken back after {:.2?}", back - plugged);
    assert!((10.0..15.0).contains(&(back - plugged).as_secs_f64()), "ten calm seconds");

    // A person: round and round through the two that are listed, and what is chosen stays.
    let asked = Instant::now();
    assert!(running.capture.next_camera().unwrap().contains("Wide Cam"));
    println!("the next camera by the key: its picture after {:.0?}", running.until_camera(5, "Wide Cam") - asked);
    std::thread::sleep(Duration::from_secs(13));
    assert!(running.states_are_calm(), "the list does not take it away");
    assert!(running.capture.next_camera().unwrap().contains("Door Cam"));
    running.until_camera(5, "Door Cam");

    // By configuration: the one that the list did not allow.
    let asked = Instant::now();
    running.capture.set_camera("attic".into());
    println!("another configuration: its picture after {:.0?}", running.until_camera(5, "Attic Cam") - asked);
    assert_eq!(running.capture.next_camera(), None);
}

#[test]
fn two_of_one_name_are_told_apart_by_port_and_link() {
    if !inside("several::two_of_one_name_are_told_apart_by_port_and_link", &USB) {
        return;
    }
    // The second port's is plugged in first, and so has the smaller number.
    let _second = Usb::plug_into(1, "Twin Cam", &SIZES, None);
    until_cameras(1);
    let _first = Usb::plug_into(0, "Twin Cam", &SIZES, None);
    until_cameras(2);
    let cameras = capture::cameras();
    let twins: Vec<_> = cameras.iter().filter(|camera| camera.card == "Twin Cam").collect();
    println!("{:?}", twins.iter().map(|camera| (camera.number, camera.name())).collect::<Vec<_>>());
    assert!(twins[0].number < twins[1].number && twins[0].name() > twins[1].name());
    // What udev does.
    std::fs::create_dir_all("/dev/v4l/by-path").unwrap();
    std::os::unix::fs::symlink(twins[0].node(), "/dev/v4l/by-path/platform-usb-0:2:1.0-video-index0").unwrap();

    let running = start(small("twin".into()));
    running.until_camera(10, &twins[1].name());
    for (by, wanted, expected) in [
        ("name and port", twins[0].name(), twins[0]),
        ("port", twins[1].bus.clone(), twins[1]),
        ("link of udev", "/dev/v4l/by-path/platform-usb-0:2:1.0-video-index0".into(), twins[0]),
        ("node", twins[1].node().display().to_string(), twins[1]),
    ] {
        let asked = Instant::now();
        running.capture.set_camera(wanted.as_str().into());
        let at = running.until_camera(10, &expected.name());
        println!("configured by {by} while running: its picture after {:.0?}", at - asked);
    }
}

#[test]
fn a_camera_is_followed_to_another_port_and_number() {
    if !inside("several::a_camera_is_followed_to_another_port_and_number", &USB) {
        return;
    }
    let door = Usb::plug_into(0, "Door Cam", &SIZES, None);
    until_cameras(1);
    let before = capture::cameras().remove(0);
    let running = start(small("door cam".into()));
    running.until_camera(10, "Door Cam");
    drop(door);
    running.until_missing(5);
    // Takes the numbers that the first one had.
    let _attic = Usb::plug_into(0, "Attic Cam", &SIZES, None);
    until_cameras(1);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(open_devices(), [], "one that is not wanted is not taken");
    let plugged = Instant::now();
    let _door = Usb::plug_into(3, "Door Cam", &SIZES, None);
    let back = running.until_camera(10, "Door Cam");
    println!("plugged in again at another port and under another number: its picture after {:.0?}", back - plugged);
    let after = capture::cameras().into_iter().find(|camera| camera.card == "Door Cam").unwrap();
    println!("was number {} at {}, is number {} at {}", before.number, before.bus, after.number, after.bus);
    assert!(before.number != after.number && before.bus != after.bus);
    assert!(back - plugged < Duration::from_secs(3));
    assert!(running.rate(1.0) > 10.0);
}

#[test]
fn a_camera_that_gives_nothing_makes_way_and_one_returns_with_other_formats() {
    let test = "several::a_camera_that_gives_nothing_makes_way_and_one_returns_with_other_formats";
    if !inside(test, &USB) {
        return;
    }
    let mut door = Usb::plug_into(0, "Door Cam", &SIZES, None);
    let wide = Usb::plug_into(1, "Wide Cam", &["640x360"], None);
    until_cameras(2);
    let running = start(small(Preference::new(["door", "wide"])));
    running.until_camera(10, "Door Cam");
    let stalled = door.say("stall");
    let other = running.until_camera(20, "Wide Cam");
    println!("the first of the list stalls: the second's picture after {:.1?}", other - stalled);
    assert!(other - stalled < Duration::from_secs(8), "1.5 s to notice, once more for 4 s, then the other");
    drop(door);
    until_cameras(1);

    running.capture.set_camera("wide".into());
    // It is in use already: nothing is said.
    std::thread::sleep(Duration::from_secs(1));
    let gone = Instant::now();
    drop(wide);
    running.until_missing(5);
    let _wide = Usb::plug_into(1, "Wide Cam", &["320x240"], None);
    let back = running.until_camera(10, "320x240 YUYV");
    println!("away for a moment, back with other formats: {:.1?} after it went", back - gone);
    assert_eq!(running.frame().format.size, Size::new(320, 240));
}

/// JPEGs of a landscape for `open` pictures, then of what a hand on the lens leaves.
fn write_covered(path: &Path, size: Size, open: usize, covered: usize) {
    let mut file = std::fs::File::create(path).unwrap();
    let (width, height, subsamp) = (size.width as usize, size.height as usize, turbojpeg::Subsamp::Sub2x2);
    let mut compressor = turbojpeg::Compressor::new().unwrap();
    compressor.set_quality(90).unwrap();
    let mut picture = vec![0; size.pixels() * 3 / 2];
    let mut write = |picture: &[u8], times: usize| {
        let image = turbojpeg::YuvImage { pixels: picture, width, align: 1, height, subsamp };
        let jpeg = compressor.compress_yuv_to_vec(image).unwrap();
        (0..times).for_each(|_| file.write_all(&jpeg).unwrap());
    };
    Scene::new(size, 30, "").paint(Duration::from_secs(3), &mut picture);
    write(&picture, open);
    // Dark, lighter to one side, reddish.
    for (at, luma) in picture[..size.pixels()].iter_mut().enumerate() {
        *luma = 20 + (40 * (at % width) / width) as u8;
    }
    picture[size.pixels()..].fill(128);
    picture[size.pixels() * 5 / 4..].fill(140);
    write(&picture, covered);
}

/// The most that two samples side by side differ: an edge, if there is one.
fn steepest(luma: &[u8], width: usize) -> u8 {
    let rows = luma.chunks_exact(width);
    rows.flat_map(|row| row.windows(2).map(|pair| pair[0].abs_diff(pair[1]))).max().unwrap_or(0)
}

#[test]
fn a_covered_lens_is_blurred_before_it_is_sent_and_both_ends_say_so() {
    if !inside("several::a_covered_lens_is_blurred_before_it_is_sent_and_both_ends_say_so", &USB) {
        return;
    }
    let size = Size::new(640, 360);
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mjpeg");
    // Fifteen seconds of landscape, six of a hand, round and round.
    write_covered(&film, size, 450, 180);
    let _usb = Usb::plug("Door Cam", &["160x120"], Some(&film));
    let (camera, second) = (Identity::load_or_create(folder.path()).unwrap(), Identity::make().unwrap());
    let far_end = FarEnd::start(&second, camera.fingerprint());
    let portal = Portal::start(folder.path(), &far_end.address, &second, &["--size", "640x360", "--camera", "door"]);
    far_end.until("live", |status| status.state == LinkState::Live && status.slate == Slate::Hidden);
    let width = size.width as usize;
    let mut last_open = Instant::now();
    // The far end's own look at the pictures: when the landscape was gone, and when it was told why.
    let deadline = Instant::now() + Duration::from_secs(40);
    while far_end.far_camera() != FarCamera::Covered {
        let frame = far_end.frame();
        if steepest(frame.plane(Plane::Y), width) > 40 {
            last_open = Instant::now();
        }
        assert!(Instant::now() < deadline);
    }
    println!("the far end says so {:.2?} after the last picture of the landscape", last_open.elapsed());
    assert!(last_open.elapsed() < Duration::from_secs(2));
    let status = portal.status();
    assert!(matches!(status.view.camera, CameraState::Covered { .. }), "{:?}", status.view);
    assert!(status.figures.outgoing.blurred > 0 && status.figures.outgoing.covers == 1);
    for _ in 0..30 {
        let steepest = steepest(far_end.frame().plane(Plane::Y), width);
        assert!(steepest < 20, "a blurred picture has no edges: {steepest}");
    }
    // The landscape is back, still blurred for a moment, then seen.
    let back = far_end.until("open again", |status| status.far_camera == FarCamera::Running);
    while steepest(far_end.frame().plane(Plane::Y), width) <= 40 {}
    println!("seen again {:.2?} after it was said", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(2));
    assert_eq!(far_end.slates().last(), Some(&Slate::Hidden));
    portal.end();
}
