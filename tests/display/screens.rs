//! Window systems that the tests own: started, stopped, killed and started again, and what is to be seen on them.

use screen_portal::demo::Child;
use screen_portal::media::{Exhausted, Format, Pool, Size, TimeCode};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, ImageFormat};

/// The user that compositors run as where the tests run as root, which they refuse.
const NOBODY: u32 = 65534;

/// What is on a screen: its brightness.
pub struct Shot {
    pub width: usize,
    pub height: usize,
    luma: Vec<u8>,
}

impl Shot {
    fn new(width: usize, height: usize, rgb: impl Iterator<Item = [u8; 3]>) -> Self {
        let luma = rgb.map(|[r, g, b]| ((u32::from(r) * 2 + u32::from(g) * 5 + u32::from(b)) / 8) as u8);
        Self { width, height, luma: luma.collect() }
    }

    /// The time code of the picture that is shown in the middle, 16 to 9, as large as fits.
    pub fn code(&self) -> Option<TimeCode> {
        let width = self.width.min(self.height * 16 / 9) & !1;
        let height = (width * 9 / 16) & !1;
        let (left, top) = ((self.width - width) / 2, (self.height - height) / 2);
        let size = Size::new(width as u32, height as u32);
        let (frame, ()) = Pool::new(1)
            .fill(Format::i420(size), |frame| {
                let (luma, _, _) = frame.i420_mut();
                for (row, to) in luma.chunks_exact_mut(width).enumerate() {
                    to.copy_from_slice(&self.luma[(top + row) * self.width + left..][..width]);
                }
                Ok::<_, Exhausted>(())
            })
            .ok()?;
        TimeCode::read(&frame)
    }

    /// How many of a million pixels are bright: of a slate, its words.
    pub fn bright(&self) -> usize {
        self.luma.iter().filter(|luma| **luma > 150).count() * 1_000_000 / self.luma.len()
    }

    /// The same of the middle alone, where a panel hides whatever picture there is.
    pub fn bright_in_the_middle(&self) -> usize {
        let (left, top) = (self.width * 3 / 20, self.height / 5);
        let (width, height) = (self.width - 2 * left, self.height - 2 * top);
        let rows = self.luma.chunks_exact(self.width).skip(top).take(height);
        let bright = rows.flat_map(|row| &row[left..][..width]).filter(|luma| **luma > 150).count();
        bright * 1_000_000 / (width * height)
    }

    /// How old the picture is that is shown, if it is a picture.
    pub fn age(&self) -> Option<Duration> {
        let now = TimeCode::now(0).unix_ms;
        let age_ms = now.wrapping_sub(self.code()?.unix_ms);
        Some(Duration::from_millis(u64::from(age_ms)))
    }
}

/// A screen that can be looked at.
pub trait Screen {
    /// What a portal needs to find it.
    fn environment(&self) -> Vec<(String, String)>;
    /// What is on it; `None` while it cannot be looked at.
    fn look(&self) -> Option<Shot>;
}

/// An X server without hardware. Ends with this value.
pub struct XServer {
    server: Option<Child>,
    pub display: String,
    folder: tempfile::TempDir,
}

impl XServer {
    /// One with a display number that nobody else uses. `None` if there is no Xvfb.
    pub fn start() -> Option<Self> {
        let mut new = Self::reserve()?;
        new.begin();
        Some(new)
    }

    /// Its number, without the server: that comes with [`begin`](Self::begin).
    pub fn reserve() -> Option<Self> {
        if !is_installed("Xvfb") {
            return None;
        }
        // Whoever takes a number between this look and our start is another run of these tests.
        let start = 300 + std::process::id() % 500;
        let free = (start..).find(|number| !Path::new(&format!("/tmp/.X11-unix/X{number}")).exists())?;
        // Taken at once by a number that differs in each test of one run.
        let number = free + 1000 * NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = tempfile::tempdir().unwrap();
        Some(Self { server: None, display: format!(":{number}"), folder })
    }

    pub fn begin(&mut self) {
        let mut command = Command::new("Xvfb");
        command.args([&self.display, "-screen", "0", "1280x720x24", "-nolisten", "tcp", "-noreset", "-dpi", "96"]);
        command.stdout(Stdio::null());
        self.server = Some(Child::start("Xvfb", command, &self.folder.path().join("xvfb.log"), libc::SIGKILL).unwrap());
        let start = Instant::now();
        while x11rb::connect(Some(&self.display)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "Xvfb does not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn signal(&self, signal: i32) {
        signal_to(self.server.as_ref().expect("it runs").id(), signal);
    }

    /// Ends it as a crash would, with what it leaves behind.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill();
        }
        let number = &self.display[1..];
        // A new one would take these for another server's.
        let _ = std::fs::remove_file(format!("/tmp/.X{number}-lock"));
        let _ = std::fs::remove_file(format!("/tmp/.X11-unix/X{number}"));
    }

    /// Runs xrandr. False if there is none.
    pub fn randr(&self, arguments: &str) -> bool {
        is_installed("xrandr") && {
            let mut command = Command::new("xrandr");
            let status = command.args(arguments.split(' ')).env("DISPLAY", &self.display).stderr(Stdio::null());
            // Xvfb refuses one of the requests of some calls, after it has done what matters.
            status.status().is_ok()
        }
    }

    /// The portal's window.
    pub fn window(&self) -> Option<u32> {
        let (server, screen) = x11rb::connect(Some(&self.display)).ok()?;
        let root = server.setup().roots[screen].root;
        let tree = server.query_tree(root).ok()?.reply().ok()?;
        let class = |window| {
            let property = server.get_property(false, window, 67_u32, 31_u32, 0, 64).ok()?.reply().ok()?; // WM_CLASS, STRING
            Some(String::from_utf8_lossy(&property.value).contains("screen-portal"))
        };
        tree.children.into_iter().find(|window| class(*window) == Some(true))
    }

    /// Destroys a window that is somebody else's, or throws its owner out.
    pub fn destroy(&self, window: u32, with_its_owner: bool) {
        let (server, _) = x11rb::connect(Some(&self.display)).unwrap();
        if with_its_owner {
            server.kill_client(window).unwrap().check().unwrap();
        } else {
            server.destroy_window(window).unwrap().check().unwrap();
        }
    }
}

static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

impl Drop for XServer {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Screen for XServer {
    fn environment(&self) -> Vec<(String, String)> {
        vec![("DISPLAY".into(), self.display.clone()), ("WAYLAND_DISPLAY".into(), String::new())]
    }

    fn look(&self) -> Option<Shot> {
        let (server, screen) = x11rb::connect(Some(&self.display)).ok()?;
        let root = server.setup().roots[screen].root;
        let geometry = server.get_geometry(root).ok()?.reply().ok()?;
        let (width, height) = (geometry.width, geometry.height);
        let reply = server.get_image(ImageFormat::Z_PIXMAP, root, 0, 0, width, height, u32::MAX).ok()?.reply().ok()?;
        let rgb = reply.data.chunks_exact(4).map(|pixel| [pixel[2], pixel[1], pixel[0]]);
        Some(Shot::new(width.into(), height.into(), rgb))
    }
}

/// Which compositor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One fullscreen window and nothing else: what `service install` sets up.
    Cage,
    /// Outputs can be switched off and on, and turned.
    Sway,
    /// The reference. Pictures of its screen cannot be had.
    Weston,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Cage => "cage",
            Self::Sway => "sway",
            Self::Weston => "weston",
        }
    }

    /// As each of them numbers its sockets.
    fn socket(self) -> &'static str {
        if self == Self::Cage { "wayland-0" } else { "wayland-1" }
    }
}

/// A Wayland compositor without hardware. Ends with this value.
pub struct Compositor {
    kind: Kind,
    process: Option<Child>,
    folder: tempfile::TempDir,
    logs: tempfile::TempDir,
}

impl Compositor {
    /// Starts one; `None` if it is not installed.
    pub fn start(kind: Kind) -> Option<Self> {
        if !is_installed(kind.program()) {
            return None;
        }
        let (folder, logs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(folder.path().join("config"), "default_border none\n").unwrap();
        if is_root() {
            let path = std::ffi::CString::new(folder.path().as_os_str().as_bytes()).unwrap();
            // SAFETY: a C string and two numbers.
            assert_eq!(unsafe { libc::chown(path.as_ptr(), NOBODY, NOBODY) }, 0);
        }
        let mut new = Self { kind, process: None, folder, logs };
        new.begin();
        Some(new)
    }

    pub fn begin(&mut self) {
        let program = self.kind.program();
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups", program]);
            command
        } else {
            Command::new(program)
        };
        match self.kind {
            Kind::Cage => command.args(["--", "sleep", "infinity"]),
            Kind::Sway => command.arg("-c").arg(self.folder.path().join("config")),
            Kind::Weston => command.args([
                "--backend=headless-backend.so",
                "--shell=kiosk-shell.so",
                "--no-config",
                "--width=1280",
                "--height=720",
                "--socket=wayland-1",
            ]),
        };
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path());
        command.envs([("WLR_BACKENDS", "headless"), ("WLR_RENDERER", "pixman"), ("WLR_LIBINPUT_NO_DEVICES", "1")]);
        command.env("WLR_XWAYLAND", "/bin/true").stdout(Stdio::null());
        let log = self.logs.path().join("log");
        self.process = Some(Child::start(program, command, &log, libc::SIGKILL).unwrap());
        let (start, socket) = (Instant::now(), self.socket());
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(20), "{program} does not start:\n{said}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    pub fn signal(&self, signal: i32) {
        signal_to(self.process.as_ref().expect("it runs").id(), signal);
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join(self.kind.socket())
    }

    /// Tells sway something about its only output.
    pub fn output(&self, what: &str) {
        let sockets = std::fs::read_dir(self.folder.path()).unwrap().filter_map(Result::ok);
        let socket = sockets.map(|file| file.path()).find(|path| path.to_string_lossy().contains("sway-ipc"));
        let mut command = Command::new("swaymsg");
        command
            .arg("-s")
            .arg(socket.expect("sway's socket"))
            .args(["--", "output", "HEADLESS-1"])
            .args(what.split(' '));
        let said = command.output().unwrap();
        assert!(said.status.success(), "{what}: {}", String::from_utf8_lossy(&said.stdout));
    }
}

impl Drop for Compositor {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Screen for Compositor {
    fn environment(&self) -> Vec<(String, String)> {
        let folder = self.folder.path().to_string_lossy().into_owned();
        vec![
            ("WAYLAND_DISPLAY".into(), self.kind.socket().into()),
            ("XDG_RUNTIME_DIR".into(), folder),
            ("DISPLAY".into(), String::new()),
        ]
    }

    fn look(&self) -> Option<Shot> {
        let mut command = Command::new("grim");
        command.args(["-t", "ppm", "-"]).envs(self.environment()).stderr(Stdio::null()).stdout(Stdio::piped());
        let mut grim = command.spawn().ok()?;
        let mut bytes = Vec::new();
        grim.stdout.take()?.read_to_end(&mut bytes).ok()?;
        let _ = grim.wait();
        // "P6\n1280 720\n255\n", then three bytes a pixel.
        let mut words = bytes.splitn(4, |byte| byte.is_ascii_whitespace());
        let mut number = || -> Option<usize> { std::str::from_utf8(words.next()?).ok()?.parse().ok() };
        let (_, width, height) = (number(), number()?, number()?);
        let pixels = words.next()?.strip_prefix(b"255\n")?;
        Some(Shot::new(width, height, pixels.chunks_exact(3).map(|pixel| [pixel[0], pixel[1], pixel[2]])))
    }
}

pub fn signal_to(process: u32, signal: i32) {
    // SAFETY: sends a signal to a child that is not waited for yet, so the number is still its own.
    assert_eq!(unsafe { libc::kill(process as libc::pid_t, signal) }, 0);
}

pub fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    // SAFETY: has no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}
