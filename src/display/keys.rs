//! The keys of a kiosk, and what each asks for.

use super::overlays::Overlays;
use super::window::Fullscreen;
use crate::ops;
use bevy::input::ButtonState;
use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::prelude::*;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new connection, now.
    Reconnect,
    /// Cover a monitor, or be a window.
    Fullscreen,
    /// Show or hide one's own picture.
    SelfView,
    /// Show or hide the figures.
    Info,
    /// Camera off and picture hidden, or back on.
    Privacy,
    /// Show or hide the keys.
    Help,
    /// Hide the figures and the keys.
    CloseOverlays,
    /// End the program.
    Quit,
}

/// Keys and what they do, for the help overlay and the manual.
pub const KEYS: [(&str, &str); 7] = [
    ("R", "Connect again now"),
    ("F", "Fullscreen or window"),
    ("V", "Own picture on or off"),
    ("I", "Figures on or off"),
    ("P", "Privacy: camera and picture off"),
    ("?", "These keys"),
    ("Ctrl + Q", "Quit"),
];

/// What this key asks for. By what is printed on it, not by where it sits: kiosks have all sorts of keyboards.
pub fn action(key: &Key, control: bool) -> Option<Action> {
    let Key::Character(character) = key else {
        return match key {
            Key::F1 => Some(Action::Help),
            Key::Escape => Some(Action::CloseOverlays),
            _ => None,
        };
    };
    match (character.to_lowercase().as_str(), control) {
        ("q", true) => Some(Action::Quit),
        (_, true) => None,
        ("r", false) => Some(Action::Reconnect),
        ("f", false) => Some(Action::Fullscreen),
        ("v", false) => Some(Action::SelfView),
        ("i", false) => Some(Action::Info),
        ("p", false) => Some(Action::Privacy),
        ("?", false) => Some(Action::Help),
        _ => None,
    }
}

/// Where the portal's part of the actions goes.
#[derive(Resource)]
pub struct Commands(pub crossbeam_channel::Sender<ops::Command>);

impl Commands {
    /// Tells the portal. When it is so far behind that its queue is full, the same key will be pressed again.
    pub fn send(&self, command: ops::Command) {
        if let Err(error) = self.0.try_send(command) {
            tracing::warn!(?command, %error, "the portal does not take commands");
        }
    }
}

/// Turns keys into actions.
pub struct KeysPlugin;

impl Plugin for KeysPlugin {
    fn build(&self, app: &mut App) {
        app.add_systems(PreUpdate, act.after(bevy::input::InputSystems));
    }
}

fn act(
    mut keys: MessageReader<KeyboardInput>,
    pressed: Res<ButtonInput<KeyCode>>,
    commands: Res<Commands>,
    mut overlays: ResMut<Overlays>,
    mut fullscreen: ResMut<Fullscreen>,
    mut exit: MessageWriter<AppExit>,
) {
    let control = pressed.any_pressed([KeyCode::ControlLeft, KeyCode::ControlRight]);
    // A key that is held down must not toggle thirty times a second.
    let fresh = keys.read().filter(|input| input.state == ButtonState::Pressed && !input.repeat);
    for action in fresh.filter_map(|input| action(&input.logical_key, control)) {
        tracing::debug!(?action, "key");
        match action {
            Action::Reconnect => commands.send(ops::Command::Reconnect),
            Action::Privacy => commands.send(ops::Command::TogglePrivacy),
            Action::Fullscreen => fullscreen.toggle(),
            Action::SelfView => overlays.toggle_self_view(),
            Action::Info => overlays.toggle_info(),
            Action::Help => overlays.toggle_help(),
            Action::CloseOverlays => overlays.close(),
            Action::Quit => {
                commands.send(ops::Command::Quit);
                exit.write(AppExit::Success);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_do_what_the_help_says() {
        let press = |text: &str, control| action(&Key::Character(text.into()), control);
        assert_eq!(press("r", false), Some(Action::Reconnect));
        assert_eq!(press("P", false), Some(Action::Privacy), "with caps lock too");
        assert_eq!(press("?", false), Some(Action::Help));
        assert_eq!(press("q", true), Some(Action::Quit));
        assert_eq!(press("q", false), None, "nobody quits a kiosk with one key");
        assert_eq!(press("r", true), None);
        assert_eq!(action(&Key::Escape, false), Some(Action::CloseOverlays));
    }
}
