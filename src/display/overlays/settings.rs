//! Paints the settings page and the entry of the PIN: simple, large, in the middle.

use super::super::canvas::{Block, Canvas};
use super::super::keys::Operator;
use super::sign::BelowSign;
use super::{BRIGHT, FIELD, Followed, Fonts, Overlays, PANEL, SOFT, Shown, cover, panel, set_visible, text};
use bevy::prelude::*;
use bevy::text::FontSize;
use std::time::Instant;

/// Shows the page, and asks for the PIN, while they are wanted.
pub struct SettingsPlugin;

/// Lines of the page, and of the small print below it.
const LINES: usize = 7;
const NOTES: usize = 5;
/// Sizes of the page's text in hundredths of the window's smaller side: readable from where people stand.
const LARGE: f32 = 4.6;
const SMALL: f32 = 3.9;

#[derive(Component)]
struct PageRoot;
#[derive(Component)]
struct PinRoot;

/// A piece of text that is written again when it changes.
#[derive(Component, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Title(usize),
    Value(usize),
    Note(usize),
    Pin,
    PinNote,
}

/// The strip behind a line that says that it is the chosen one.
#[derive(Component)]
struct Strip(usize);

/// What takes room only while it says something: a line, or one of the small print.
#[derive(Component)]
enum Row {
    Line(usize),
    Note(usize),
}

impl Plugin for SettingsPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, (spawn_page, spawn_pin)).add_systems(Update, (follow_page, follow_pin));
    }
}

fn spawn_page(mut commands: Commands, fonts: Res<Fonts>) {
    let root = commands.spawn((PageRoot, BelowSign(0.0), cover(), GlobalZIndex(3))).id();
    // On a screen that stands upright it takes the width that there is.
    let wide = Node {
        width: vmin(150),
        max_width: percent(98),
        max_height: percent(98),
        row_gap: vmin(0.5),
        padding: UiRect::axes(vmin(4), vmin(2)),
        ..panel()
    };
    let page = commands.spawn((wide, Block, BackgroundColor(PANEL))).id();
    commands.entity(root).add_child(page);
    // The keys beside the title, or below it where there is no room. One text: as four in a row the last one fell under the first line of
    // settings, for want of a fraction of a pixel.
    let head = Node {
        flex_wrap: FlexWrap::Wrap,
        align_items: AlignItems::Baseline,
        justify_content: JustifyContent::SpaceBetween,
        margin: UiRect::axes(vmin(2), vmin(0.5)),
        ..default()
    };
    let keys = text(&fonts.medium, SMALL, SOFT, "↑ ↓  choose    ← →  change    Enter  edit    Esc  close");
    let head = commands.spawn((head, children![text(&fonts.semi_bold, 6.0, BRIGHT, "Settings"), keys])).id();
    commands.entity(page).add_child(head);
    for line in 0..LINES {
        let strip =
            Node { padding: UiRect::axes(vmin(2), vmin(0.6)), border_radius: BorderRadius::all(vmin(1)), ..default() };
        let strip = commands
            .spawn((
                (Strip(line), Row::Line(line)),
                strip,
                BackgroundColor(Color::NONE),
                children![
                    (
                        Node { width: vmin(31), flex_shrink: 0.0, ..default() },
                        children![(Piece::Title(line), text(&fonts.medium, LARGE, SOFT, ""))]
                    ),
                    (
                        Node { flex_grow: 1.0, flex_basis: px(0), min_width: px(0), ..default() },
                        children![(Piece::Value(line), wrapped(&fonts.semi_bold, LARGE, BRIGHT))]
                    ),
                ],
            ))
            .id();
        commands.entity(page).add_child(strip);
    }
    for note in 0..NOTES {
        let words = (Piece::Note(note), wrapped(&fonts.medium, SMALL, SOFT));
        let node = Node { margin: UiRect::left(vmin(2)), ..default() };
        let note = commands.spawn((Row::Note(note), node, children![words])).id();
        commands.entity(page).add_child(note);
    }
}

/// A text that takes further lines where it is long: between words if it can, else anywhere, for addresses have none.
fn wrapped(font: &Handle<Font>, size: f32, color: Color) -> impl Bundle + use<> {
    (
        Text::default(),
        TextFont { font: font.into(), font_size: FontSize::VMin(size), ..default() },
        TextColor(color),
        TextLayout::linebreak(LineBreak::WordOrCharacter),
    )
}

fn spawn_pin(mut commands: Commands, fonts: Res<Fonts>) {
    let root = commands.spawn((PinRoot, BelowSign(0.0), cover(), GlobalZIndex(4))).id();
    let centred = Node { align_items: AlignItems::Center, min_width: vmin(60), row_gap: vmin(2), ..panel() };
    let panel = commands
        .spawn((
            centred,
            Block,
            BackgroundColor(PANEL),
            children![
                text(&fonts.semi_bold, 6.0, BRIGHT, "PIN"),
                (Piece::Pin, text(&fonts.semi_bold, 9.0, BRIGHT, "")),
                (Piece::PinNote, text(&fonts.medium, LARGE, SOFT, "")),
            ],
        ))
        .id();
    commands.entity(root).add_child(panel);
}

fn follow_page(
    (overlays, operator): (Res<Overlays>, Res<Operator>),
    (live, shown): (Res<Followed>, Res<Shown>),
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, With<PageRoot>>,
    mut pieces: Query<(&Piece, &mut Text)>,
    mut strips: Query<(&Strip, &mut BackgroundColor)>,
    mut rows: Query<(&Row, &mut Node), Without<PageRoot>>,
) {
    let Ok(mut root) = roots.single_mut() else { return };
    let changed = overlays.is_changed() | operator.is_changed() | live.is_changed() | shown.is_changed();
    if !changed {
        return;
    }
    set_visible(&mut canvas, &mut root, overlays.settings());
    if !overlays.settings() {
        return;
    }
    let (lines, notes) = (operator.page.lines(&live.0, &shown.0), operator.page.notes(&live.0));
    for (piece, mut text) in &mut pieces {
        let words = match *piece {
            Piece::Title(n) => lines.get(n).map(|line| line.title.to_owned()),
            Piece::Value(n) => lines.get(n).map(|line| line.value.clone()),
            Piece::Note(n) => notes.get(n).cloned(),
            Piece::Pin | Piece::PinNote => continue,
        };
        text.set_if_neq(Text::new(words.unwrap_or_default()));
    }
    for (Strip(n), mut colour) in &mut strips {
        let chosen = lines.get(*n).is_some_and(|line| line.is_chosen);
        colour.set_if_neq(BackgroundColor(if chosen { FIELD.lighter(0.08) } else { Color::NONE }));
    }
    for (row, mut node) in &mut rows {
        let says_something = match *row {
            Row::Line(n) => n < lines.len(),
            Row::Note(n) => n < notes.len(),
        };
        set_visible(&mut canvas, &mut node, says_something);
    }
    canvas.touch();
}

/// Places of the mark that moves.
const PLACES: u32 = 5;

/// What is seen of the entry of a PIN: a mark that goes one place on with each key that is taken, and from entry to
/// entry. The operator sees that a key has arrived; a passer-by, or a photograph, sees neither how many digits stand
/// there nor how many there are. Nor does who tries for himself: an entry is judged when Enter ends it, however long it is.
fn row(taken: u32) -> String {
    let places = (0..PLACES).map(|n| if n == taken % PLACES { "●" } else { "○" });
    places.collect::<Vec<_>>().join(" ")
}

fn follow_pin(
    mut operator: ResMut<Operator>,
    mut overlays: ResMut<Overlays>,
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, With<PinRoot>>,
    mut pieces: Query<(&Piece, &mut Text)>,
) {
    let Ok(mut root) = roots.single_mut() else { return };
    let now = Instant::now();
    let asking = operator.bypass_change_detection().lock.is_asking(now);
    if overlays.pin != asking {
        overlays.pin = asking;
    }
    set_visible(&mut canvas, &mut root, asking);
    if !asking {
        return;
    }
    let note = match operator.lock.pause(now) {
        Some(left) => format!("Too many wrong entries: wait {} s", left.as_secs() + 1),
        None if operator.was_wrong => "That was not it".to_owned(),
        None => "The digits, then Enter; Esc to leave".to_owned(),
    };
    for (piece, mut text) in &mut pieces {
        let words = match piece {
            Piece::Pin => row(operator.lock.taken()),
            Piece::PinNote => note.clone(),
            _ => continue,
        };
        if text.set_if_neq(Text::new(words)) {
            canvas.touch();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 300 pixels wide, as from three metres.
    #[test]
    fn everything_on_the_page_is_large_enough_to_be_read() {
        for size in [LARGE, SMALL] {
            assert!(size / 100.0 * 1080.0 * 300.0 / 1920.0 >= 6.5, "{size}");
        }
    }

    #[test]
    fn each_key_moves_the_mark_and_the_row_stays_as_long() {
        for taken in (0..20).chain([u32::MAX - 1]) {
            let (now, next) = (row(taken), row(taken + 1));
            assert_ne!(now, next, "a key that is taken is seen");
            assert_eq!((now.matches('●').count(), now.chars().count()), (1, next.chars().count()));
        }
    }
}
