//! The whole display in a real window, where an X server can be started: pictures are presented, a lost device and a lost monitor come
//! back, privacy shows nothing.

use super::app::assemble;
use super::gpu::Gpu;
use super::loss::Failure;
use super::server::{Found, Server};
use super::witness::{Alarm, Outputs};
use super::{Config, Inputs, Remedies};
use crate::media::{Eras, Exhausted, Format, Pool, Size, Waker, mailbox};
use crate::ops::{Figures, Slate, View};
use bevy::prelude::*;
use bevy::render::renderer::RenderDevice;
use bevy::window::{Monitor, PrimaryWindow};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Windows are drawn by the processor here, and what is measured in one must not wait for another.
pub(super) static ALONE: Mutex<()> = Mutex::new(());

/// An X server that ends with the test.
pub(super) struct XServer(Child, pub(super) String);

impl XServer {
    pub(super) fn start(width: u32, height: u32) -> Option<Self> {
        let mut server = Command::new("Xvfb")
            .args(["-screen", "0", &format!("{width}x{height}x24"), "-displayfd", "1", "-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        // It writes its number and a newline when it is ready.
        let mut number = String::new();
        BufReader::new(server.stdout.as_mut()?).read_line(&mut number).ok()?;
        let number = number.trim().to_owned();
        Some(Self(server, format!(":{number}")))
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Window systems want an environment and a process of their own: the test runs itself again inside of an X server.
#[test]
fn a_window_survives_what_happens_to_displays() {
    if let Err(error) = Gpu::open() {
        return println!("skipped: {error}");
    }
    let Some(server) = XServer::start(640, 360) else { return println!("skipped: Xvfb is not installed") };
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "display::window_tests::inside_a_window", "--ignored", "--nocapture"])
        .env("DISPLAY", &server.1)
        .env_remove("WAYLAND_DISPLAY")
        .env_remove("WAYLAND_SOCKET")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What happens, and when, in seconds.
#[derive(Resource, Default)]
struct Script {
    device_destroyed: bool,
    unplugged: Option<Monitor>,
    plugged_in: bool,
    windows_made: usize,
}

const DESTROY_AT: f32 = 1.5;
const PRIVATE_FROM: f32 = 3.0;
const PRIVATE_TO: f32 = 4.0;
const UNPLUG_AT: f32 = 5.0;
const PLUG_AT: f32 = 5.5;
const END_AT: f32 = 7.5;

fn act(
    time: Res<Time<Real>>,
    mut script: ResMut<Script>,
    device: Res<RenderDevice>,
    monitors: Query<(Entity, &Monitor)>,
    windows: Query<(), Added<PrimaryWindow>>,
    mut commands: bevy::prelude::Commands,
) {
    let now = time.elapsed_secs();
    script.windows_made += windows.iter().count();
    if now > DESTROY_AT && !script.device_destroyed {
        script.device_destroyed = true;
        device.wgpu_device().destroy();
        let _ = device.poll(wgpu::PollType::wait_indefinitely());
    }
    // What Bevy does when a monitor goes and comes: its entity, and the windows on it, are despawned; a new one is spawned.
    if now > UNPLUG_AT && script.unplugged.is_none() {
        for (entity, monitor) in &monitors {
            script.unplugged = Some(monitor.clone());
            commands.entity(entity).despawn();
        }
    }
    if now > PLUG_AT && !script.plugged_in {
        script.plugged_in = true;
        commands.spawn(script.unplugged.clone().expect("a monitor was there"));
    }
}

#[test]
#[ignore = "run by a_window_survives_what_happens_to_displays, inside an X server"]
fn inside_a_window() {
    let figures = Arc::new(Figures::new(Instant::now()));
    let (remote_in, remote) = mailbox::mailbox();
    let (own_in, self_view) = mailbox::mailbox();
    let (view_in, view) = tokio::sync::watch::channel(View { slate: Slate::Connecting, ..View::default() });
    let (commands, _orders) = crossbeam_channel::bounded(4);
    let (waker, stop, eras) = (Waker::new(), Arc::new(AtomicBool::new(false)), Eras::default());
    let inputs = Inputs {
        remote,
        self_view,
        view,
        figures: figures.clone(),
        eras: eras.clone(),
        commands,
        waker: waker.clone(),
        live: tokio::sync::watch::channel(super::Live { site: "test".to_owned(), ..Default::default() }).1,
        stop: stop.clone(),
        alarm: Alarm::new(|error| panic!("{error}")),
        remedies: Remedies::default(),
        patient: false,
    };
    let presented = figures.clone();
    let counted = Arc::new([const { AtomicU64::new(0) }; 6]);
    let counts = counted.clone();
    let feeder = std::thread::spawn(move || {
        let (mut pool, start) = (Pool::new(6), Instant::now());
        let mut number = 0_u64;
        while start.elapsed().as_secs_f32() < END_AT {
            std::thread::sleep(Duration::from_millis(33));
            number += 1;
            let now = start.elapsed().as_secs_f32();
            let private = (PRIVATE_FROM..PRIVATE_TO).contains(&now);
            let slate = if private { Slate::FarPrivate } else { Slate::Hidden };
            view_in.send_if_modified(|view| std::mem::replace(&mut view.slate, slate) != slate);
            // Another size every second.
            let size = [Size::new(640, 360), Size::new(320, 180), Size::new(1280, 720)][now as usize % 3];
            let made = pool.fill(Format::i420(size), |frame| {
                frame.data_mut().fill(128);
                frame.captured = Some(Instant::now());
                frame.era = eras.far.now();
                Ok::<_, Exhausted>(())
            });
            let Ok((frame, ())) = made else { continue };
            own_in.put(frame.clone());
            remote_in.put(frame);
            waker.wake();
            counts[0].store(number, Relaxed);
            let marks = [DESTROY_AT, PRIVATE_FROM + 0.2, PRIVATE_TO - 0.1, UNPLUG_AT];
            for (mark, count) in marks.iter().zip(&counts[1..]) {
                if now < *mark {
                    count.store(presented.incoming.presented.get(), Relaxed);
                }
            }
        }
        stop.store(true, Relaxed);
        waker.wake();
    });
    let failure = Failure::default();
    let gpu = Gpu::open().unwrap();
    let found = Found::connect().unwrap();
    assert_eq!(found.server, Server::X11 { managed: false });
    let mut app = assemble(Config::default(), inputs, found.server, Outputs::default(), gpu, failure.clone());
    drop(found);
    let windows = Arc::new(AtomicU64::new(0));
    let made = windows.clone();
    app.init_resource::<Script>()
        .add_systems(Update, act)
        .add_systems(Last, move |script: Res<Script>| made.store(script.windows_made as u64, Relaxed));
    let exit = app.run();
    feeder.join().unwrap();
    assert_eq!((exit, failure.take()), (AppExit::Success, None));
    let at = |index: usize| counted[index].load(Relaxed);
    let total = figures.incoming.presented.get();
    assert!(at(1) > 10, "presented before the device was lost: {}", at(1));
    assert_eq!(figures.link.display_recoveries.get(), 1, "the device was opened again");
    assert!(at(2) > at(1) + 10, "presented after that: {} then {}", at(1), at(2));
    assert!(at(3) <= at(2) + 1, "presented while private: {} then {}", at(2), at(3));
    assert!(at(4) > at(3) + 10, "presented after privacy: {} then {}", at(3), at(4));
    assert!(total > at(4) + 20, "presented after the monitor came back: {} then {total}", at(4));
    assert!(windows.load(Relaxed) >= 2, "a new window was made");
}
