//! Keeps guests served as the configuration says, while the portal runs. Whatever fails here is logged: nobody's window depends on it.

use super::board::Board;
use crate::capture::Tapped;
use crate::config::Config;
use crate::guests::{self, Guests, Ports};
use crate::link;
use crate::media::Eras;
use crate::ops::Figures;
use std::sync::{Arc, Mutex, PoisonError};

/// Where guests come in, or not.
pub(super) struct Host {
    ports: Ports,
    running: Mutex<Option<Guests>>,
}

impl Host {
    /// Begins as configured.
    pub(super) fn start(
        config: &Config,
        tapped: Tapped,
        board: &Arc<Board>,
        eras: &Eras,
        figures: &Arc<Figures>,
    ) -> Arc<Self> {
        let told = Arc::clone(board);
        let ports = Ports {
            tapped,
            era: eras.own.clone(),
            view: board.subscribe(),
            figures: Arc::clone(figures),
            on_watching: Arc::new(move |guests| told.guests(guests)),
        };
        let host = Arc::new(Self { ports, running: Mutex::default() });
        host.set(&config.guests, &config.link, &config.site.name);
        host
    }

    /// Begins anew with this configuration: whoever watches has to ask again.
    pub(super) fn set(&self, config: &guests::Config, link: &link::Config, site: &str) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        // First the old ones end, or they would turn the pictures off under the new ones.
        drop(running.take());
        match guests::start(config, link, site, self.ports.clone()) {
            Ok(guests) => *running = guests,
            Err(error) => tracing::error!("no guests can come: {error}"),
        }
    }

    /// Sends all away, within a second.
    pub(super) fn close(&self) {
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
