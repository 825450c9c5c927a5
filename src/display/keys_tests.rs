//! The keys with the settings page and the PIN: what a person presses, and what comes of it.

use super::keys::{Action, Asked, Commands, Operator, close, listen};
use super::overlays::{Followed, Overlays, Shown};
use crate::ops::{self, Slate};
use bevy::input::ButtonState;
use bevy::input::keyboard::{Key, KeyboardFocusLost, KeyboardInput};
use bevy::prelude::*;
use bevy::window::WindowCloseRequested;
use std::time::{Duration, Instant};

/// The systems that take the keys, and what they have sent to the portal.
struct Kiosk(App, crossbeam_channel::Receiver<ops::Command>);

impl Kiosk {
    /// With this PIN, and, if somebody has entered it, unlocked by the first of them so long ago.
    fn new(pin: &str, unlocked: Option<Duration>, slate: Slate) -> Self {
        let (commands, sent) = crossbeam_channel::bounded(8);
        let mut live = crate::display::Live::default();
        live.operator.pin = pin.into();
        let mut operator = Operator::default();
        operator.lock.set_pin(pin.into());
        if let Some(ago) = unlocked {
            for digit in pin.bytes() {
                operator.lock.digit(digit - b'0', Instant::now() - ago);
            }
            operator.lock.enter(Instant::now() - ago);
        }
        let mut app = App::new();
        app.add_message::<KeyboardInput>()
            .add_message::<WindowCloseRequested>()
            .add_message::<KeyboardFocusLost>()
            .init_resource::<Asked>()
            .insert_resource(Commands(commands))
            .insert_resource(operator)
            .insert_resource(Overlays::new(true, false))
            .insert_resource(Followed(live))
            .insert_resource(Shown(ops::View { slate, ..ops::View::default() }))
            .add_systems(Update, (listen, close).chain());
        Self(app, sent)
    }

    /// Presses a key; what is to be done then.
    fn press(&mut self, logical_key: Key, repeat: bool) -> Vec<Action> {
        self.event(KeyCode::F24, logical_key, ButtonState::Pressed, repeat);
        self.update()
    }

    /// What a keyboard says between two frames.
    fn event(&mut self, key_code: KeyCode, logical_key: Key, state: ButtonState, repeat: bool) {
        let window = Entity::PLACEHOLDER;
        self.0.world_mut().write_message(KeyboardInput { key_code, logical_key, state, text: None, repeat, window });
    }

    /// Several events, all of them in one frame or each in one of its own: `+` and `-` for pressed and released; C and c are the two keys for
    /// Control, L another one that the layout makes one.
    fn type_in(&mut self, keys: &str, frames: bool) -> Vec<Action> {
        let mut done = Vec::new();
        for event in keys.split_whitespace() {
            let state = if event.starts_with('+') { ButtonState::Pressed } else { ButtonState::Released };
            let (key_code, key) = match &event[1..] {
                "C" => (KeyCode::ControlLeft, Key::Control),
                "c" => (KeyCode::ControlRight, Key::Control),
                "L" => (KeyCode::CapsLock, Key::Control),
                // Shift was released first: the same key means another character.
                "?" => (KeyCode::Slash, Key::Character("?".into())),
                "/" => (KeyCode::Slash, Key::Character("/".into())),
                letter => (KeyCode::KeyQ, Key::Character(letter.into())),
            };
            self.event(key_code, key, state, false);
            if frames {
                done.extend(self.update());
            }
        }
        done.extend(self.update());
        done
    }

    fn update(&mut self) -> Vec<Action> {
        self.0.update();
        std::mem::take(&mut self.0.world_mut().resource_mut::<Asked>().0)
    }

    fn letter(&mut self, text: &str) -> Vec<Action> {
        self.press(Key::Character(text.into()), false)
    }

    fn open_settings(&mut self) {
        self.0.world_mut().resource_mut::<Overlays>().open_settings();
    }

    fn is_on_page(&self) -> bool {
        self.0.world().resource::<Overlays>().settings()
    }

    fn lock(&mut self) -> Mut<'_, Operator> {
        self.0.world_mut().resource_mut::<Operator>()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn privacy_is_free_wherever_somebody_is() {
    let mut kiosk = Kiosk::new("4711", None, Slate::Hidden);
    assert_eq!(kiosk.letter("r"), []);
    assert!(kiosk.lock().lock.is_asking(Instant::now()));
    assert_eq!(kiosk.letter("p"), [Action::Privacy], "while the PIN is asked for");
    assert_eq!(kiosk.press(Key::Character("p".into()), true), [], "held down it toggles nothing");
    let mut kiosk = Kiosk::new("", None, Slate::Hidden);
    kiosk.open_settings();
    assert_eq!(kiosk.letter("p"), [Action::Privacy], "on the settings page");
    assert_eq!(kiosk.press(Key::Character("p".into()), true), []);
    kiosk.press(Key::Enter, false);
    assert_eq!(kiosk.letter("p"), [], "a letter of a name");
    let mut kiosk = Kiosk::new("4711", Some(SECOND), Slate::Private);
    kiosk.open_settings();
    assert_eq!(kiosk.letter("p"), [Action::Privacy], "whoever is on the page has given the PIN");
    let mut kiosk = Kiosk::new("4711", None, Slate::Private);
    assert_eq!(kiosk.letter("p"), [], "to switch the camera on again is not free elsewhere");
    assert!(kiosk.lock().lock.is_asking(Instant::now()));
}

#[test]
fn the_page_is_there_only_while_the_lock_is_open() {
    let mut kiosk = Kiosk::new("4711", Some(50 * SECOND), Slate::Hidden);
    kiosk.open_settings();
    kiosk.press(Key::ArrowDown, false);
    assert!(kiosk.is_on_page() && !kiosk.lock().lock.is_closed(Instant::now() + 50 * SECOND), "a key renews it");
    kiosk.press(Key::ArrowUp, false);
    kiosk.press(Key::Enter, false);
    kiosk.letter("x");
    kiosk.lock().lock.close();
    kiosk.update();
    assert!(!kiosk.is_on_page(), "its minute is over");
    kiosk.update();
    assert!(!kiosk.lock().page.is_writing());

    let mut kiosk = Kiosk::new("4711", Some(SECOND), Slate::Hidden);
    kiosk.open_settings();
    kiosk.update();
    assert!(kiosk.is_on_page());
    kiosk.0.world_mut().resource_mut::<Followed>().0.operator.pin = "0815".into();
    kiosk.press(Key::ArrowRight, false);
    assert!(!kiosk.is_on_page(), "another PIN");
    let mut kiosk = Kiosk::new("", None, Slate::Hidden);
    kiosk.open_settings();
    kiosk.update();
    assert!(kiosk.is_on_page(), "without a PIN there is no lock");
}

#[test]
fn a_key_that_is_held_down_changes_a_value_once() {
    let mut kiosk = Kiosk::new("", None, Slate::Hidden);
    kiosk.open_settings();
    for row in 0..3 {
        kiosk.press(Key::ArrowDown, row > 0);
    }
    for held in 0..20 {
        kiosk.press(Key::ArrowRight, held > 0);
        kiosk.press(Key::Enter, true);
    }
    let rotated = ops::Command::Set("display", "rotate_deg", ops::Value::Number(90));
    assert_eq!(kiosk.1.try_iter().collect::<Vec<_>>(), [rotated]);
}

#[test]
fn whoever_closes_the_window_needs_the_pin() {
    for (pin, quits) in [("", vec![Action::Quit]), ("4711", vec![])] {
        let mut kiosk = Kiosk::new(pin, None, Slate::Hidden);
        let window = Entity::PLACEHOLDER;
        kiosk.0.world_mut().write_message(WindowCloseRequested { window });
        assert_eq!(kiosk.update(), quits, "PIN {pin:?}");
        assert_eq!(kiosk.lock().lock.is_asking(Instant::now()), quits.is_empty());
    }
    let mut kiosk = Kiosk::new("4711", None, Slate::Hidden);
    let window = Entity::PLACEHOLDER;
    kiosk.0.world_mut().write_message(WindowCloseRequested { window });
    kiosk.update();
    let done: Vec<_> = ["4", "7", "1", "1"].map(|digit| kiosk.letter(digit)).concat();
    assert_eq!(done, []);
    assert_eq!(kiosk.press(Key::Enter, false), [Action::Quit]);
}

/// Ctrl counts as it was when the other key was pressed, however many frames there are.
#[test]
fn control_is_followed_key_by_key() {
    for (keys, quits) in [
        ("+C +q -q -C", true),
        ("+c +q -c -q", true),
        ("+L +q -q -L", true),
        ("+C +c -C +q", true),
        ("+C -C +q -q", false),
        ("+q +C -q -C", false),
        ("+C +c -c -C +q", false),
        ("-C +q", false),
        ("+q -q", false),
    ] {
        for frames in [false, true] {
            let mut kiosk = Kiosk::new("", None, Slate::Hidden);
            let expected = if quits { vec![Action::Quit] } else { vec![] };
            assert_eq!(kiosk.type_in(keys, frames), expected, "{keys}, frames {frames}");
        }
    }
    let mut kiosk = Kiosk::new("", None, Slate::Hidden);
    kiosk.type_in("+C", false);
    kiosk.0.world_mut().write_message(KeyboardFocusLost);
    kiosk.update();
    assert_eq!(kiosk.type_in("+q", false), [], "released elsewhere");
}

#[test]
fn a_key_that_is_let_go_is_not_held() {
    for keys in ["+? -?", "+? -/"] {
        let mut kiosk = Kiosk::new("", None, Slate::Hidden);
        kiosk.0.world_mut().resource_mut::<Followed>().0.operator.hold = true;
        kiosk.type_in(keys, false);
        std::thread::sleep(SECOND * 11 / 10);
        assert_eq!(kiosk.update(), [], "{keys}");
    }
    let mut kiosk = Kiosk::new("", None, Slate::Hidden);
    kiosk.0.world_mut().resource_mut::<Followed>().0.operator.hold = true;
    kiosk.type_in("+?", false);
    std::thread::sleep(SECOND * 11 / 10);
    assert_eq!(kiosk.update(), [Action::Help]);
}

#[test]
fn the_far_end_is_forgotten_by_two_enters_and_not_by_one_that_is_held() {
    let mut kiosk = Kiosk::new("", None, Slate::Paused);
    let far_end = crate::display::FarEnd { name: "Hilltop".into(), by_code: true };
    kiosk.0.world_mut().resource_mut::<Followed>().0.far_end = Some(far_end);
    kiosk.open_settings();
    for _ in 0..9 {
        kiosk.press(Key::ArrowDown, false);
    }
    kiosk.press(Key::Enter, false);
    for _ in 0..20 {
        kiosk.press(Key::Enter, true);
    }
    // A key that is none for the page, and the one that always works.
    assert_eq!(kiosk.press(Key::Tab, false), []);
    kiosk.press(Key::Enter, false);
    assert_eq!(kiosk.letter("p"), [Action::Privacy]);
    kiosk.press(Key::Enter, false);
    kiosk.press(Key::Escape, false);
    assert!(kiosk.is_on_page() && !kiosk.lock().page.is_halfway(), "the question is gone, the page is not");
    kiosk.press(Key::Enter, false);
    // However the page is put away.
    kiosk.0.world_mut().resource_mut::<Overlays>().close();
    kiosk.update();
    assert!(!kiosk.lock().page.is_halfway());
    kiosk.open_settings();
    for _ in 0..9 {
        kiosk.press(Key::ArrowDown, false);
    }
    assert!(kiosk.1.try_recv().is_err(), "asked again and again, never answered");
    kiosk.press(Key::Enter, false);
    kiosk.press(Key::Enter, false);
    assert_eq!(kiosk.1.try_iter().collect::<Vec<_>>(), [ops::Command::Unpair]);
}
