//! Puts the display together and runs it.

use super::canvas::CanvasPlugin;
use super::gpu::Gpu;
use super::invitation::InvitationPlugin;
use super::keys::{Commands, KeysPlugin};
use super::loss::{Failure, LossPlugin};
use super::overlays::{Overlays, OverlaysPlugin};
use super::server::{Found, Server};
use super::slates::SlatesPlugin;
use super::stage::{Feed, StagePlugin};
use super::waiting::until_there;
use super::wake::{HandedOver, WakePlugin};
use super::window::WindowPlugin;
use super::witness::{self, Alarm, Outputs};
use super::{Config, Error, Live, Remedies, xlib};
use crate::media::{Eras, Frame, Waker, mailbox};
use crate::ops::{Command, Figures, View};
use bevy::app::{
    PanicHandlerPlugin, TaskPoolOptions, TaskPoolPlugin, TaskPoolThreadAssignmentPolicy, TerminalCtrlCHandlerPlugin,
};
use bevy::diagnostic::DiagnosticsPlugin;
use bevy::ecs::schedule::{Schedules, SingleThreadedExecutor};
use bevy::log::LogPlugin;
use bevy::prelude::*;
use bevy::render::pipelined_rendering::PipelinedRenderingPlugin;
use bevy::render::{RenderApp, RenderPlugin};
use bevy::window::ExitCondition;
use bevy::winit::WinitPlugin;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

/// All that the display needs from the rest of the portal.
#[derive(Debug)]
pub struct Inputs {
    /// The far end's decoded pictures. Whoever puts one there wakes `waker`.
    pub remote: mailbox::Receiver<Arc<Frame>>,
    /// One's own pictures, as the camera sees them; mirrored here. Whoever puts one there wakes `waker`.
    pub self_view: mailbox::Receiver<Arc<Frame>>,
    /// What is to be shown. Changes are followed by themselves.
    pub view: tokio::sync::watch::Receiver<View>,
    /// What is counted, and shown on the info overlay.
    pub figures: Arc<Figures>,
    /// Pictures of an earlier era are not shown.
    pub eras: Eras,
    /// Where keys that concern the portal go. Full: the key is lost.
    pub commands: crossbeam_channel::Sender<Command>,
    /// Connected to the display when it runs.
    pub waker: Waker,
    /// What is followed of the configuration, the one that [`run`] begins with included; who changes it wakes `waker`.
    pub live: tokio::sync::watch::Receiver<Live>,
    /// Set (and `waker` woken) to end the display from outside.
    pub stop: Arc<AtomicBool>,
    /// Rung when the window system is gone; [`run`] may never return then.
    pub alarm: Alarm,
    /// What may be asked of the display when it seems to stand still.
    pub remedies: Remedies,
    /// Whether a missing display is waited for. Else it is an error.
    pub patient: bool,
}

/// Shows pictures until it is asked to stop. Must be called on the main thread, and once in a process: so wants the window system.
///
/// Looks for a window system and a graphics driver first, and waits for them, or returns in one line what is missing.
pub fn run(config: Config, inputs: Inputs) -> Result<(), Error> {
    let look = || {
        let (found, start) = (Found::connect()?, Instant::now());
        // A window system may let us wait; a driver that does not come back is another thing.
        inputs.figures.pulse.driver.set(1);
        let gpu = Gpu::open();
        inputs.figures.pulse.driver.set(0);
        Ok((found, start, gpu?))
    };
    let Some((found, start, gpu)) = until_there(inputs.patient, &inputs.stop, &inputs.figures, look)? else {
        return Ok(());
    };
    let server = found.server;
    let adapter = gpu.adapter.get_info();
    tracing::info!(
        device = adapter.name,
        driver = format!("{} {}", adapter.driver, adapter.driver_info),
        window_system = ?server,
        "display"
    );
    let gpu_ms = start.elapsed().as_millis();
    let failure = Failure::default();
    if matches!(server, Server::X11 { .. }) {
        xlib::do_not_exit(inputs.alarm.clone(), server);
    }
    let outputs = witness::watch(found, inputs.alarm.clone(), inputs.waker.clone())?;
    // What Bevy or winit panic about nevertheless must not keep the portal from saying goodbye to the far end.
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let mut app = assemble(config, inputs, server, outputs, gpu, failure.clone());
        tracing::debug!(gpu_ms, app_ms = start.elapsed().as_millis(), "display assembled");
        app.run()
    }));
    match (failure.take(), ended) {
        (Some(error), _) => Err(error),
        (None, Ok(AppExit::Success)) => Ok(()),
        (None, Ok(AppExit::Error(code))) => Err(Error::Crashed { cause: format!("exit code {code}") }),
        (None, Err(panic)) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panic");
            Err(Error::Crashed { cause: text.lines().next().unwrap_or(text).to_owned() })
        }
    }
}

#[derive(Resource)]
struct Stop(Arc<AtomicBool>);

pub(super) fn assemble(
    config: Config,
    inputs: Inputs,
    server: Server,
    outputs: Outputs,
    gpu: Gpu,
    failure: Failure,
) -> App {
    let handed_over = HandedOver::default();
    let wake = WakePlugin::new(&inputs, handed_over.clone());
    let Inputs { remote, self_view, view, figures, eras, commands, live, stop, remedies, .. } = inputs;
    let feed = Feed {
        remote,
        self_view,
        view: view.clone(),
        figures: figures.clone(),
        eras,
        handed_over,
        remedies: remedies.clone(),
    };
    let overlays = Overlays::new(config.overlays, config.self_view);

    let mut app = App::new();
    let bevy = DefaultPlugins
        .build()
        // The program logs, handles signals and panics by itself.
        .disable::<LogPlugin>()
        .disable::<PanicHandlerPlugin>()
        .disable::<TerminalCtrlCHandlerPlugin>()
        .disable::<DiagnosticsPlugin>()
        // Rendering a picture while the next update runs would only make it older.
        .disable::<PipelinedRenderingPlugin>()
        .set(TaskPoolPlugin { task_pool_options: few_threads() })
        // Tests do not run on the main thread.
        .set(WinitPlugin { run_on_any_thread: cfg!(test) })
        .set(bevy::window::WindowPlugin {
            // Made when the monitors are known; and its loss is not the end.
            primary_window: None,
            exit_condition: ExitCondition::DontExit,
            close_when_requested: false,
            ..default()
        })
        .set(RenderPlugin {
            render_creation: gpu.for_bevy(),
            // Only the overlays' pipelines are Bevy's. Made at once, the first slate has its words from the start.
            synchronous_pipeline_compilation: true,
            ..default()
        });
    app.add_plugins(bevy)
        .insert_resource(Commands(commands))
        .insert_resource(Stop(stop))
        .insert_resource(Turns(figures.clone()))
        .add_systems(First, (turn, end))
        .add_plugins((
            wake,
            WindowPlugin {
                config: config.clone(),
                server,
                outputs,
                remedies: remedies.clone(),
                figures: figures.clone(),
            },
            CanvasPlugin { rotation: config.rotation() },
            OverlaysPlugin { view, figures: figures.clone(), live, overlays },
            SlatesPlugin { worded: config.overlays },
            InvitationPlugin,
            KeysPlugin,
            StagePlugin::new(feed, config),
            LossPlugin { figures: figures.clone(), failure, remedies },
            OneThreadPlugin,
        ));
    app
}

/// Counts the loop's turns: that they go on is the sign of life that a watchdog looks at.
#[derive(Resource)]
struct Turns(Arc<Figures>);

fn turn(turns: Res<Turns>) {
    turns.0.link.display_updates.one();
}

fn end(stop: Res<Stop>, mut exit: MessageWriter<AppExit>) {
    if stop.0.load(Relaxed) {
        exit.write(AppExit::Success);
    }
}

/// Hardly anything of Bevy's runs in parallel here: one thread of each kind, and no more memory for their stacks.
fn few_threads() -> TaskPoolOptions {
    let one = || TaskPoolThreadAssignmentPolicy {
        min_threads: 1,
        max_threads: 1,
        percent: 0.0,
        on_thread_spawn: None,
        on_thread_destroy: None,
    };
    TaskPoolOptions { min_total_threads: 1, max_total_threads: 3, io: one(), async_compute: one(), compute: one() }
}

/// Runs all systems on the main thread. There are hundreds of them and next to nothing to do in each: handing them to other threads costs
/// several times what they do.
struct OneThreadPlugin;

impl Plugin for OneThreadPlugin {
    fn build(&self, _: &mut App) {}

    fn cleanup(&self, app: &mut App) {
        let calm = |world: &mut World| {
            let mut schedules = world.resource_mut::<Schedules>();
            for (_, schedule) in schedules.iter_mut() {
                schedule.set_executor(SingleThreadedExecutor::new());
            }
        };
        calm(app.world_mut());
        if let Some(render) = app.get_sub_app_mut(RenderApp) {
            calm(render.world_mut());
        }
    }
}
