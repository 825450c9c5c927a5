//! Paints the settings page and the entry of the PIN: simple, large, in the middle.

use super::super::canvas::{Block, Canvas};
use super::super::keys::Operator;
use super::{BRIGHT, FIELD, Followed, Fonts, Overlays, PANEL, SOFT, set_visible, text};
use bevy::prelude::*;
use bevy::text::FontSize;
use std::time::Instant;

/// Shows the page, and asks for the PIN, while they are wanted.
pub struct SettingsPlugin;

/// Lines of the page, and of the small print below it.
const LINES: usize = 6;
const NOTES: usize = 4;
/// Size of the page's text in hundredths of the window's smaller side: readable from where people stand.
const LARGE: f32 = 4.6;

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

impl Plugin for SettingsPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Startup, (spawn_page, spawn_pin)).add_systems(Update, (follow_page, follow_pin));
    }
}

fn cover() -> Node {
    Node {
        display: Display::None,
        position_type: PositionType::Absolute,
        width: percent(100),
        height: percent(100),
        align_items: AlignItems::Center,
        justify_content: JustifyContent::Center,
        ..default()
    }
}

fn panel() -> Node {
    Node {
        flex_direction: FlexDirection::Column,
        row_gap: vmin(0.8),
        padding: UiRect::axes(vmin(5), vmin(4)),
        border_radius: BorderRadius::all(vmin(2)),
        overflow: Overflow::clip(),
        ..default()
    }
}

fn spawn_page(mut commands: Commands, fonts: Res<Fonts>) {
    let root = commands.spawn((PageRoot, cover(), GlobalZIndex(3))).id();
    let wide = Node { width: vmin(98), ..panel() };
    let page = commands.spawn((wide, Block, BackgroundColor(PANEL))).id();
    commands.entity(root).add_child(page);
    let title = commands.spawn(text(&fonts.semi_bold, 6.0, BRIGHT, "Settings")).id();
    commands.entity(page).add_child(title);
    for line in 0..LINES {
        let strip =
            Node { padding: UiRect::axes(vmin(2), vmin(1)), border_radius: BorderRadius::all(vmin(1)), ..default() };
        let strip = commands
            .spawn((
                Strip(line),
                strip,
                BackgroundColor(Color::NONE),
                children![
                    (
                        Node { width: vmin(31), flex_shrink: 0.0, ..default() },
                        children![(Piece::Title(line), text(&fonts.medium, LARGE, SOFT, ""))]
                    ),
                    (Piece::Value(line), text(&fonts.semi_bold, LARGE, BRIGHT, "")),
                ],
            ))
            .id();
        commands.entity(page).add_child(strip);
    }
    for note in 0..NOTES {
        let note = commands
            .spawn((
                Node { margin: UiRect::left(vmin(2)), ..default() },
                children![(
                    Piece::Note(note),
                    Text::default(),
                    TextFont { font: (&fonts.medium).into(), font_size: FontSize::VMin(2.9), ..default() },
                    TextColor(SOFT),
                    TextLayout::linebreak(LineBreak::WordBoundary),
                )],
            ))
            .id();
        commands.entity(page).add_child(note);
    }
    let keys = text(&fonts.medium, 2.9, SOFT, "↑ ↓  choose     ← →  change     Enter  edit     Esc  close");
    let keys = commands.spawn((Node { margin: UiRect::all(vmin(2)), ..default() }, children![keys])).id();
    commands.entity(page).add_child(keys);
}

fn spawn_pin(mut commands: Commands, fonts: Res<Fonts>) {
    let root = commands.spawn((PinRoot, cover(), GlobalZIndex(4))).id();
    let centred = Node { align_items: AlignItems::Center, min_width: vmin(60), row_gap: vmin(2), ..panel() };
    let panel = commands
        .spawn((
            centred,
            Block,
            BackgroundColor(PANEL),
            children![
                text(&fonts.semi_bold, 6.0, BRIGHT, "PIN"),
                (Piece::Pin, text(&fonts.semi_bold, 9.0, BRIGHT, "")),
                (Piece::PinNote, text(&fonts.medium, 3.6, SOFT, "")),
            ],
        ))
        .id();
    commands.entity(root).add_child(panel);
}

fn follow_page(
    overlays: Res<Overlays>,
    operator: Res<Operator>,
    live: Res<Followed>,
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, With<PageRoot>>,
    mut pieces: Query<(&Piece, &mut Text)>,
    mut strips: Query<(&Strip, &mut BackgroundColor)>,
) {
    let Ok(mut root) = roots.single_mut() else { return };
    let changed = overlays.is_changed() | operator.is_changed() | live.is_changed();
    if !changed {
        return;
    }
    set_visible(&mut canvas, &mut root, overlays.settings());
    if !overlays.settings() {
        return;
    }
    let (lines, notes) = (operator.page.lines(&live.0), operator.page.notes(&live.0));
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
    canvas.touch();
}

fn follow_pin(
    mut operator: ResMut<Operator>,
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, With<PinRoot>>,
    mut pieces: Query<(&Piece, &mut Text)>,
) {
    let Ok(mut root) = roots.single_mut() else { return };
    let now = Instant::now();
    let asking = operator.bypass_change_detection().lock.is_asking(now);
    set_visible(&mut canvas, &mut root, asking);
    if !asking {
        return;
    }
    let (entered, digits) = operator.lock.entered();
    let dots: Vec<&str> = (0..digits).map(|n| if n < entered { "●" } else { "○" }).collect();
    let note = match operator.lock.pause(now) {
        Some(left) => format!("Too many wrong entries: wait {} s", left.as_secs() + 1),
        None if operator.was_wrong => "That was not it".to_owned(),
        None => "Enter the digits; Esc to leave".to_owned(),
    };
    for (piece, mut text) in &mut pieces {
        let words = match piece {
            Piece::Pin => dots.join(" "),
            Piece::PinNote => note.clone(),
            _ => continue,
        };
        if text.set_if_neq(Text::new(words)) {
            canvas.touch();
        }
    }
}
