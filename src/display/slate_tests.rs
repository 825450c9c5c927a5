//! Every slate and panel in a real window of 1920x1080 and in one of 1280x720, as pictures to look at:
//! `target/slates/1920x1080/` and its neighbour get one of each in full, one of each as wide as 300 pixels (a screen of
//! 1.2 m, seen from three metres, is about as large as those on a desk), and all of these on one sheet.

use super::app::assemble;
use super::gpu::Gpu;
use super::keys::Operator;
use super::layout_tests::Layout;
use super::loss::Failure;
use super::overlays::Overlays;
use super::page::Press;
use super::server::Found;
use super::window_tests::{ALONE, XServer};
use super::witness::{Alarm, Outputs};
use super::{Config, FarEnd, Inputs, Live, Remedies, qr};
use crate::capture::lens::Veil;
use crate::demo::{Picture, Region};
use crate::media::{Exhausted, Format, Frame, Pool, Size, Waker, mailbox};
use crate::ops::{CameraState, EnteredCode, FarCamera, Figures, Invitation, LinkState, Slate, View, Waiting};
use bevy::prelude::*;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// The sizes of the window. The narrow one is for the far end's line and its question only.
const SIZES: [(u32, u32); 3] = [(1920, 1080), (1280, 720), (1024, 768)];
const NARROW: (u32, u32) = SIZES[2];
/// Tells the test inside the X server which one it is.
const SIZE: &str = "PORTAL_TEST_SIZE";
/// As wide as a picture is from three metres.
const FAR: u32 = 300;
/// Each scene stands for so long before its picture is taken.
const STANDS: Duration = Duration::from_millis(1200);

#[test]
fn slates_can_be_read_from_three_metres() {
    if let Err(error) = Gpu::open() {
        return println!("skipped: {error}");
    }
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for (width, height) in SIZES {
        let Some(server) = XServer::start(width, height) else { return println!("skipped: Xvfb is not installed") };
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "display::slate_tests::inside_a_window", "--ignored", "--nocapture"])
            .env(SIZE, format!("{width}x{height}"))
            .env("DISPLAY", &server.1)
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("WAYLAND_SOCKET")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("1 passed"),
            "{width}x{height}: {said}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        println!("{width}x{height}: {said}");
    }
}

/// The size of the window that this process is to look at.
fn window() -> (u32, u32) {
    let size = std::env::var(SIZE).unwrap();
    SIZES.into_iter().find(|(width, height)| size == format!("{width}x{height}")).unwrap()
}

/// Asked for before the settings page.
const PIN: &str = "4711";

/// What is on the screen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Panel {
    None,
    Help,
    Info,
    Settings,
    Network,
    /// The line of the far end.
    FarEnd,
    /// The question whether it is to be forgotten.
    Forget,
    Pin,
    /// The entry of a code, with these keys pressed; Enter is a line feed.
    Entry(&'static str),
}

struct Scene {
    name: String,
    view: View,
    panel: Panel,
    /// The far end's picture and our own, where there is no slate.
    pictures: Option<[Arc<Frame>; 2]>,
    rotate_deg: u16,
}

impl Scene {
    fn new(name: &str, view: View, panel: Panel) -> Self {
        Self { name: name.to_owned(), view, panel, pictures: None, rotate_deg: 0 }
    }

    /// What its QR code says.
    fn command(&self) -> Option<&str> {
        super::invitation::command(&self.view).filter(|_| self.panel == Panel::None)
    }
}

/// A landscape, as it is and as it is sent while the lens is covered.
fn landscapes() -> [Arc<Frame>; 2] {
    let size = Size::new(1280, 720);
    [false, true].map(|covered| {
        let made = Pool::new(1).fill(Format::i420(size), |frame| {
            crate::capture::Scene::new(size, 30, "Hilltop").paint(Duration::from_secs(3), frame.data_mut());
            if covered {
                Veil::default().draw(frame);
            }
            Ok::<_, Exhausted>(())
        });
        made.unwrap().0
    })
}

/// What is said over a picture: who is covered, or has no camera.
fn notices(view: impl Fn(Slate) -> View) -> Vec<Scene> {
    let [open, blurred] = landscapes();
    let covered = || CameraState::Covered { description: "USB Camera 1280x720 at 30".into() };
    let missing = || CameraState::Missing { reason: "unplugged".into() };
    let long = "The community centre on the hill above the old harbour of Hilltop";
    [
        ("covered-here", covered(), FarCamera::Running, "Hilltop"),
        ("covered-there", view(Slate::Hidden).camera, FarCamera::Covered, "Hilltop"),
        ("covered-both", covered(), FarCamera::Covered, long),
        ("missing-here", missing(), FarCamera::Running, "Hilltop"),
    ]
    .into_iter()
    .map(|(name, camera, far_camera, far_site)| {
        let theirs = if far_camera == FarCamera::Covered { &blurred } else { &open };
        let ours = if matches!(camera, CameraState::Covered { .. }) { &blurred } else { &open };
        let view = View { camera, far_camera, far_site: Some(far_site.into()), ..view(Slate::Hidden) };
        let pictures = Some([theirs.clone(), ours.clone()]);
        Scene { pictures, ..Scene::new(name, view, Panel::None) }
    })
    .collect()
}

fn scenes() -> Vec<Scene> {
    let view = |slate| View {
        slate,
        link: LinkState::Live,
        far_site: Some("Hilltop".into()),
        far_camera: FarCamera::Running,
        camera: CameraState::Running { description: "USB Camera 1280x720 at 30".into() },
        opening: Some("Opens Monday 08:00 here, 15:00 at Hilltop.".into()),
        ..View::default()
    };
    let slates = Slate::ALL.into_iter().filter(|slate| *slate != Slate::Hidden);
    let mut scenes: Vec<Scene> =
        slates.map(|slate| Scene::new(&format!("{slate:?}").to_lowercase(), view(slate), Panel::None)).collect();
    let not_paired = |invitation| View { invitation: Some(invitation), ..view(Slate::NotPaired) };
    let confirmed = View { confirmation: Some("anchor lake ribbon".into()), ..view(Slate::Connecting) };
    scenes.push(Scene::new("paired", confirmed, Panel::None));
    scenes.extend(notices(view));
    for panel in PANELS {
        for (private, slate, far) in [("", Slate::Paused, "Hilltop"), (PRIVATE, Slate::Private, LONGEST)] {
            let view = View { far_site: Some(far.into()), ..view(slate) };
            scenes.push(Scene::new(&format!("{panel:?}{private}").to_lowercase(), view, panel));
        }
    }
    scenes.push(Scene::new("notpaired-paused", not_paired(Invitation::Paused), Panel::None));
    scenes.extend(pairing(not_paired));
    if window() == NARROW {
        scenes.retain(|scene| ["farend", "farend-private", "forget", "forget-private"].contains(&scene.name.as_str()));
        scenes[0].view.far_site = Some(LONGEST.into());
    }
    scenes
}

/// The slate of a portal that waits to be paired, and the entry of another one's code.
fn pairing(not_paired: impl Fn(Invitation) -> View) -> Vec<Scene> {
    let shows = |code: &str, address: &str| {
        let command = format!("screen-portal pair {code} --address {address}:7413");
        not_paired(Invitation::Code { code: code.into(), command })
    };
    let waiting = |names: &[&str]| {
        names
            .iter()
            .enumerate()
            .map(|(at, site)| Waiting { site: site.to_string(), id: format!("{at:016x}") })
            .collect()
    };
    let usual = View { waiting: waiting(&["Hilltop"]), ..shows("47-harbor-orbit", "192.168.178.21") };
    let names = ["Hilltop", "The community centre on the hill above the harbour", "Oslo", "", "Bergen", "Vardø"];
    let crowd = View {
        waiting: waiting(&names),
        // The widest words that there are.
        ..shows("99-mushroom-umbrella", "[2001:db8:1111:2222:3333:4444:5555:6666]")
    };
    let upright = |scene: Scene| Scene { name: format!("{}-upright", scene.name), rotate_deg: 90, ..scene };
    let code = || Scene::new("notpaired-code", usual.clone(), Panel::None);
    let crowded = || Scene::new("notpaired-crowd", crowd.clone(), Panel::None);
    let entry = |name, keys, entered| Scene::new(name, View { entered, ..usual.clone() }, Panel::Entry(keys));
    let refused = || {
        let words = "No portal in this network shows a code; is the other one on, and in this network? Elsewhere it is found by \
             `screen-portal pair CODE --address HOST:PORT`, or by a hub ([signaling] hub)";
        EnteredCode::Refused(words.into())
    };
    let again = EnteredCode::Refused(
        "192.168.178.20:7413: the code is not the one that is shown there, and does not count any more; enter the one that is shown now".into(),
    );
    let tried = EnteredCode::Tried("Pairing with the portal at 192.168.178.20:7413 …".into());
    vec![
        code(),
        crowded(),
        entry("entry-word", "47harb", EnteredCode::None),
        entry("entry-mistake", "47 harbor obrit", EnteredCode::None),
        entry("entry-tried", "99 mushroom umbrella", tried),
        entry("entry-wrong-code", "47 harbor orbit\n", again),
        entry("entry-nobody", "62 latin zebra\n", refused()),
        Scene::new("entry-several", crowd.clone(), Panel::Entry("62 latin zebra")),
        upright(code()),
        upright(crowded()),
        upright(entry("entry-longest", "99 mushroom umbrella\n", refused())),
    ]
}

/// What may be open before any slate.
const PANELS: [Panel; 7] =
    [Panel::Help, Panel::Info, Panel::Settings, Panel::Network, Panel::FarEnd, Panel::Forget, Panel::Pin];

/// The far end's name, as long as it may be.
const LONGEST: &str = "The community centre on the hill above the old harbour, room 215";

/// The end of a scene's name where privacy is on behind a panel.
const PRIVATE: &str = "-private";

/// What the settings page shows on a good day.
fn plain() -> Live {
    Live {
        site: "Harbour".to_owned(),
        camera: "Integrated Webcam (usb-0000:00:14.0-6)".to_owned(),
        notice: "Saved".to_owned(),
        network: vec![
            (true, "answers at hilltop.example:7413 with the pinned fingerprint".to_owned()),
            (
                false,
                "turn:turn.example.org:3478: no answer: is UDP let out to this port, and is the server running?"
                    .to_owned(),
            ),
        ],
        operator: crate::operator::Config { pin: PIN.into(), hold: false },
        far_end: Some(FarEnd { name: "Hilltop".to_owned(), by_code: true }),
        ..Live::default()
    }
}

/// The most that it has to show, with the words of `cli::check`.
fn crowded() -> Live {
    let network = [
        "203.0.113.77:7413: no answer within 3 s: does the far end run, and is the port let through to it?",
        "turns:turn.example.org:443?transport=tcp: invalid peer certificate: UnknownIssuer: if the server is your own, name the \
         certificate that signed its in [link] ice_ca_file; if not, somebody is in between",
        "turn:turn.example.org:3478?transport=udp: no answer: is UDP let out to this port, and is the server running?",
        "none of the servers can be used, so only a far end in this network can be reached: see the servers above; where UDP is \
         blocked, turns:host:443 gets out almost everywhere",
    ];
    Live {
        site: LONGEST.to_owned(),
        camera: "Logitech Webcam C930e with a very long name (usb-0000:00:14.0-6.4.4.1.2)".to_owned(),
        notice: "In use, but not saved: Read-only file system (os error 30). Lost when the portal starts again; make \
                 /var/lib/screen-portal/data/of/this/kiosk writable and set it anew"
            .to_owned(),
        network: network.map(|words| (false, words.to_owned())).to_vec(),
        ..plain()
    }
}

#[derive(Resource)]
struct Gallery {
    scenes: Vec<Scene>,
    view: tokio::sync::watch::Sender<View>,
    remote: mailbox::Sender<Arc<Frame>>,
    own: mailbox::Sender<Arc<Frame>>,
    waker: Waker,
    live: tokio::sync::watch::Sender<Live>,
    now: usize,
    since: Option<Instant>,
    pictures: Vec<Picture>,
    /// What has no room, by the scene's name.
    misfits: Vec<String>,
}

fn exhibit(
    mut gallery: ResMut<Gallery>,
    mut overlays: ResMut<Overlays>,
    mut operator: ResMut<Operator>,
    layout: Layout,
    mut exit: MessageWriter<AppExit>,
) {
    let (width, height) = window();
    let gallery = &mut *gallery;
    let Some(scene) = gallery.scenes.get(gallery.now) else {
        exit.write(AppExit::Success);
        return;
    };
    if let Some([theirs, ours]) = &scene.pictures {
        gallery.remote.put(theirs.clone());
        gallery.own.put(ours.clone());
        gallery.waker.wake();
    }
    let Some(since) = gallery.since else {
        gallery.view.send_replace(scene.view.clone());
        let mut live = if scene.name.ends_with(PRIVATE) { crowded() } else { plain() };
        live.config.rotate_deg = scene.rotate_deg;
        gallery.live.send_replace(live);
        gallery.waker.wake();
        overlays.close();
        operator.lock.cancel();
        (operator.page, operator.entry) = Default::default();
        if matches!(scene.panel, Panel::Settings | Panel::Network | Panel::FarEnd | Panel::Forget | Panel::Entry(_)) {
            // The page closes by itself with the lock.
            for digit in PIN.bytes() {
                operator.lock.digit(digit - b'0', Instant::now());
            }
            operator.lock.enter(Instant::now());
        }
        match scene.panel {
            Panel::None => {}
            Panel::Help => overlays.toggle_help(),
            Panel::Info => overlays.toggle_info(),
            Panel::Settings => overlays.open_settings(),
            Panel::Network | Panel::FarEnd | Panel::Forget => {
                overlays.open_settings();
                let (live, now) = (plain(), Instant::now());
                let lines = if scene.panel == Panel::Network { 5 } else { 6 };
                for _ in 0..lines {
                    operator.page.press(Press::Down, &live, now);
                }
                if scene.panel == Panel::Forget {
                    operator.page.press(Press::Enter, &live, now);
                }
            }
            Panel::Pin => operator.lock.ask(Instant::now()),
            Panel::Entry(keys) => {
                overlays.open_entry();
                for key in keys.chars() {
                    let press = if key == '\n' { Press::Enter } else { Press::Text(key) };
                    operator.entry.press(press, &EnteredCode::None, &[]);
                }
            }
        }
        gallery.since = Some(Instant::now());
        return;
    };
    if since.elapsed() >= STANDS {
        let display = std::env::var("DISPLAY").unwrap();
        let region = Region { x: 0, y: 0, width, height };
        // Over a picture alone there are no words.
        let worded = scene.pictures.is_none();
        let (across, down) = if scene.rotate_deg == 90 { (height, width) } else { (width, height) };
        let misfits = layout.misfits(Vec2::new(across as f32, down as f32)).into_iter().filter(|_| worded);
        gallery.misfits.extend(misfits.map(|misfit| format!("{}: {misfit}", scene.name)));
        gallery.pictures.push(Picture::of_screen(&display, region).unwrap());
        gallery.now += 1;
        gallery.since = None;
    }
}

/// Writes what was taken, and looks at it as far as a program can.
fn judge(scenes: &[Scene], pictures: &[Picture]) {
    let (width, height) = window();
    let names: Vec<&str> = scenes.iter().map(|scene| scene.name.as_str()).collect();
    let folder = &Path::new("target/slates").join(format!("{width}x{height}"));
    std::fs::create_dir_all(folder).unwrap();
    let small: Vec<Picture> = pictures.iter().map(|picture| picture.scaled(FAR)).collect();
    for ((name, large), small) in names.iter().zip(pictures).zip(&small) {
        large.save(&folder.join(format!("{name}.png"))).unwrap();
        small.save(&folder.join(format!("{name}-{FAR}.png"))).unwrap();
    }
    let sheet = Picture::sheet(&small, 3).unwrap();
    sheet.save(&folder.join("all.png")).unwrap();
    for ((scene, large), small) in scenes.iter().zip(pictures).zip(&small) {
        let Some(command) = scene.command() else { continue };
        let read = |width: u32, height: u32, luma: Vec<u8>| qr::read(width as usize, height as usize, &luma);
        assert_eq!(read(width, height, large.luma().collect()), [command], "{}", scene.name);
        let faded = large.luma().map(|luma| (f32::from(luma) * 0.45) as u8).collect();
        assert_eq!(read(width, height, faded), [command], "{}, faded", scene.name);
        let far = read(FAR, FAR * height / width, small.luma().collect());
        let far = if far == [command] { "read" } else { "not read" };
        println!("{}: its QR code as wide as {FAR} pixels: {far}", scene.name);
    }
    for (name, small) in names.iter().zip(&small) {
        let bright = small.luma().filter(|luma| *luma > 170).count() as f64 / small.luma().count() as f64;
        println!("{name}: {:.2} % bright", 100.0 * bright);
        // Words that are lost in the distance leave nothing bright; a wall of light is no calm picture.
        // The figures are for who stands in front of them.
        let least = if *name == "info" { 0.0 } else { 0.002 };
        // Over a picture there is the picture's own light.
        let most = if name.starts_with("covered") || name.starts_with("missing") { 0.5 } else { 0.10 };
        assert!((least..most).contains(&bright), "{name}: {bright}");
    }
    for (n, one) in small.iter().enumerate() {
        for (m, other) in small.iter().enumerate().skip(n + 1) {
            assert!(one.changed(other) > 0.005, "{} and {} look the same", names[n], names[m]);
        }
    }
    if window() == NARROW {
        return;
    }
    // Where the slate's words begin or end beside a panel: of a word that is cut half through, the other half is there.
    let rests = |picture: &Picture, columns: std::ops::Range<usize>| {
        let (width, height) = (FAR as usize, (FAR * height / width) as usize);
        let lit = |(n, luma): &(usize, u8)| *luma > 150 && columns.contains(&(n % width)) && n / width < height;
        picture.luma().enumerate().filter(lit).count()
    };
    // Privacy's sign, at the top in the middle, whatever is open.
    let sign = |picture: &Picture| {
        let lit = |(n, luma): &(usize, u8)| *luma > 150 && (100..200).contains(&(n % FAR as usize));
        picture.luma().enumerate().take(16 * FAR as usize).filter(lit).count()
    };
    let named = |name: &str| &small[names.iter().position(|other| *other == name).unwrap()];
    assert!(rests(named("paused"), 12..22) > 0 && rests(named("paused"), 160..290) > 0, "the words are there");
    for panel in ["help", "settings", "network", "farend", "forget", "pin", "entry-word", "entry-wrong-code"] {
        assert_eq!(rests(named(panel), 12..22), 0, "{panel}");
    }
    for panel in ["help", "info", "settings", "network", "farend", "forget", "pin"] {
        assert_eq!(sign(named(panel)), 0, "{panel}");
        assert!(sign(named(&format!("{panel}{PRIVATE}"))) > 50, "{panel} hides that privacy is on");
    }
    assert_eq!(rests(named("info"), 160..290), 0);
}

#[test]
#[ignore = "run by slates_can_be_read_from_three_metres, inside an X server"]
fn inside_a_window() {
    let (remote_in, remote) = mailbox::mailbox();
    let (own_in, self_view) = mailbox::mailbox();
    let scenes = scenes();
    let (view_in, view) = tokio::sync::watch::channel(View::default());
    let (commands, _orders) = crossbeam_channel::bounded(4);
    let (live_in, live) = tokio::sync::watch::channel(plain());
    let waker = Waker::new();
    let inputs = Inputs {
        remote,
        self_view,
        view,
        figures: Arc::new(Figures::new(Instant::now())),
        eras: Default::default(),
        commands,
        waker: waker.clone(),
        live,
        stop: Arc::new(AtomicBool::new(false)),
        alarm: Alarm::new(|error| panic!("{error}")),
        remedies: Remedies::default(),
        patient: false,
    };
    let failure = Failure::default();
    let gpu = Gpu::open().unwrap();
    let found = Found::connect().unwrap();
    let mut app = assemble(Config::default(), inputs, found.server, Outputs::default(), gpu, failure.clone());
    drop(found);
    let shown = Arc::new(std::sync::Mutex::new((Vec::new(), Vec::new())));
    let taken = shown.clone();
    let all = Arc::new(AtomicBool::new(false));
    let done = all.clone();
    let (remote, own) = (remote_in, own_in);
    let misfits = Arc::new(std::sync::Mutex::new(Vec::new()));
    let found = misfits.clone();
    let gallery = Gallery {
        scenes,
        view: view_in,
        remote,
        own,
        waker,
        live: live_in,
        now: 0,
        since: None,
        pictures: Vec::new(),
        misfits: Vec::new(),
    };
    app.insert_resource(gallery).add_systems(Update, exhibit).add_systems(Last, move |mut gallery: ResMut<Gallery>| {
        if gallery.now == gallery.scenes.len() && !done.swap(true, Relaxed) {
            let gallery = &mut *gallery;
            *taken.lock().unwrap() = (std::mem::take(&mut gallery.scenes), std::mem::take(&mut gallery.pictures));
            found.lock().unwrap().clone_from(&gallery.misfits);
        }
    });
    assert_eq!((app.run(), failure.take()), (AppExit::Success, None));
    assert!(all.load(Relaxed));
    let (scenes, pictures) = &*shown.lock().unwrap();
    judge(scenes, pictures);
    let misfits = misfits.lock().unwrap();
    assert!(misfits.is_empty(), "{}", misfits.join("\n"));
}
