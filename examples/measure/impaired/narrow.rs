//! A path that becomes narrow, and wide again; and one that is narrow for ever.

use super::call::{Call, Scene, Shown, rows, timeline};
use crate::probe::now_ms;
use crate::{Rows, Tools, Trouble, row};

/// A path that carries 3 Mb/s and is about to carry 1 and then 3 again.
pub const PATH: &str = "both delay=25 rate=3000 q=250";
/// How long each step of 3 → 1 → 3 Mb/s lasts.
pub const STEP_S: f64 = 30.0;
/// A rate is measured over this time.
const WINDOW_MS: f64 = 1000.0;
/// What there is to send, without headers: the encoder's ceiling.
pub const CEILING_BPS: f64 = 2.5e6;

/// From and to when something was watched, in ms since 1970.
pub type Span = (f64, f64);

/// Watches the last seconds before the drop, those after it, and those after the rise. `ways` narrow: `ab`, `ba` or `both`.
pub fn steps(scene: &mut Scene, ways: &str) -> Result<[Span; 3], Trouble> {
    let before = scene.watch(10.0)?;
    scene.network.set(&format!("{ways} rate=1000"))?;
    let down = scene.watch(STEP_S)?;
    scene.network.set(&format!("{ways} rate=3000"))?;
    let up = scene.watch(STEP_S)?;
    Ok([before, down, up])
}

pub fn both_ways(tools: &Tools) -> Result<Rows, Trouble> {
    of_portals(tools, "both")
}

/// The figures of A, which comes second, are those of a way that does not change.
pub fn one_way(tools: &Tools) -> Result<Rows, Trouble> {
    of_portals(tools, "ab")
}

fn of_portals(tools: &Tools, ways: &str) -> Result<Rows, Trouble> {
    let mut scene = Scene::start(tools, PATH)?;
    scene.run(15.0)?;
    let [before, down, up] = steps(&mut scene, ways)?;
    let mut all = vec![];
    all.extend(rows(&scene.calls[0], "3 Mb/s", before, "", ""));
    all.extend(rows(&scene.calls[0], "drop to 1 Mb/s", down, "", ""));
    all.extend(rows(&scene.calls[0], "back to 3 Mb/s", up, "", ""));
    let both = |figure: &dyn Fn(usize) -> String| format!("{}, {}", figure(0), figure(1));
    all.push(row(
        "drop: queue below 100 ms for good after, s",
        both(&|n| {
            seconds(
                scene
                    .queues
                    .iter()
                    .filter(|q| q.at_ms > down.0 && q.at_ms < down.1)
                    .rfind(|q| q.towards(n).peak_ms >= 100.0)
                    .map_or(Some(0.0), |q| (q.at_ms + 500.0 < down.1).then_some(q.at_ms - down.0)),
            )
        }),
        "≤ 2",
    ));
    all.push(row(
        "drop: queue below 100 ms for the first second after, s",
        both(&|n| seconds(calm(&scene, n, down))),
        "≤ 2",
    ));
    all.push(row(
        "drop: longest queue from 2 s after it, ms",
        both(&|n| format!("{:.0}", scene.queue_peak_ms(n, down.0 + 2e3, down.1))),
        "< 100",
    ));
    // What left the bottleneck is full at once; what the far end is sent within a queue that is short is the new rate.
    all.push(row(
        "drop: 90 % of 1 Mb/s for a second, with a queue below 100 ms, after, s",
        both(&|n| seconds(reached(&scene, n, down, 0.9e6, 100.0))),
        "≤ 5",
    ));
    all.push(row(
        "rise: 90 % of what was sent before the drop for a second, after, s",
        both(&|n| seconds(reached(&scene, n, up, 0.9 * scene.passed_bps(n, before.0, before.1).0, f64::MAX))),
        "≤ 10",
    ));
    all.push(row(
        "rise: target at 90 % of the ceiling after, s",
        both(&|n| {
            // What portal n receives, the other one sends.
            let looks = scene.calls[0].watches[1 - n].looks();
            let look = looks
                .iter()
                .find(|look| look.at_ms > up.0 && look.figures.outgoing.target_bps as f64 >= 0.9 * CEILING_BPS);
            seconds(look.map(|look| look.at_ms - up.0))
        }),
        "≤ 10",
    ));
    all.push(row(
        "whole: longest gap, latency peak, ms",
        both(&|n| {
            let shown = Shown::of(&scene.calls[0].watches[n], down.0, up.1);
            format!("{:.0} {:.0}", shown.motion.longest_ms, shown.latency_ms.2)
        }),
        "≤ 500, ≤ 400",
    ));
    all.push(scene.load());
    println!(
        "From A to B, the drop after 5 s, the rise after {}:\n\n```\n{}```\n",
        5.0 + STEP_S,
        timeline(&scene, 0, down.0 - 5e3, up.1)
    );
    Ok(all)
}

pub fn for_ever(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::empty(tools, "both delay=25 rate=300 q=250")?;
    let begin_ms = now_ms();
    scene.calls.push(Call::start(tools, 7413)?);
    // A portal that sends too much at first may need long.
    let shows = |scene: &Scene| (0..2).all(|n| !scene.calls[0].pictures(n).is_empty());
    while !shows(&scene) && now_ms() < begin_ms + 60e3 {
        scene.run(0.2)?;
    }
    let first = [0, 1].map(|n| scene.calls[0].pictures(n).first().map(|picture| picture.at_ms - begin_ms));
    let start = scene.watch(10.0)?;
    let span = scene.watch(tools.seconds as f64)?;
    let mut all = vec![row(
        "first picture after the program's start, s",
        format!("{}, {}", seconds(first[0]), seconds(first[1])),
        "",
    )];
    all.extend(rows(&scene.calls[0], "next 10 s", start, "", ""));
    all.extend(rows(&scene.calls[0], "then", span, "≥ 12", ""));
    all.push(row(
        "then: longest queue, ms",
        format!("{:.0}, {:.0}", scene.queue_peak_ms(0, span.0, span.1), scene.queue_peak_ms(1, span.0, span.1)),
        "latency < 400",
    ));
    all.push(scene.load());
    println!("From A to B:\n\n```\n{}```\n", timeline(&scene, 0, start.0, span.1.min(start.0 + 40e3)));
    Ok(all)
}

pub fn seconds(ms: Option<f64>) -> String {
    ms.map_or("never".into(), |ms| format!("{:.1}", ms / 1e3))
}

/// When the queue towards portal `n` has first stayed below 100 ms for a second; the beginning of that second, in ms after the span's.
pub fn calm(scene: &Scene, n: usize, (from_ms, to_ms): Span) -> Option<f64> {
    let mut since = from_ms;
    for queues in scene.queues.iter().filter(|q| q.at_ms > from_ms && q.at_ms < to_ms) {
        if queues.towards(n).peak_ms >= 100.0 {
            since = queues.at_ms;
        } else if queues.at_ms - since >= 1e3 {
            return Some(since - from_ms);
        }
    }
    None
}

/// When a whole second with at least this rate towards portal `n`, and no longer queue than this, has first passed.
pub fn reached(scene: &Scene, n: usize, (from_ms, to_ms): Span, bps: f64, queue_ms: f64) -> Option<f64> {
    let mut at_ms = from_ms;
    while at_ms + WINDOW_MS <= to_ms {
        let end_ms = at_ms + WINDOW_MS;
        if scene.passed_bps(n, at_ms, end_ms).0 >= bps && scene.queue_peak_ms(n, at_ms, end_ms) < queue_ms {
            return Some(end_ms - from_ms);
        }
        at_ms += 100.0;
    }
    None
}
