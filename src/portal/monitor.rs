//! What switches the monitor on and off by the opening hours.

use crate::display;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Switches the monitor on or to standby. A headless agent has none, unless a program is named for it.
pub(super) fn switch(live: watch::Receiver<display::Live>, headless: bool) -> Arc<dyn Fn(bool) + Send + Sync> {
    // Each night again it is no news.
    let said = AtomicBool::new(false);
    // One after the other: a slow program that switches off must not overtake the one that switches on.
    let turn = Mutex::new(());
    Arc::new(move |on| {
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        let config = live.borrow().config.clone();
        let named = if on { &config.wake_command } else { &config.standby_command };
        // A window on somebody's desktop has no say over his monitor.
        if (headless || !config.fullscreen) && named.is_empty() {
            return;
        }
        match display::power::switch(&config, on) {
            Ok(()) => tracing::info!(on, "monitor switched"),
            // Where nothing was switched off, nothing has to be switched on.
            Err(error @ display::power::Error::NoWay) if on => tracing::debug!(on, "{error}"),
            Err(error) if !said.swap(true, Relaxed) => tracing::warn!(on, "{error}"),
            Err(error) => tracing::debug!(on, "{error}"),
        }
    })
}
