//! The capture room alone, with cameras in all their moods.

use super::rig::{INSIDE, USB, Usb, inside};
use screen_portal::capture::{self, Capture, Config, Outputs};
use screen_portal::media::{Colour, Frame, Plane, TimeCode, Waker, mailbox};
use screen_portal::ops::{CameraState, Figures, open_devices};
use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub struct Running {
    pub capture: Capture,
    frames: mailbox::Receiver<Arc<Frame>>,
    _self_view: mailbox::Receiver<Arc<Frame>>,
    states: crossbeam_channel::Receiver<CameraState>,
    pub figures: Arc<Figures>,
}

pub fn start(config: Config) -> Running {
    let ((encode, frames), (self_view, other)) = (mailbox::mailbox(), mailbox::mailbox());
    let ((tell, states), figures) = (crossbeam_channel::unbounded(), Arc::new(Figures::default()));
    let on_state = Box::new(move |state| {
        println!("state: {state:?}");
        let _ = tell.send(state);
    });
    let outputs = Outputs { encode, self_view, tap: None, waker: Waker::new(), era: Default::default() };
    let capture = capture::start(config, "Rig".into(), outputs, Arc::clone(&figures), on_state).unwrap();
    Running { capture, frames, _self_view: other, states, figures }
}

impl Running {
    /// Waits until a state is right, and says when.
    pub fn until(&self, seconds: u64, right: impl Fn(&CameraState) -> bool) -> (CameraState, Instant) {
        let end = Instant::now() + Duration::from_secs(seconds);
        loop {
            let state = self.states.recv_deadline(end).expect("the state should have come by now");
            if right(&state) {
                return (state, Instant::now());
            }
        }
    }

    pub fn until_running(&self, seconds: u64) -> (String, Instant) {
        match self.until(seconds, |state| matches!(state, CameraState::Running { .. })) {
            (CameraState::Running { description }, at) => (description, at),
            _ => unreachable!(),
        }
    }

    /// Whether there is no news.
    pub fn states_are_calm(&self) -> bool {
        self.states.is_empty()
    }

    pub fn until_missing(&self, seconds: u64) -> (String, Instant) {
        match self.until(seconds, |state| matches!(state, CameraState::Missing { .. })) {
            (CameraState::Missing { reason }, at) => (reason, at),
            _ => unreachable!(),
        }
    }

    pub fn frame(&self) -> Arc<Frame> {
        self.frames.wait(Duration::from_secs(3)).unwrap().expect("a picture should come")
    }

    /// Pictures per second over some seconds.
    pub fn rate(&self, seconds: f64) -> f64 {
        let (begin, before) = (Instant::now(), self.figures.outgoing.captured.get());
        std::thread::sleep(Duration::from_secs_f64(seconds));
        (self.figures.outgoing.captured.get() - before) as f64 / begin.elapsed().as_secs_f64()
    }
}

/// Luma in the middle of the n-th of eight columns.
fn column(frame: &Frame, n: usize) -> u8 {
    let (width, height) = (frame.format.size.width as usize, frame.format.size.height as usize);
    frame.plane(Plane::Y)[height / 2 * width + width * (2 * n + 1) / 16]
}

#[test]
fn the_kernels_test_camera_from_any_state() {
    if !inside("capture::the_kernels_test_camera_from_any_state", &[]) {
        return;
    }
    let cameras = capture::cameras();
    assert_eq!(cameras.len(), 1, "{cameras:?}");
    assert!(cameras[0].name().starts_with("vivid (platform:vivid"), "{}", cameras[0].name());
    // States that nokhwa does not open a device in: 12.5 pictures a second, planar 4:2:0.
    use v4l::video::Capture as _;
    let device = v4l::Device::new(cameras[0].number as usize).unwrap();
    device.set_format(&v4l::Format::new(640, 480, v4l::FourCC::new(b"YU12"))).unwrap();
    device.set_params(&v4l::video::capture::Parameters::new(v4l::Fraction::new(2, 25))).unwrap();
    drop(device);

    let begun = Instant::now();
    let running = start(Config { time_code: true, ..Config::default() });
    let (description, at) = running.until_running(10);
    println!("left in another format and rate: pictures {:.0?} after the start", at - begun);
    assert!(description.contains("1280x720 NV12 at 30 fps"), "{description}");
    let frame = running.frame();
    // It shows 75 % bars, and says nothing of the matrix: BT.601, limited.
    assert_eq!(frame.format.colour, Colour::BT601_LIMITED);
    let luma: Vec<u8> = (0..8).map(|n| column(&frame, n)).collect();
    println!("bars: {luma:?}");
    assert!(luma.windows(2).all(|pair| pair[0] > pair[1]), "white, yellow, cyan, green, magenta, red, blue, black");
    let code = TimeCode::read(&frame).expect("a time code");
    assert_eq!(u64::from(code.number), frame.number);
    let rate = running.rate(2.0);
    println!("{rate:.1} pictures per second");
    assert!(rate > 20.0);
}

#[test]
fn a_usb_camera_is_unplugged_and_plugged_in_again() {
    if !inside("capture::a_usb_camera_is_unplugged_and_plugged_in_again", &USB) {
        return;
    }
    let mut usb = Usb::plug("Door Cam", &["1280x720", "640x360"], None);
    let running = start(Config::default());
    let (description, _) = running.until_running(10);
    assert!(description.contains("Door Cam") && description.contains("1280x720 YUYV at 30 fps"), "{description}");
    let cameras = capture::cameras();
    assert_eq!(cameras.len(), 1, "not its metadata node: {cameras:?}");
    assert_eq!(running.frame().format.colour, Colour::BT601_LIMITED);
    assert!(running.rate(2.0) > 10.0);
    for round in 0..3 {
        let unplugged = usb.say("unplug");
        let (reason, gone) = running.until_missing(5);
        assert!(reason.contains("unplugged"), "{reason}");
        std::thread::sleep(Duration::from_millis(700 * round));
        let plugged = usb.say("plug");
        let (_, back) = running.until_running(10);
        let (gone, back) = (gone - unplugged, back - plugged);
        println!("round {round}: noticed after {gone:.0?}, picture back {back:.0?} after plugging in");
        assert!(back < Duration::from_secs(2));
    }
    assert!(running.rate(1.0) > 10.0);

    assert!(!open_devices().is_empty());
    running.capture.set_private(true);
    running.until(5, |state| *state == CameraState::Private);
    assert_eq!(open_devices(), [], "closed by the time that it is said");
    assert_eq!(running.figures.outgoing.camera_open.get(), 0);
    assert_eq!(running.capture.next_camera(), None, "no camera is asked what it is meanwhile");
    // Released: somebody else can stream from it.
    let number = capture::cameras()[0].number;
    drop(
        v4l::io::mmap::Stream::with_buffers(
            &v4l::Device::new(number as usize).unwrap(),
            v4l::buffer::Type::VideoCapture,
            2,
        )
        .unwrap(),
    );
    running.capture.set_private(false);
    running.until_running(10);
}

#[test]
fn a_usb_camera_stalls() {
    if !inside("capture::a_usb_camera_stalls", &USB) {
        return;
    }
    let mut usb = Usb::plug("Door Cam", &["1280x720", "640x360"], None);
    let running = start(Config::default());
    running.until_running(10);
    let stalled = usb.say("stall");
    let (reason, at) = running.until_missing(5);
    println!("noticed after {:.2?}", at - stalled);
    assert!(reason.contains("sent no picture for"), "{reason}");
    assert!(at - stalled < Duration::from_secs(3));
    let flowing = usb.say("flow");
    let (_, back) = running.until_running(10);
    println!("picture back after {:.0?}", back - flowing);
    assert!(back - flowing < Duration::from_secs(2));

    // While it is stalled again, privacy and the end are not kept waiting.
    usb.say("stall");
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    running.capture.set_private(true);
    running.until(3, |state| *state == CameraState::Private);
    assert!(asked.elapsed() < Duration::from_millis(700), "{:.0?}", asked.elapsed());
    running.capture.set_private(false);
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    drop(running);
    println!("ended after {:.0?}", asked.elapsed());
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_usb_camera_sends_jpegs() {
    if !inside("capture::a_usb_camera_sends_jpegs", &USB) {
        return;
    }
    let (width, height) = (1280, 720);
    let film = std::env::temp_dir().join("film.mjpeg");
    let mut file = std::fs::File::create(&film).unwrap();
    for n in 0..10usize {
        // Eight columns from bright to dark, and a stripe that moves.
        let gray = |i: usize| if i / width / 36 == n { 128 } else { 240 - 30 * (i % width / 160) as u8 };
        let pixels: Vec<u8> = (0..width * height).flat_map(|i| [gray(i); 3]).collect();
        let image = turbojpeg::Image {
            pixels: &pixels[..],
            width,
            pitch: 3 * width,
            height,
            format: turbojpeg::PixelFormat::RGB,
        };
        file.write_all(&turbojpeg::compress(image, 90, turbojpeg::Subsamp::Sub2x1).unwrap()).unwrap();
    }
    drop(file);
    // Only small YUYV pictures, so that the JPEGs are the best there is.
    let _usb = Usb::plug("Door Cam", &["320x240"], Some(&film));
    let running = start(Config { camera: "door cam".into(), ..Config::default() });
    let (description, _) = running.until_running(10);
    assert!(description.contains("1280x720 MJPEG at 30 fps"), "{description}");
    let frame = running.frame();
    assert_eq!(frame.format.colour, Colour::BT601_FULL);
    let luma: Vec<u8> = (0..8).map(|n| column(&frame, n)).collect();
    println!("columns: {luma:?}");
    for (n, &luma) in luma.iter().enumerate() {
        assert!(luma.abs_diff(240 - 30 * n as u8) <= 3);
    }
    let rate = running.rate(2.0);
    println!("{rate:.1} pictures per second, damaged {}", running.figures.outgoing.capture_damaged.get());
    assert!(rate > 10.0);
}

#[test]
fn somebody_else_has_the_camera() {
    if !inside("capture::somebody_else_has_the_camera", &[]) {
        return;
    }
    if std::env::var_os(INSIDE).is_some_and(|value| value == "hold") {
        let device = v4l::Device::new(0).unwrap();
        let mut stream = v4l::io::mmap::Stream::with_buffers(&device, v4l::buffer::Type::VideoCapture, 2).unwrap();
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            v4l::io::traits::CaptureStream::next(&mut stream).unwrap();
        }
        return;
    }
    let this = std::env::current_exe().unwrap();
    let hold =
        Command::new(this).args(["--exact", "capture::somebody_else_has_the_camera"]).env(INSIDE, "hold").spawn();
    let mut hold = hold.unwrap();
    std::thread::sleep(Duration::from_secs(1));
    let running = start(Config::default());
    let (reason, _) = running.until_missing(5);
    assert!(reason.contains("is in use by \"camera_rig") && reason.contains(&hold.id().to_string()), "{reason}");
    hold.wait().unwrap();
    let free = Instant::now();
    let (_, back) = running.until_running(3);
    println!("busy at the start: pictures {:.0?} after it was let go", back.saturating_duration_since(free));
}

#[test]
fn the_camera_may_not_be_opened() {
    if !inside("capture::the_camera_may_not_be_opened", &[]) {
        return;
    }
    // SAFETY: changes this process's user, nothing else; the machine is thrown away afterwards.
    assert_eq!(unsafe { libc::seteuid(65534) }, 0);
    let running = start(Config::default());
    let (reason, _) = running.until_missing(5);
    assert!(reason.contains("group \"video\""), "{reason}");
    // SAFETY: as above.
    assert_eq!(unsafe { libc::seteuid(0) }, 0);
    let allowed = Instant::now();
    let (_, back) = running.until_running(3);
    println!("permission appears later: pictures {:.0?} after it", back - allowed);
}
