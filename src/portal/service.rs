//! What the service manager is told of a running portal: started, and how it does. That it is alive is told by `watchdog`.

use crate::ops::{Figures, View, logging, systemd};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Between two looks at what `systemctl status` says.
const STATUS_EVERY: Duration = Duration::from_secs(5);

/// Tells, for as long as the view is published.
pub(super) async fn tell(figures: Arc<Figures>, view: watch::Receiver<View>) {
    systemd::ready();
    let mut turn = tokio::time::interval(STATUS_EVERY);
    while view.has_changed().is_ok() {
        turn.tick().await;
        systemd::status(&logging::summary(&figures.snapshot(Instant::now()), &view.borrow()));
    }
}
