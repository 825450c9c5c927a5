//! Keeps Xlib from ending the process when the X server is gone.
//!
//! Xlib's answer to a broken connection is to call a handler that must not return, and then exit(3) (XSetIOErrorHandler(3)): no goodbye to the far end, exit
//! code 1. Ours rings the alarm and keeps the thread, whichever it is, until the process has ended in order.

use super::server::Server;
use super::witness::Alarm;
use std::ffi::{c_int, c_void};
use std::sync::OnceLock;

static ALARM: OnceLock<(Alarm, Server)> = OnceLock::new();

type Handler = extern "C" fn(display: *mut c_void) -> c_int;

extern "C" fn connection_broke(_display: *mut c_void) -> c_int {
    if let Some((alarm, server)) = ALARM.get() {
        alarm.ring(*server);
    }
    // Whatever was being done needs the server; to return would end the process at once.
    loop {
        std::thread::park();
    }
}

/// From now on a broken connection rings `alarm`. Only the first call counts, as there is one Xlib in a process.
pub fn do_not_exit(alarm: Alarm, server: Server) {
    if ALARM.set((alarm, server)).is_err() {
        return;
    }
    // SAFETY: the name is a C string. The library is the one that winit opens, is never closed, and has no initialiser of its own.
    let library = unsafe { libc::dlopen(c"libX11.so.6".as_ptr(), libc::RTLD_LAZY | libc::RTLD_LOCAL) };
    if library.is_null() {
        // Winit will say so in a moment.
        return;
    }
    // SAFETY: an open library and a C string.
    let symbol = unsafe { libc::dlsym(library, c"XSetIOErrorHandler".as_ptr()) };
    if symbol.is_null() {
        return;
    }
    // SAFETY: `XSetIOErrorHandler(int (*)(Display *)) -> int (*)(Display *)`, X11/Xlib.h: since 1987, and the same in every version. A
    // null handler, which Xlib returns when the default one was in place, is the `None` of an optional function pointer.
    let set = unsafe { std::mem::transmute::<*mut c_void, extern "C" fn(Handler) -> Option<Handler>>(symbol) };
    set(connection_broke);
}
