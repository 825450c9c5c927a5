//! The sign of privacy, above a panel that hides the slate which says so: who stands there sees that the camera is off, whatever is open.

use super::super::canvas::{Block, Canvas};
use super::{BRIGHT, Fonts, Overlays, Shown, set_visible, text};
use crate::ops::Slate;
use bevy::prelude::*;

/// Shows the sign while it is needed, and moves the panels out of its way.
pub struct SignPlugin;

/// What it says: the first words of the slate of privacy.
const WORDS: &str = "Private: camera off";
/// In hundredths of the window's smaller side: the size of its words, and the room at the top that panels leave it.
const SIZE: f32 = 5.2;
const ROOM: f32 = 10.0;
/// The violet of the slate of privacy, bright enough to be seen beside a panel.
const VIOLET: Color = Color::srgb(0.33, 0.19, 0.50);

/// A panel's outermost node, which keeps clear of the sign. Its distance from the top, in hundredths of the window's smaller side, where
/// there is no sign.
#[derive(Component)]
pub struct BelowSign(pub f32);

#[derive(Component)]
struct Root;

impl Plugin for SignPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, spawn).add_systems(Update, follow);
    }
}

fn spawn(mut commands: Commands, fonts: Res<Fonts>) {
    let row = Node {
        display: Display::None,
        position_type: PositionType::Absolute,
        top: vmin(1.2),
        width: percent(100),
        justify_content: JustifyContent::Center,
        ..default()
    };
    let badge =
        Node { padding: UiRect::axes(vmin(4), vmin(1)), border_radius: BorderRadius::all(vmin(2)), ..default() };
    let words = text(&fonts.semi_bold, SIZE, BRIGHT, WORDS);
    // Above every panel.
    commands.spawn((Root, row, GlobalZIndex(5), children![(badge, Block, BackgroundColor(VIOLET), children![words])]));
}

/// Whether the slate of privacy is hidden.
fn is_needed(slate: Slate, overlays: &Overlays) -> bool {
    slate == Slate::Private && overlays.any()
}

fn follow(
    (shown, overlays): (Res<Shown>, Res<Overlays>),
    mut canvas: ResMut<Canvas>,
    mut signs: Query<&mut Node, (With<Root>, Without<BelowSign>)>,
    mut panels: Query<(&BelowSign, &mut Node)>,
) {
    if !shown.is_changed() && !overlays.is_changed() {
        return;
    }
    let Ok(mut sign) = signs.single_mut() else { return };
    let needed = is_needed(shown.0.slate, &overlays);
    if set_visible(&mut canvas, &mut sign, needed) {
        for (BelowSign(top), mut panel) in &mut panels {
            panel.top = vmin(if needed { top.max(ROOM) } else { *top });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_panel_hides_that_privacy_is_on() {
        for open in
            [Overlays::toggle_info, Overlays::toggle_help, Overlays::open_settings, |it: &mut Overlays| it.pin = true]
        {
            let mut overlays = Overlays::new(true, false);
            assert!(!is_needed(Slate::Private, &overlays), "the slate says it");
            open(&mut overlays);
            assert!(is_needed(Slate::Private, &overlays));
            assert!(!is_needed(Slate::Hidden, &overlays) && !is_needed(Slate::FarPrivate, &overlays));
        }
    }

    /// A window of 1920x1080, 300 pixels wide.
    #[test]
    fn the_sign_can_be_read_from_three_metres() {
        const { assert!(SIZE / 100.0 * 1080.0 * 300.0 / 1920.0 >= 8.0) };
    }
}
