//! The measurements, one function each.

use crate::machine::Busy;
use crate::network::Network;
use crate::original::Original;
use crate::probe::{now_ms, summary};
use crate::rig::{self, PATIENCE, Rig, Setup};
use crate::ssim;
use crate::{Case, Rows, Tools, Trouble, row};
use screen_portal::demo::Status;
use screen_portal::ops::Slate;
use std::time::{Duration, Instant};

/// All measurements on a good network, in the order in which they run.
pub const ALL: [Case; 9] = [
    Case::new("latency-640", "720p30 at 2.5 Mb/s into windows of 640x360", latency_640),
    Case::new("latency-1280", "720p30 at 2.5 Mb/s into windows of 1280x720", latency_1280),
    Case::new("latency-1080p", "1080p30 at 4.5 Mb/s into windows of 1280x720", latency_1080p),
    Case::new("ssim", "likeness of the shown picture to the film's", likeness),
    Case::new("cpu", "processor time without windows", cpu),
    Case::new("start", "from the command to the first picture", start),
    Case::new("kill", "the far end killed with -9, and started again", kill),
    Case::new("network", "the network gone for 5 and 30 seconds", network),
    Case::long("memory", "memory over ten minutes", memory),
];

/// After the first picture, until nothing of the start is left in the figures.
const SETTLE: Duration = Duration::from_secs(5);

fn silent(n: usize) -> Trouble {
    Trouble::Failed(format!("portal {} does not answer on its status page", ["A", "B"][n]))
}

/// Processor time per presented picture in ms, and share of a core, between two looks at a portal.
fn cpu_between(before: &Status, after: &Status) -> (f64, f64) {
    let (before, after) = (&before.figures, &after.figures);
    let cpu_s = after.cpu_s - before.cpu_s;
    let pictures = (after.incoming.presented - before.incoming.presented).max(1);
    (cpu_s * 1e3 / pictures as f64, cpu_s / (after.uptime_s - before.uptime_s).max(1e-3))
}

fn latency_640(tools: &Tools) -> Result<Rows, Trouble> {
    let setup = Setup { window: Some((640, 360)), ..Setup::default() };
    latency(tools, &setup, "p50 ≤ 16, p95 ≤ 22", "")
}

fn latency_1280(tools: &Tools) -> Result<Rows, Trouble> {
    latency(tools, &Setup::default(), "p50 ≤ 30, p95 ≤ 40", "≤ 0.6 core")
}

fn latency_1080p(tools: &Tools) -> Result<Rows, Trouble> {
    let setup = Setup { video: (1920, 1080), bitrate_bps: 4_500_000, ..Setup::default() };
    latency(tools, &setup, "p50 ≤ 45", "")
}

fn latency(tools: &Tools, setup: &Setup, latency_aim: &'static str, cpu_aim: &'static str) -> Result<Rows, Trouble> {
    let mut rig = Rig::prepare(tools, setup)?;
    rig.start_both()?;
    std::thread::sleep(SETTLE);
    let (from_ms, before, busy) = (now_ms(), [0, 1].map(|n| rig.status(n)), Busy::now());
    std::thread::sleep(Duration::from_secs(tools.seconds));
    let (to_ms, after, busy) = (now_ms(), [0, 1].map(|n| rig.status(n)), busy.cores_since());
    let mut rows = vec![
        row("source", rig.source.clone(), ""),
        row("the whole machine, with X servers and probes: cores", format!("{busy:.2}"), ""),
    ];
    for n in 0..2 {
        let name = ["A", "B"][n];
        let seen = summary(&rig.probes[n].seen(), from_ms, to_ms).ok_or_else(|| rig.no_picture(n))?;
        let (Some(before), Some(after)) = (&before[n], &after[n]) else { return Err(silent(n)) };
        let own = after.figures.latency;
        let (cpu_ms, cores) = cpu_between(before, after);
        rows.push(row(
            format!("{name}: stamp → framebuffer p50 / p95 / max, ms"),
            format!("{:.1} / {:.1} / {:.1}", seen.p50_ms, seen.p95_ms, seen.max_ms),
            latency_aim,
        ));
        rows.push(row(
            format!("{name}: the portal's own figure p50 / p95, ms"),
            format!("{:.1} / {:.1}", own.p50_ms, own.p95_ms),
            "within 5 of the probe's",
        ));
        rows.push(row(format!("{name}: new pictures per second"), format!("{:.2}", seen.fps), "≥ 29.5"));
        rows.push(row(
            format!("{name}: never shown / longest gap, ms"),
            format!("{} / {:.0}", seen.missing, seen.longest_gap_ms),
            "",
        ));
        rows.push(row(
            format!("{name}: processor per picture, ms / cores"),
            format!("{cpu_ms:.1} / {cores:.2}"),
            cpu_aim,
        ));
        rows.push(row(
            format!("{name}: memory, MB"),
            format!("{:.0}", after.figures.resident_bytes as f64 / 1e6),
            "< 300",
        ));
    }
    Ok(rows)
}

fn likeness(tools: &Tools) -> Result<Rows, Trouble> {
    let setup = Setup { grabs: 40, ..Setup::default() };
    let path =
        rig::film(tools, setup.video).ok_or_else(|| Trouble::Skipped("there is no film to compare with".into()))?;
    let mut rig = Rig::prepare(tools, &setup)?;
    rig.start_both()?;
    let before = rig.status(1).ok_or_else(|| silent(1))?;
    std::thread::sleep(SETTLE);
    // The first ones may have caught the window while it appeared.
    let of_the_start: Vec<_> = std::fs::read_dir(&rig.grabs)?.flatten().map(|entry| entry.path()).collect();
    std::thread::sleep(Duration::from_secs(tools.seconds));
    let after = rig.status(1).ok_or_else(|| silent(1))?;
    let grabs = rig.grabs.clone();
    drop(rig);

    let film = Original::open(&path)?;
    let mut values = vec![];
    for entry in std::fs::read_dir(&grabs)? {
        let path = entry?.path();
        if of_the_start.contains(&path) {
            continue;
        }
        let shown = ssim::luma_of_screen(&std::fs::read(path)?);
        let value = film.likeness(&shown);
        values.push(value.ok_or_else(|| Trouble::Failed("the window does not have the film's size".into()))?);
    }
    if values.is_empty() {
        return Err(Trouble::Failed("no picture was grabbed".into()));
    }
    values.sort_by(f64::total_cmp);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let seconds = after.figures.uptime_s - before.figures.uptime_s;
    let sent_bps = 8.0 * (after.figures.outgoing.bytes - before.figures.outgoing.bytes) as f64 / seconds;
    Ok(vec![
        row("SSIM of luma, mean", format!("{mean:.4}"), "≥ 0.968"),
        row("worst / best", format!("{:.4} / {:.4}", values[0], values[values.len() - 1]), ""),
        row("pictures compared", values.len().to_string(), ""),
        row("sent meanwhile, Mb/s", format!("{:.2}", sent_bps / 1e6), "2.5"),
    ])
}

fn cpu(tools: &Tools) -> Result<Rows, Trouble> {
    let mut rig = Rig::prepare(tools, &Setup { window: None, ..Setup::default() })?;
    rig.start_both()?;
    std::thread::sleep(SETTLE);
    let before = [0, 1].map(|n| rig.status(n));
    std::thread::sleep(Duration::from_secs(tools.seconds));
    let mut rows = vec![row("source", rig.source.clone(), "")];
    for (n, before) in before.into_iter().enumerate() {
        let name = ["A", "B"][n];
        let (Some(before), Some(after)) = (before, rig.status(n)) else { return Err(silent(n)) };
        let (cpu_ms, cores) = cpu_between(&before, &after);
        let figures = &after.figures;
        rows.push(row(
            format!("{name}: processor per picture, ms / cores"),
            format!("{cpu_ms:.2} / {cores:.3}"),
            "≤ 10 ms",
        ));
        rows.push(row(
            format!("{name}: capture / encode / assemble / decode, p50 ms"),
            format!(
                "{:.2} / {:.2} / {:.2} / {:.2}",
                figures.capture_time.p50_ms,
                figures.encode_time.p50_ms,
                figures.assemble_time.p50_ms,
                figures.decode_time.p50_ms
            ),
            "",
        ));
        rows.push(row(
            format!("{name}: pictures presented per second"),
            format!("{:.1}", figures.now.presented_fps),
            "≥ 29.5",
        ));
        rows.push(row(format!("{name}: memory, MB"), format!("{:.1}", figures.resident_bytes as f64 / 1e6), "< 40"));
    }
    Ok(rows)
}

fn start(tools: &Tools) -> Result<Rows, Trouble> {
    const ROUNDS: usize = 5;
    let (mut together, mut second) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        let mut rig = Rig::prepare(tools, &Setup { window: Some((640, 360)), ..Setup::default() })?;
        let commanded_ms = now_ms();
        rig.start(0)?;
        rig.start(1)?;
        let first = |rig: &Rig, n: usize, since_ms| {
            rig.probes[n].first_picture_since(since_ms, PATIENCE).ok_or_else(|| rig.no_picture(n))
        };
        together.push(first(&rig, 0, commanded_ms)?.max(first(&rig, 1, commanded_ms)?) - commanded_ms);
        // Ended in order, so that the survivor knows; then started while the other runs.
        rig.portals[1] = None;
        std::thread::sleep(Duration::from_secs(2));
        let commanded_ms = now_ms();
        rig.start(1)?;
        second.push(first(&rig, 1, commanded_ms)? - commanded_ms);
    }
    Ok(vec![
        row("both started at once: both show a picture after, ms", spread(together), "≤ 1500"),
        row("started while the far end runs: first picture after, ms", spread(second), "≤ 1500"),
    ])
}

/// Median, least and greatest.
fn spread(mut values: Vec<f64>) -> String {
    values.sort_by(f64::total_cmp);
    match values.as_slice() {
        [] => "never".into(),
        [least, .., greatest] => format!("{:.0} ({least:.0} to {greatest:.0})", values[values.len() / 2]),
        [only] => format!("{only:.0}"),
    }
}

fn kill(tools: &Tools) -> Result<Rows, Trouble> {
    const ROUNDS: usize = 5;
    let mut rig = Rig::prepare(tools, &Setup { window: Some((640, 360)), ..Setup::default() })?;
    rig.start_both()?;
    let (mut slates, mut again) = (vec![], vec![]);
    for _ in 0..ROUNDS {
        std::thread::sleep(SETTLE);
        rig.kill(1);
        let commanded_ms = now_ms();
        rig.start(1)?;
        let seen_ms = rig.probes[0].first_picture_since(commanded_ms, PATIENCE).ok_or_else(|| rig.no_picture(0))?;
        again.push(seen_ms - commanded_ms);
        std::thread::sleep(SETTLE);

        rig.kill(1);
        let killed = Instant::now();
        while rig.status(0).is_some_and(|status| matches!(status.view.slate, Slate::Hidden | Slate::Paused)) {
            if killed.elapsed() > PATIENCE {
                return Err(Trouble::Failed("the survivor never shows a slate".into()));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        slates.push(killed.elapsed().as_secs_f64() * 1e3);
        rig.start(1)?;
        rig.probes[0].first_picture_since(now_ms(), PATIENCE).ok_or_else(|| rig.no_picture(0))?;
    }
    Ok(vec![
        row("killed and not started again: slate after, ms", spread(slates), "≤ 3000"),
        row("killed and started at once: the survivor sees it after, ms", spread(again), "≤ 800"),
    ])
}

fn network(tools: &Tools) -> Result<Rows, Trouble> {
    let mut network = Network::start(tools)?;
    let setup = Setup { window: Some((640, 360)), namespaces: Some(Network::namespaces()), ..Setup::default() };
    let mut rig = Rig::prepare(tools, &setup)?;
    rig.start_both()?;
    let mut rows = vec![];
    for seconds in [5, 30] {
        std::thread::sleep(SETTLE);
        let gone_ms = now_ms();
        network.set("both loss=100")?;
        std::thread::sleep(Duration::from_secs(seconds));
        let back_ms = now_ms();
        network.set("both loss=0")?;
        for n in 0..2 {
            let name = ["A", "B"][n];
            let seen_ms = rig.probes[n].first_picture_since(back_ms - 200.0, 2 * PATIENCE);
            let seen_ms = seen_ms.ok_or_else(|| rig.no_picture(n))?;
            rows.push(row(
                format!("{name}: {seconds} s without network: picture back after, ms"),
                format!("{:.0}", seen_ms - back_ms),
                "≤ 1000",
            ));
            if let Some(hidden_ms) = rig.probes[n].gone_since(gone_ms, Duration::ZERO) {
                let figure = format!("{:.0}", hidden_ms - gone_ms);
                rows.push(row(format!("{name}: the stopped picture was hidden after, ms"), figure, "≤ 3000"));
            }
        }
    }
    Ok(rows)
}

fn memory(tools: &Tools) -> Result<Rows, Trouble> {
    const MINUTES: u64 = 10;
    let mut rig = Rig::prepare(tools, &Setup { window: Some((640, 360)), ..Setup::default() })?;
    rig.start_both()?;
    let mut samples: [Vec<f64>; 2] = [vec![], vec![]];
    for _ in 0..MINUTES * 6 {
        std::thread::sleep(Duration::from_secs(10));
        for (n, samples) in samples.iter_mut().enumerate() {
            let status = rig.status(n).ok_or_else(|| silent(n))?;
            samples.push(status.figures.resident_bytes as f64 / 1e6);
        }
    }
    let mut rows = vec![];
    for (n, samples) in samples.iter().enumerate() {
        let name = ["A", "B"][n];
        // The first two minutes are warming up: caches, pools and queues fill.
        let settled = &samples[12..];
        let (least, greatest) = settled.iter().fold((f64::MAX, 0.0_f64), |(l, g), &v| (l.min(v), g.max(v)));
        let (first, last) = (settled[0], settled[settled.len() - 1]);
        rows.push(row(
            format!("{name}: memory after 2 / {MINUTES} minutes, MB"),
            format!("{first:.1} / {last:.1}"),
            "flat",
        ));
        rows.push(row(
            format!("{name}: least / greatest in between, MB"),
            format!("{least:.1} / {greatest:.1}"),
            "< 300",
        ));
    }
    Ok(rows)
}
