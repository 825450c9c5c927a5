//! Slates: what is seen instead of the far end, legible and calm from across a street.

use super::canvas::{Block, Canvas};
use super::overlays::{Followed, Fonts, Overlays, Shown};
use super::painter::Backdrop;
use crate::operator;
use crate::ops::{Invitation, Slate, View};
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
        Slate::NotPaired => match &view.invitation {
            Some(Invitation::Code(code)) => (
                code.clone(),
                format!(
                    "Not paired yet. At the other portal: screen-portal pair {code}. This code counts once, for ten minutes."
                ),
            ),
            Some(Invitation::Paused) => (
                "Not paired yet".to_owned(),
                "Too many wrong codes were tried. A new one appears here within the hour.".to_owned(),
            ),
            None => (
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

#[derive(Component)]
struct Root;
#[derive(Component)]
struct Title;
#[derive(Component)]
struct Line;
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
        children![(Title, text(&fonts.semi_bold, TITLE, BRIGHT)), (Line, text(&fonts.medium, LINE, SOFT))],
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
    let root = commands.spawn((Root, root)).id();
    let place = commands.spawn(place).insert(Place).id();
    let words = commands.spawn(words).id();
    commands.entity(root).add_children(&[place, words]);
}

fn follow(
    (shown, live, overlays): (Res<Shown>, Res<Followed>, Res<Overlays>),
    mut canvas: ResMut<Canvas>,
    mut roots: Query<&mut Node, With<Root>>,
    mut titles: Query<&mut Text, (With<Title>, Without<Line>)>,
    mut lines: Query<&mut Text, (With<Line>, Without<Title>)>,
    mut said: Local<Option<Words>>,
) {
    if !shown.is_changed() && !live.is_changed() && !overlays.is_changed() {
        return;
    }
    let now = words(&shown.0, &live.0.operator).filter(|_| !overlays.any());
    if *said == now {
        return;
    }
    let (Ok(mut root), Ok(mut title), Ok(mut line)) = (roots.single_mut(), titles.single_mut(), lines.single_mut())
    else {
        return;
    };
    root.display = if now.is_some() { Display::Flex } else { Display::None };
    if let Some(words) = &now {
        title.0.clone_from(&words.title);
        line.0.clone_from(&words.text);
    }
    *said = now;
    canvas.touch();
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
        assert!(said(Some(Invitation::Code("47-harbor-orbit".into()))).starts_with("47-harbor-orbit: "));
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
