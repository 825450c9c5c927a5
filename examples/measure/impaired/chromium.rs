//! The same network with Chromium at both ends: what a browser's WebRTC makes of it. One sends (A), one receives (B),
//! because two cores do not suffice for two that do both; so it has the path's other direction, and the processor, for
//! itself.
//!
//! `tests/measure/chromium/call.mjs` starts them and says what they see.

use super::call::Scene;
use super::narrow::{self, CEILING_BPS, STEP_S, Span, calm, reached, seconds};
use crate::motion::Motion;
use crate::network::Network;
use crate::{Rows, Tools, Trouble, row};
use screen_portal::demo::Child;
use serde::Deserialize;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Browsers take their time to start.
const PATIENCE: Duration = Duration::from_secs(40);
/// Its bandwidth estimate begins at 300 kb/s; until it has found its rate.
pub const SETTLE_S: f64 = 35.0;
const START_S: f64 = 40.0;

/// `getStats`, as far as it is used.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Stats {
    freeze_count: u64,
    total_freezes_duration: f64,
    packets_lost: i64,
    nack_count: u64,
    pli_count: u64,
    bytes_sent: u64,
    target_bitrate: f64,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct End {
    stats: Stats,
    /// Moment shown, RTP timestamp, width, height, moment captured as Chromium thinks.
    shown: Vec<(f64, u32, u32, u32, Option<f64>)>,
    /// Moment encoded, RTP timestamp.
    sent: Vec<(f64, u32)>,
}

#[derive(Clone, Debug, Deserialize)]
struct Look {
    at: f64,
    sender: End,
    receiver: End,
}

/// A picture that was shown.
#[derive(Clone, Copy, Debug)]
struct Picture {
    at_ms: f64,
    height: u32,
    /// Since it was encoded: the few milliseconds before are left out, in Chromium's favour.
    latency_ms: Option<f64>,
}

/// Two Chromium, the first of which sends.
pub struct Browsers {
    _child: Child,
    looks: Arc<Mutex<Vec<Look>>>,
}

impl Browsers {
    /// Starts them, and waits for the first picture. With `grabs`, copies of what is shown go there, one a second.
    pub fn start(tools: &Tools, grabs: Option<&Path>) -> Result<Self, Trouble> {
        let lacks = |what: &str| Trouble::Skipped(format!("there is no {what}"));
        for program in ["node", "chromium"] {
            let found =
                Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
            found.ok().filter(std::process::ExitStatus::success).ok_or_else(|| lacks(program))?;
        }
        let film = crate::rig::film(tools, (1280, 720)).ok_or_else(|| lacks("film"))?;
        std::fs::create_dir_all(&tools.folder)?;
        let [(from, _), (to, _)] = Network::namespaces();
        let script = "tests/measure/chromium/call.mjs";
        // The same sort of codec as the portals', and in Chromium the same one: openh264.
        let mut command = Command::new("node");
        command.args([script, "--from", &from, "--to", &to, "--codec", "H264", "--film"]).arg(film.canonicalize()?);
        if let Some(grabs) = grabs {
            std::fs::create_dir_all(grabs)?;
            command.arg("--grabs").arg(grabs.canonicalize()?);
        }
        command.stdout(Stdio::piped());
        let mut child = Child::start("chromium", command, &tools.folder.join("chromium.log"), libc::SIGTERM)?;
        let output = child.take_output().ok_or_else(|| Trouble::Failed("call.mjs has no output".into()))?;
        let looks = Arc::new(Mutex::new(vec![]));
        std::thread::spawn({
            let looks = looks.clone();
            move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if let Ok(look) = serde_json::from_str::<Look>(&line) {
                        looks.lock().unwrap_or_else(PoisonError::into_inner).push(look);
                    }
                }
            }
        });
        let browsers = Self { _child: child, looks };
        let until = Instant::now() + PATIENCE;
        while browsers.pictures().is_empty() {
            if Instant::now() > until {
                return Err(Trouble::Failed("Chromium shows no picture; see chromium.log".into()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(browsers)
    }

    fn looks(&self) -> Vec<Look> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pictures(&self) -> Vec<Picture> {
        let looks = self.looks();
        let sent: HashMap<u32, f64> =
            looks.iter().flat_map(|look| &look.sender.sent).map(|&(at_ms, stamp)| (stamp, at_ms)).collect();
        let shown = looks.iter().flat_map(|look| &look.receiver.shown);
        shown
            .map(|&(at_ms, stamp, _, height, _)| Picture {
                at_ms,
                height,
                latency_ms: sent.get(&stamp).map(|sent_ms| at_ms - sent_ms),
            })
            .collect()
    }
}

/// What was shown in a stretch of time, and rows about it.
fn rows(browsers: &Browsers, what: &str, (from_ms, to_ms): Span) -> Rows {
    let pictures = browsers.pictures();
    let times: Vec<f64> = pictures.iter().map(|picture| picture.at_ms).collect();
    let motion = Motion::of(&times, from_ms, to_ms);
    let minutes = ((to_ms - from_ms) / 6e4).max(1e-6);
    let (p50, p95, peak) = latency(&pictures, from_ms, to_ms);
    let looks = browsers.looks();
    let inside: Vec<&Look> = looks.iter().filter(|look| (from_ms..to_ms).contains(&look.at)).collect();
    let (Some(first), Some(last)) = (inside.first(), inside.last()) else { return vec![] };
    let (a, b) = (first.receiver.stats, last.receiver.stats);
    let seconds = ((last.at - first.at) / 1e3).max(1e-3);
    let sent_bps = 8.0 * (last.sender.stats.bytes_sent - first.sender.stats.bytes_sent) as f64 / seconds;
    let own_s = b.total_freezes_duration - a.total_freezes_duration;
    vec![
        row(format!("{what}: pictures a second"), format!("{:.2}", motion.fps), ""),
        row(format!("{what}: frozen, s per minute"), format!("{:.2}", motion.frozen_s / minutes), ""),
        row(format!("{what}: freezes per minute"), format!("{:.1}", f64::from(motion.freezes) / minutes), ""),
        row(
            format!("{what}: the same two by getStats"),
            format!("{:.2}, {:.1}", own_s / minutes, (b.freeze_count - a.freeze_count) as f64 / minutes),
            "",
        ),
        row(format!("{what}: longest gap, ms"), format!("{:.0}", motion.longest_ms), ""),
        row(format!("{what}: latency p50 / p95 / peak, ms"), format!("{p50:.0} / {p95:.0} / {peak:.0}"), ""),
        row(format!("{what}: media sent, Mb/s"), format!("{:.2}", sent_bps / 1e6), ""),
        row(
            format!("{what}: packets lost for good, packets asked for again, keyframes asked for"),
            format!(
                "{}, {}, {}",
                b.packets_lost - a.packets_lost,
                b.nack_count - a.nack_count,
                b.pli_count - a.pli_count
            ),
            "",
        ),
        row(format!("{what}: heights shown"), heights(&pictures, from_ms, to_ms), ""),
    ]
}

fn latency(pictures: &[Picture], from_ms: f64, to_ms: f64) -> (f64, f64, f64) {
    let inside = pictures.iter().filter(|picture| (from_ms..to_ms).contains(&picture.at_ms));
    let mut ages: Vec<f64> = inside.filter_map(|picture| picture.latency_ms).collect();
    ages.sort_by(f64::total_cmp);
    let quantile =
        |share: f64| ages.get(((ages.len().max(1) - 1) as f64 * share).round() as usize).copied().unwrap_or(f64::NAN);
    (quantile(0.5), quantile(0.95), quantile(1.0))
}

fn heights(pictures: &[Picture], from_ms: f64, to_ms: f64) -> String {
    let inside = pictures.iter().filter(|picture| (from_ms..to_ms).contains(&picture.at_ms));
    let mut heights: Vec<u32> = inside.map(|picture| picture.height).collect();
    heights.dedup();
    heights.iter().map(u32::to_string).collect::<Vec<_>>().join(" ")
}

/// One line a second, for people.
fn timeline(scene: &Scene, browsers: &Browsers, from_ms: f64, to_ms: f64) -> String {
    let (pictures, looks) = (browsers.pictures(), browsers.looks());
    let times: Vec<f64> = pictures.iter().map(|picture| picture.at_ms).collect();
    let mut text = String::from("  s  queue  passed  target   fps  gap  latency  height\n");
    for second in 0..((to_ms - from_ms) / 1e3) as u32 {
        let (at_ms, end_ms) = (from_ms + f64::from(second) * 1e3, from_ms + f64::from(second + 1) * 1e3);
        let motion = Motion::of(&times, at_ms, end_ms);
        let target = looks.iter().rfind(|look| look.at < end_ms).map_or(0.0, |look| look.sender.stats.target_bitrate);
        text += &format!(
            "{second:3} {:6.0} {:7.2} {:7.2} {:5.0} {:4.0} {:8.0}  {}\n",
            scene.queue_peak_ms(1, at_ms, end_ms),
            scene.passed_bps(1, at_ms, end_ms).0 / 1e6,
            target / 1e6,
            motion.fps,
            motion.longest_ms,
            latency(&pictures, at_ms, end_ms).2,
            heights(&pictures, at_ms, end_ms),
        );
    }
    text
}

pub fn loss_50(tools: &Tools) -> Result<Rows, Trouble> {
    loss(tools, 25)
}

pub fn loss_100(tools: &Tools) -> Result<Rows, Trouble> {
    loss(tools, 50)
}

fn loss(tools: &Tools, delay_ms: u32) -> Result<Rows, Trouble> {
    let mut scene = Scene::empty(tools, &format!("both delay={delay_ms}"))?;
    let browsers = Browsers::start(tools, None)?;
    scene.run(SETTLE_S)?;
    let mut all = vec![];
    for percent in [2, 5, 10, 20] {
        scene.network.set(&format!("both loss={percent}"))?;
        scene.run(5.0)?;
        let span = scene.watch(tools.seconds as f64)?;
        all.extend(rows(&browsers, &format!("{percent} %"), span));
    }
    all.push(scene.load());
    Ok(all)
}

pub fn narrow(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::empty(tools, narrow::PATH)?;
    let browsers = Browsers::start(tools, None)?;
    scene.run(SETTLE_S)?;
    let [before, down, up] = narrow::steps(&mut scene, "both")?;
    let mut all = vec![];
    all.extend(rows(&browsers, "3 Mb/s", before));
    all.extend(rows(&browsers, "drop to 1 Mb/s", down));
    all.extend(rows(&browsers, "back to 3 Mb/s", up));
    let sent_bps = scene.passed_bps(1, before.0, before.1).0;
    all.push(row("drop: queue below 100 ms for the first second after, s", seconds(calm(&scene, 1, down)), ""));
    all.push(row(
        "drop: longest queue from 2 s after it, ms",
        format!("{:.0}", scene.queue_peak_ms(1, down.0 + 2e3, down.1)),
        "",
    ));
    all.push(row(
        "drop: 90 % of 1 Mb/s for a second, with a queue below 100 ms, after, s",
        seconds(reached(&scene, 1, down, 0.9e6, 100.0)),
        "",
    ));
    all.push(row(
        "rise: 90 % of what was sent before the drop for a second, after, s",
        seconds(reached(&scene, 1, up, 0.9 * sent_bps, f64::MAX)),
        "",
    ));
    all.push(scene.load());
    println!(
        "The drop after 5 s, the rise after {}:\n\n```\n{}```\n",
        5.0 + STEP_S,
        timeline(&scene, &browsers, down.0 - 5e3, up.1)
    );
    Ok(all)
}

pub fn start(tools: &Tools) -> Result<Rows, Trouble> {
    let mut all = vec![];
    for rate_kbps in [3000, 5000] {
        let mut scene = Scene::empty(tools, &format!("both delay=25 rate={rate_kbps} q=250"))?;
        let browsers = Browsers::start(tools, None)?;
        scene.run(START_S)?;
        let pictures = browsers.pictures();
        let first_ms = pictures.first().map_or(f64::NAN, |picture| picture.at_ms);
        let small = pictures.iter().rfind(|picture| picture.height != 720);
        let full_ms = small.map_or(first_ms, |small| small.at_ms);
        let low = browsers
            .looks()
            .iter()
            .rfind(|look| look.sender.stats.target_bitrate < 0.8 * CEILING_BPS)
            .map(|look| look.at);
        let what = format!("{} Mb/s", rate_kbps / 1000);
        all.push(row(
            format!("{what}: full size for good after the first picture, s"),
            seconds(Some(full_ms - first_ms)),
            "",
        ));
        all.push(row(
            format!("{what}: target ≥ 80 % of 2.5 Mb/s for good after, s"),
            seconds(Some(low.unwrap_or(first_ms) - first_ms)),
            "",
        ));
        all.push(row(format!("{what}: heights shown"), heights(&pictures, 0.0, f64::MAX), ""));
        all.push(scene.load());
        println!("{what}:\n\n```\n{}```\n", timeline(&scene, &browsers, first_ms, first_ms + START_S * 1e3 - 1e3));
    }
    Ok(all)
}
