//! Slates: what is seen instead of the far end, legible and calm from across a street.

use super::canvas::{Block, Canvas};
use super::fit::Extent;
use super::invitation;
use super::overlays::{Followed, Fonts, Overlays, Shown};
use super::painter::Backdrop;
use crate::operator;
use crate::ops::{EnteredCode, Invitation, Slate, View};
use bevy::prelude::*;
use bevy::text::FontSize;
use bevy::winit::WinitSettings;
use std::time::Duration;

/// What a slate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// One short line, very large.
    pub title: String,
    /// One or two lines, large.
    pub text: String,
}

/// What the slate of this view says, where the keys are used so; `None` when there is none.
pub fn words(view: &View, operator: &operator::Config) -> Option<Words> {
    let far = view.far_site.as_deref();
    let them = far.unwrap_or("The other side");
    let (title, text) = match view.slate {
        Slate::Hidden => return None,
        Slate::Connecting => {
            let title = far.map_or_else(|| "Connecting".to_owned(), |far| format!("Connecting to {far}"));
            (title, "The picture appears by itself.".to_owned())
        }
        Slate::NotPaired => match (&view.invitation, &view.entered) {
            (_, EnteredCode::Paired(words)) => ("Paired".to_owned(), format!("Both screens say: {words}")),
            (Some(Invitation::Code { code, .. }), _) => {
                let press = if operator.hold { "hold" } else { "press" };
                let text = format!(
                    "Not paired yet. At the other portal press Enter and type this code. Or {press} Enter here and type the code shown there."
                );
                (code.clone(), text)
            }
            (Some(Invitation::Paused), _) => (
                "Not paired yet".to_owned(),
                "Too many wrong codes were tried. A new one appears here within the hour.".to_owned(),
            ),
            (None, _) => (
                "Not paired yet".to_owned(),
                "Run “screen-portal pair” here, and enter the code at the other portal.".to_owned(),
            ),
        },
        Slate::NoFarEnd => {
            (format!("{them} is out of reach"), "We keep looking. The picture comes back by itself.".to_owned())
        }
        Slate::FarCameraMissing => (
            format!("{them}: no picture"),
            "Their camera gives none at the moment. The connection stands; the picture comes back by itself."
                .to_owned(),
        ),
        Slate::FarPrivate => {
            (format!("{them} is private"), "They have switched their camera off for a while.".to_owned())
        }
        Slate::FarOff => (format!("{them} is off"), "It said goodbye, and will be here when it is back.".to_owned()),
        Slate::Paused => {
            ("One moment".to_owned(), format!("The picture from {} is paused.", far.unwrap_or("the other side")))
        }
        Slate::Closed => {
            let text = view.opening.clone().unwrap_or_else(|| "The picture comes back by itself.".to_owned());
            ("Closed".to_owned(), text)
        }
        Slate::Private => {
            let press = if operator.hold { "Hold" } else { "Press" };
            let then = if operator.pin.is_set() { " and enter the PIN" } else { "" };
            let text = format!("Camera off: nothing is shown, nothing is sent. {press} P{then} to end it.");
            ("Private".to_owned(), text)
        }
    };
    Some(Words { title, text })
}

/// How long the light takes for its round.
const ROUND: Duration = Duration::from_secs(60);

/// The background of a slate, `since` the display started: dark, so that a wall of it does not light the room; each
/// kind in its colour.
pub fn backdrop(slate: Slate, since: Duration) -> Backdrop {
    let (top, bottom, light) = match slate {
        Slate::Hidden | Slate::Connecting | Slate::Paused => (0x0b1c2c, 0x0a2f3a, 0x2fa5a0),
        Slate::NotPaired => (0x1d1a14, 0x33240f, 0xd9963a),
        Slate::NoFarEnd | Slate::FarCameraMissing => (0x10182c, 0x1a2748, 0x5b7fd6),
        Slate::FarOff | Slate::Closed => (0x14161c, 0x202531, 0x707d99),
        Slate::FarPrivate | Slate::Private => (0x1a1228, 0x2a1a3e, 0xa06fce),
    };
    let round = (since.as_secs_f32() / ROUND.as_secs_f32()).fract() * std::f32::consts::TAU;
    // A flat figure of eight in the right half, away from the words; it breathes four times a round.
    let centre = [0.74 + 0.16 * round.sin(), 0.46 + 0.18 * (2.0 * round).sin()];
    Backdrop {
        top: rgb(top),
        bottom: rgb(bottom),
        light: rgb(light),
        strength: 0.42 + 0.10 * (4.0 * round).sin(),
        centre,
        radius: 1.05,
        brightness: 1.0,
    }
}

fn rgb(hex: u32) -> [f32; 3] {
    [16, 8, 0].map(|shift| ((hex >> shift) & 0xff) as f32 / 255.0)
}

/// Keeps the words of the slate.
pub struct SlatesPlugin {
    /// Without words, only the background is shown.
    pub worded: bool,
}

/// A part of the slate that changes with what is said.
#[derive(Component, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All of it.
    Root,
    /// The words below each other.
    Column,
    Title,
    Line,
    /// Who else waits to be paired.
    Others,
}
/// The name of this place.
#[derive(Component)]
struct Place;

impl Plugin for SlatesPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Update, pace);
        if self.worded {
            app.add_systems(Startup, spawn).add_systems(Update, (follow, name));
        }
    }
}

const BRIGHT: Color = Color::srgb(0.95, 0.97, 0.98);
const SOFT: Color = Color::srgba(0.90, 0.94, 0.97, 0.74);
const FAINT: Color = Color::srgba(0.90, 0.94, 0.97, 0.62);

/// Sizes of the words in hundredths of the window's smaller side.
const TITLE: f32 = 12.0;
const LINE: f32 = 5.8;
/// The name of this place is the least of them, and still read from across a street.
const PLACE: f32 = 5.2;

fn spawn(mut commands: Commands, fonts: Res<Fonts>) {
    let text = |font: &Handle<Font>, size, color| {
        (
            Text::default(),
            TextFont { font: font.into(), font_size: FontSize::VMin(size), ..default() },
            TextColor(color),
            TextLayout::linebreak(LineBreak::WordBoundary),
        )
    };
    let place = (
        Node {
            position_type: PositionType::Absolute,
            left: vmin(9),
            top: vmin(8),
            max_width: percent(82),
            ..default()
        },
        Block,
        text(&fonts.medium, PLACE, FAINT),
    );
    let words = (
        Node {
            flex_direction: FlexDirection::Column,
            row_gap: vmin(3),
            max_width: percent(88),
            padding: UiRect::vertical(vmin(1)),
            ..default()
        },
        Block,
        Part::Column,
        children![
            (Part::Title, text(&fonts.semi_bold, TITLE, BRIGHT)),
            (Part::Line, text(&fonts.medium, LINE, SOFT)),
            (Part::Others, text(&fonts.medium, invitation::LINE, FAINT)),
        ],
    );
    let root = Node {
        display: Display::None,
        position_type: PositionType::Absolute,
        width: percent(100),
        height: percent(100),
        padding: UiRect::horizontal(vmin(9)),
        align_items: AlignItems::Center,
        ..default()
    };
    let root = commands.spawn((Part::Root, root)).id();
    let place = commands.spawn(place).insert(Place).id();
    let words = commands.spawn(words).id();
    let code = commands.spawn(invitation::place()).id();
    commands.entity(root).add_children(&[place, words, code]);
}

/// What is said, and the canvas that it is laid out for where there is a code beside it.
#[derive(Clone, Debug, PartialEq)]
struct Said {
    words: Words,
    others: String,
    beside: Option<Extent>,
}

fn follow(
    (shown, live, overlays): (Res<Shown>, Res<Followed>, Res<Overlays>),
    mut canvas: ResMut<Canvas>,
    mut nodes: Query<(&Part, &mut Node)>,
    mut texts: Query<(&Part, &mut Text, &mut TextFont)>,
    mut said: Local<Option<Said>>,
) {
    let beside = invitation::command(&shown.0).map(|_| canvas.size());
    let resized = said.as_ref().is_some_and(|said| said.beside != beside);
    if !shown.is_changed() && !live.is_changed() && !overlays.is_changed() && !resized {
        return;
    }
    let now = words(&shown.0, &live.0.operator).filter(|_| !overlays.any()).map(|words| {
        let others = beside.and_then(|_| invitation::others(&shown.0)).unwrap_or_default();
        Said { words, others, beside }
    });
    if *said == now {
        return;
    }
    let layout = now
        .as_ref()
        .and_then(|now| now.beside.map(|canvas| invitation::layout(canvas, now.words.title.chars().count())));
    for (part, mut node) in &mut nodes {
        match part {
            Part::Root => lay_out(&mut node, now.is_some(), layout.is_some_and(|it| it.below)),
            Part::Column => {
                (node.width, node.max_width) =
                    layout.map_or((Val::Auto, percent(88)), |it| (vmin(it.width), percent(100)));
            }
            Part::Others => {
                let is_said = now.as_ref().is_some_and(|now| !now.others.is_empty());
                node.display = if is_said { Display::Flex } else { Display::None };
            }
            Part::Title | Part::Line => {}
        }
    }
    if let Some(now) = &now {
        for (part, mut text, mut font) in &mut texts {
            let (words, size) = match part {
                Part::Title => (&now.words.title, layout.map_or(TITLE, |it| it.title)),
                Part::Line => (&now.words.text, if layout.is_some() { invitation::LINE } else { LINE }),
                Part::Others => (&now.others, invitation::LINE),
                Part::Root | Part::Column => continue,
            };
            text.0.clone_from(words);
            font.font_size = FontSize::VMin(size);
        }
    }
    *said = now;
    canvas.touch();
}

/// Side by side; or one below the other from the left edge, on a screen that stands upright.
fn lay_out(root: &mut Node, visible: bool, below: bool) {
    root.display = if visible { Display::Flex } else { Display::None };
    (root.flex_direction, root.align_items, root.justify_content, root.row_gap) = match below {
        true => (FlexDirection::Column, AlignItems::Start, JustifyContent::Center, vmin(5)),
        false => (FlexDirection::Row, AlignItems::Center, JustifyContent::SpaceBetween, Val::ZERO),
    };
}

fn name(live: Res<Followed>, mut canvas: ResMut<Canvas>, mut places: Query<&mut Text, With<Place>>) {
    if live.is_changed()
        && let Ok(mut place) = places.single_mut()
        && place.set_if_neq(Text::new(live.0.site.clone()))
    {
        canvas.touch();
    }
}

fn pace(shown: Res<Shown>, pace: Res<super::wake::Pace>, mut settings: ResMut<WinitSettings>) {
    if shown.is_changed() {
        pace.set(&mut settings, shown.0.slate != Slate::Hidden);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slate_has_its_own_few_words() {
        let mut titles = std::collections::HashSet::new();
        for slate in Slate::ALL.into_iter().filter(|slate| *slate != Slate::Hidden) {
            let words = words(&View { slate, ..View::default() }, &operator::Config::default()).unwrap();
            assert!(words.title.chars().count() <= 30, "{}", words.title);
            assert!(titles.insert(words.title));
        }
        assert_eq!(words(&View { slate: Slate::Hidden, ..View::default() }, &operator::Config::default()), None);
    }

    /// A window of 1920x1080, 300 pixels wide: letters of seven pixels and more can be read.
    #[test]
    fn everything_on_a_slate_is_large_enough_to_be_read_from_three_metres() {
        for size in [TITLE, LINE, PLACE] {
            assert!(size / 100.0 * 1080.0 * 300.0 / 1920.0 >= 8.0, "{size}");
        }
    }

    #[test]
    fn who_is_not_paired_shows_a_code_or_why_not() {
        let said = |invitation| {
            let view = View { slate: Slate::NotPaired, invitation, ..View::default() };
            let words = words(&view, &operator::Config::default()).unwrap();
            format!("{}: {}", words.title, words.text)
        };
        let code = Invitation::Code { code: "47-harbor-orbit".into(), command: String::new() };
        assert!(said(Some(code)).starts_with("47-harbor-orbit: "));
        assert!(said(Some(Invitation::Paused)).contains("Too many wrong codes"));
        assert!(said(None).contains("screen-portal pair"));
    }

    #[test]
    fn how_privacy_ends_is_said_as_it_is() {
        let view = View { slate: Slate::Private, ..View::default() };
        for (pin, hold, end) in [
            ("", false, "Press P to end it."),
            ("", true, "Hold P to end it."),
            ("4711", false, "Press P and enter the PIN to end it."),
            ("4711", true, "Hold P and enter the PIN to end it."),
        ] {
            let text = words(&view, &operator::Config { pin: pin.into(), hold }).unwrap().text;
            assert!(text.ends_with(end), "{text}");
        }
    }

    #[test]
    fn the_far_end_is_called_by_its_name() {
        let view = View { slate: Slate::NoFarEnd, far_site: Some("Oslo".to_owned()), ..View::default() };
        assert_eq!(words(&view, &operator::Config::default()).unwrap().title, "Oslo is out of reach");
    }

    #[test]
    fn the_light_moves_slowly_and_stays_in_the_picture() {
        let at = |ms| backdrop(Slate::Connecting, Duration::from_millis(ms));
        for ms in (0..120_000).step_by(200) {
            let (now, next) = (at(ms), at(ms + 200));
            for i in 0..2 {
                assert!((0.0..=1.0).contains(&now.centre[i]));
                assert!((now.centre[i] - next.centre[i]).abs() < 0.01, "a step that would be seen as a jump");
            }
        }
    }
}
