//! The help overlay: the keys, in the middle of the window.

use super::super::canvas::{Block, Canvas};
use super::super::keys::KEYS;
use super::sign::BelowSign;
use super::{BRIGHT, Fonts, Overlays, PANEL, SOFT, set_visible, text};
use bevy::prelude::*;

/// Shows the keys while they are wanted.
pub struct HelpPlugin;

#[derive(Component)]
struct Root;

impl Plugin for HelpPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, spawn).add_systems(Update, follow);
    }
}

fn spawn(mut commands: Commands, fonts: Res<Fonts>) {
    let cover = Node {
        display: Display::None,
        position_type: PositionType::Absolute,
        top: vmin(0),
        width: percent(100),
        bottom: vmin(0),
        align_items: AlignItems::Center,
        justify_content: JustifyContent::Center,
        ..default()
    };
    let panel = Node {
        flex_direction: FlexDirection::Column,
        row_gap: vmin(1.6),
        padding: UiRect::axes(vmin(5), vmin(4)),
        border_radius: BorderRadius::all(vmin(2)),
        ..default()
    };
    let root = commands.spawn((Root, BelowSign(0.0), cover, GlobalZIndex(2))).id();
    let panel = commands.spawn((panel, Block, BackgroundColor(PANEL))).id();
    commands.entity(root).add_child(panel);
    let title = commands.spawn(text(&fonts.semi_bold, 5.0, BRIGHT, "Keys")).id();
    commands.entity(panel).add_child(title);
    for (key, does) in KEYS {
        let row = commands
            .spawn((
                Node { align_items: AlignItems::Baseline, ..default() },
                children![
                    (Node { width: vmin(20), ..default() }, children![text(&fonts.semi_bold, 4.2, BRIGHT, key)]),
                    text(&fonts.medium, 4.2, SOFT, does),
                ],
            ))
            .id();
        commands.entity(panel).add_child(row);
    }
}

fn follow(overlays: Res<Overlays>, mut canvas: ResMut<Canvas>, mut roots: Query<&mut Node, With<Root>>) {
    if overlays.is_changed()
        && let Ok(mut node) = roots.single_mut()
    {
        set_visible(&mut canvas, &mut node, overlays.help);
    }
}
