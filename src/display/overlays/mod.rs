//! What may be laid over the picture on request: figures and keys; and what slates and overlays share.

mod entry;
mod help;
mod info;
mod notice;
mod settings;
mod sign;

use super::Live;
use super::canvas::Canvas;
use crate::ops::{Figures, View};
use bevy::prelude::*;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Which overlays are wanted. Changed by keys only.
#[derive(Resource, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlays {
    allowed: bool,
    info: bool,
    help: bool,
    settings: bool,
    /// The entry of another portal's code.
    entry: bool,
    /// Whether the PIN is being asked for, which the lock decides.
    pin: bool,
    self_view: bool,
    /// When a key was last pressed for any of them.
    touched: Instant,
    /// When somebody asked for another camera.
    camera_asked: Option<Instant>,
}

/// Keys and settings are put away when nobody presses a key for so long.
const READ: Duration = Duration::from_secs(120);
/// Figures, which somebody may want to watch, later: nothing bright stands on a screen for ever.
const WATCHED: Duration = Duration::from_secs(1800);

impl Overlays {
    /// At the start: nothing but one's own picture, if that is wanted. Where overlays are not `allowed` keys never show
    /// them.
    pub fn new(allowed: bool, self_view: bool) -> Self {
        let touched = Instant::now();
        let (info, help, settings, entry, pin) = (false, false, false, false, false);
        Self { allowed, info, help, settings, entry, pin, self_view, touched, camera_asked: None }
    }

    /// Whether one's own picture is wanted. It is drawn above the panels, and in a small window would lie upon the entry of a code.
    pub fn self_view(&self) -> bool {
        self.self_view && !self.entry
    }

    /// Shows or hides one's own picture.
    pub fn toggle_self_view(&mut self) {
        self.self_view = !self.self_view;
    }

    /// Shows or hides the figures. They take the place of the keys: in a narrow window there is room for one of the
    /// two.
    pub fn toggle_info(&mut self) {
        let info = self.allowed && !self.info;
        self.close();
        self.info = info;
        self.touch();
    }

    /// Shows or hides the keys, which take the place of the figures.
    pub fn toggle_help(&mut self) {
        let help = self.allowed && !self.help;
        self.close();
        self.help = help;
        self.touch();
    }

    /// Shows the settings page, which takes the place of the others.
    pub fn open_settings(&mut self) {
        self.close();
        self.settings = self.allowed;
        self.touch();
    }

    /// Shows the entry of another portal's code, which takes the place of the others.
    pub fn open_entry(&mut self) {
        self.close();
        self.entry = self.allowed;
        self.touch();
    }

    /// Whether the entry of a code is shown: then keys are for it.
    pub fn entry(&self) -> bool {
        self.entry
    }

    /// Whether the settings page is shown: then keys are for it.
    pub fn settings(&self) -> bool {
        self.settings
    }

    /// Whether any of them is shown, or the entry of the PIN. Slates and notices leave the screen to it: words that it
    /// covers in part would be cut half through. That privacy is on is said by a sign above it then.
    pub fn any(&self) -> bool {
        self.info || self.help || self.settings || self.entry || self.pin
    }

    /// Shows one's own picture, or hides it.
    pub fn set_self_view(&mut self, shown: bool) {
        self.self_view = shown;
    }

    /// Somebody is there.
    pub fn touch(&mut self) {
        self.touched = Instant::now();
    }

    /// Whether what is shown has been there for so long that nobody reads it any more.
    fn is_stale(&self, now: Instant) -> bool {
        let since = now.saturating_duration_since(self.touched);
        ((self.help || self.settings || self.entry) && since >= READ) || (self.info && since >= WATCHED)
    }

    /// Somebody asked for another camera: its name is shown for a moment.
    pub fn ask_camera(&mut self, now: Instant) {
        self.camera_asked = Some(now);
    }

    /// When that was last.
    pub fn camera_asked(&self) -> Option<Instant> {
        self.camera_asked
    }

    /// Hides figures, keys, settings and the entry of a code.
    pub fn close(&mut self) {
        (self.info, self.help, self.settings, self.entry) = (false, false, false, false);
    }
}

/// The view as it was when the update began.
#[derive(Resource, Clone, Debug, Default)]
pub struct Shown(pub View);

/// What the display follows of the configuration, as it was when the update began.
#[derive(Resource, Clone, Debug)]
pub struct Followed(pub Live);

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
    /// What is followed of the configuration.
    pub live: tokio::sync::watch::Receiver<Live>,
    /// What is wanted at the start.
    pub overlays: Overlays,
}

#[derive(Resource)]
struct Views(tokio::sync::watch::Receiver<View>);

#[derive(Resource)]
struct Lives(tokio::sync::watch::Receiver<Live>);

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
            .insert_resource(Followed(self.live.borrow().clone()))
            .insert_resource(Lives(self.live.clone()))
            .add_systems(PreUpdate, (follow_view, follow_live, put_away));
        if self.overlays.allowed {
            app.add_plugins((
                info::InfoPlugin { figures: self.figures.clone() },
                help::HelpPlugin,
                notice::NoticePlugin,
                settings::SettingsPlugin,
                sign::SignPlugin,
                entry::EntryPlugin,
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

fn follow_live(mut lives: ResMut<Lives>, mut followed: ResMut<Followed>, mut overlays: ResMut<Overlays>) {
    if lives.bypass_change_detection().0.has_changed().unwrap_or(false) {
        let live = lives.bypass_change_detection().0.borrow_and_update().clone();
        // The key V is not undone by changes of other keys.
        if live.config.self_view != followed.0.config.self_view {
            overlays.set_self_view(live.config.self_view);
        }
        followed.0 = live;
    }
}

fn put_away(mut overlays: ResMut<Overlays>) {
    if overlays.is_stale(Instant::now()) {
        overlays.close();
    }
}

/// What a panel stands in: the middle of the window.
fn cover() -> Node {
    Node {
        display: Display::None,
        position_type: PositionType::Absolute,
        top: vmin(0),
        bottom: vmin(0),
        width: percent(100),
        align_items: AlignItems::Center,
        justify_content: JustifyContent::Center,
        ..default()
    }
}

/// A panel with its lines below each other.
fn panel() -> Node {
    Node {
        flex_direction: FlexDirection::Column,
        row_gap: vmin(0.8),
        padding: UiRect::axes(vmin(4), vmin(3)),
        border_radius: BorderRadius::all(vmin(2)),
        overflow: Overflow::clip(),
        ..default()
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

/// Opaque: the words of a slate would be read through it.
const PANEL: Color = Color::srgb(0.04, 0.06, 0.08);
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
    fn what_nobody_reads_is_put_away() {
        let mut overlays = Overlays::new(true, true);
        let start = overlays.touched;
        assert!(!overlays.is_stale(start + 10 * WATCHED), "nothing is shown");
        overlays.open_settings();
        let start = overlays.touched.max(start);
        assert!(!overlays.is_stale(start + READ / 2) && overlays.is_stale(start + READ));
        overlays.open_entry();
        let start = overlays.touched.max(start);
        assert!(overlays.any() && !overlays.settings() && overlays.is_stale(start + READ), "a code half typed, too");
        overlays.toggle_info();
        let start = overlays.touched;
        assert!(
            !overlays.entry()
                && !overlays.settings()
                && !overlays.is_stale(start + READ)
                && overlays.is_stale(start + WATCHED)
        );
    }

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
