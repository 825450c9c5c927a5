//! Who looks at our camera and is not the far end, one by one, for the operator.

use serde::{Deserialize, Serialize};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// One guest, as `/status` shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Watcher {
    /// By which name it came: the way, and the name it has there.
    pub id: String,
    /// Where it is: its address, or that of a relay in between.
    pub address: Option<String>,
    /// For how long it has been watching, in seconds.
    pub for_s: f64,
    /// What it was sent, in bytes without RTP headers.
    pub bytes: u64,
    /// What its path carries, in bits per second, as far as it lets us know.
    pub path_bps: u64,
}

/// All of them. There are as many as the operator allows at most.
#[derive(Debug, Default)]
pub struct Watchers(Mutex<Vec<(u64, Instant, Watcher)>>);

impl Watchers {
    /// Somebody watches since `now`; `number` is nobody else's.
    pub fn arrive(&self, number: u64, id: String, address: Option<String>, now: Instant) {
        self.lock().push((number, now, Watcher { id, address, ..Watcher::default() }));
    }

    /// Was sent so many bytes in all.
    pub fn note(&self, number: u64, bytes: u64, path_bps: u64) {
        if let Some((_, _, watcher)) = self.lock().iter_mut().find(|(it, _, _)| *it == number) {
            (watcher.bytes, watcher.path_bps) = (bytes, path_bps);
        }
    }

    /// Watches no more.
    pub fn leave(&self, number: u64) {
        self.lock().retain(|(it, _, _)| *it != number);
    }

    /// All who watch, the longest first.
    pub fn list(&self, now: Instant) -> Vec<Watcher> {
        let for_s = |since: &Instant| now.saturating_duration_since(*since).as_secs_f64();
        self.lock().iter().map(|(_, since, watcher)| Watcher { for_s: for_s(since), ..watcher.clone() }).collect()
    }

    /// A panic in between leaves at worst one figure as it was.
    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Instant, Watcher)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
