//! SIGINT and SIGTERM end the program in order, SIGHUP has the configuration read again, unless it says that the program's terminal was closed.
//!
//! They are waited for by a thread of their own, not by the network's runtime: who hangs must not keep the program from being ended.

use super::keeper::Order;
use super::quit::{Ended, Quit};
use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io::{self, IsTerminal};
use std::sync::Arc;

/// Until [`listen`] hears it, SIGHUP shall not end a program that is just starting: a service manager that reloads does not know.
pub(crate) fn survive_reload() {
    if let Err(error) = signal_hook::flag::register(SIGHUP, Arc::default()) {
        tracing::debug!("SIGHUP during the start ends the program: {error}");
    }
}

/// Starts the thread `signals`; it ends when the handle is closed.
pub(super) fn listen(quit: Quit, orders: Sender<Order>) -> io::Result<Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let handle = signals.handle();
    let in_terminal = io::stdin().is_terminal();
    let wait = move || {
        for signal in signals.forever() {
            // A terminal that was closed is none any more.
            if signal == SIGHUP && in_terminal && !io::stdin().is_terminal() {
                quit.now(Ended::Asked("the terminal was closed"));
                continue;
            }
            if signal == SIGHUP {
                // Full means that much was set at the kiosk just now; the files are looked at twice a second anyway.
                let _ = orders.try_send(Order::Reload);
                continue;
            }
            let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
            tracing::info!("{name}: ending");
            quit.now(Ended::Asked(name));
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait)?;
    Ok(handle)
}
