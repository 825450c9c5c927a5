//! What is said in the lower left corner: that a camera is covered or gives nothing, and which camera is in use when
//! somebody asks.

use super::super::canvas::{Block, Canvas};
use super::{BRIGHT, Fonts, Overlays, PANEL, Shown, set_visible};
use crate::ops::{CameraState, View, notice};
use bevy::prelude::*;
use bevy::text::FontSize;
use std::time::Duration;

/// How long the camera's name stays after the key.
const NAMED_FOR: Duration = Duration::from_secs(4);
/// Characters of it that fit.
const LONGEST: usize = 60;

/// Shows the notice while there is one.
pub struct NoticePlugin;

#[derive(Component)]
struct Root;
#[derive(Component)]
struct Line;

impl Plugin for NoticePlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, spawn).add_systems(Update, follow);
    }
}

fn spawn(mut commands: Commands, fonts: Res<Fonts>) {
    let panel = Node {
        display: Display::None,
        position_type: PositionType::Absolute,
        left: vmin(3),
        bottom: vmin(3),
        max_width: percent(60),
        padding: UiRect::axes(vmin(2.4), vmin(1.6)),
        border_radius: BorderRadius::all(vmin(1.6)),
        ..default()
    };
    // As large as what can be read from three metres, in as many lines as leave our own picture in the other corner
    // free.
    let line = (
        Line,
        Text::default(),
        TextFont { font: (&fonts.medium).into(), font_size: FontSize::VMin(5.0), ..default() },
        TextColor(BRIGHT),
        TextLayout::linebreak(LineBreak::WordBoundary),
    );
    commands.spawn((Root, Block, panel, BackgroundColor(PANEL), children![line]));
}

fn follow(
    shown: Res<Shown>,
    overlays: Res<Overlays>,
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, With<Root>>,
    mut lines: Query<&mut Text, With<Line>>,
    mut said: Local<Option<String>>,
) {
    let asked = overlays.camera_asked().is_some_and(|at| at.elapsed() < NAMED_FOR);
    let now = words(&shown.0, asked).filter(|_| !overlays.any());
    if *said == now {
        return;
    }
    let (Ok(mut root), Ok(mut line)) = (roots.single_mut(), lines.single_mut()) else { return };
    set_visible(&mut canvas, &mut root, now.is_some());
    line.0 = now.clone().unwrap_or_default();
    *said = now;
    canvas.touch();
}

/// What is said; `asked`: somebody wants to know which camera is in use.
fn words(view: &View, asked: bool) -> Option<String> {
    let camera = match &view.camera {
        _ if !asked => None,
        CameraState::Running { description } | CameraState::Covered { description } => Some(cut(description)),
        CameraState::Starting => Some("Camera: being opened".to_owned()),
        CameraState::Missing { .. } => Some("Camera: none gives pictures".to_owned()),
        CameraState::Private => Some("Camera: off".to_owned()),
    };
    let lines: Vec<String> = [camera, notice(view)].into_iter().flatten().collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn cut(description: &str) -> String {
    let name: String = description.chars().take(LONGEST).collect();
    let rest = if description.chars().count() > LONGEST { "…" } else { "" };
    format!("Camera: {name}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_camera_is_named_for_a_moment_only() {
        let camera = CameraState::Running { description: format!("Door Cam ({})", "x".repeat(200)) };
        let view = View { camera, ..View::default() };
        assert_eq!(words(&view, false), None);
        let said = words(&view, true).unwrap();
        assert!(said.starts_with("Camera: Door Cam (") && said.chars().count() < 75, "{said}");
        let missing = CameraState::Missing { reason: "unplugged".into() };
        assert_eq!(words(&View { camera: missing, ..View::default() }, true).unwrap().lines().count(), 2);
    }
}
