//! The display by itself, fed with made pictures: what it costs and how fast it is, without camera, codec and network.
//!
//! `cargo run --release --example display_probe -- --window 1280x720 --size 1280x720 --seconds 15`. The pictures carry the time code, so
//! that an outside probe can compare it with what is on the screen. `--slate NAME` shows a slate instead, `--self-view` adds one's own
//! picture, `--resize` changes the size of the pictures after three seconds, `--pause` lets the link stall after five,
//! `--new-device SECONDS` and `--new-window SECONDS` ask for one that often.

use screen_portal::display::{Alarm, Config, Fit, Inputs, Live, Remedies};
use screen_portal::media::{Format, Frame, Pool, Size, TimeCode, Waker, mailbox};
use screen_portal::ops::{CameraState, Figures, LinkState, Slate, View, process_usage};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

struct Args(HashMap<String, String>);

impl Args {
    fn read() -> Self {
        let mut args = HashMap::new();
        let mut words = std::env::args().skip(1).peekable();
        while let Some(word) = words.next() {
            let value = words.next_if(|next| !next.starts_with("--")).unwrap_or_default();
            args.insert(word.trim_start_matches('-').to_owned(), value);
        }
        Self(args)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn number(&self, name: &str, default: f64) -> f64 {
        self.0.get(name).and_then(|text| text.parse().ok()).unwrap_or(default)
    }

    fn size(&self, name: &str) -> Size {
        let text = self.0.get(name).map_or("1280x720", String::as_str);
        let (width, height) = text.split_once('x').unwrap_or(("1280", "720"));
        Size::new(width.parse().unwrap_or(1280), height.parse().unwrap_or(720))
    }

    fn slate(&self) -> Slate {
        match self.0.get("slate").map_or("", String::as_str) {
            "connecting" => Slate::Connecting,
            "not_paired" => Slate::NotPaired,
            "no_far_end" => Slate::NoFarEnd,
            "far_camera_missing" => Slate::FarCameraMissing,
            "far_private" => Slate::FarPrivate,
            "far_off" => Slate::FarOff,
            "paused" => Slate::Paused,
            "private" => Slate::Private,
            _ => Slate::Hidden,
        }
    }
}

/// A moving picture, or the picture of a raw I420 file.
fn paint(frame: &mut Frame, file: Option<&[u8]>, number: u64) {
    let width = frame.format.size.width as usize;
    if let Some(file) = file.filter(|file| file.len() >= frame.data().len()) {
        let bytes = frame.data().len();
        let pictures = file.len() / bytes;
        let at = (number as usize % pictures) * bytes;
        frame.data_mut().copy_from_slice(&file[at..at + bytes]);
    } else {
        let (luma, u, v) = frame.i420_mut();
        for (y, row) in luma.chunks_exact_mut(width).enumerate() {
            let shade = (y + number as usize) as u8;
            for (x, sample) in row.iter_mut().enumerate() {
                *sample = 16 + ((x as u8).wrapping_add(shade) % 200);
            }
        }
        for (y, row) in u.chunks_exact_mut(width / 2).enumerate() {
            row.fill(96 + (y / 8 % 64) as u8);
        }
        for (x, sample) in v.iter_mut().enumerate() {
            *sample = 96 + (x % (width / 2) / 12 % 64) as u8;
        }
    }
}

fn main() {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();
    let args = Args::read();
    let started = Instant::now();
    let figures = Arc::new(Figures::new(started));
    let (window, size) = (args.size("window"), args.size("size"));
    let config = Config {
        fullscreen: args.has("fullscreen"),
        width: window.width,
        height: window.height,
        position_x: Some(0),
        position_y: Some(0),
        decorations: false,
        fit: if args.has("contain") { Fit::Contain } else { Fit::Cover },
        rotate_deg: args.number("rotate", 0.0) as u16,
        self_view: args.has("self-view"),
        overlays: !args.has("plain"),
        ..Config::default()
    };
    let (remote_in, remote) = mailbox::mailbox();
    let (own_in, self_view) = mailbox::mailbox();
    let slate = args.slate();
    let view = View {
        slate,
        link: if slate == Slate::Hidden { LinkState::Live } else { LinkState::Signalling },
        camera: CameraState::Running { description: "test picture".to_owned() },
        far_site: args.0.get("far").cloned(),
        ..View::default()
    };
    let (view_in, view) = tokio::sync::watch::channel(view);
    let (commands, orders) = crossbeam_channel::bounded(8);
    let (waker, stop) = (Waker::new(), Arc::new(AtomicBool::new(false)));
    let remedies = Remedies::default();
    let site = args.0.get("site").cloned().unwrap_or_else(|| "Trondheim".to_owned());
    let inputs = Inputs {
        eras: Default::default(),
        remote,
        self_view,
        view,
        figures: figures.clone(),
        commands,
        waker: waker.clone(),
        live: tokio::sync::watch::channel(Live { site, config: config.clone(), ..Live::default() }).1,
        stop: stop.clone(),
        alarm: Alarm::new(|error| {
            eprintln!("error: {error}");
            std::process::exit(6);
        }),
        remedies: remedies.clone(),
        patient: false,
    };
    // Every so many seconds a new device or a new window, as a watchdog would ask for it.
    for (name, ask) in [("new-device", Remedies::new_device as fn(&Remedies)), ("new-window", Remedies::new_window)] {
        let (remedies, every) = (remedies.clone(), args.number(name, 0.0));
        if every > 0.0 {
            std::thread::spawn(move || {
                loop {
                    std::thread::sleep(Duration::from_secs_f64(every));
                    ask(&remedies);
                }
            });
        }
    }

    let file = args.0.get("file").map(|path| std::fs::read(path).expect("a raw I420 file"));
    let fps = args.number("fps", 30.0);
    let seconds = args.number("seconds", 15.0);
    let feeder = {
        let (waker, figures, own) = (waker.clone(), figures.clone(), args.has("self-view"));
        // A stream that changes its size in the middle.
        let second_size = args.has("resize").then(|| Size::new(640, 360));
        std::thread::spawn(move || {
            let mut pool = Pool::new(6);
            let period = Duration::from_secs_f64(1.0 / fps.max(0.01));
            let mut next = started + period;
            let mut number = 0;
            let mut cpu_of_feeding = Duration::ZERO;
            while fps > 0.0 && started.elapsed().as_secs_f64() < seconds {
                std::thread::sleep(next.saturating_duration_since(Instant::now()));
                next += period;
                number += 1;
                let size = second_size.filter(|_| number > 90).unwrap_or(size);
                let before = thread_cpu();
                let made = pool.fill(Format::i420(size), |frame| {
                    paint(frame, file.as_deref(), number);
                    frame.number = number;
                    frame.captured = Some(Instant::now());
                    TimeCode::now(number).draw(frame);
                    Ok::<_, screen_portal::media::Exhausted>(())
                });
                cpu_of_feeding += thread_cpu() - before;
                let Ok((frame, ())) = made else { continue };
                if own {
                    own_in.put(frame.clone());
                    waker.wake();
                }
                figures.incoming.dropped_before_present.add(remote_in.put(frame));
                waker.wake();
            }
            cpu_of_feeding
        })
    };
    let keeper = {
        let (figures, stop, waker) = (figures.clone(), stop, waker);
        let then =
            args.has("pause").then(|| View { slate: Slate::Paused, link: LinkState::Stalled, ..View::default() });
        std::thread::spawn(move || {
            let warm = Duration::from_secs(3);
            let mut before = (process_usage().cpu, figures.incoming.presented.get(), Instant::now());
            for second in 0..seconds.ceil() as u64 {
                std::thread::sleep(Duration::from_secs(1));
                figures.tick(Instant::now());
                if second + 1 == warm.as_secs() {
                    before = (process_usage().cpu, figures.incoming.presented.get(), Instant::now());
                }
                if second == 4
                    && let Some(view) = &then
                {
                    let _ = view_in.send(view.clone());
                }
            }
            let after = (process_usage().cpu, figures.incoming.presented.get(), Instant::now());
            stop.store(true, Relaxed);
            waker.wake();
            let time = after.2.duration_since(before.2).as_secs_f64();
            ((after.0 - before.0).as_secs_f64() / time, (after.1 - before.1) as f64 / time)
        })
    };
    let result = screen_portal::display::run(config, inputs);
    if let Err(error) = result {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
    let feeding = feeder.join().expect("feeder").as_secs_f64() / seconds;
    let (cores, fps) = keeper.join().expect("keeper");
    let snapshot = figures.snapshot(Instant::now());
    let orders: Vec<_> = orders.try_iter().collect();
    println!(
        "cores {:.3} (feeding {feeding:.3} not counted), presented {fps:.2}/s, dropped {}, own latency p50 {:.1} p95 {:.1} ms, upload p50 {:.2} ms, \
         hand-over to presented p50 {:.1} p95 {:.1} ms, first picture {:.0} ms, {} MB, recoveries {}, orders {orders:?}",
        cores - feeding,
        snapshot.incoming.dropped_before_present,
        snapshot.latency.p50_ms,
        snapshot.latency.p95_ms,
        snapshot.upload_time.p50_ms,
        snapshot.present_time.p50_ms,
        snapshot.present_time.p95_ms,
        snapshot.first_picture_ms.unwrap_or(-1.0),
        snapshot.resident_bytes / 1_000_000,
        snapshot.link.display_recoveries,
    );
}

/// Processor time of the calling thread.
fn thread_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec of our own.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
