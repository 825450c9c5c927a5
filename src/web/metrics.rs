//! The figures for Prometheus, by its conventions: base units (seconds, bits and ratios, whatever we count in), named
//! in each figure's name; states and reasons as one figure per state, 1 for the one that it is.

use crate::ops::{
    CameraState, FarCamera, Figure, Latency, LinkState, Path, Quality, SizeReason, Slate, Snapshot, View,
};
use crate::pairing::Fingerprint;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use serde::Serialize;
use std::fmt;

/// The media type of the text (OpenMetrics 1.0).
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text that Prometheus reads.
pub fn text(snapshot: Snapshot, view: View, fingerprint: Fingerprint) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("screen_portal");
    registry.register_collector(Box::new(Exposition { snapshot, view, fingerprint }));
    let mut text = String::with_capacity(16 * 1024);
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Exposition {
    snapshot: Snapshot,
    view: View,
    fingerprint: Fingerprint,
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let (mut out, snapshot) = (Out(encoder), &self.snapshot);
        let labels = vec![
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("fingerprint".to_owned(), self.fingerprint.to_string()),
        ];
        let info = Info::new(labels);
        info.encode(out.0.encode_descriptor("portal", "Which portal this is", None, info.metric_type())?)?;

        out.figures("outgoing", &snapshot.outgoing.list())?;
        let reason = SizeReason::from_code(snapshot.outgoing.size_reason).map(word).unwrap_or_default();
        let help = "Why pictures are encoded in the size that they have";
        out.state("outgoing_size_reason", help, &SizeReason::ALL.map(word), &reason)?;
        out.figures("incoming", &snapshot.incoming.list())?;
        out.figures("link", &snapshot.link.list())?;
        out.figures("watchdog", &snapshot.watchdog.list())?;
        out.figures("pairing", &snapshot.pairing.list())?;
        out.figures("guests", &snapshot.guests.list())?;
        out.state("link_quality", "How good the link is", &Quality::ALL.map(word), &word(snapshot.quality))?;
        if let Some(path) = &self.view.path {
            out.path(path)?;
        }
        out.rates(&snapshot.now)?;
        out.latencies(&[
            ("capture_to_present", &snapshot.latency),
            ("capture", &snapshot.capture_time),
            ("encode", &snapshot.encode_time),
            ("assemble", &snapshot.assemble_time),
            ("decode", &snapshot.decode_time),
            ("upload", &snapshot.upload_time),
            ("present", &snapshot.present_time),
        ])?;
        self.states(&mut out)?;

        let milliseconds = |ms: Option<f64>| ms.map(|ms| ms / 1e3);
        for (name, help, value) in [
            ("uptime_seconds", "Since the process started", Some(snapshot.uptime_s)),
            ("resident_bytes", "Resident memory", Some(snapshot.resident_bytes as f64)),
            ("first_connected_seconds", "Start to first connection", milliseconds(snapshot.first_connected_ms)),
            ("first_picture_seconds", "Start to first remote picture", milliseconds(snapshot.first_picture_ms)),
            ("state_seconds", "Since the link's state or the slate became what it is", Some(snapshot.state_since_s)),
            ("last_presented_seconds", "Age of the remote picture shown last", snapshot.last_presented_s),
        ] {
            // What has not happened yet is left out: no value can stand for it.
            if let Some(value) = value {
                out.gauge(name, help, ConstGauge::new(value))?;
            }
        }
        out.counter("cpu_seconds", "Processor time of all threads", ConstCounter::new(snapshot.cpu_s))
    }
}

impl Exposition {
    fn states(&self, out: &mut Out) -> fmt::Result {
        use LinkState::*;
        let link = [Idle, Signalling, Connecting, Live, Stalled, Closed].map(word);
        out.state("link_state", "The link's state", &link, &word(self.view.link))?;
        out.state("slate", "What is shown instead of the far end", &Slate::ALL.map(word), &word(self.view.slate))?;
        let far = FarCamera::ALL.map(word);
        out.state("far_camera_state", "What the far end says of its camera", &far, &word(self.view.far_camera))?;
        let camera = match &self.view.camera {
            CameraState::Starting => "starting",
            CameraState::Running { .. } => "running",
            CameraState::Covered { .. } => "covered",
            CameraState::Missing { .. } => "missing",
            CameraState::Private => "private",
        };
        let cameras = ["starting", "running", "covered", "missing", "private"].map(String::from);
        out.state("camera_state", "Our own camera", &cameras, camera)
    }
}

/// The word that stands for a state in `/status` too.
fn word(state: impl Serialize) -> String {
    match serde_json::to_value(state) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// How a figure of ours becomes one in base units.
struct Unit {
    /// The end of our name.
    suffix: &'static str,
    /// What the help says of the unit.
    words: &'static str,
    /// The end of the exported name.
    base: &'static str,
    /// How many of ours are one base unit: divided by, for 0.025 and not 0.024999999999999998.
    in_one: f64,
}

const UNITS: [Unit; 4] = [
    Unit { suffix: "_us", words: " in microseconds", base: "_seconds", in_one: 1e6 },
    Unit { suffix: "_ms", words: " in milliseconds", base: "_seconds", in_one: 1e3 },
    Unit { suffix: "_bps", words: " in bits per second", base: "_bits_per_second", in_one: 1.0 },
    Unit { suffix: "_ppm", words: " in millionths", base: "_ratio", in_one: 1e6 },
];

impl Unit {
    fn name(&self, name: &str) -> String {
        name.strip_suffix(self.suffix).unwrap_or(name).to_owned() + self.base
    }
}

/// The unit that a figure of this name is told in, unless it is a plain number.
fn in_base_units(name: &str) -> Option<&'static Unit> {
    UNITS.iter().find(|unit| name.ends_with(unit.suffix))
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    fn gauge(&mut self, name: &str, help: &str, gauge: impl EncodeMetric) -> fmt::Result {
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn counter(&mut self, name: &str, help: &str, counter: impl EncodeMetric) -> fmt::Result {
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    /// Each figure of a group, whichever there are. The reason of a size is a state, and told as such.
    fn figures(&mut self, group: &str, figures: &[Figure]) -> fmt::Result {
        for figure in figures.iter().filter(|figure| figure.name != "size_reason") {
            let name = format!("{group}_{}", figure.name);
            let help = figure.help.trim().trim_end_matches('.');
            match (in_base_units(&name), figure.is_counter) {
                (Some(unit), counter) => {
                    let (name, help) = (unit.name(&name), help.replace(unit.words, ""));
                    let value = figure.value as f64 / unit.in_one;
                    if counter {
                        self.counter(&name, &help, ConstCounter::new(value))?;
                    } else {
                        self.gauge(&name, &help, ConstGauge::new(value))?;
                    }
                }
                (None, true) => self.counter(&name, help, ConstCounter::new(figure.value))?,
                (None, false) => self.gauge(&name, help, ConstGauge::new(figure.value))?,
            }
        }
        Ok(())
    }

    /// The fields of the last second's sample, whichever there are.
    fn rates(&mut self, sample: &impl Serialize) -> fmt::Result {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(sample) else { return Ok(()) };
        for (name, value) in fields {
            if let Some(value) = value.as_f64() {
                let name = format!("now_{name}");
                let (name, value) = match in_base_units(&name) {
                    Some(unit) => (unit.name(&name), value / unit.in_one),
                    None => (name, value),
                };
                self.gauge(&name, "Of the last second", ConstGauge::new(value))?;
            }
        }
        Ok(())
    }

    /// The path in use: 1, with what it is as labels.
    fn path(&mut self, path: &Path) -> fmt::Result {
        let (local, remote, transport) = (word(path.local), word(path.remote), word(path.transport));
        let labels = [("local", local.as_str()), ("remote", remote.as_str()), ("transport", transport.as_str())];
        let help = "The way that packets take; absent while there is none";
        let mut family = self.0.encode_descriptor("link_path", help, None, ConstGauge::new(1u64).metric_type())?;
        ConstGauge::new(1u64).encode(family.encode_family(&labels)?)
    }

    fn latencies(&mut self, stages: &[(&str, &Latency)]) -> fmt::Result {
        let kind = ConstGauge::new(0.0).metric_type();
        let help = "Time per picture over the last 10 to 20 seconds";
        let mut family = self.0.encode_descriptor("latency_seconds", help, None, kind)?;
        for (stage, latency) in stages.iter().filter(|(_, latency)| latency.count > 0) {
            let quantiles =
                [("0.5", latency.p50_ms), ("0.95", latency.p95_ms), ("0.99", latency.p99_ms), ("1", latency.max_ms)];
            for (quantile, ms) in quantiles {
                let labels = [("stage", *stage), ("quantile", quantile)];
                ConstGauge::new(ms / 1e3).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "How many pictures the latencies are of";
        let mut family = self.0.encode_descriptor("latency_pictures", help, None, kind)?;
        for (stage, latency) in stages {
            ConstGauge::new(latency.count).encode(family.encode_family(&[("stage", *stage)])?)?;
        }
        Ok(())
    }

    /// 1 for the state that it is, 0 for all others, as OpenMetrics' state sets are.
    fn state(&mut self, name: &str, help: &str, all: &[String], now: &str) -> fmt::Result {
        let kind = ConstGauge::new(0u64).metric_type();
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for state in all {
            let value = u64::from(state == now);
            ConstGauge::new(value).encode(family.encode_family(&[("state", state.as_str())])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{CandidateKind, Figures, Transport};
    use std::time::{Duration, Instant};

    fn exposed(figures: &Figures, view: View) -> String {
        text(figures.snapshot(Instant::now()), view, Fingerprint::of(b"x")).unwrap()
    }

    #[test]
    fn every_figure_appears_by_itself() {
        let figures = Figures::default();
        figures.outgoing.captured.add(7);
        figures.outgoing.target_bps.set(2_500_000);
        let (snapshot, text) = (figures.snapshot(Instant::now()), exposed(&figures, View::default()));
        let groups = [
            ("outgoing", snapshot.outgoing.list()),
            ("incoming", snapshot.incoming.list()),
            ("link", snapshot.link.list()),
            ("watchdog", snapshot.watchdog.list()),
            ("pairing", snapshot.pairing.list()),
            ("guests", snapshot.guests.list()),
        ];
        for (group, list) in groups {
            assert!(!list.is_empty());
            for figure in list {
                let name = format!("{group}_{}", figure.name);
                let name = in_base_units(&name).map_or(name.clone(), |unit| unit.name(&name));
                let suffix = if figure.is_counter { "_total" } else { "" };
                let rest = if figure.name == "size_reason" { "{state=\"full\"} 1" } else { " " };
                let line = format!("\nscreen_portal_{name}{suffix}{rest}");
                assert!(text.contains(&line), "{line} in {text}");
            }
        }
        assert!(text.contains("\nscreen_portal_outgoing_captured_total 7\n"), "{text}");
        assert!(text.contains("\nscreen_portal_outgoing_target_bits_per_second 2500000.0\n"), "{text}");
        assert!(text.contains("# HELP screen_portal_outgoing_captured Pictures that came from the source\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }

    /// Whoever reads the name or the help of a figure must not take it for another unit than it is.
    #[test]
    fn figures_are_in_base_units() {
        let figures = Figures::default();
        figures.outgoing.loss_ppm.set(25_000);
        figures.outgoing.estimate_bps.set(900_000);
        figures.outgoing.size_reason.set(SizeReason::Path.code());
        figures.incoming.jitter_us.set(1_500);
        figures.incoming.frozen_ms.add(2_500);
        let path = Path { local: CandidateKind::Host, remote: CandidateKind::Relayed, transport: Transport::Udp };
        let text = exposed(&figures, View { path: Some(path), ..View::default() });
        for line in [
            "screen_portal_outgoing_loss_ratio 0.025",
            "screen_portal_outgoing_estimate_bits_per_second 900000.0",
            "screen_portal_outgoing_size_reason{state=\"full\"} 0",
            "screen_portal_outgoing_size_reason{state=\"path\"} 1",
            "screen_portal_incoming_jitter_seconds 0.0015",
            "screen_portal_incoming_frozen_seconds_total 2.5",
            "screen_portal_link_quality{state=\"unknown\"} 1",
            "screen_portal_link_path{local=\"host\",remote=\"relayed\",transport=\"udp\"} 1",
            "screen_portal_now_latency_seconds 0.0",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line} is not in {text}");
        }
        for line in text.lines() {
            let name = line.split([' ', '{']).nth(usize::from(line.starts_with('#')) * 2).unwrap_or_default();
            assert!(["_us", "_ms", "_bps", "_ppm"].iter().all(|unit| !name.ends_with(unit)), "{line}");
            assert!(["micro", "milli", " bits per"].iter().all(|unit| !line.contains(unit)), "{line}");
        }
        assert!(!exposed(&figures, View::default()).contains("link_path"), "what is not known is left out");
    }

    #[test]
    fn states_and_latencies_have_labels() {
        let (figures, now) = (Figures::default(), Instant::now());
        figures.presented(Some(now), now + Duration::from_millis(40));
        let view = View { link: LinkState::Live, slate: Slate::Hidden, ..View::default() };
        let text = exposed(&figures, view);
        for line in [
            "screen_portal_link_state{state=\"live\"} 1",
            "screen_portal_link_state{state=\"stalled\"} 0",
            "screen_portal_slate{state=\"hidden\"} 1",
            "screen_portal_camera_state{state=\"starting\"} 1",
            "screen_portal_far_camera_state{state=\"unknown\"} 1",
            "screen_portal_latency_pictures{stage=\"capture_to_present\"} 1",
            "screen_portal_latency_pictures{stage=\"encode\"} 0",
            "screen_portal_latency_seconds{stage=\"capture_to_present\",quantile=\"0.95\"} 0.04",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
        assert!(!text.contains("stage=\"encode\",quantile"), "no pictures, no quantiles");
        assert!(!text.contains("first_connected_seconds"), "what has not happened is left out");
    }

    /// Each line is `name{labels} value`, which is all that the parsers of the format know besides comments.
    #[test]
    fn the_text_is_well_formed() {
        let text = exposed(&Figures::default(), View::default());
        let mut families = std::collections::HashSet::new();
        for line in text.lines() {
            if let Some(family) = line.strip_prefix("# TYPE ") {
                assert!(families.insert(family.to_owned()), "{family} twice");
            } else if !line.starts_with('#') {
                let (name, value) = line.rsplit_once(' ').unwrap();
                assert!(name.starts_with("screen_portal_"), "{line}");
                assert!(value.parse::<f64>().is_ok_and(f64::is_finite), "{line}");
            }
        }
    }
}
