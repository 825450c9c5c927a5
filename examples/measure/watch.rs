//! Looks at a portal's own account of itself so often that each presented picture is seen.

use crate::Trouble;
use crate::network::inside;
use crate::probe::now_ms;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Between two looks: less than a picture's 33 ms.
const EVERY: Duration = Duration::from_millis(20);
/// A portal that takes longer to answer has missed this look.
const LIMIT: Duration = Duration::from_millis(700);

/// What a portal sends, as far as it is used here. Figures that a program lacks are 0: others than this one can be measured too.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Outgoing {
    pub captured: u64,
    pub encoded: u64,
    pub keyframes: u64,
    pub keyframe_requests: u64,
    pub retransmitted_packets: u64,
    pub sent: u64,
    pub bytes: u64,
    pub target_bps: u64,
    pub estimate_bps: u64,
    pub send_rate_bps: u64,
    pub pacer_queue_us: u64,
    pub width: u64,
    pub height: u64,
    pub fps: u64,
}

/// What it receives.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Incoming {
    pub packets: u64,
    pub lost_packets: u64,
    pub recovered_packets: u64,
    pub received: u64,
    pub bytes: u64,
    pub damaged: u64,
    pub keyframes: u64,
    pub keyframe_requests: u64,
    pub presented: u64,
    pub latency_us: u64,
    pub playout_delay_us: u64,
    pub freezes: u64,
    pub frozen_ms: u64,
    pub width: u64,
    pub height: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Link {
    pub attempts: u64,
    pub round_trip_us: u64,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Figures {
    pub uptime_s: f64,
    pub cpu_s: f64,
    pub last_presented_s: Option<f64>,
    pub outgoing: Outgoing,
    pub incoming: Incoming,
    pub link: Link,
}

#[derive(Deserialize)]
struct Page {
    figures: Figures,
}

/// One look.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Look {
    /// When the answer was there, in milliseconds since 1970.
    pub at_ms: f64,
    /// What it said.
    pub figures: Figures,
}

/// A picture that was presented.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Picture {
    /// When, in milliseconds since 1970.
    pub at_ms: f64,
    /// How old it was, by the portal's own figure; not known of a picture that another followed before the next look.
    pub latency_ms: Option<f64>,
}

/// A portal being watched; until it is dropped.
pub struct Watch {
    looks: Arc<Mutex<Vec<Look>>>,
    ended: Arc<AtomicBool>,
}

impl Watch {
    /// Watches the portal in namespace `n` whose status pages are at `address` there.
    pub fn start(n: usize, address: SocketAddr) -> Self {
        let (looks, ended) = (Arc::new(Mutex::new(vec![])), Arc::new(AtomicBool::new(false)));
        inside(n, {
            let (looks, ended) = (looks.clone(), ended.clone());
            move || watch(address, &looks, &ended)
        });
        Self { looks, ended }
    }

    /// All looks so far.
    pub fn looks(&self) -> Vec<Look> {
        self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The newest look.
    pub fn last(&self) -> Option<Look> {
        self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).last().copied()
    }

    /// Waits until a look is as wanted.
    pub fn until(&self, what: &str, limit: Duration, wanted: impl Fn(&Look) -> bool) -> Result<Look, Trouble> {
        let until = Instant::now() + limit;
        loop {
            match self.last() {
                Some(look) if wanted(&look) => return Ok(look),
                _ if Instant::now() < until => std::thread::sleep(EVERY),
                last => return Err(Trouble::Failed(format!("{what}: not within {limit:?}; last look: {last:?}"))),
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
    }
}

fn watch(address: SocketAddr, looks: &Mutex<Vec<Look>>, ended: &AtomicBool) {
    let config = ureq::Agent::config_builder().timeout_global(Some(LIMIT)).proxy(None).build();
    let agent = ureq::Agent::from(config);
    let url = format!("http://{address}/status");
    let mut next = Instant::now();
    while !ended.load(Relaxed) {
        let answer = agent.get(&url).call();
        if let Ok(page) = answer.and_then(|mut answer| answer.body_mut().read_json::<Page>()) {
            let look = Look { at_ms: now_ms(), figures: page.figures };
            looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(look);
        }
        next = (next + EVERY).max(Instant::now());
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// The pictures that were presented between the first look and the last.
pub fn pictures(looks: &[Look]) -> Vec<Picture> {
    // The answer that took least says best what the portal's clock shows; the moment of the last picture is told on that clock.
    let offset_ms = looks.iter().map(|look| look.at_ms - look.figures.uptime_s * 1e3).fold(f64::MAX, f64::min);
    let shown_ms =
        |look: &Look| look.figures.last_presented_s.map(|ago_s| offset_ms + (look.figures.uptime_s - ago_s) * 1e3);
    let mut pictures = vec![];
    for pair in looks.windows(2) {
        let new = pair[1].figures.incoming.presented.saturating_sub(pair[0].figures.incoming.presented);
        let (Some(last_ms), true) = (shown_ms(&pair[1]), new > 0) else { continue };
        // Only the last one's moment is known; those before it came after the look before.
        let from_ms = (offset_ms + pair[0].figures.uptime_s * 1e3).min(last_ms);
        for nth in 1..new {
            let at_ms = from_ms + (last_ms - from_ms) * nth as f64 / new as f64;
            pictures.push(Picture { at_ms, latency_ms: None });
        }
        let latency_us = pair[1].figures.incoming.latency_us;
        pictures.push(Picture { at_ms: last_ms, latency_ms: (latency_us > 0).then_some(latency_us as f64 / 1e3) });
    }
    pictures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(at_ms: f64, presented: u64, ago_s: f64) -> Look {
        let mut figures = Figures { uptime_s: at_ms / 1e3, last_presented_s: Some(ago_s), ..Figures::default() };
        figures.incoming.presented = presented;
        figures.incoming.latency_us = 20_000;
        Look { at_ms: at_ms + 5000.0, figures }
    }

    #[test]
    fn pictures_are_told_from_the_count_and_the_last_ones_age() {
        let looks = [look(100.0, 1, 0.05), look(120.0, 1, 0.07), look(140.0, 2, 0.01), look(160.0, 4, 0.002)];
        let times: Vec<f64> = pictures(&looks).iter().map(|picture| picture.at_ms.round()).collect();
        assert_eq!(times, [5130.0, 5149.0, 5158.0]);
        assert_eq!(pictures(&looks)[1].latency_ms, None);
        assert_eq!(pictures(&looks)[2].latency_ms, Some(20.0));
    }
}
