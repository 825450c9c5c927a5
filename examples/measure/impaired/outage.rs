//! No network for a while.

use super::call::Scene;
use crate::probe::now_ms;
use crate::{Rows, Tools, Trouble, row};
use std::time::{Duration, Instant};

/// How long the picture may take to come back before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(40);
const ROUNDS: usize = 3;

pub fn of_5(tools: &Tools) -> Result<Rows, Trouble> {
    of(tools, 5, ROUNDS)
}

pub fn of_60(tools: &Tools) -> Result<Rows, Trouble> {
    of(tools, 60, 1)
}

fn of(tools: &Tools, seconds: u64, rounds: usize) -> Result<Rows, Trouble> {
    let mut scene = Scene::start(tools, "both delay=25")?;
    let mut back = vec![];
    for _ in 0..rounds {
        scene.run(5.0)?;
        scene.network.set("both loss=100")?;
        scene.run(seconds as f64)?;
        let back_ms = now_ms();
        scene.network.set("both loss=0")?;
        let until = Instant::now() + PATIENCE;
        // The round trip, and a picture captured after the return.
        let first = |scene: &Scene, n: usize| {
            let pictures = scene.calls[0].pictures(n);
            pictures.iter().find(|picture| picture.at_ms > back_ms).map(|picture| picture.at_ms - back_ms)
        };
        while Instant::now() < until && (0..2).any(|n| first(&scene, n).is_none()) {
            scene.run(0.1)?;
        }
        back.push([0, 1].map(|n| first(&scene, n).map_or("never".into(), |ms| format!("{ms:.0}"))).join(", "));
    }
    let attempts = [0, 1].map(|n| scene.calls[0].watches[n].last().map_or(0, |look| look.figures.link.attempts));
    Ok(vec![
        row(
            format!("{seconds} s without network: picture back after, ms (A, B of each round)"),
            back.join("; "),
            "≤ 1000",
        ),
        row("connection attempts in all", format!("{}, {}", attempts[0], attempts[1]), ""),
        scene.load(),
    ])
}
