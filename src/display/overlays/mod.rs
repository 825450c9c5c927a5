//! What may be laid over the picture on request: figures and keys; and what slates and overlays share.

mod help;
mod info;

use super::canvas::Canvas;
use crate::ops::{Figures, View};
use bevy::prelude::*;
use std::sync::Arc;

/// Which overlays are wanted. Changed by keys only.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlays {
    allowed: bool,
    info: bool,
    help: bool,
    self_view: bool,
}

impl Overlays {
    /// At the start: nothing but one's own picture, if that is wanted. Where overlays are not `allowed` keys never show them.
    pub fn new(allowed: bool, self_view: bool) -> Self {
        Self { allowed, info: false, help: false, self_view }
    }

    /// Whether one's own picture is wanted.
    pub fn self_view(&self) -> bool {
        self.self_view
    }

    /// Shows or hides one's own picture.
    pub fn toggle_self_view(&mut self) {
        self.self_view = !self.self_view;
    }

    /// Shows or hides the figures. They take the place of the keys: in a narrow window there is room for one of the two.
    pub fn toggle_info(&mut self) {
        (self.info, self.help) = (self.allowed && !self.info, false);
    }

    /// Shows or hides the keys, which take the place of the figures.
    pub fn toggle_help(&mut self) {
        (self.help, self.info) = (self.allowed && !self.help, false);
    }

    /// Hides figures and keys.
    pub fn close(&mut self) {
        (self.info, self.help) = (false, false);
    }
}

/// The view as it was when the update began.
#[derive(Resource, Clone, Debug, Default)]
pub struct Shown(pub View);

/// The fonts of everything written.
#[derive(Resource, Clone)]
pub struct Fonts {
    /// For running text.
    pub medium: Handle<Font>,
    /// For titles and figures.
    pub semi_bold: Handle<Font>,
}

/// Follows the view and the keys.
pub struct OverlaysPlugin {
    /// Where the view comes from.
    pub view: tokio::sync::watch::Receiver<View>,
    /// What the figures overlay shows.
    pub figures: Arc<Figures>,
    /// The name of this place.
    pub site: String,
    /// What is wanted at the start.
    pub overlays: Overlays,
}

#[derive(Resource)]
struct Views(tokio::sync::watch::Receiver<View>);

impl Plugin for OverlaysPlugin {
    fn build(&self, app: &mut App) {
        let mut assets = app.world_mut().resource_mut::<Assets<Font>>();
        let mut font = |bytes: &'static [u8]| assets.add(Font::from_bytes(bytes.to_vec()));
        let medium = font(include_bytes!("../../../assets/fonts/Inter-Medium.otf"));
        let semi_bold = font(include_bytes!("../../../assets/fonts/Inter-SemiBold.otf"));
        app.insert_resource(Fonts { medium, semi_bold })
            .insert_resource(self.overlays)
            .insert_resource(Shown(self.view.borrow().clone()))
            .insert_resource(Views(self.view.clone()))
            .add_systems(PreUpdate, follow_view);
        if self.overlays.allowed {
            app.add_plugins((
                info::InfoPlugin { figures: self.figures.clone(), site: self.site.clone() },
                help::HelpPlugin,
            ));
        }
    }
}

fn follow_view(mut views: ResMut<Views>, mut shown: ResMut<Shown>) {
    // An error means that the portal has gone; the last view stays until the display is stopped.
    if views.bypass_change_detection().0.has_changed().unwrap_or(false) {
        shown.0 = views.bypass_change_detection().0.borrow_and_update().clone();
    }
}

/// Shows or hides a block and paints if that changes anything.
fn set_visible(canvas: &mut Canvas, node: &mut Mut<Node>, visible: bool) -> bool {
    let display = if visible { Display::Flex } else { Display::None };
    if node.display == display {
        return false;
    }
    node.display = display;
    canvas.touch();
    true
}

const PANEL: Color = Color::srgba(0.04, 0.06, 0.08, 0.95);
const FIELD: Color = Color::srgb(0.10, 0.13, 0.16);
const BRIGHT: Color = Color::srgb(0.95, 0.97, 0.98);
const SOFT: Color = Color::srgb(0.66, 0.72, 0.77);

/// A text of the overlays.
fn text(font: &Handle<Font>, size: f32, color: Color, text: &str) -> impl Bundle + use<> {
    (
        Text::new(text),
        TextFont { font: font.into(), font_size: bevy::text::FontSize::VMin(size), ..default() },
        TextColor(color),
        TextLayout::no_wrap(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_keys_take_turns() {
        let mut overlays = Overlays::new(true, false);
        let mut shown = |press: fn(&mut Overlays)| {
            press(&mut overlays);
            (overlays.info, overlays.help)
        };
        assert_eq!(shown(Overlays::toggle_info), (true, false));
        assert_eq!(shown(Overlays::toggle_help), (false, true));
        assert_eq!(shown(Overlays::toggle_info), (true, false));
        assert_eq!(shown(Overlays::toggle_info), (false, false));
        assert_eq!(shown(Overlays::toggle_help), (false, true));
        assert_eq!(shown(Overlays::close), (false, false));
        let mut never = Overlays::new(false, false);
        never.toggle_info();
        never.toggle_help();
        assert_eq!((never.info, never.help), (false, false));
    }
}
