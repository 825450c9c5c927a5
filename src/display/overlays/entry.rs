//! Paints the entry of another portal's code: simple, large, in the middle; this portal's own code goes on standing below it.

use super::super::canvas::{Block, Canvas};
use super::super::entry::Note;
use super::super::keys::Operator;
use super::{BRIGHT, FIELD, Fonts, Overlays, PANEL, SOFT, Shown, cover, panel, set_visible, text};
use crate::ops::Invitation;
use bevy::prelude::*;
use bevy::text::FontSize;

/// Shows the entry while it is wanted.
pub struct EntryPlugin;

/// Sizes in hundredths of the window's smaller side. The longest code (two digits, two words of eight letters) fits across a screen that stands upright.
const CODE: f32 = 6.4;
const LARGE: f32 = 4.6;
const SMALL: f32 = 3.9;
/// What is wrong.
const WRONG: Color = Color::srgb(0.96, 0.74, 0.36);

#[derive(Component)]
struct Root;

/// A piece of text that is written again when it changes.
#[derive(Component, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Typed,
    Rest,
    Note,
    Own,
}

impl Plugin for EntryPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, spawn).add_systems(Update, follow);
    }
}

fn spawn(mut commands: Commands, fonts: Res<Fonts>) {
    let root = commands.spawn((Root, cover(), GlobalZIndex(3))).id();
    let wide =
        Node { width: vmin(100), max_width: percent(98), max_height: percent(98), row_gap: vmin(1.6), ..panel() };
    let field = Node {
        padding: UiRect::axes(vmin(2.4), vmin(1.2)),
        border_radius: BorderRadius::all(vmin(1)),
        align_items: AlignItems::Baseline,
        ..default()
    };
    // As high as what is said at most, so that the panel does not jump with each key.
    let note = Node { min_height: vmin(4.0 * 1.25 * LARGE), ..default() };
    let wrapped = |piece, size| {
        (
            piece,
            Text::default(),
            TextFont { font: (&fonts.medium).into(), font_size: FontSize::VMin(size), ..default() },
            TextColor(SOFT),
            TextLayout::linebreak(LineBreak::WordBoundary),
        )
    };
    let panel = commands
        .spawn((
            wide,
            Block,
            BackgroundColor(PANEL),
            children![
                text(&fonts.semi_bold, 6.0, BRIGHT, "The other portal’s code"),
                (
                    field,
                    BackgroundColor(FIELD),
                    children![
                        (Piece::Typed, text(&fonts.semi_bold, CODE, BRIGHT, "")),
                        (Piece::Rest, text(&fonts.semi_bold, CODE, SOFT, "")),
                    ]
                ),
                (note, children![wrapped(Piece::Note, LARGE)]),
                wrapped(Piece::Own, SMALL),
                text(&fonts.medium, SMALL, SOFT, "Enter  pair     Esc  back"),
            ],
        ))
        .id();
    commands.entity(root).add_child(panel);
}

fn follow(
    (overlays, operator, shown): (Res<Overlays>, Res<Operator>, Res<Shown>),
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, With<Root>>,
    mut pieces: Query<(&Piece, &mut Text, &mut TextColor)>,
) {
    let Ok(mut root) = roots.single_mut() else { return };
    if !(overlays.is_changed() | operator.is_changed() | shown.is_changed()) {
        return;
    }
    set_visible(&mut canvas, &mut root, overlays.entry());
    if !overlays.entry() {
        return;
    }
    let (typed, rest) = operator.entry.text();
    let note = operator.entry.note(&shown.0.entered, &shown.0.waiting);
    for (piece, mut text, mut colour) in &mut pieces {
        let words = match piece {
            Piece::Typed => format!("{typed}|"),
            Piece::Rest => rest.to_owned(),
            Piece::Note => {
                colour.set_if_neq(TextColor(if matches!(note, Note::Wrong(_)) { WRONG } else { SOFT }));
                note.words().to_owned()
            }
            Piece::Own => match &shown.0.invitation {
                Some(Invitation::Code { code, .. }) => format!("This portal’s own code:  {code}"),
                Some(Invitation::Paused) | None => String::new(),
            },
        };
        text.set_if_neq(Text::new(words));
    }
    canvas.touch();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 300 pixels wide, as from three metres.
    #[test]
    fn everything_on_the_panel_is_large_enough_to_be_read() {
        for size in [CODE, LARGE, SMALL] {
            assert!(size / 100.0 * 1080.0 * 300.0 / 1920.0 >= 6.5, "{size}");
        }
    }
}
