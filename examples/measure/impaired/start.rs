//! How soon the picture is sharp.

use super::call::{Scene, timeline};
use crate::{Rows, Tools, Trouble, row};

const ROUNDS: usize = 3;
/// How long each start is watched.
const WATCH_S: f64 = 12.0;
/// What there is to send at most: the encoder's bitrate.
const CEILING_BPS: f64 = 2.5e6;
/// A rate is measured over this time.
const WINDOW_MS: f64 = 500.0;

pub fn at_3(tools: &Tools) -> Result<Rows, Trouble> {
    at(tools, 3000)
}

pub fn at_5(tools: &Tools) -> Result<Rows, Trouble> {
    at(tools, 5000)
}

fn at(tools: &Tools, rate_kbps: u32) -> Result<Rows, Trouble> {
    let (mut size, mut target, mut sent, mut queue) = (vec![], vec![], vec![], vec![]);
    let mut load = None;
    for round in 0..ROUNDS {
        let mut scene = Scene::start(tools, &format!("both delay=25 rate={rate_kbps} q=250"))?;
        scene.run(WATCH_S)?;
        for n in 0..2 {
            let call = &scene.calls[0];
            let Some(first_ms) = call.pictures(n).first().map(|picture| picture.at_ms) else { continue };
            let (looks, far) = (call.watches[n].looks(), call.watches[1 - n].looks());
            let after = |at_ms: Option<f64>| at_ms.map_or(f64::INFINITY, |at_ms| (at_ms - first_ms).max(0.0) / 1e3);
            // From when on the full size stays.
            let small = looks.iter().rfind(|look| look.at_ms >= first_ms && look.figures.incoming.height != 720);
            size.push(match small {
                None => 0.0,
                Some(small) if small.at_ms + 100.0 > looks[looks.len() - 1].at_ms => f64::INFINITY,
                Some(small) => after(Some(small.at_ms)),
            });
            let full = |bps: u64| bps as f64 >= 0.8 * CEILING_BPS;
            let low = far.iter().rfind(|look| {
                look.at_ms >= first_ms && look.at_ms < first_ms + 1e4 && !full(look.figures.outgoing.target_bps)
            });
            target.push(low.map_or(0.0, |low| after(Some(low.at_ms))));
            let rate = |at_ms: f64| {
                let bytes = |at_ms: f64| {
                    far.iter().rfind(|look| look.at_ms <= at_ms).map_or(0, |look| look.figures.outgoing.bytes)
                };
                8e3 * bytes(at_ms).saturating_sub(bytes(at_ms - WINDOW_MS)) as f64 / WINDOW_MS
            };
            let windows = (0..(WATCH_S * 10.0) as u32 - 20).map(|n| first_ms + WINDOW_MS + f64::from(n) * 100.0);
            sent.push(after(windows.into_iter().find(|&at_ms| rate(at_ms) >= 0.8 * CEILING_BPS)));
            queue.push(scene.queue_peak_ms(n, first_ms, first_ms + 1e4));
        }
        if round == 0 {
            let from_ms = scene.queues.first().map_or(0.0, |queues| queues.at_ms);
            println!("First round, A to B:\n\n```\n{}```\n", timeline(&scene, 0, from_ms, from_ms + 10e3));
        }
        load = Some(scene.load());
    }
    let list = |values: &[f64]| values.iter().map(|value| format!("{value:.1}")).collect::<Vec<_>>().join(" ");
    let mut all = vec![
        row("full size for good after the first picture, s (each start, A and B)", list(&size), "≤ 2"),
        row("target ≥ 80 % of 2.5 Mb/s for good after, s", list(&target), "≤ 2"),
        row("sent in half a second ≥ 80 % of 2.5 Mb/s after, s", list(&sent), "≤ 2"),
        row("longest queue, ms", list(&queue), ""),
    ];
    all.extend(load);
    Ok(all)
}
