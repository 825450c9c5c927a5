//! SIGINT and SIGTERM end the program in order, SIGHUP has the configuration read again.
//!
//! They are waited for by a thread of their own, not by the network's runtime: who hangs must not keep the program from being ended.

use super::keeper::Order;
use super::quit::{Ended, Quit};
use crossbeam_channel::Sender;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use std::io;

/// Starts the thread `signals`; it ends when the handle is closed.
pub(super) fn listen(quit: Quit, orders: Sender<Order>) -> io::Result<Handle> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let handle = signals.handle();
    let wait = move || {
        for signal in signals.forever() {
            if signal == SIGHUP {
                // Full means that it is about to be read anyway.
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
