//! What a run of two portals showed: the figures, a table of them, and whether it was good.

use crate::ops::Snapshot;
use serde::Serialize;
use std::fmt;

/// Figures of one portal over the measured time: from shortly after its first picture to the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Portal {
    /// The name of its place.
    pub site: String,
    /// Where its pictures came from.
    pub source: String,
    /// Pictures since its start.
    pub frames: Frames,
    /// Pictures of the far end presented per second.
    pub presented_per_second: f64,
    /// Age of the presented pictures, capture → presented, in milliseconds.
    pub latency_ms: Latency,
    /// Processor time, all threads, for each picture that it sent, received and presented.
    pub cpu_ms_per_frame: f64,
    /// The same as a share of one core.
    pub cpu_cores: f64,
    /// From the start of the process to the first picture of the far end; `null` if none came.
    pub first_picture_ms: Option<f64>,
    /// Size of the far end's picture in pixels.
    pub resolution: Resolution,
    /// What it sent, without packet headers, in bits per second.
    pub bitrate_bps: f64,
    /// Resident memory at the end.
    pub memory_bytes: u64,
}

/// Pictures counted at the stations of their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Frames {
    /// Came from the source.
    pub captured: u64,
    /// Handed to the network.
    pub sent: u64,
    /// Came whole from the far end.
    pub received: u64,
    /// Put on the screen.
    pub presented: u64,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half of the pictures were younger.
    pub p50: f64,
    /// 95 of 100 were younger.
    pub p95: f64,
    /// The oldest.
    pub max: f64,
}

/// Size in pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Resolution {
    /// Pixels in a row.
    pub width: u64,
    /// Rows.
    pub height: u64,
}

/// Where the figures were taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Machine {
    /// Processors that this process may use.
    pub cores: usize,
    /// The processor's name.
    pub processor: Option<String>,
    /// What drew the pictures, where it is known.
    pub adapter: Option<String>,
}

/// The whole report: `report.json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Where the figures were taken.
    pub machine: Machine,
    /// The portals, in the order in which they were started.
    pub portals: Vec<Portal>,
}

/// What is remembered of a portal while it runs, to make its part of the report.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    first_live: Option<Snapshot>,
    last: Option<Snapshot>,
    latency_max_ms: f64,
}

/// A portal is measured from this many seconds after its first picture, when start-up no longer counts.
const SETTLED_S: f64 = 1.5;

impl Observation {
    /// Takes note of a portal's figures; to be called about once a second.
    pub fn note(&mut self, snapshot: Snapshot) {
        let settled = snapshot.first_picture_ms.is_some_and(|ms| snapshot.uptime_s >= ms / 1e3 + SETTLED_S);
        if settled {
            self.first_live.get_or_insert_with(|| snapshot.clone());
            // The window that the quantiles are taken over is short; a long run's maximum is the greatest of them.
            self.latency_max_ms = self.latency_max_ms.max(snapshot.latency.max_ms);
        }
        self.last = Some(snapshot);
    }

    /// The figures noted last.
    pub fn last(&self) -> Option<&Snapshot> {
        self.last.as_ref()
    }

    /// Whether a picture of the far end was ever presented.
    pub fn has_picture(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.first_picture_ms.is_some())
    }

    /// Whether enough was seen to measure.
    pub fn is_settled(&self) -> bool {
        self.first_live.is_some()
    }

    /// The portal's part of the report.
    pub fn report(&self, site: &str, source: &str) -> Portal {
        let end = self.last.clone().unwrap_or_default();
        // Without a settled start there is nothing to measure, and all rates are 0.
        let start = self.first_live.clone().unwrap_or_else(|| end.clone());
        let seconds = end.uptime_s - start.uptime_s;
        let per_second = |amount: f64| if seconds > 0.0 { amount / seconds } else { 0.0 };
        let presented = end.incoming.presented.saturating_sub(start.incoming.presented);
        let cpu_s = end.cpu_s - start.cpu_s;
        Portal {
            site: site.into(),
            source: source.into(),
            frames: Frames {
                captured: end.outgoing.captured,
                sent: end.outgoing.sent,
                received: end.incoming.received,
                presented: end.incoming.presented,
            },
            presented_per_second: round(per_second(presented as f64)),
            latency_ms: Latency {
                p50: round(end.latency.p50_ms),
                p95: round(end.latency.p95_ms),
                max: round(self.latency_max_ms),
            },
            cpu_ms_per_frame: if presented > 0 { round(cpu_s * 1e3 / presented as f64) } else { 0.0 },
            cpu_cores: round(per_second(cpu_s)),
            first_picture_ms: end.first_picture_ms.map(f64::round),
            resolution: Resolution { width: end.incoming.width, height: end.incoming.height },
            bitrate_bps: per_second(8.0 * end.outgoing.bytes.saturating_sub(start.outgoing.bytes) as f64).round(),
            memory_bytes: end.resident_bytes,
        }
    }
}

/// Two digits after the point: what is measured here is no better than that.
fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

impl Machine {
    /// This one.
    pub fn here(adapter: Option<String>) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self { cores, processor: name.map(|(_, name)| name.trim().into()), adapter }
    }
}

/// The report as a short table, one column for each portal.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, value: &dyn Fn(&Portal) -> String| {
            write!(f, "{name:<28}")?;
            for portal in &self.portals {
                write!(f, "{:>24}", value(portal))?;
            }
            writeln!(f)
        };
        row(f, "", &|p| p.site.clone())?;
        row(f, "captured / sent", &|p| format!("{} / {}", p.frames.captured, p.frames.sent))?;
        row(f, "received / presented", &|p| format!("{} / {}", p.frames.received, p.frames.presented))?;
        row(f, "presented per second", &|p| format!("{:.1}", p.presented_per_second))?;
        row(f, "latency p50 / p95 / max, ms", &|p| {
            format!("{:.1} / {:.1} / {:.1}", p.latency_ms.p50, p.latency_ms.p95, p.latency_ms.max)
        })?;
        row(f, "CPU per picture, ms", &|p| format!("{:.1} ({:.2} core)", p.cpu_ms_per_frame, p.cpu_cores))?;
        row(f, "first picture, ms", &|p| p.first_picture_ms.map_or("none".into(), |ms| format!("{ms:.0}")))?;
        row(f, "picture", &|p| format!("{}x{}", p.resolution.width, p.resolution.height))?;
        row(f, "bitrate, Mb/s", &|p| format!("{:.2}", p.bitrate_bps / 1e6))?;
        row(f, "memory, MB", &|p| format!("{:.0}", p.memory_bytes as f64 / 1e6))?;
        let machine = &self.machine;
        let processor = machine.processor.as_deref().unwrap_or("unknown processor");
        let adapter = machine.adapter.as_deref().unwrap_or("nothing");
        write!(f, "\nMachine: {} cores, {processor}; drawn by {adapter}", machine.cores)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(uptime_s: f64, presented: u64, cpu_s: f64) -> Snapshot {
        let mut snapshot = Snapshot { uptime_s, cpu_s, first_picture_ms: Some(500.0), ..Snapshot::default() };
        snapshot.incoming.presented = presented;
        snapshot.outgoing.bytes = presented * 10_000;
        snapshot.latency.max_ms = 100.0 / uptime_s;
        snapshot
    }

    #[test]
    fn start_up_does_not_count() {
        let mut seen = Observation::default();
        seen.note(Snapshot { uptime_s: 0.4, ..Snapshot::default() });
        seen.note(snapshot(1.0, 3, 0.9));
        assert!(!seen.is_settled());
        seen.note(snapshot(2.0, 33, 1.0));
        seen.note(snapshot(12.0, 333, 4.0));
        let portal = seen.report("here", "pattern");
        assert_eq!(portal.presented_per_second, 30.0);
        assert_eq!(portal.cpu_ms_per_frame, 10.0);
        assert_eq!(portal.cpu_cores, 0.3);
        assert_eq!(portal.bitrate_bps, 2.4e6);
        assert_eq!(portal.latency_ms.max, 50.0);
        assert_eq!(portal.frames.presented, 333);
    }

    #[test]
    fn nothing_seen_makes_no_nonsense() {
        let portal = Observation::default().report("here", "pattern");
        assert_eq!((portal.presented_per_second, portal.cpu_ms_per_frame, portal.bitrate_bps), (0.0, 0.0, 0.0));
        let report = Report { machine: Machine::here(None), portals: vec![portal] };
        assert!(report.to_string().contains("none"));
        assert!(serde_json::to_string(&report).unwrap().contains("\"first_picture_ms\":null"));
    }
}
