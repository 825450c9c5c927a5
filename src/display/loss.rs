//! What happens when the graphics device fails: it is opened again, but not for ever.

use super::canvas::Canvas;
use super::gpu::Gpu;
use super::{Error, Remedies};
use crate::ops::{Figures, panics};
use bevy::prelude::*;
use bevy::render::error_handler::{RenderError, RenderErrorHandler, RenderErrorPolicy};
use bevy::render::renderer::RenderDevice;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often within [`WITHIN`] a device is opened again before the supervisor shall restart the program.
const MOST: usize = 3;
const WITHIN: Duration = Duration::from_secs(10 * 60);
/// A driver that resets itself needs a moment.
const PAUSE: Duration = Duration::from_millis(500);

/// Decides whether a failed device is opened again.
#[derive(Debug, Default)]
pub struct Budget {
    attempts: VecDeque<Instant>,
}

/// What to do about a failed device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Open it again now.
    Recover,
    /// Ask again a little later.
    Wait,
    /// It is of no use.
    GiveUp,
}

impl Budget {
    /// What to do about a device that is broken at `now`. Counts if the answer is to recover.
    pub fn ask(&mut self, now: Instant) -> Verdict {
        while self.attempts.front().is_some_and(|at| now.saturating_duration_since(*at) > WITHIN) {
            self.attempts.pop_front();
        }
        if self.attempts.back().is_some_and(|last| now.saturating_duration_since(*last) < PAUSE) {
            return Verdict::Wait;
        }
        if self.attempts.len() >= MOST {
            return Verdict::GiveUp;
        }
        self.attempts.push_back(now);
        Verdict::Recover
    }
}

/// Why the display ended, if not because it was asked to.
#[derive(Resource, Clone, Default)]
pub struct Failure(Arc<Mutex<Option<Error>>>);

impl Failure {
    /// Takes the reason, if there is one.
    pub fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }

    fn set(&self, error: Error) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }
}

/// Recovers from device failures within a budget.
pub struct LossPlugin {
    /// Recoveries are counted here.
    pub figures: Arc<Figures>,
    /// The reason goes here when the budget is used up.
    pub failure: Failure,
    /// A new device may be asked for.
    pub remedies: Remedies,
}

#[derive(Resource)]
struct Losses {
    budget: Budget,
    figures: Arc<Figures>,
    remedies: Remedies,
}

impl Plugin for LossPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(self.failure.clone())
            .insert_resource(Losses {
                budget: Budget::default(),
                figures: self.figures.clone(),
                remedies: self.remedies.clone(),
            })
            .insert_resource(RenderErrorHandler(handle))
            .add_systems(First, give_up_device);
    }
}

/// Somebody has asked for a new device: the old one is lost from here on, and what follows is what follows any loss.
fn give_up_device(losses: Res<Losses>, device: Res<RenderDevice>) {
    if losses.remedies.take_device() {
        tracing::warn!("a new graphics device is asked for");
        device.wgpu_device().destroy();
        // The loss is told from inside this call; drawing on the device before that would be an error of ours. A driver that never comes out of
        // it is what the watchdog's last remedy is for. Where the driver itself says that the device is lost, wgpu panics, after it has
        // told the loss.
        let _ = panics::contained("wgpu", || device.poll(wgpu::PollType::wait_indefinitely()));
    }
}

/// Called by Bevy with each update for as long as the device is broken.
fn handle(error: &RenderError, main: &mut World, _render: &mut World) -> RenderErrorPolicy {
    let cause = || format!("{:?}: {}", error.ty, error.description.lines().next().unwrap_or("no details"));
    let verdict = main.resource_mut::<Losses>().budget.ask(Instant::now());
    if verdict == Verdict::Wait {
        return RenderErrorPolicy::StopRendering;
    }
    let opened = match verdict {
        Verdict::Recover => Gpu::open(),
        _ => Err(Error::Lost { times: MOST, minutes: WITHIN.as_secs() / 60, cause: cause() }),
    };
    match opened {
        Ok(gpu) => {
            tracing::warn!(cause = cause(), "the graphics device failed and was opened again");
            main.resource::<Losses>().figures.link.display_recoveries.one();
            if let Some(mut canvas) = main.get_resource_mut::<Canvas>() {
                canvas.touch();
            }
            RenderErrorPolicy::Recover(gpu.for_bevy())
        }
        Err(error) if verdict == Verdict::Recover => {
            tracing::warn!(%error, "the graphics device failed and cannot be opened yet");
            RenderErrorPolicy::StopRendering
        }
        Err(error) => {
            main.resource::<Failure>().set(error);
            main.write_message(AppExit::error());
            RenderErrorPolicy::StopRendering
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_keeps_failing_is_given_up() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        for n in 0..MOST as u64 {
            assert_eq!(budget.ask(at(n)), Verdict::Recover);
            assert_eq!(budget.ask(at(n) + Duration::from_millis(100)), Verdict::Wait);
        }
        assert_eq!(budget.ask(at(60)), Verdict::GiveUp);
    }

    #[test]
    fn failures_far_apart_are_survived_for_ever() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for day in 0..1000 {
            assert_eq!(budget.ask(start + Duration::from_secs(86_400 * day)), Verdict::Recover);
        }
    }
}
