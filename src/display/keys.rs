//! The keys of a kiosk, and what each asks for.

use super::controls::Controls;
use super::entry::Entry;
use super::overlays::{Followed, Overlays, Shown};
use super::page::{Outcome, Page, Press};
use super::window::Fullscreen;
use crate::operator::{Entered, Lock};
use crate::ops::{self, Slate};
use bevy::input::ButtonState;
use bevy::input::keyboard::{Key, KeyboardFocusLost, KeyboardInput, NativeKey};
use bevy::prelude::*;
use bevy::window::WindowCloseRequested;
use std::time::{Duration, Instant};

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
    /// The next camera.
    NextCamera,
    /// Camera off and picture hidden, or back on.
    Privacy,
    /// Show the settings page.
    Settings,
    /// Show or hide the keys.
    Help,
    /// Enter another portal's code, while this one is not paired.
    EnterCode,
    /// Hide figures, keys, settings and the entry of a code.
    CloseOverlays,
    /// End the program.
    Quit,
}

/// Keys and what they do, for the help overlay and the manual.
pub const KEYS: [(&str, &str); 10] = [
    ("R", "Connect again now"),
    ("F", "Fullscreen or window"),
    ("V", "Own picture on or off"),
    ("C", "Next camera"),
    ("I", "Figures on or off"),
    ("P", "Privacy: camera and picture off"),
    ("S", "Settings"),
    ("Enter", "Type the other one’s pairing code"),
    ("?", "These keys"),
    ("Ctrl + Q", "Quit"),
];

/// What this key asks for. By what is printed on it, not by where it sits: kiosks have all sorts of keyboards.
pub fn action(key: &Key, control: bool) -> Option<Action> {
    let Key::Character(character) = key else {
        return match key {
            Key::F1 => Some(Action::Help),
            Key::Escape => Some(Action::CloseOverlays),
            Key::Enter => Some(Action::EnterCode),
            _ => None,
        };
    };
    match (character.to_lowercase().as_str(), control) {
        ("q", true) => Some(Action::Quit),
        (_, true) => None,
        ("r", false) => Some(Action::Reconnect),
        ("f", false) => Some(Action::Fullscreen),
        ("v", false) => Some(Action::SelfView),
        ("c", false) => Some(Action::NextCamera),
        ("i", false) => Some(Action::Info),
        ("p", false) => Some(Action::Privacy),
        ("s", false) => Some(Action::Settings),
        ("?", false) => Some(Action::Help),
        _ => None,
    }
}

/// The name of a key, as the configuration and the log have it: what is printed on it, what the system calls it (`F13`, `Pause`), or the
/// number of its symbol where it has no other name (X11's keysym: `xkb:0x1008ff8f`; buttons on pins often have only that).
fn name(key: &Key) -> String {
    match key {
        Key::Character(character) => character.to_string(),
        Key::Unidentified(NativeKey::Xkb(symbol)) => format!("xkb:{symbol:#x}"),
        other => format!("{other:?}"),
    }
}

/// Where the portal's part of the actions goes.
#[derive(Resource)]
pub struct Commands(pub crossbeam_channel::Sender<ops::Command>);

impl Commands {
    /// Tells the portal. When it is so far behind that its queue is full, the same key will be pressed again.
    pub fn send(&self, command: ops::Command) {
        if let Err(error) = self.0.try_send(command) {
            tracing::warn!(%error, "the portal does not take commands");
        }
    }
}

/// Who stands at the keys: whether they may, and where on the settings page they are.
#[derive(Resource, Default)]
pub struct Operator {
    /// Asks for the PIN, if there is one.
    pub lock: Lock,
    /// Where somebody is on the settings page.
    pub page: Page,
    /// Where somebody is with another portal's code.
    pub entry: Entry,
    /// Whether the PIN that was entered last was wrong.
    pub was_wrong: bool,
    /// What is done when the PIN is right.
    pending: Option<Action>,
    /// A key that has to be held, by its place (what it means may change with Shift before it is released), and since when it is.
    held: Option<(KeyCode, Action, Instant)>,
    /// Which keys for Control are down.
    controls: Controls,
}

/// So long a key is held, where that is wanted.
const HOLD: Duration = Duration::from_secs(1);

/// Turns keys into actions.
pub struct KeysPlugin;

impl Plugin for KeysPlugin {
    fn build(&self, app: &mut App) {
        app.init_resource::<Operator>().init_resource::<Asked>();
        app.add_systems(PreUpdate, (listen, close, act).chain().after(bevy::input::InputSystems));
    }
}

/// Actions that are to be done in this update.
#[derive(Resource, Default)]
pub(super) struct Asked(pub(super) Vec<Action>);

/// What somebody may do at any time: put overlays away, and switch the camera off. To switch it on again is the operator's business.
fn is_free(action: Action, slate: Slate) -> bool {
    match action {
        Action::CloseOverlays => true,
        Action::Privacy => slate != Slate::Private,
        _ => false,
    }
}

/// Keys to actions: through the settings page, the PIN and the holding.
pub(super) fn listen(
    (mut keys, mut unfocused): (MessageReader<KeyboardInput>, MessageReader<KeyboardFocusLost>),
    (live, shown): (Res<Followed>, Res<Shown>),
    commands: Res<Commands>,
    mut operator: ResMut<Operator>,
    mut overlays: ResMut<Overlays>,
    mut asked: ResMut<Asked>,
) {
    let now = Instant::now();
    if live.is_changed() {
        operator.lock.set_pin(live.0.operator.pin.clone());
    }
    let unpaired = shown.0.slate == Slate::NotPaired;
    // Whoever was on the page has gone, or the PIN is another one; or there is nothing to enter a code for any more.
    if ((overlays.settings() || overlays.entry()) && operator.lock.is_closed(now)) || (overlays.entry() && !unpaired) {
        overlays.close();
    }
    // However the page was put away: what was half written goes with it.
    if !overlays.settings() && operator.page.is_halfway() {
        operator.page = Page::default();
    }
    if operator.bypass_change_detection().page.forget_question(now) {
        operator.set_changed();
    }
    if !overlays.entry() && operator.entry != Entry::default() {
        operator.entry = Entry::default();
    }
    for input in keys.read() {
        let operator = &mut *operator;
        // As it was when this key was pressed, not as it is when the frame comes: Ctrl may have been pressed and released between two.
        operator.controls.follow(input);
        let control = operator.controls.any();
        if input.state == ButtonState::Released {
            operator.held.take_if(|(key, ..)| *key == input.key_code);
            continue;
        }
        overlays.touch();
        // Also one that is none for the page. What Escape does there depends on the question.
        if !matches!(input.logical_key, Key::Enter | Key::Escape) {
            operator.page.take_question_back();
        }
        let name = name(&input.logical_key);
        if live.0.privacy_keys.iter().any(|key| key.eq_ignore_ascii_case(&name)) {
            // A button of its own: it works wherever somebody is on the screen.
            if !input.repeat {
                operator.ask(Action::Privacy, shown.0.slate, now, &mut asked);
            }
            continue;
        }
        let writing = overlays.entry() || (overlays.settings() && operator.page.is_writing());
        let asking = operator.lock.is_asking(now);
        if !asking && !writing && !is_digit(&input.logical_key) {
            tracing::debug!(key = name, "key");
        }
        let action = action(&input.logical_key, control);
        // Free wherever somebody is on the screen, unless it is a letter of a name or a code. Whoever is on the page may end it there, too.
        let may_privacy = is_free(Action::Privacy, shown.0.slate) || overlays.settings();
        let is_privacy = action == Some(Action::Privacy) && may_privacy && !writing;
        if (overlays.settings() || overlays.entry()) && !is_privacy {
            let press = press(&input.logical_key, control).filter(|press| !input.repeat || press.goes_on());
            let Some(press) = press else { continue };
            // Whoever is on the page is there: another minute.
            operator.lock.is_open(now);
            let outcome = match overlays.entry() {
                true => operator.entry.press(press, &shown.0.entered, &shown.0.waiting),
                false => operator.page.press(press, &live.0, now),
            };
            match outcome {
                Outcome::Close => overlays.close(),
                Outcome::Do(command) => commands.send(command),
                Outcome::Stay => {}
            }
            continue;
        }
        // Elsewhere a key that is held down must not toggle thirty times a second.
        if input.repeat {
            continue;
        }
        if asking && !is_privacy {
            operator.enter(&input.logical_key, now, &mut asked);
            continue;
        }
        // On other slates, and over a picture, Enter means nothing: nobody is asked for the PIN for it.
        let Some(action) = action.filter(|action| unpaired || *action != Action::EnterCode) else { continue };
        if live.0.operator.hold && action != Action::CloseOverlays {
            operator.held = Some((input.key_code, action, now));
        } else {
            operator.ask(action, shown.0.slate, now, &mut asked);
        }
    }
    // Whoever has the keys now, we are not told of what is released.
    if unfocused.read().count() > 0 {
        let operator = operator.bypass_change_detection();
        (operator.controls, operator.held) = Default::default();
    }
    let held_long = |(.., since): &mut (KeyCode, Action, Instant)| now.saturating_duration_since(*since) >= HOLD;
    if let Some((_, action, _)) = operator.bypass_change_detection().held.take_if(held_long) {
        operator.ask(action, shown.0.slate, now, &mut asked);
    }
}

impl Operator {
    /// Does it, or asks for the PIN first.
    fn ask(&mut self, action: Action, slate: Slate, now: Instant, asked: &mut Asked) {
        if is_free(action, slate) || self.lock.is_open(now) {
            asked.0.push(action);
        } else {
            self.lock.ask(now);
            (self.pending, self.was_wrong) = (Some(action), false);
        }
    }

    /// A key while the PIN is asked for.
    fn enter(&mut self, key: &Key, now: Instant, asked: &mut Asked) {
        match key {
            Key::Escape => self.lock.cancel(),
            Key::Backspace => self.lock.take_back(now),
            Key::Enter => match self.lock.enter(now) {
                Entered::Right => asked.0.extend(self.pending.take()),
                Entered::Wrong => {
                    self.was_wrong = true;
                    tracing::warn!("a wrong PIN was entered at the kiosk");
                }
                Entered::Nothing | Entered::Paused => {}
            },
            Key::Character(text) => {
                let digit = text.chars().next().and_then(|character| character.to_digit(10));
                let Some(digit) = digit.and_then(|digit| u8::try_from(digit).ok()) else { return };
                if self.lock.digit(digit, now) {
                    self.was_wrong = false;
                }
            }
            _ => {}
        }
    }
}

/// It may be one of the PIN's, whenever it is pressed: no log has it.
fn is_digit(key: &Key) -> bool {
    matches!(key, Key::Character(text) if text.contains(|character: char| character.is_ascii_digit()))
}

/// Whoever closes the window wants the program to end, and may do that if the key for it may.
pub(super) fn close(
    mut closing: MessageReader<WindowCloseRequested>,
    shown: Res<Shown>,
    mut operator: ResMut<Operator>,
    mut asked: ResMut<Asked>,
) {
    if closing.read().count() > 0 {
        operator.ask(Action::Quit, shown.0.slate, Instant::now(), &mut asked);
    }
}

/// A key for the settings page.
fn press(key: &Key, control: bool) -> Option<Press> {
    Some(match key {
        Key::ArrowUp => Press::Up,
        Key::ArrowDown => Press::Down,
        Key::ArrowLeft => Press::Left,
        Key::ArrowRight => Press::Right,
        Key::Enter => Press::Enter,
        Key::Escape => Press::Escape,
        Key::Backspace => Press::Backspace,
        Key::Space => Press::Text(' '),
        Key::Character(text) if !control => Press::Text(text.chars().next()?),
        _ => return None,
    })
}

fn act(
    commands: Res<Commands>,
    mut asked: ResMut<Asked>,
    mut overlays: ResMut<Overlays>,
    mut fullscreen: ResMut<Fullscreen>,
    mut exit: MessageWriter<AppExit>,
) {
    if asked.0.is_empty() {
        return;
    }
    for action in asked.0.drain(..) {
        tracing::debug!(?action, "key");
        match action {
            Action::Reconnect => commands.send(ops::Command::Reconnect),
            Action::Privacy => commands.send(ops::Command::TogglePrivacy),
            Action::NextCamera => {
                overlays.ask_camera(Instant::now());
                commands.send(ops::Command::NextCamera);
            }
            Action::Fullscreen => fullscreen.toggle(),
            Action::SelfView => overlays.toggle_self_view(),
            Action::Info => overlays.toggle_info(),
            Action::Settings => {
                overlays.open_settings();
                commands.send(ops::Command::OpenSettings);
            }
            Action::Help => overlays.toggle_help(),
            Action::EnterCode => overlays.open_entry(),
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

    /// Presses keys while a PIN is set; what is done, and whether the PIN is asked for then.
    #[test]
    fn with_a_pin_nothing_but_privacy_is_free() {
        let mut operator = Operator { lock: Lock::new("4711".into()), ..Operator::default() };
        let now = Instant::now();
        let mut asked = Asked::default();
        operator.ask(Action::Privacy, Slate::Hidden, now, &mut asked);
        assert_eq!(std::mem::take(&mut asked.0), [Action::Privacy]);
        for action in [Action::Privacy, Action::Quit, Action::Settings, Action::Info, Action::Reconnect] {
            operator.lock.close();
            operator.ask(action, Slate::Private, now, &mut asked);
            assert!(asked.0.is_empty() && operator.lock.is_asking(now), "{action:?}");
            let type_in = |operator: &mut Operator, digits: &str, asked: &mut Asked| {
                for digit in digits.chars() {
                    operator.enter(&Key::Character(digit.to_string().into()), now, asked);
                }
                operator.enter(&Key::Enter, now, asked);
            };
            type_in(&mut operator, "0000", &mut asked);
            assert!(asked.0.is_empty() && operator.was_wrong && operator.lock.is_asking(now));
            operator.enter(&Key::Character("r".into()), now, &mut asked);
            type_in(&mut operator, "4711", &mut asked);
            assert_eq!(std::mem::take(&mut asked.0), [action]);
            assert!(!operator.lock.is_asking(now));
        }
    }

    #[test]
    fn keys_do_what_the_help_says() {
        let press = |text: &str, control| action(&Key::Character(text.into()), control);
        assert_eq!(press("r", false), Some(Action::Reconnect));
        assert_eq!(press("P", false), Some(Action::Privacy), "with caps lock too");
        assert_eq!(press("?", false), Some(Action::Help));
        assert_eq!(press("q", true), Some(Action::Quit));
        assert_eq!(press("q", false), None, "nobody quits a kiosk with one key");
        assert_eq!(press("c", true), None, "nobody copies from a kiosk");
        assert_eq!(press("r", true), None);
        assert_eq!(action(&Key::Escape, false), Some(Action::CloseOverlays));
    }

    #[test]
    fn keys_have_the_names_that_the_manual_says() {
        let names = [Key::F13, Key::Pause, Key::Character("y".into()), Key::Unidentified(NativeKey::Xkb(0x1008_ff8f))];
        assert_eq!(names.map(|key| name(&key)), ["F13", "Pause", "y", "xkb:0x1008ff8f"]);
    }
}
