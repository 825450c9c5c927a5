//! Sees the window system go, whatever the main thread is doing at that moment.
//!
//! When an X server or a compositor ends, whoever touches it next finds out in a way of its own: Xlib ends the process with exit(3), winit panics or
//! leaves its loop, a driver returns an error or waits for ever. So somebody watches who does nothing else: a connection of our own, read by a thread of
//! its own. It closes when the window system ends, and only then. Over the same connection an X server tells where its outputs are.

use super::Error;
use super::fit::Extent;
use super::server::{Found, Line, Server};
use crate::media::Waker;
use bevy::math::IVec2;
use std::io::{ErrorKind, Read};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use x11rb::connection::Connection;
use x11rb::protocol::randr::{ConnectionExt as _, NotifyMask};
use x11rb::protocol::xproto::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;

/// Called when the window system is gone. The main thread may be stuck in it for ever then: whoever is called ends the process without it.
#[derive(Clone)]
pub struct Alarm(Arc<Ring>);

struct Ring {
    rung: AtomicBool,
    call: Box<dyn Fn(Error) + Send + Sync>,
}

impl Alarm {
    /// An alarm that calls `call` at most once, from any thread. It must not block.
    pub fn new(call: impl Fn(Error) + Send + Sync + 'static) -> Self {
        Self(Arc::new(Ring { rung: AtomicBool::new(false), call: Box::new(call) }))
    }

    /// The window system is gone.
    pub(super) fn ring(&self, server: Server) {
        if !self.0.rung.swap(true, Relaxed) {
            (self.0.call)(Error::Gone { server: server.name() });
        }
    }
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Alarm").field(&self.0.rung).finish()
    }
}

/// A part of an X server's screen that a monitor shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// As the server calls it: `HDMI-1`.
    pub name: String,
    /// Its upper left corner on the desktop.
    pub position: IVec2,
    /// Its size in pixels.
    pub size: Extent,
    /// Whether it is the primary one.
    pub primary: bool,
}

/// The outputs of an X server as they are now. Elsewhere nobody fills it in.
///
/// Winit reads them once and does not hear of another mode of the same output. A window manager makes fullscreen windows follow; without one we do.
#[derive(Clone, Debug, Default)]
pub struct Outputs(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    outputs: Vec<Output>,
    changed: bool,
}

impl Outputs {
    /// The outputs; `None` if they are not known.
    pub fn now(&self) -> Option<Vec<Output>> {
        Some(self.lock().outputs.clone()).filter(|outputs| !outputs.is_empty())
    }

    /// Whether they have changed since the last call.
    pub fn have_changed(&self) -> bool {
        std::mem::take(&mut self.lock().changed)
    }

    fn put(&self, outputs: Vec<Output>) -> bool {
        let mut state = self.lock();
        let changed = state.outputs != outputs;
        state.changed |= changed;
        state.outputs = outputs;
        changed
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches over what was found, until the process ends. Its outputs are known when this returns.
pub fn watch(found: Found, alarm: Alarm, waker: Waker) -> Result<Outputs, Error> {
    let Found { server, line } = found;
    let outputs = Outputs::default();
    let seen = outputs.clone();
    let watching: Box<dyn FnOnce() + Send> = match line {
        Line::X11(connection, screen) => {
            // An old server that cannot tell is shown on all the same.
            let root = select_changes(&connection, screen);
            Box::new(move || watch_x11(&connection, root, &seen, &waker))
        }
        Line::Wayland(socket) => Box::new(move || watch_wayland(socket)),
        // Handed to us as an open connection: winit's own is all there is, and winit says when it ends.
        Line::HandedOver => return Ok(outputs),
    };
    let thread = std::thread::Builder::new().name("witness".into()).spawn(move || {
        watching();
        alarm.ring(server);
    });
    thread.map_err(|error| Error::Crashed { cause: format!("no thread to watch it: {error}") })?;
    Ok(outputs)
}

/// Asks to be told of changes. The root window, if the server will tell.
fn select_changes(connection: &RustConnection, screen: usize) -> Option<u32> {
    let root = connection.setup().roots.get(screen)?.root;
    let mask = NotifyMask::SCREEN_CHANGE | NotifyMask::CRTC_CHANGE;
    connection.randr_select_input(root, mask).ok()?.check().ok()?;
    Some(root)
}

/// Returns when the server is gone.
fn watch_x11(connection: &RustConnection, root: Option<u32>, outputs: &Outputs, waker: &Waker) {
    loop {
        if let Some(root) = root
            && let Some(now) = read_outputs(connection, root)
            && outputs.put(now)
        {
            waker.wake();
        }
        // We have asked for nothing else, so whatever comes is a change of the outputs; several in a row are one.
        if connection.wait_for_event().is_err() {
            return;
        }
        while let Ok(Some(_)) = connection.poll_for_event() {}
    }
}

fn read_outputs(connection: &RustConnection, root: u32) -> Option<Vec<Output>> {
    let monitors = connection.randr_get_monitors(root, true).ok()?.reply().ok()?.monitors;
    let outputs = monitors.iter().map(|monitor| {
        let name = connection.get_atom_name(monitor.name).ok()?.reply().ok()?.name;
        Some(Output {
            name: String::from_utf8_lossy(&name).into_owned(),
            position: IVec2::new(monitor.x.into(), monitor.y.into()),
            size: Extent::new(monitor.width.into(), monitor.height.into()),
            primary: monitor.primary,
        })
    });
    outputs.collect()
}

/// Returns when the compositor is gone. It says nothing to a client that has asked for nothing.
fn watch_wayland(mut socket: std::os::unix::net::UnixStream) {
    let mut buffer = [0; 64];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn a_compositor_that_goes_rings_once() {
        let (compositor, ours) = UnixStream::pair().unwrap();
        let (rung, heard) = crossbeam_channel::bounded(4);
        let alarm = Alarm::new(move |error| rung.send(error).unwrap());
        let found = Found { server: Server::Wayland, line: Line::Wayland(ours) };
        watch(found, alarm.clone(), Waker::new()).unwrap();
        assert!(heard.recv_timeout(Duration::from_millis(50)).is_err(), "it is still there");
        drop(compositor);
        let error = heard.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(error, Error::Gone { server: "Wayland" });
        alarm.ring(Server::Wayland);
        assert!(heard.try_recv().is_err(), "once is enough");
    }

    #[test]
    fn outputs_say_once_that_they_changed() {
        let outputs = Outputs::default();
        let output = |width| Output {
            name: "HDMI-1".to_owned(),
            position: IVec2::ZERO,
            size: Extent::new(width, 1080),
            primary: true,
        };
        assert_eq!((outputs.now(), outputs.have_changed()), (None, false));
        assert!(outputs.put(vec![output(1920)]));
        assert!(!outputs.put(vec![output(1920)]));
        assert_eq!((outputs.have_changed(), outputs.have_changed()), (true, false));
        assert!(outputs.put(vec![output(1280)]));
        assert_eq!(outputs.now(), Some(vec![output(1280)]));
    }
}
