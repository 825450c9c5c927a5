//! Which keys for Control are down, followed key by key.

use bevy::input::ButtonState;
use bevy::input::keyboard::{Key, KeyboardInput};
use bevy::prelude::KeyCode;

/// The keys that mean Control and are down, by their places: the two of that name, and whatever the keyboard's layout makes one.
///
/// What Bevy keeps (`ButtonInput`) is the state at the end of a frame. At ten frames a second somebody who types Ctrl+Q at the usual speed has
/// released both keys by then; and one who released Ctrl before Q would have pressed Ctrl+Q.
#[derive(Debug, Default)]
pub struct Controls([Option<KeyCode>; MOST]);

/// More keys for Control than hands can hold; one more is passed over.
const MOST: usize = 4;

impl Controls {
    /// Takes the next event of the keyboard.
    pub fn follow(&mut self, input: &KeyboardInput) {
        // By its place: what it means may have changed since it was pressed.
        let known = self.0.iter_mut().find(|key| **key == Some(input.key_code));
        match (input.state, known) {
            (ButtonState::Released, Some(key)) => *key = None,
            (ButtonState::Pressed, None) if is_control(input) => {
                if let Some(free) = self.0.iter_mut().find(|key| key.is_none()) {
                    *free = Some(input.key_code);
                }
            }
            _ => {}
        }
    }

    /// Whether one of them is down.
    pub fn any(&self) -> bool {
        self.0.iter().any(Option::is_some)
    }
}

fn is_control(input: &KeyboardInput) -> bool {
    input.logical_key == Key::Control || matches!(input.key_code, KeyCode::ControlLeft | KeyCode::ControlRight)
}
