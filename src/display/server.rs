//! The window system: looked for before Bevy would panic over a missing one.

use super::Error;
use bevy::window::RawHandleWrapper;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wgpu::rwh::RawWindowHandle;
use x11rb::connection::Connection;
use x11rb::errors::ConnectError;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt, InputFocus};
use x11rb::rust_connection::RustConnection;

/// The window system that windows will be made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// A Wayland compositor.
    Wayland,
    /// An X server.
    X11 {
        /// Whether somebody manages windows there. Nobody does in a bare `xinit` session: then nobody else makes a window fullscreen,
        /// or gives it the keyboard.
        managed: bool,
    },
}

/// What was found, and a connection to it. To be kept: a bare X server starts over when its last client leaves, and would throw out
/// whoever comes just then; and its end is the first sign that the window system is gone ([`super::witness`]).
#[derive(Debug)]
pub struct Found {
    /// The window system.
    pub server: Server,
    /// Nothing is drawn over it.
    pub(super) line: Line,
}

/// A connection of our own to the window system.
#[derive(Debug)]
pub(super) enum Line {
    /// To an X server, and the number of its screen.
    X11(Box<RustConnection>, usize),
    /// To a compositor.
    Wayland(UnixStream),
    /// None: there is only the one that was handed to us, and winit needs it.
    HandedOver,
}

/// For how long an X server that starts over is given time for it.
const PATIENCE: Duration = Duration::from_millis(500);

impl Server {
    /// Which one there is.
    pub fn find() -> Result<Self, Error> {
        Found::connect().map(|found| found.server)
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wayland => "Wayland",
            Self::X11 { .. } => "X11",
        }
    }
}

impl Found {
    /// Finds it the way winit does: Wayland if the environment names it, else X.
    pub fn connect() -> Result<Self, Error> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        if set("WAYLAND_SOCKET").is_some() {
            // An open connection that was handed to us; looking at it would use it up.
            return Ok(Self { server: Server::Wayland, line: Line::HandedOver });
        }
        if let Some(display) = set("WAYLAND_DISPLAY") {
            let socket = wayland_socket(Path::new(&display), set("XDG_RUNTIME_DIR").map(PathBuf::from));
            return match UnixStream::connect(&socket) {
                Ok(socket) => Ok(Self { server: Server::Wayland, line: Line::Wayland(socket) }),
                Err(error) => Err(Error::Unreachable {
                    server: format!("WAYLAND_DISPLAY={}", display.to_string_lossy()),
                    cause: format!("{}: {error}", socket.display()),
                }),
            };
        }
        let display = set("DISPLAY").ok_or(Error::NoDisplay)?;
        let unreachable = |cause: String| Error::Unreachable {
            server: format!("DISPLAY={}", display.to_string_lossy()),
            cause: cause.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        let start = Instant::now();
        loop {
            match x11rb::connect(None) {
                Ok((connection, screen)) => {
                    let server = Server::X11 { managed: is_managed(&connection, screen) };
                    return Ok(Self { server, line: Line::X11(Box::new(connection), screen) });
                }
                Err(ConnectError::IoError(error))
                    if error.kind() == ErrorKind::ConnectionReset && start.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(unreachable(error.to_string())),
            }
        }
    }
}

/// Where the compositor listens (wl_display_connect(3)): an absolute path as it is, a name in the runtime directory.
fn wayland_socket(display: &Path, runtime: Option<PathBuf>) -> PathBuf {
    if display.is_absolute() { display.to_owned() } else { runtime.unwrap_or_default().join(display) }
}

/// Whether a window manager says that it is there (EWMH, _NET_SUPPORTING_WM_CHECK). An old one that does not say so is not used for
/// fullscreen either, which works all the same.
fn is_managed(connection: &RustConnection, screen: usize) -> bool {
    let check = || -> Option<bool> {
        let root = connection.setup().roots.get(screen)?.root;
        let atom = connection.intern_atom(true, b"_NET_SUPPORTING_WM_CHECK").ok()?.reply().ok()?.atom;
        let property = |window| {
            let reply = connection.get_property(false, window, atom, AtomEnum::WINDOW, 0, 1).ok()?.reply().ok()?;
            reply.value32()?.next()
        };
        // The window that it names must exist and name itself: else the manager has died.
        let manager = property(root)?;
        Some(property(manager)? == manager)
    };
    check().unwrap_or(false)
}

/// Gives the keyboard to a window on an X server without window manager. False if the server refuses, which it does until the window
/// is on the screen.
pub fn take_keyboard(window: &RawHandleWrapper) -> bool {
    let id = match window.get_window_handle() {
        RawWindowHandle::Xlib(handle) => u32::try_from(handle.window).ok(),
        RawWindowHandle::Xcb(handle) => Some(handle.window.get()),
        _ => None,
    };
    let Some(id) = id else { return true };
    let ask = || -> Option<()> {
        let (connection, _) = x11rb::connect(None).ok()?;
        connection.set_input_focus(InputFocus::POINTER_ROOT, id, x11rb::CURRENT_TIME).ok()?.check().ok()
    };
    ask().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wayland_names_are_looked_up_in_the_runtime_directory() {
        let runtime = || Some(PathBuf::from("/run/user/7"));
        assert_eq!(wayland_socket(Path::new("wayland-1"), runtime()), Path::new("/run/user/7/wayland-1"));
        assert_eq!(wayland_socket(Path::new("/tmp/w"), runtime()), Path::new("/tmp/w"));
    }
}
