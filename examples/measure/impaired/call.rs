//! Two portals that show each other, what is between them, and what was seen.

use crate::machine::Busy;
use crate::motion::Motion;
use crate::network::{Direction, Network, Traffic};
use crate::probe::now_ms;
use crate::rig::{PATIENCE, Rig, Setup};
use crate::watch::{Look, Picture, Watch, pictures};
use crate::{Rows, Tools, Trouble, row};
use std::time::{Duration, Instant};

/// Between two looks at the queues.
const EVERY: Duration = Duration::from_millis(20);

/// A look at the network.
#[derive(Clone, Copy, Debug)]
pub struct Queues {
    /// When, in milliseconds since 1970.
    pub at_ms: f64,
    /// What had passed by then, and what waited.
    pub traffic: Traffic,
}

impl Queues {
    /// What B receives (0), or what A receives (1).
    pub fn towards(&self, n: usize) -> Direction {
        if n == 0 { self.traffic.ba } else { self.traffic.ab }
    }
}

/// Two portals and the network between them. Ends when dropped.
pub struct Call {
    /// What watches them.
    pub watches: Vec<Watch>,
    /// The portals.
    pub rig: Rig,
    /// Where traces are left.
    folder: std::path::PathBuf,
}

/// A network with one call or two, and what was seen of its queues.
pub struct Scene {
    /// The calls.
    pub calls: Vec<Call>,
    /// The network.
    pub network: Network,
    /// What its queues were like.
    pub queues: Vec<Queues>,
    /// Since when the machine has been observed.
    busy: Busy,
}

impl Call {
    /// Starts two portals in the namespaces, without windows; does not wait for anything.
    pub fn start(tools: &Tools, signaling_port: u16) -> Result<Self, Trouble> {
        Self::start_with(tools, Setup { window: None, signaling_port, ..Setup::default() })
    }

    /// Two portals that differ from that: with windows, for instance.
    pub fn start_with(tools: &Tools, setup: Setup) -> Result<Self, Trouble> {
        let setup = Setup { namespaces: Some(Network::namespaces()), ..setup };
        let signaling_port = setup.signaling_port;
        let tools = Tools { folder: tools.folder.join(signaling_port.to_string()), ..tools.clone() };
        let mut rig = Rig::prepare(&tools, &setup)?;
        let watches = [0, 1].map(|n| Watch::start(n, rig.plans[n].config.status.listen)).into();
        rig.start(0)?;
        rig.start(1)?;
        Ok(Self { watches, rig, folder: tools.folder })
    }

    /// Waits until each shows the other.
    pub fn both_show(&self) -> Result<(), Trouble> {
        for watch in &self.watches {
            watch.until("a picture", PATIENCE, |look| look.figures.incoming.presented > 0)?;
        }
        Ok(())
    }

    /// The pictures that portal `n` presented.
    pub fn pictures(&self, n: usize) -> Vec<Picture> {
        pictures(&self.watches[n].looks())
    }
}

impl Drop for Call {
    /// Leaves behind what was seen: `looks-0.jsonl` of A, `looks-1.jsonl` of B.
    fn drop(&mut self) {
        for (n, watch) in self.watches.iter().enumerate() {
            let lines = watch.looks().iter().filter_map(|look| serde_json::to_string(look).ok()).collect::<Vec<_>>();
            let _ = std::fs::write(self.folder.join(format!("looks-{n}.jsonl")), lines.join("\n"));
        }
    }
}

impl Scene {
    /// A network like this, without portals.
    pub fn empty(tools: &Tools, conditions: &str) -> Result<Self, Trouble> {
        let mut network = Network::start(tools)?;
        network.set(conditions)?;
        Ok(Self { calls: vec![], network, queues: vec![], busy: Busy::now() })
    }

    /// A network like this, and two portals that show each other.
    pub fn start(tools: &Tools, conditions: &str) -> Result<Self, Trouble> {
        let mut scene = Self::empty(tools, conditions)?;
        scene.calls.push(Call::start(tools, 7413)?);
        scene.busy = Busy::now();
        scene.calls[0].both_show()?;
        Ok(scene)
    }

    /// Lets time pass.
    pub fn run(&mut self, seconds: f64) -> Result<(), Trouble> {
        let until = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < until {
            self.queues.push(Queues { at_ms: now_ms(), traffic: self.network.traffic()? });
            std::thread::sleep(EVERY);
        }
        Ok(())
    }

    /// Lets time pass; its beginning and end.
    pub fn watch(&mut self, seconds: f64) -> Result<(f64, f64), Trouble> {
        let from_ms = now_ms();
        self.run(seconds)?;
        Ok((from_ms, now_ms()))
    }

    /// Work of others on this machine since the start, in cores.
    pub fn load(&self) -> (String, String, &'static str) {
        row("other work on the machine meanwhile, cores", format!("{:.2}", self.busy.others_since()), "")
    }

    /// What passed the network towards portal `n` in a stretch of time, in bit/s with IP headers: UDP, TCP.
    pub fn passed_bps(&self, n: usize, from_ms: f64, to_ms: f64) -> (f64, f64) {
        let inside: Vec<&Queues> = self.queues.iter().filter(|q| q.at_ms >= from_ms && q.at_ms <= to_ms).collect();
        let (Some(first), Some(last)) = (inside.first(), inside.last()) else { return (0.0, 0.0) };
        let seconds = ((last.at_ms - first.at_ms) / 1e3).max(1e-3);
        let rate = |a: u64, b: u64| 8.0 * (b - a) as f64 / seconds;
        let (a, b) = (first.towards(n), last.towards(n));
        (rate(a.out_udp, b.out_udp), rate(a.out_tcp, b.out_tcp))
    }

    /// The longest wait in the queue towards portal `n` in a stretch of time, in ms.
    pub fn queue_peak_ms(&self, n: usize, from_ms: f64, to_ms: f64) -> f64 {
        let inside = self.queues.iter().filter(|q| q.at_ms > from_ms && q.at_ms <= to_ms);
        inside.map(|q| q.towards(n).peak_ms).fold(0.0, f64::max)
    }
}

/// What one portal showed in a stretch of time.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// How smoothly.
    pub motion: Motion,
    /// Freezes and seconds frozen per minute.
    pub per_minute: (f64, f64),
    /// How old the pictures were: p50, p95 and the oldest, in ms.
    pub latency_ms: (f64, f64, f64),
    first: Option<Look>,
    last: Option<Look>,
    heights: Vec<u64>,
}

impl Shown {
    /// What the watched portal presented from one moment to another.
    pub fn of(watch: &Watch, from_ms: f64, to_ms: f64) -> Self {
        let looks = watch.looks();
        let pictures = pictures(&looks);
        let times: Vec<f64> = pictures.iter().map(|picture| picture.at_ms).collect();
        let motion = Motion::of(&times, from_ms, to_ms);
        let minutes = ((to_ms - from_ms) / 6e4).max(1e-6);
        let inside = pictures.iter().filter(|picture| (from_ms..to_ms).contains(&picture.at_ms));
        let mut ages: Vec<f64> = inside.filter_map(|picture| picture.latency_ms).collect();
        ages.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            ages.get(((ages.len().max(1) - 1) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
        };
        let mut inside = looks.iter().filter(|look| (from_ms..to_ms).contains(&look.at_ms));
        let mut heights: Vec<u64> = inside.clone().map(|look| look.figures.incoming.height).collect();
        heights.dedup();
        Self {
            motion,
            per_minute: (f64::from(motion.freezes) / minutes, motion.frozen_s / minutes),
            latency_ms: (quantile(0.5), quantile(0.95), quantile(1.0)),
            first: inside.next().copied(),
            last: looks.iter().rfind(|look| look.at_ms < to_ms).copied(),
            heights,
        }
    }

    /// The heights of what was shown, in order.
    pub fn heights(&self) -> String {
        heights(&self.heights)
    }

    /// How much a figure has grown.
    pub fn grown(&self, figure: impl Fn(&Look) -> u64) -> u64 {
        match (&self.first, &self.last) {
            (Some(first), Some(last)) => figure(last).saturating_sub(figure(first)),
            _ => 0,
        }
    }
}

/// Rows about what both showed in a stretch of time. The aims are for pictures a second, and for seconds frozen per minute.
pub fn rows(
    call: &Call,
    what: &str,
    (from_ms, to_ms): (f64, f64),
    fps_aim: &'static str,
    frozen_aim: &'static str,
) -> Rows {
    let shown = [0, 1].map(|n| Shown::of(&call.watches[n], from_ms, to_ms));
    let both = |figure: &dyn Fn(&Shown) -> String| format!("{}, {}", figure(&shown[0]), figure(&shown[1]));
    let seconds = ((to_ms - from_ms) / 1e3).max(1e-3);
    let mbps = |shown: &Shown| 8e-6 * shown.grown(|look| look.figures.outgoing.bytes) as f64 / seconds;
    vec![
        row(format!("{what}: pictures a second"), both(&|shown| format!("{:.2}", shown.motion.fps)), fps_aim),
        row(format!("{what}: frozen, s per minute"), both(&|shown| format!("{:.2}", shown.per_minute.1)), frozen_aim),
        row(format!("{what}: freezes per minute"), both(&|shown| format!("{:.1}", shown.per_minute.0)), ""),
        row(format!("{what}: longest gap, ms"), both(&|shown| format!("{:.0}", shown.motion.longest_ms)), ""),
        row(
            format!("{what}: latency p50 / p95 / peak, ms"),
            both(&|shown| {
                let (p50, p95, peak) = shown.latency_ms;
                format!("{p50:.0} / {p95:.0} / {peak:.0}")
            }),
            "",
        ),
        row(format!("{what}: media sent, Mb/s"), both(&|shown| format!("{:.2}", mbps(shown))), ""),
        row(
            format!("{what}: packets lost / repaired, pictures damaged, keyframes asked for"),
            both(&|shown| {
                let grown = |figure: fn(&Look) -> u64| shown.grown(figure);
                format!(
                    "{} / {}, {}, {}",
                    grown(|look| look.figures.incoming.lost_packets),
                    grown(|look| look.figures.incoming.recovered_packets),
                    grown(|look| look.figures.incoming.damaged),
                    grown(|look| look.figures.incoming.keyframe_requests)
                )
            }),
            "",
        ),
        row(
            format!("{what}: the portals' own freezes and seconds frozen"),
            both(&|shown| {
                let frozen_ms = shown.grown(|look| look.figures.incoming.frozen_ms);
                format!("{} {:.2}", shown.grown(|look| look.figures.incoming.freezes), frozen_ms as f64 / 1e3)
            }),
            "",
        ),
        row(format!("{what}: heights shown"), both(&|shown| heights(&shown.heights)), ""),
    ]
}

fn heights(heights: &[u64]) -> String {
    let words: Vec<String> = heights.iter().take(8).map(u64::to_string).collect();
    let more = heights.len().saturating_sub(8);
    if more > 0 { format!("{} and {more} more", words.join(" ")) } else { words.join(" ") }
}

/// One line a second, for people: what B showed, what A sent, and the queue between them.
pub fn timeline(scene: &Scene, call: usize, from_ms: f64, to_ms: f64) -> String {
    let call = &scene.calls[call];
    let (sender, receiver) = (call.watches[0].looks(), &call.watches[1]);
    let mut text = String::from("  s  queue  passed  target   fps  gap  latency  height\n");
    let mut at_ms = from_ms;
    while at_ms + 1e3 <= to_ms {
        let shown = Shown::of(receiver, at_ms, at_ms + 1e3);
        let target =
            sender.iter().rfind(|look| look.at_ms < at_ms + 1e3).map_or(0, |look| look.figures.outgoing.target_bps);
        let (udp, tcp) = scene.passed_bps(1, at_ms, at_ms + 1e3);
        text += &format!(
            "{:3.0} {:6.0} {:7.2} {:7.2} {:5.0} {:4.0} {:8.0}  {}{}\n",
            (at_ms - from_ms) / 1e3,
            scene.queue_peak_ms(1, at_ms, at_ms + 1e3),
            udp / 1e6,
            target as f64 / 1e6,
            shown.motion.fps,
            shown.motion.longest_ms,
            shown.latency_ms.2,
            heights(&shown.heights),
            if tcp > 5e4 { format!("  tcp {:.2}", tcp / 1e6) } else { String::new() },
        );
        at_ms += 1e3;
    }
    text
}
