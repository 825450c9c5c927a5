//! Lost packets, and packets that come when they please.

use super::call::{Scene, Shown, rows};
use crate::{Rows, Tools, Trouble, row};

/// Until what changed in the network has been understood.
const SETTLE_S: f64 = 5.0;

/// Loss in percent, with the aims for pictures a second and for seconds frozen per minute.
type Step = (u32, &'static str, &'static str);

pub fn round_trip_50(tools: &Tools) -> Result<Rows, Trouble> {
    random(tools, 25, [(2, "≥ 29.5", "< 0.2"), (5, "≥ 29", "< 0.5"), (10, "≥ 28", "< 1"), (20, "≥ 24", "< 3")])
}

pub fn round_trip_100(tools: &Tools) -> Result<Rows, Trouble> {
    random(tools, 50, [(2, "≥ 29.5", "< 0.2"), (5, "≥ 29", "< 0.5"), (10, "≥ 27", "< 2"), (20, "≥ 22", "< 6")])
}

fn random(tools: &Tools, delay_ms: u32, steps: [Step; 4]) -> Result<Rows, Trouble> {
    let mut scene = Scene::start(tools, &format!("both delay={delay_ms}"))?;
    scene.run(SETTLE_S)?;
    let mut all = vec![];
    for (percent, fps_aim, frozen_aim) in steps {
        scene.network.set(&format!("both loss={percent}"))?;
        scene.run(SETTLE_S)?;
        let span = scene.watch(tools.seconds as f64)?;
        all.extend(rows(&scene.calls[0], &format!("{percent} %"), span, fps_aim, frozen_aim));
    }
    all.push(scene.load());
    Ok(all)
}

pub fn bursts(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::start(tools, "both delay=25")?;
    scene.run(SETTLE_S)?;
    scene.network.set("both loss=5 burst=8")?;
    scene.run(SETTLE_S)?;
    let span = scene.watch(tools.seconds as f64)?;
    let mut all = rows(&scene.calls[0], "bursts", span, "≥ 28", "");
    all.push(scene.load());
    Ok(all)
}

pub fn jitter(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::start(tools, "both delay=40")?;
    scene.run(SETTLE_S)?;
    let steady = scene.watch(tools.seconds.min(15) as f64)?;
    let latency = |scene: &Scene, (from_ms, to_ms)| {
        [0, 1].map(|n| Shown::of(&scene.calls[0].watches[n], from_ms, to_ms).latency_ms)
    };
    let without = latency(&scene, steady);
    let mut all = rows(&scene.calls[0], "no jitter", steady, "", "");
    for (conditions, what) in [("reorder=0", "nobody overtakes"), ("reorder=1", "packets overtake each other")] {
        scene.network.set(&format!("both jitter=30 {conditions}"))?;
        scene.run(SETTLE_S)?;
        let span = scene.watch(tools.seconds as f64)?;
        all.extend(rows(&scene.calls[0], what, span, "", "0"));
        let with = latency(&scene, span);
        let added = [0, 1].map(|n| format!("{:.0} / {:.0}", with[n].0 - without[n].0, with[n].1 - without[n].1));
        all.push(row(format!("{what}: added to latency p50 / p95, ms"), added.join(", "), "≤ 60"));
    }
    all.push(scene.load());
    Ok(all)
}
