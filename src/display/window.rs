//! The window: on the right monitor, covering it if wanted, there again when the monitor comes back.

use super::Remedies;
use super::config::Config;
use super::fit::Extent;
use super::overlays::Followed;
use super::server::{Server, take_keyboard};
use super::witness::{Output, Outputs};
use crate::ops::Figures;
use bevy::prelude::*;
use bevy::window::{
    CursorOptions, Monitor, MonitorSelection, PrimaryMonitor, PrimaryWindow, RawHandleWrapper, WindowDestroyed,
    WindowMode, WindowPosition, WindowResolution,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes the window and keeps it where it belongs.
pub struct WindowPlugin {
    /// What is wanted.
    pub config: Config,
    /// Where it is made.
    pub server: Server,
    /// Where an X server's outputs are.
    pub outputs: Outputs,
    /// A new window may be asked for.
    pub remedies: Remedies,
    /// Windows are counted here.
    pub figures: Arc<Figures>,
}

/// Whether the window is to cover a monitor now. `F` toggles it.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fullscreen(bool);

impl Fullscreen {
    /// Covers the monitor, or stops covering it.
    pub fn toggle(&mut self) {
        self.0 = !self.0;
    }
}

#[derive(Resource)]
struct Wanted {
    config: Config,
    server: Server,
    outputs: Outputs,
    remedies: Remedies,
    figures: Arc<Figures>,
}

impl Plugin for WindowPlugin {
    fn build(&self, app: &mut App) {
        app.insert_resource(Fullscreen(self.config.fullscreen))
            .insert_resource(Wanted {
                config: self.config.clone(),
                server: self.server,
                outputs: self.outputs.clone(),
                remedies: self.remedies.clone(),
                figures: self.figures.clone(),
            })
            .add_systems(PreUpdate, give_up)
            .add_systems(Update, (follow.before(keep), keep, focus));
    }
}

/// Follows the configuration while it runs. A change of any of it is a wish for all of it: also what `F` had changed.
fn follow(live: Res<Followed>, mut wanted: ResMut<Wanted>, mut fullscreen: ResMut<Fullscreen>) {
    if live.is_changed() && wanted.bypass_change_detection().config != live.0.config {
        wanted.config = live.0.config.clone();
        fullscreen.0 = live.0.config.fullscreen;
    }
}

/// What of the window we decide; the rest is its owner's.
#[derive(Clone, Debug, PartialEq)]
struct Arrangement {
    mode: WindowMode,
    position: WindowPosition,
    size: UVec2,
    decorations: bool,
}

/// `output` is what the window covers where nobody manages windows.
fn arrange(
    config: &Config,
    fullscreen: bool,
    managed: bool,
    monitor: Option<Entity>,
    output: Option<&Output>,
) -> Arrangement {
    let windowed = || Arrangement {
        mode: WindowMode::Windowed,
        position: match (config.position_x, config.position_y) {
            (Some(x), Some(y)) => WindowPosition::At(IVec2::new(x, y)),
            _ => WindowPosition::Automatic,
        },
        size: UVec2::new(config.width, config.height),
        decorations: config.decorations,
    };
    // Without decorations: a compositor that lets programs draw their own (cage) takes their height off the picture even then.
    let covering =
        |monitor| Arrangement { mode: WindowMode::BorderlessFullscreen(monitor), decorations: false, ..windowed() };
    match (fullscreen, output, monitor) {
        (false, ..) => windowed(),
        // Nobody there to make us fullscreen: be a window of exactly the output's size, where the output is.
        (true, Some(output), _) if !managed => Arrangement {
            mode: WindowMode::Windowed,
            position: WindowPosition::At(output.position),
            size: UVec2::new(output.size.width, output.size.height),
            decorations: false,
        },
        (true, _, Some(entity)) => covering(MonitorSelection::Entity(entity)),
        (true, _, None) => covering(MonitorSelection::Primary),
    }
}

/// The monitor that the configuration means: by its whole name, a part of it, or its number; else the primary; else any.
fn choose<T>(wanted: &str, monitors: impl Iterator<Item = (T, Option<String>, bool)>) -> Option<T> {
    let mut monitors: Vec<_> = monitors.collect();
    let named = |matches: &dyn Fn(&str) -> bool| {
        monitors.iter().position(|(_, name, _)| name.as_deref().is_some_and(|name| !wanted.is_empty() && matches(name)))
    };
    let index = named(&|name| name == wanted)
        .or_else(|| wanted.parse().ok().filter(|index| *index < monitors.len()))
        .or_else(|| named(&|name| name.contains(wanted)))
        .or_else(|| monitors.iter().position(|(.., primary)| *primary))
        .unwrap_or(0);
    (index < monitors.len()).then(|| monitors.swap_remove(index).0)
}

/// A window that is gone, destroyed by somebody else, or not wanted any more makes room for the next.
fn give_up(
    mut commands: Commands,
    mut destroyed: MessageReader<WindowDestroyed>,
    wanted: Res<Wanted>,
    windows: Query<Entity, With<PrimaryWindow>>,
) {
    let destroyed: Vec<_> = destroyed.read().map(|message| message.window).collect();
    let asked = wanted.remedies.take_window();
    for window in &windows {
        if asked || destroyed.contains(&window) {
            tracing::warn!(asked, "the window is given up, another is made");
            commands.entity(window).despawn();
        }
    }
}

/// What X says of its outputs is newer than what winit knows of monitors, which stays as it was when their mode changes.
fn output(wanted: &Wanted, monitors: &Query<(Entity, &Monitor, Has<PrimaryMonitor>)>) -> Option<Output> {
    let outputs = wanted.outputs.now().unwrap_or_else(|| {
        let monitors = monitors.iter().map(|(_, monitor, primary)| Output {
            name: monitor.name.clone().unwrap_or_default(),
            position: monitor.physical_position,
            size: Extent::new(monitor.physical_width, monitor.physical_height),
            primary,
        });
        monitors.collect()
    });
    let names = |output: Output| {
        let (name, primary) = (output.name.clone(), output.primary);
        (output, Some(name), primary)
    };
    choose(&wanted.config.monitor, outputs.into_iter().map(names))
}

/// Makes the window if there is none (at the start; after its monitor went, which takes the window with it), and moves it when the
/// monitors or the wishes change.
fn keep(
    mut commands: Commands,
    wanted: Res<Wanted>,
    fullscreen: Res<Fullscreen>,
    monitors: Query<(Entity, &Monitor, Has<PrimaryMonitor>)>,
    new_monitors: Query<(), Added<Monitor>>,
    mut windows: Query<&mut Window, With<PrimaryWindow>>,
) {
    let config = &wanted.config;
    let changed = wanted.outputs.have_changed() || fullscreen.is_changed() || !new_monitors.is_empty();
    let window = windows.single_mut();
    if window.is_ok() && !changed {
        return;
    }
    let monitor = choose(
        &config.monitor,
        monitors.iter().map(|(entity, monitor, primary)| (entity, monitor.name.clone(), primary)),
    );
    let managed = wanted.server != Server::X11 { managed: false };
    let output = output(&wanted, &monitors);
    let now = arrange(config, fullscreen.0, managed, monitor, output.as_ref());
    let without_monitor = window.is_err() && monitors.is_empty();
    wanted.figures.link.display_without_monitor.set(without_monitor.into());
    match window {
        Ok(mut window) => {
            window.mode = now.mode;
            window.decorations = now.decorations;
            if now.mode == WindowMode::Windowed {
                window.position = now.position;
                window.resolution.set_physical_resolution(now.size.x, now.size.y);
            }
        }
        Err(_) if without_monitor => {} // A window without a monitor has no size: wait for one.
        Err(_) => {
            let name = output.map_or_else(|| "unnamed".to_owned(), |output| output.name);
            tracing::info!(monitor = name, fullscreen = fullscreen.0, "window");
            let window = Window {
                title: "Screen Portal".to_owned(),
                name: Some("screen-portal".to_owned()),
                mode: now.mode,
                position: now.position,
                // Pixels are pixels: what is shown is laid out in hundredths of the window anyway.
                resolution: WindowResolution::new(now.size.x, now.size.y).with_scale_factor_override(1.0),
                decorations: now.decorations,
                ..default()
            };
            let cursor = CursorOptions { visible: !config.hide_cursor, ..default() };
            commands.spawn((window, PrimaryWindow, cursor));
            wanted.figures.link.display_windows.one();
        }
    }
}

/// For how long the keyboard is asked for: a window is on the screen within a few updates, if the machine is not busy.
const FOCUS_PATIENCE: Duration = Duration::from_secs(10);

/// Without a window manager nobody gives a window the keyboard.
fn focus(
    wanted: Res<Wanted>,
    mut until: Local<Option<Instant>>,
    windows: Query<Ref<RawHandleWrapper>, With<PrimaryWindow>>,
) {
    if wanted.server != (Server::X11 { managed: false }) {
        return;
    }
    let Ok(window) = windows.single() else { return };
    let now = Instant::now();
    if window.is_added() {
        *until = now.checked_add(FOCUS_PATIENCE);
    }
    if let Some(end) = *until
        && (now > end || take_keyboard(&window))
    {
        *until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_window_manager_the_window_is_the_output() {
        let (config, entity) = (Config::default(), Entity::PLACEHOLDER);
        let output = Output {
            name: "HDMI-1".to_owned(),
            position: IVec2::new(1280, 0),
            size: Extent::new(1920, 1080),
            primary: true,
        };
        let bare = arrange(&config, true, false, Some(entity), Some(&output));
        assert_eq!((bare.mode, bare.decorations), (WindowMode::Windowed, false));
        assert_eq!(bare.position, WindowPosition::At(IVec2::new(1280, 0)));
        assert_eq!(bare.size, UVec2::new(1920, 1080));
        let managed = arrange(&config, true, true, Some(entity), Some(&output));
        let fullscreen = WindowMode::BorderlessFullscreen(MonitorSelection::Entity(entity));
        assert_eq!((managed.mode, managed.decorations), (fullscreen, false));
        let windowed = arrange(&config, false, true, Some(entity), Some(&output));
        assert_eq!((windowed.mode, windowed.size), (WindowMode::Windowed, UVec2::new(1280, 720)));
    }

    #[test]
    fn monitors_are_found_by_name_number_or_rank() {
        let choose = |wanted: &str| {
            let name = |name: &str| Some(name.to_owned());
            choose(wanted, [(0, name("eDP-1"), false), (1, name("HDMI-1"), true), (2, None, false)].into_iter())
        };
        assert_eq!(choose(""), Some(1), "the primary one");
        assert_eq!(choose("eDP-1"), Some(0));
        assert_eq!(choose("HDMI"), Some(1));
        assert_eq!(choose("2"), Some(2));
        assert_eq!(choose("DP-9"), Some(1), "one that is gone falls back to the primary");
        assert_eq!(super::choose::<u8>("", std::iter::empty()), None);
    }
}
