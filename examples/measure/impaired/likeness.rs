//! What a narrow path costs in quality: how like the film the shown pictures are.

use super::call::{Call, Scene, Shown};
use super::chromium::{self, Browsers};
use super::narrow::{self, Span};
use crate::original::Original;
use crate::rig::{Setup, film};
use crate::ssim::{enlarged, luma_of_screen, spread};
use crate::{Rows, Tools, Trouble, row};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// After a change of rate, until the picture is what it will be. What is left of the step is compared.
const SETTLE_S: f64 = 5.0;
/// Two copies a second, for longer than it takes.
const GRABS: u32 = 300;

/// A stretch of time with its name.
type Step = (&'static str, Span);

/// The three steps, each without its first seconds: their names and moments.
fn steps(scene: &mut Scene) -> Result<[Step; 3], Trouble> {
    let [before, down, up] = narrow::steps(scene, "both")?;
    let settled = |(from_ms, to_ms): Span| (from_ms + SETTLE_S * 1e3, to_ms);
    Ok([("3 Mb/s", before), ("1 Mb/s", settled(down)), ("3 Mb/s again", settled(up))])
}

fn original(tools: &Tools) -> Result<Original, Trouble> {
    let path = film(tools, (1280, 720)).ok_or_else(|| Trouble::Skipped("there is no film to compare with".into()))?;
    Original::open(&path)
}

/// Files in a folder with the moments when they were made.
fn made(folder: &Path) -> Result<Vec<(f64, PathBuf)>, Trouble> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let age = entry.metadata()?.modified()?.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        files.push((age.as_secs_f64() * 1e3, entry.path()));
    }
    Ok(files)
}

fn rows(
    film: &Original,
    grabs: &Path,
    steps: &[Step; 3],
    luma: impl Fn(&Path) -> Option<Vec<u8>>,
) -> Result<Rows, Trouble> {
    let files = made(grabs)?;
    let mut all = vec![];
    for (what, (from_ms, to_ms)) in steps {
        let inside = files.iter().filter(|(at_ms, _)| (*from_ms..*to_ms).contains(at_ms));
        let values: Vec<f64> = inside.filter_map(|(_, path)| film.likeness(&luma(path)?)).collect();
        all.push(row(format!("{what}: SSIM of luma, mean (least)"), spread(&values), ""));
    }
    Ok(all)
}

pub fn of_portals(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::empty(tools, narrow::PATH)?;
    scene.calls.push(Call::start_with(tools, Setup { grabs: GRABS, ..Setup::default() })?);
    scene.calls[0].both_show()?;
    scene.run(10.0)?;
    let steps = steps(&mut scene)?;
    let grabs = scene.calls[0].rig.grabs.clone();
    let mut all = vec![];
    for (what, (from_ms, to_ms)) in &steps {
        let shown = Shown::of(&scene.calls[0].watches[0], *from_ms, *to_ms);
        let (sent_bps, _) = scene.passed_bps(0, *from_ms, *to_ms);
        let figure = format!("{:.2}; {:.1}; {}", sent_bps / 1e6, shown.motion.fps, shown.heights());
        all.push(row(format!("{what}: passed, Mb/s; pictures a second; heights"), figure, ""));
    }
    all.push(scene.load());
    drop(scene);
    all.extend(rows(&original(tools)?, &grabs, &steps, |path| Some(luma_of_screen(&std::fs::read(path).ok()?)))?);
    Ok(all)
}

pub fn of_chromium(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::empty(tools, narrow::PATH)?;
    let grabs = tools.folder.join("grabs");
    let _ = std::fs::remove_dir_all(&grabs);
    let browsers = Browsers::start(tools, Some(&grabs))?;
    scene.run(chromium::SETTLE_S)?;
    let steps = steps(&mut scene)?;
    drop(browsers);
    let mut all = vec![];
    for (what, (from_ms, to_ms)) in &steps {
        let (sent_bps, _) = scene.passed_bps(1, *from_ms, *to_ms);
        all.push(row(format!("{what}: passed, Mb/s"), format!("{:.2}", sent_bps / 1e6), ""));
    }
    all.push(scene.load());
    let film = original(tools)?;
    let full = (film.width, film.height);
    let luma = |path: &Path| {
        let (width, height) = path.file_stem()?.to_str()?.split_once('-')?.1.split_once('x')?;
        let size = (width.parse().ok()?, height.parse().ok()?);
        let plane = std::fs::read(path).ok()?;
        (plane.len() == size.0 * size.1 && !plane.is_empty()).then(|| enlarged(&plane, size, full))
    };
    all.extend(rows(&film, &grabs, &steps, luma)?);
    Ok(all)
}
