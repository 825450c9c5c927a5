//! A portal with a real camera and a second portal: is what the second one decodes what the camera drew, and what does it see when the camera goes?

use super::drawing::{BARS, Likeness, column, usb_number, usb_picture, write_jpegs};
use super::far_end::FarEnd;
use super::process::Portal;
use super::rig::{USB, Usb, inside};
use screen_portal::media::{Colour, Size, TimeCode};
use screen_portal::ops::{FarCamera, LinkState, Slate};
use screen_portal::pairing::Identity;
use std::time::{Duration, Instant};

const SIZE: Size = Size::new(640, 360);
/// Pictures of the JPEG film, which goes round.
const FILM: u32 = 90;

/// The program with the machine's camera, and the second portal, connected.
struct Pair {
    portal: Portal,
    far_end: FarEnd,
    _folder: tempfile::TempDir,
}

fn pair(options: &[&str]) -> Pair {
    let folder = tempfile::tempdir().unwrap();
    let (camera, second) = (Identity::load_or_create(folder.path()).unwrap(), Identity::make().unwrap());
    let far_end = FarEnd::start(&second, camera.fingerprint());
    let options = [&["--size", "640x360"], options].concat();
    let started = Instant::now();
    let portal = Portal::start(folder.path(), &far_end.address, &second, &options);
    far_end.until("live", |status| status.state == LinkState::Live && status.slate == Slate::Hidden);
    println!("live {:.0?} after the start", started.elapsed());
    Pair { portal, far_end, _folder: folder }
}

impl Pair {
    /// Compares some pictures with what the USB camera drew; they must be new ones, of a film that repeats after `period`.
    fn is_the_usb_cameras(&self, colour: Colour, period: u32) {
        let mut worst: Option<Likeness> = None;
        let (mut numbers, mut ages) = (Vec::new(), Vec::new());
        for _ in 0..30 {
            let frame = self.far_end.frame();
            ages.extend(frame.captured.map(|captured| captured.elapsed()));
            assert_eq!((frame.format.size, frame.format.colour), (SIZE, colour));
            let number = usb_number(&frame);
            let likeness = Likeness::of(&frame, &usb_picture(SIZE, number));
            worst = Some(worst.map_or(likeness, |worst| worst.worse(likeness)));
            numbers.push(number);
            let another = Likeness::of(&frame, &usb_picture(SIZE, number + 1));
            assert!(another.luma_db < 30.0, "the next picture is to be told from this one: {another}");
        }
        let worst = worst.unwrap();
        println!("pictures {numbers:?}: at worst {worst}");
        ages.sort();
        println!("ages: {:.0?} in the median, {:.0?} at most", ages[ages.len() / 2], ages[ages.len() - 1]);
        // The next one is never the same, and is nearer ahead than behind.
        let steps = numbers.windows(2).map(|pair| (pair[1] + period - pair[0]) % period);
        assert!(steps.clone().all(|step| (1..period / 2).contains(&step)), "{numbers:?}");
        assert!(worst.luma_db > 40.0 && worst.luma_off < 3.0 && worst.chroma_off < 3.0, "{worst}");
        assert!(ages.len() > 10 && ages[ages.len() / 2] < Duration::from_secs(1), "{ages:?}");
    }

    /// Takes the camera away for a while, and looks at what the second portal sees meanwhile and afterwards.
    fn unplugged_for(&self, usb: &mut Usb, away: Duration) {
        let unplugged = usb.say("unplug");
        let slate = self.far_end.until("without camera", |status| status.slate == Slate::FarCameraMissing);
        let status = self.portal.until("without camera", |status| status.camera_missing().is_some());
        let reason = status.camera_missing().unwrap();
        println!("slate {:.0?} after unplugging; its own status: {reason}", slate - unplugged);
        assert!(slate - unplugged < Duration::from_secs(2));
        assert!(reason.contains("was unplugged: plug it in again"), "{reason}");
        // What was still on its way; then nothing more comes, and nothing is tried in vain with the connection.
        while self.far_end.frame_within(Duration::from_millis(500)).is_some() {}
        let attempts = self.far_end.figures.link.attempts.get();
        assert!(self.far_end.frame_within(away).is_none(), "a picture of a camera that is not there");
        self.far_end.until("still without camera", |status| {
            status.far_camera == FarCamera::Missing && status.slate == Slate::FarCameraMissing
        });

        self.far_end.forget_slates();
        let plugged = usb.say("plug");
        let picture = self.far_end.frame();
        let back = plugged.elapsed();
        let shown = self.far_end.until("live again", |status| {
            status.state == LinkState::Live && status.slate == Slate::Hidden && status.far_camera == FarCamera::Running
        });
        println!(
            "away {:.1?}: picture {} is back {back:.0?} after plugging in, the slate gone after {:.0?}",
            plugged - unplugged,
            usb_number(&picture),
            shown - plugged
        );
        let slates = self.far_end.slates();
        assert_eq!(slates, [Slate::FarCameraMissing, Slate::Hidden], "nothing flashes in between");
        assert!(back < Duration::from_secs(2) && shown - plugged < Duration::from_secs(2));
        assert_eq!(self.far_end.figures.link.attempts.get(), attempts, "the connection was good all the time");
    }

    fn end(self) {
        let incoming = &self.far_end.figures.incoming;
        println!(
            "lost {}, damaged {}, decoded {}",
            incoming.lost_packets.get(),
            incoming.damaged.get(),
            incoming.decoded.get()
        );
        assert_eq!(incoming.decode_errors.get(), 0);
        self.portal.end();
        self.far_end.until("told goodbye", |status| status.slate == Slate::FarOff);
    }
}

#[test]
fn the_kernels_test_camera_at_the_second_portal() {
    if !inside("portal::the_kernels_test_camera_at_the_second_portal", &[]) {
        return;
    }
    let pair = pair(&["--time-code"]);
    let status = pair.portal.until("live", |status| status.view.link == LinkState::Live);
    println!("{:?}", status.view.camera);
    assert!(status.figures.outgoing.sent > 0 && status.figures.incoming.presented > 0);
    let mut last = None;
    for _ in 0..20 {
        let frame = pair.far_end.frame();
        assert_eq!((frame.format.size, frame.format.colour), (SIZE, Colour::BT601_LIMITED));
        let number = TimeCode::read(&frame).expect("the time code comes through").number;
        assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
        last = Some(number);
        let columns: Vec<_> = (0..8).map(|n| column(&frame, n)).collect();
        let off = |(a, b): (&[u8; 3], &[u8; 3])| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
        let worst = columns.iter().zip(&BARS).map(off).max().unwrap();
        assert!(worst <= 4, "{columns:?}");
        if number.is_multiple_of(8) {
            println!("picture {number}: colours at most {worst} off");
        }
    }
    pair.end();
}

#[test]
fn a_usb_cameras_pictures_at_the_second_portal() {
    if !inside("portal::a_usb_cameras_pictures_at_the_second_portal", &USB) {
        return;
    }
    let mut usb = Usb::plug("Door Cam", &["640x360", "1280x720"], None);
    let pair = pair(&["--camera", "door cam"]);
    let status = pair.portal.until("live", |status| status.view.link == LinkState::Live);
    println!("{:?}", status.view.camera);
    pair.is_the_usb_cameras(Colour::BT601_LIMITED, u32::MAX / 2);
    for away_ms in [200, 2000, 6000] {
        pair.unplugged_for(&mut usb, Duration::from_millis(away_ms));
        pair.is_the_usb_cameras(Colour::BT601_LIMITED, u32::MAX / 2);
    }
    pair.end();
}

#[test]
fn a_usb_cameras_jpegs_at_the_second_portal() {
    if !inside("portal::a_usb_cameras_jpegs_at_the_second_portal", &USB) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("film.mjpeg");
    write_jpegs(&film, SIZE, FILM);
    // YUYV is small, so that the JPEGs are the best there is.
    let mut usb = Usb::plug("Door Cam", &["320x240"], Some(&film));
    let pair = pair(&[]);
    let status = pair.portal.until("live", |status| status.view.link == LinkState::Live);
    println!("{:?}", status.view.camera);
    pair.is_the_usb_cameras(Colour::BT601_FULL, FILM);
    pair.unplugged_for(&mut usb, Duration::from_secs(1));
    pair.is_the_usb_cameras(Colour::BT601_FULL, FILM);
    pair.end();
}
