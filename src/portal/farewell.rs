//! The goodbye to the far end: said once, by whoever ends the portal.

use super::CLOSE_LIMIT;
use crate::link::Link;
use crate::signaling;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// What has to be closed before the program ends, and may be closed from any thread: the main thread, which ends the portal as a rule, may be stuck in
/// what it shows pictures on.
pub struct Farewell {
    runtime: Handle,
    unsaid: Mutex<Option<Connections>>,
}

type Connections = (Option<Arc<Link>>, Option<signaling::Running>);

impl Farewell {
    /// For these connections, which live in `runtime`.
    pub fn new(runtime: Handle, link: Option<Arc<Link>>, signaling: Option<signaling::Running>) -> Self {
        Self { runtime, unsaid: Mutex::new(Some((link, signaling))) }
    }

    /// Says goodbye, within [`CLOSE_LIMIT`]. False, and nothing happens, if somebody else has begun to: then he ends the program too. Not to be called
    /// inside the runtime.
    pub fn say(&self) -> bool {
        let unsaid = self.unsaid.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((link, signaling)) = unsaid else { return false };
        self.runtime.block_on(async {
            let goodbye = async {
                if let Some(link) = link {
                    link.close().await;
                }
                if let Some(signaling) = signaling {
                    signaling.close().await;
                }
            };
            if tokio::time::timeout(CLOSE_LIMIT, goodbye).await.is_err() {
                tracing::warn!("the goodbye to the far end took too long and was cut short");
            }
        });
        true
    }

    /// Says goodbye; if somebody else is doing it, waits for the end of the process.
    pub fn say_or_wait(&self) {
        if !self.say() {
            loop {
                std::thread::park();
            }
        }
    }
}
