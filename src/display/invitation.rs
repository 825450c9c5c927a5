//! The slate of a portal that waits to be paired: how its words are laid out beside the QR code, and that code itself.

use super::canvas::{Block, Canvas};
use super::fit::Extent;
use super::overlays::{Overlays, Shown};
use super::qr::Qr;
use crate::ops::{Invitation, Slate, View, Waiting};
use bevy::asset::RenderAssetUsages;
use bevy::image::ImageSampler;
use bevy::prelude::*;
use bevy::render::render_resource::{Extent3d, TextureDimension, TextureFormat};

/// Sizes in hundredths of the canvas's smaller side: what is around the words, between them and the code, and the code.
const EDGE: f32 = 9.0;
const GAP: f32 = 6.0;
pub(super) const QR: f32 = 46.0;
/// The code in words: as large as fits in one line, within these.
const TITLE: (f32, f32) = (6.4, 12.0);
/// What is said with it.
pub(super) const LINE: f32 = 5.0;
/// The width of a letter, as a part of its size: of the widest words of codes, in the font of titles.
const LETTER: f32 = 0.62;
/// More names are not listed, and so much of each.
const NAMES: usize = 4;
const LONGEST_NAME: usize = 24;

/// The command for the QR code, where there is one.
pub fn command(view: &View) -> Option<&str> {
    match &view.invitation {
        Some(Invitation::Code { command, .. }) if view.slate == Slate::NotPaired => Some(command),
        _ => None,
    }
}

/// Who else waits in the local network, if anybody.
pub fn others(view: &View) -> Option<String> {
    let names = view.waiting.iter().take(NAMES).map(name);
    let names: Vec<_> = names.collect();
    let more = match view.waiting.len().saturating_sub(NAMES) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (!names.is_empty()).then(|| format!("Waiting in this network: {}{more}", names.join(", ")))
}

/// What it is called on a screen.
pub fn name(waiting: &Waiting) -> String {
    match waiting.site.chars().count() {
        0 => format!("(no name, {:.4})", waiting.id),
        length if length > LONGEST_NAME => waiting.site.chars().take(LONGEST_NAME - 1).chain(['…']).collect(),
        _ => waiting.site.clone(),
    }
}

/// Where words and code are on a canvas.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Layout {
    /// The code is below the words, not beside them.
    pub below: bool,
    /// The words' width.
    pub width: f32,
    /// The title's size.
    pub title: f32,
}

/// For a title of so many characters.
pub(super) fn layout(canvas: Extent, characters: usize) -> Layout {
    let (across, down) = (canvas.width as f32, canvas.height as f32);
    let below = down > across;
    let across = 100.0 * across / across.min(down).max(1.0);
    let width = across - 2.0 * EDGE - if below { 0.0 } else { GAP + QR };
    let title = (width / (LETTER * characters.max(1) as f32)).clamp(TITLE.0, TITLE.1);
    Layout { below, width, title }
}

/// Draws the QR code in its place.
pub struct InvitationPlugin;

/// Its place: a part of the slate's row.
#[derive(Component)]
pub(super) struct Place;

impl Plugin for InvitationPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(Update, follow);
    }
}

/// The place, without a code.
pub(super) fn place() -> impl Bundle {
    let node = Node { display: Display::None, width: vmin(QR), height: vmin(QR), flex_shrink: 0.0, ..default() };
    (Place, Block, node, ImageNode::default())
}

fn follow(
    (shown, overlays): (Res<Shown>, Res<Overlays>),
    mut canvas: ResMut<Canvas>,
    mut images: ResMut<Assets<Image>>,
    mut places: Query<(&mut Node, &mut ImageNode), With<Place>>,
    mut drawn: Local<Option<String>>,
) {
    if !shown.is_changed() && !overlays.is_changed() {
        return;
    }
    let wanted = command(&shown.0).filter(|_| !overlays.any());
    if drawn.as_deref() == wanted {
        return;
    }
    let Ok((mut node, mut image)) = places.single_mut() else { return };
    let qr = wanted.and_then(Qr::new);
    node.display = if qr.is_some() { Display::Flex } else { Display::None };
    // The one before goes with its last handle.
    image.image = qr.map(|qr| images.add(picture(&qr))).unwrap_or_default();
    *drawn = wanted.map(Into::into);
    canvas.touch();
}

fn picture(qr: &Qr) -> Image {
    let size = Extent3d { width: qr.side(), height: qr.side(), depth_or_array_layers: 1 };
    let usage = RenderAssetUsages::RENDER_WORLD;
    let mut image = Image::new(size, TextureDimension::D2, qr.rgba(), TextureFormat::Rgba8UnormSrgb, usage);
    image.sampler = ImageSampler::nearest();
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(waiting: &[&str]) -> View {
        let invitation = Invitation::Code { code: "47-harbor-orbit".into(), command: "x".into() };
        let waiting = waiting.iter().map(|name| Waiting { site: name.to_string(), id: "0123".into() }).collect();
        View { slate: Slate::NotPaired, invitation: Some(invitation), waiting, ..View::default() }
    }

    #[test]
    fn others_are_named_up_to_four() {
        assert_eq!(others(&code(&[])), None);
        assert_eq!(others(&code(&["Hilltop"])).unwrap(), "Waiting in this network: Hilltop");
        assert_eq!(others(&code(&["A", "", "C", "D"])).unwrap(), "Waiting in this network: A, (no name, 0123), C, D");
        let long = "x".repeat(64);
        let said = others(&code(&[long.as_str(); 64])).unwrap();
        assert!(said.ends_with(", and 60 more") && said.chars().count() < 150, "{said}");
    }

    #[test]
    fn a_code_is_drawn_only_on_its_own_slate() {
        let view = code(&[]);
        assert_eq!(command(&view), Some("x"));
        assert_eq!(command(&View { slate: Slate::Private, ..view.clone() }), None);
        assert_eq!(command(&View { invitation: Some(Invitation::Paused), ..view }), None);
    }

    #[test]
    fn words_and_code_fit_on_every_screen() {
        for (width, height, below) in [
            (1920, 1080, false),
            (1280, 720, false),
            (1280, 800, false),
            (1024, 768, false),
            (720, 1280, true),
            (1080, 1920, true),
            (1, 1, false),
        ] {
            for characters in [0, 9, 15, 20] {
                let it = layout(Extent::new(width, height), characters);
                assert_eq!(it.below, below, "{width}x{height}");
                let across = 100.0 * width as f32 / width.min(height) as f32;
                assert!(it.width + 2.0 * EDGE <= across && it.title >= TITLE.0 && it.title <= TITLE.1);
                // In one line, but on screens that are nearly square.
                let line = it.title * LETTER * characters as f32;
                assert!(line <= it.width + 0.1 || (width * 3 <= height * 4 && !below), "{width}x{height}: {line}");
            }
        }
    }

    /// A window of 1920x1080, 300 pixels wide: letters of seven pixels and more can be read.
    #[test]
    fn everything_is_large_enough_to_be_read_from_three_metres() {
        for size in [TITLE.0, LINE] {
            assert!(size / 100.0 * 1080.0 * 300.0 / 1920.0 >= 8.0, "{size}");
        }
    }
}
