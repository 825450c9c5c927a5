//! Two portals with windows for hours, and every few minutes something breaks: `docs/measurements/soak.md`.
//!
//! Nobody helps: a process that has ended is started again after a second, as a service manager does, and that is all. What
//! must hold: each fault is healed by itself, and memory, threads and descriptors do not grow.

mod chart;
mod fault;

use crate::network::{Network, inside};
use crate::rig::{Rig, Setup};
use crate::{Case, Rows, Tools, Trouble, row};
use chart::{Chart, Curve};
use fault::Fault;
use screen_portal::demo::{Child, Client, Status, Window};
use screen_portal::ops::{LinkState, Slate};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// All of them.
pub const ALL: [Case; 1] =
    [Case::long("soak", "two portals with windows, a fault every few minutes (SECONDS_EACH=7200 for two hours)", soak)];

/// From the end of one fault's healing to the next.
const CALM: Duration = Duration::from_secs(100);
/// A fault that is not healed so long after its end is not healed.
const PATIENCE: Duration = Duration::from_secs(60);
/// A service manager waits so long before it starts a program again.
const RESTART: Duration = Duration::from_secs(1);
const SAMPLE: Duration = Duration::from_secs(10);
/// Caches, pools and queues fill, and the first faults reach each path for the first time.
const WARM_UP: Duration = Duration::from_secs(15 * 60);
/// Windows, in pixels.
const SIZE: (u32, u32) = (640, 360);
/// The X servers' numbers: high, so that they are nobody else's.
const DISPLAYS: [u32; 2] = [171, 172];

/// One portal's resources at one moment.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at_s: f64,
    resident_mb: f64,
    threads: usize,
    descriptors: usize,
    fps: f64,
}

/// What a fault led to.
struct Healing {
    fault: Fault,
    at_s: f64,
    /// From the end of the fault until both showed each other again.
    healed_s: Option<f64>,
}

/// Everything that runs.
struct Soak {
    rig: Rig,
    network: Network,
    screens: [Option<Child>; 2],
    tools: Tools,
    begun: Instant,
    sampled: Instant,
    samples: [Vec<Sample>; 2],
    healings: Vec<Healing>,
    /// Times that a process had ended although nobody had ended it.
    ended: usize,
    /// When what has ended is started again.
    restarts: [Option<Instant>; 2],
}

fn soak(tools: &Tools) -> Result<Rows, Trouble> {
    let mut soak = Soak::start(tools)?;
    soak.until_live(PATIENCE)?;
    let end = soak.begun + Duration::from_secs(tools.seconds);
    for fault in Fault::ALL.into_iter().cycle() {
        let calm = Instant::now() + CALM;
        while Instant::now() < calm {
            soak.tick()?;
        }
        if Instant::now() > end {
            break;
        }
        let at_s = soak.begun.elapsed().as_secs_f64();
        fault.happen(&mut soak)?;
        let over = Instant::now();
        let healed = soak.until_live(PATIENCE);
        let healed_s = healed.is_ok().then(|| over.elapsed().as_secs_f64());
        println!("{:7.0} s: {}: healed after {}", at_s, fault.about(), seconds(healed_s));
        if let Err(Trouble::Failed(why) | Trouble::Skipped(why)) = healed {
            println!("{why}");
        }
        soak.healings.push(Healing { fault, at_s, healed_s });
        // Each time: whoever ends the soak early has what was seen until then.
        soak.chart()?;
    }
    println!("the curves: {}", soak.chart()?.display());
    Ok(soak.rows())
}

fn seconds(value: Option<f64>) -> String {
    value.map_or("never".into(), |value| format!("{value:.2} s"))
}

impl Soak {
    fn start(tools: &Tools) -> Result<Self, Trouble> {
        let network = Network::start(tools)?;
        let setup = Setup { window: None, namespaces: Some(Network::namespaces()), ..Setup::default() };
        let mut rig = Rig::prepare(tools, &setup)?;
        for (n, plan) in rig.plans.iter_mut().enumerate() {
            plan.headless = false;
            plan.environment.push(("DISPLAY".into(), format!(":{}", DISPLAYS[n])));
            Window { position: Some((0, 0)), size: SIZE, decorations: false }.apply(&mut plan.config.display);
            plan.config.display.overlays = true;
            plan.config.display.self_view = true;
        }
        let begun = Instant::now();
        let mut soak = Self {
            rig,
            network,
            screens: [None, None],
            tools: tools.clone(),
            begun,
            sampled: begun,
            samples: [vec![], vec![]],
            healings: vec![],
            ended: 0,
            restarts: [None, None],
        };
        for n in 0..2 {
            soak.start_screen(n)?;
            soak.rig.start(n)?;
        }
        Ok(soak)
    }

    fn start_screen(&mut self, n: usize) -> Result<(), Trouble> {
        let mut command = Command::new("Xvfb");
        command.arg(format!(":{}", DISPLAYS[n]));
        command.args(["-screen", "0", &format!("{}x{}x24", SIZE.0, SIZE.1), "-nolisten", "tcp", "-noreset"]);
        let log = self.tools.folder.join(format!("screen-{n}.log"));
        let started = Child::start("Xvfb", command, &log, libc::SIGTERM);
        self.screens[n] = Some(started.map_err(|error| Trouble::Skipped(error.to_string()))?);
        Ok(())
    }

    /// Kills the X server of a portal.
    fn kill_screen(&mut self, n: usize) {
        if let Some(mut screen) = self.screens[n].take() {
            screen.kill();
        }
        // Killed, it leaves its lock behind, and the next one would not start.
        let _ = std::fs::remove_file(format!("/tmp/.X{}-lock", DISPLAYS[n]));
        let _ = std::fs::remove_file(format!("/tmp/.X11-unix/X{}", DISPLAYS[n]));
    }

    /// Lets some time pass, and does what a service manager does.
    fn tick(&mut self) -> Result<(), Trouble> {
        std::thread::sleep(Duration::from_millis(100));
        for n in 0..2 {
            let ended = self.rig.portals[n].as_mut().is_some_and(|portal| portal.child.ended().is_some());
            if ended {
                self.ended += 1;
                println!("{:7.0} s: portal {n} had ended", self.begun.elapsed().as_secs_f64());
                self.rig.portals[n] = None;
            }
            if self.rig.portals[n].is_none()
                && *self.restarts[n].get_or_insert(Instant::now() + RESTART) < Instant::now()
            {
                self.restarts[n] = None;
                self.rig.start(n)?;
            }
        }
        if self.sampled.elapsed() >= SAMPLE {
            self.sampled = Instant::now();
            for n in 0..2 {
                if let Some(sample) = self.sample(n) {
                    self.samples[n].push(sample);
                }
            }
        }
        Ok(())
    }

    /// What one portal says of itself: its pages are only for its own namespace.
    fn status(&self, n: usize) -> Option<Status> {
        let address = self.rig.plans[n].config.status.listen;
        inside(n, move || Client::default().status(address)).join().ok()??
    }

    fn sample(&self, n: usize) -> Option<Sample> {
        let figures = self.status(n)?.figures;
        let process = format!("/proc/{}", self.rig.portals[n].as_ref()?.child.id());
        let count = |folder: &str| std::fs::read_dir(format!("{process}/{folder}")).map_or(0, Iterator::count);
        Some(Sample {
            at_s: self.begun.elapsed().as_secs_f64(),
            resident_mb: figures.resident_bytes as f64 / 1e6,
            threads: count("task"),
            descriptors: count("fd"),
            fps: figures.now.presented_fps,
        })
    }

    /// Both show each other.
    fn is_live(&self) -> bool {
        (0..2).all(|n| {
            self.status(n).is_some_and(|status| {
                let fresh = status.figures.last_presented_s.is_some_and(|age_s| age_s < 0.5);
                status.view.link == LinkState::Live && status.view.slate == Slate::Hidden && fresh
            })
        })
    }

    fn until_live(&mut self, patience: Duration) -> Result<(), Trouble> {
        let until = Instant::now() + patience;
        while !self.is_live() {
            if Instant::now() > until {
                let n = usize::from(self.status(0).is_some_and(|status| status.view.slate == Slate::Hidden));
                let view = self.status(n).map(|status| status.view);
                let log = self.rig.portals[n].as_ref().map_or(String::new(), |portal| portal.child.log_tail());
                return Err(Trouble::Failed(format!(
                    "portal {n} does not show the other: {view:?}; its log ends with:\n{log}"
                )));
            }
            self.tick()?;
        }
        Ok(())
    }

    fn chart(&self) -> Result<PathBuf, Trouble> {
        let curves = |value: fn(&Sample) -> f64| {
            [0, 1].map(|n| Curve {
                name: ["A", "B"][n],
                points: self.samples[n].iter().map(|sample| (sample.at_s, value(sample))).collect(),
            })
        };
        let chart = Chart {
            seconds: self.begun.elapsed().as_secs_f64(),
            plots: vec![
                ("memory, MB", curves(|sample| sample.resident_mb)),
                ("threads", curves(|sample| sample.threads as f64)),
                ("descriptors", curves(|sample| sample.descriptors as f64)),
                ("pictures presented per second", curves(|sample| sample.fps)),
            ],
            marks: self.healings.iter().map(|healing| healing.at_s).collect(),
        };
        let path = self.tools.folder.join("soak.svg");
        std::fs::write(&path, chart.svg())?;
        Ok(path)
    }

    fn rows(&self) -> Rows {
        let mut rows = vec![row("hours", format!("{:.2}", self.begun.elapsed().as_secs_f64() / 3600.0), "≥ 2")];
        for fault in Fault::ALL {
            let of: Vec<_> = self.healings.iter().filter(|healing| healing.fault == fault).collect();
            let longest = of.iter().filter_map(|healing| healing.healed_s).fold(0.0, f64::max);
            let unhealed = of.iter().filter(|healing| healing.healed_s.is_none()).count();
            let unhealed = if unhealed > 0 { format!(", {unhealed} never") } else { String::new() };
            let figure = format!("{longest:.2} ({} times{unhealed})", of.len());
            rows.push(row(format!("{}: healed after at most, s", fault.about()), figure, ""));
        }
        rows.push(row("processes that ended though nobody ended them", self.ended.to_string(), "0"));
        let warm = WARM_UP.as_secs_f64();
        for (n, samples) in self.samples.iter().enumerate() {
            let name = ["A", "B"][n];
            let settled: Vec<_> = samples.iter().filter(|sample| sample.at_s > warm).collect();
            let (Some(first), Some(last)) = (settled.first(), settled.last()) else { continue };
            let most = |value: fn(&Sample) -> f64| settled.iter().map(|sample| value(sample)).fold(0.0, f64::max);
            rows.push(row(
                format!("{name}: memory after {:.0} min, at the end, at most, MB", warm / 60.0),
                format!("{:.0}, {:.0}, {:.0}", first.resident_mb, last.resident_mb, most(|it| it.resident_mb)),
                "flat, < 300",
            ));
            rows.push(row(
                format!("{name}: threads; descriptors: the same"),
                format!(
                    "{}, {}, {}; {}, {}, {}",
                    first.threads,
                    last.threads,
                    most(|it| it.threads as f64),
                    first.descriptors,
                    last.descriptors,
                    most(|it| it.descriptors as f64)
                ),
                "flat",
            ));
        }
        rows
    }
}

impl Drop for Soak {
    fn drop(&mut self) {
        (0..2).for_each(|n| self.kill_screen(n));
    }
}
