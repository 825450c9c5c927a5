//! Scenarios: what the network is like, how long, and what must have been seen. Data, so that a scenario reads like a story.

use super::connection::Setup;
use super::tube::Conditions;
use super::world::{Report, World};
use crate::ops::LinkState;
use std::time::Duration;

/// One line of the story.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// From now on the path from the first portal to the second one is like this.
    Path(Conditions),
    /// Both ways.
    Both(Conditions),
    /// A second pair of portals begins to share the path.
    SecondPair,
    /// Signalling can be used, or its service has ended.
    Signalling(bool),
    /// The power of a portal (0 or 1) goes, or is back and its program starts anew.
    Power(usize, bool),
    /// The machine of a portal goes to sleep, or wakes up.
    Sleep(usize, bool),
    /// The addresses of a portal change; whether its machine notices. (If not, it was a NAT.)
    Move(usize, bool),
    /// A bulk download from the first site to the second begins or ends.
    Download(bool),
    /// Time passes, in seconds. Checks look at the last run.
    Run(f64),
    /// What must have been seen of the first portal's pictures during the last run.
    Check(Check),
    /// The first is the aim and is not reached yet: then it is told, and fails only with `PORTAL_STRICT=1` in the environment. The
    /// second must hold.
    Gap(Check, Check),
}

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Check {
    /// At least so many pictures a second were presented.
    Fps(f64),
    /// At most so many seconds per minute were frozen.
    FrozenPerMinute(f64),
    Freezes(usize),
    /// The longest time without a new picture, in milliseconds.
    LongestGap(f64),
    /// From camera to screen: at most so many milliseconds for this share of the pictures, 0 to 1.
    Latency(f64, f64),
    /// Packets waited in the bottleneck for at most so long, in milliseconds.
    Queue(f64),
    /// The target now, in Mb/s.
    Target(f64, f64),
    /// The mean target, in Mb/s.
    MeanTarget(f64, f64),
    /// Share of all that got through the bottleneck.
    Share(f64, f64),
    /// At most this share of the packets was lost on the way.
    Lost(f64),
    /// The first new picture came within so many seconds.
    FirstWithin(f64),
    /// At most so many keyframes were asked for per minute.
    KeyframeRequests(f64),
    /// At most so many were made per minute.
    Keyframes(f64),
    /// At most so many connections were begun by the far end.
    Attempts(u64),
    /// The far end's link is in this state.
    State(LinkState),
}

/// Who plays, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// Both encoders' configured bitrate, in Mb/s.
    pub ceiling_mbps: f64,
    /// Each scenario is played with so many different seeds; `PORTAL_SEEDS` in the environment says how many instead.
    pub seeds: u64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self { ceiling_mbps: 2.5, seeds: 3 }
    }
}

impl Scenario {
    /// Plays the steps and fails with everything that did not hold.
    pub fn play(&self, name: &str, steps: &[Step]) {
        let (mut failures, mut damage) = (vec![], vec![]);
        let seeds = std::env::var("PORTAL_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(self.seeds);
        for seed in 1..=seeds {
            self.play_once(name, seed, steps, &mut failures, &mut damage);
        }
        failures.append(&mut damage);
        assert!(failures.is_empty(), "{name}:\n{}", failures.join("\n"));
    }

    fn play_once(&self, name: &str, seed: u64, steps: &[Step], failures: &mut Vec<String>, damage: &mut Vec<String>) {
        let mut world = World::new(Setup::with_ceiling(self.ceiling_mbps), seed);
        let mut report = Report::default();
        for (number, step) in steps.iter().enumerate() {
            let place = format!("{name}, seed {seed}, step {number}");
            match *step {
                Step::Path(conditions) => world.set(0, conditions),
                Step::Both(conditions) => (0..2).for_each(|direction| world.set(direction, conditions)),
                Step::SecondPair => world.add_pair(),
                Step::Signalling(available) => world.set_signalling(available),
                Step::Power(place, on) => world.power(place, on),
                Step::Sleep(place, asleep) => world.sleep(place, asleep),
                Step::Move(place, noticed) => world.move_away(place, noticed),
                Step::Download(on) => world.set_download(on),
                Step::Run(seconds) => {
                    world.run(Duration::from_secs_f64(seconds));
                    report = world.reports().swap_remove(0);
                    println!("{place}: {}", line(&report));
                }
                Step::Check(check) => failures.extend(check.fault(&report).map(|fault| format!("{place}: {fault}"))),
                Step::Gap(aim, bound) => {
                    let found = aim.fault(&report).filter(|_| bound.fault(&report).is_none() && !is_strict());
                    match found {
                        Some(fault) => println!("KNOWN GAP: {place}: {fault}"),
                        None => failures.extend(aim.fault(&report).map(|fault| format!("{place}: {fault}"))),
                    }
                }
            }
        }
        for place in 0..2 {
            damage.extend(
                world.portal(place).screen.violations.iter().map(|what| format!("{name}, seed {seed}: {what}")),
            );
        }
    }
}

fn is_strict() -> bool {
    std::env::var_os("PORTAL_STRICT").is_some()
}

/// A report in one line.
pub fn line(report: &Report) -> String {
    let Report { seen, felt, .. } = report;
    format!(
        "{:.1} fps, {} freezes {:.2} s, gap {:.0} ms, latency {:.0} / {:.0} / {:.0} ms, queue {:.0} ms, lost {:.3}, \
         target {:.2} (mean {:.2}) Mb/s, keyframes {} asked for, {} made, {} recoveries, {} attempts, {:?}, first after {:.2} s",
        seen.fps(),
        seen.freezes,
        seen.frozen_s,
        seen.longest_gap_s * 1e3,
        seen.latency_ms(0.5),
        seen.latency_ms(0.95),
        seen.latency_ms(1.0),
        felt.queue_ms,
        felt.lost as f64 / felt.packets.max(1) as f64,
        report.target_mbps,
        report.mean_target_mbps,
        report.keyframe_requests,
        report.keyframes,
        report.recoveries,
        report.attempts,
        report.state,
        seen.first_s.unwrap_or(f64::NAN),
    )
}

impl Check {
    /// What is wrong, if anything is.
    fn fault(&self, report: &Report) -> Option<String> {
        let Report { seen, felt, .. } = report;
        let minutes = seen.seconds / 60.0;
        let most = |found: f64, limit: f64| (found > limit).then_some(found);
        let between = |found: f64, from: f64, to: f64| (!(from..=to).contains(&found)).then_some(found);
        let found = match *self {
            Self::Fps(least) => most(-seen.fps(), -least).map(|found| -found),
            Self::FrozenPerMinute(limit) => most(seen.frozen_s / minutes, limit),
            Self::Freezes(limit) => most(seen.freezes as f64, limit as f64),
            Self::LongestGap(limit) => most(seen.longest_gap_s * 1e3, limit),
            Self::Latency(quantile, limit) => most(seen.latency_ms(quantile), limit),
            Self::Queue(limit) => most(felt.queue_ms, limit),
            Self::Target(from, to) => between(report.target_mbps, from, to),
            Self::MeanTarget(from, to) => between(report.mean_target_mbps, from, to),
            Self::Share(from, to) => between(felt.bytes as f64 / report.all_bytes.max(1) as f64, from, to),
            Self::Lost(limit) => most(felt.lost as f64 / felt.packets.max(1) as f64, limit),
            Self::FirstWithin(limit) => most(seen.first_s.unwrap_or(f64::INFINITY), limit),
            Self::KeyframeRequests(limit) => most(report.keyframe_requests as f64 / minutes, limit),
            Self::Keyframes(limit) => most(report.keyframes as f64 / minutes, limit),
            Self::Attempts(limit) => most(report.attempts as f64, limit as f64),
            Self::State(wanted) => (report.state != wanted).then_some(f64::NAN),
        };
        found.map(|found| format!("{self:?}, but {found:.2}"))
    }
}
