//! Whether the other cases may trust the portals' own account: with windows, a probe sees each picture in the framebuffer.

use super::call::{Call, Scene, Shown};
use crate::motion::Motion;
use crate::probe::{Seen, summary};
use crate::rig::Setup;
use crate::{Rows, Tools, Trouble, row};

pub fn check(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::empty(tools, "both delay=50 loss=5")?;
    scene.calls.push(Call::start_with(tools, Setup { window: Some((640, 360)), ..Setup::default() })?);
    scene.calls[0].both_show()?;
    scene.run(10.0)?;
    let (from_ms, to_ms) = scene.watch(tools.seconds as f64)?;
    let mut all = vec![];
    for n in 0..2 {
        let call = &scene.calls[0];
        let seen = call.rig.probes[n].seen();
        let times: Vec<f64> = seen
            .iter()
            .filter_map(|seen| match *seen {
                Seen::Picture { at_ms, .. } => Some(at_ms),
                Seen::Gone { .. } => None,
            })
            .collect();
        let probe = Motion::of(&times, from_ms, to_ms);
        let ages = summary(&seen, from_ms, to_ms).ok_or_else(|| call.rig.no_picture(n))?;
        let own = Shown::of(&call.watches[n], from_ms, to_ms);
        let counted = own.grown(|look| look.figures.incoming.freezes);
        let counted_s = own.grown(|look| look.figures.incoming.frozen_ms) as f64 / 1e3;
        let name = ["A", "B"][n];
        let motion = |motion: &Motion| {
            format!("{:.2}; {}; {:.2}; {:.0}", motion.fps, motion.freezes, motion.frozen_s, motion.longest_ms)
        };
        let what = "pictures a second; freezes; frozen, s; longest gap, ms";
        all.push(row(format!("{name}, probe: {what}"), motion(&probe), ""));
        all.push(row(format!("{name}, /status: {what}"), motion(&own.motion), "the same"));
        all.push(row(
            format!("{name}, the portal's counters: freezes; frozen, s"),
            format!("{counted}; {counted_s:.2}"),
            "the same",
        ));
        all.push(row(
            format!("{name}, probe: latency p50 / p95 / most, ms"),
            format!("{:.0} / {:.0} / {:.0}", ages.p50_ms, ages.p95_ms, ages.max_ms),
            "",
        ));
        let (p50, p95, peak) = own.latency_ms;
        all.push(row(format!("{name}, /status: the same"), format!("{p50:.0} / {p95:.0} / {peak:.0}"), "within 5"));
    }
    all.push(scene.load());
    Ok(all)
}
