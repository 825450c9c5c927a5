//! What the portal is doing, in few words: what the display shows and `/status` says.

use super::Path;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The link's state. See [`crate::link`] for what moves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// No far end is known (nothing pinned), or the portal has just started.
    #[default]
    Idle,
    /// Looking for the far end: dialling, listening, exchanging offer and answer.
    Signalling,
    /// Offer and answer are exchanged; ICE and DTLS are under way, or the first picture is still missing.
    Connecting,
    /// A newly decoded remote picture was presented within the last second.
    Live,
    /// It was live, and no new picture has come for a second.
    Stalled,
    /// Ended by the operator or the opening hours.
    Closed,
}

impl LinkState {
    /// In words, for whoever reads the log.
    pub fn words(self) -> &'static str {
        match self {
            Self::Idle => "not paired",
            Self::Signalling => "looking for the far end",
            Self::Connecting => "connecting",
            Self::Live => "live",
            Self::Stalled => "the far end's picture has stopped",
            Self::Closed => "closed",
        }
    }
}

/// The local camera (or whatever source is used).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum CameraState {
    /// Being opened for the first time.
    #[default]
    Starting,
    /// Pictures come.
    Running {
        /// The source's name and format, for people.
        description: String,
    },
    /// Pictures come, and nothing is to be seen in them: something is on the lens or close to it, or it is dark. They
    /// are blurred before they are sent and shown.
    Covered {
        /// The source's name and format, for people.
        description: String,
    },
    /// No pictures; tried again all the time.
    Missing {
        /// Cause and remedy, for people.
        reason: String,
    },
    /// Switched off on purpose, by the privacy key or outside opening hours: nothing is captured, nothing sent.
    Private,
}

/// What the far end says of its camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum FarCamera {
    /// Not heard of yet.
    #[default]
    Unknown,
    /// It has pictures.
    Running,
    /// Its lens is covered, or it is dark there: its pictures come blurred.
    Covered,
    /// It has none.
    Missing,
    /// Its operator switched it off.
    Private,
    /// It is closed: opening hours, there or here.
    Closed,
}

impl FarCamera {
    /// Every one, for those who list or test them all.
    pub const ALL: [Self; 6] =
        [Self::Unknown, Self::Running, Self::Covered, Self::Missing, Self::Private, Self::Closed];

    /// The one that says nearly the same and that every version of this program knows.
    pub fn known_to_all(self) -> Self {
        match self {
            Self::Unknown | Self::Running | Self::Missing | Self::Private => self,
            // Its pictures come, and are blurred already.
            Self::Covered => Self::Running,
            Self::Closed => Self::Private,
        }
    }
}

/// Which calm picture is shown instead of the far end's, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Slate {
    /// None: the far end's picture is shown.
    Hidden,
    /// The program has just started or is connecting.
    #[default]
    Connecting,
    /// Nothing is pinned: the portal is not paired yet.
    NotPaired,
    /// The far end cannot be reached.
    NoFarEnd,
    /// The far end is there, and its camera gives no pictures: missing, stalled, in use elsewhere.
    FarCameraMissing,
    /// The far end's camera was switched off there.
    FarPrivate,
    /// The far end said goodbye.
    FarOff,
    /// The picture has stopped coming.
    Paused,
    /// Outside opening hours, ours or the far end's: nothing is shown or sent either way.
    Closed,
    /// Our own privacy key: nothing is shown or sent either way.
    Private,
}

impl Slate {
    /// Every one, for those who list or test them all.
    pub const ALL: [Self; 10] = [
        Self::Hidden,
        Self::Connecting,
        Self::NotPaired,
        Self::NoFarEnd,
        Self::FarCameraMissing,
        Self::FarPrivate,
        Self::FarOff,
        Self::Paused,
        Self::Closed,
        Self::Private,
    ];
}

impl Slate {
    /// Why there is no picture, where the link's state does not say it; for whoever reads the log.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::FarCameraMissing => Some("the far end's camera gives no picture"),
            Self::FarPrivate => Some("the far end is private"),
            Self::FarOff => Some("the far end is off"),
            Self::Private => Some("private here"),
            Self::Closed => Some("outside opening hours"),
            Self::Hidden | Self::Connecting | Self::NotPaired | Self::NoFarEnd | Self::Paused => None,
        }
    }
}

/// All that the display needs to know, in one value. Published by the portal whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct View {
    /// The link's state.
    pub link: LinkState,
    /// What to show instead of the far end, if anything.
    pub slate: Slate,
    /// Our own camera.
    pub camera: CameraState,
    /// The far end's camera.
    pub far_camera: FarCamera,
    /// The far end's name for its place, once it told us. Untrusted text, at most 64 characters, no control characters.
    pub far_site: Option<String>,
    /// What people are told while it is closed: when it opens, in both local times.
    pub opening: Option<String>,
    /// One line for the operator about the last thing that went wrong with the link, if it is not live.
    pub trouble: Option<String>,
    /// The way that packets take, while there is a connection and it is known.
    pub path: Option<Path>,
    /// How many guests look at our camera who are not the far end.
    #[serde(default)]
    pub guests: usize,
    /// How somebody can be paired with, while the portal is not paired. For those who stand before the screen only: a
    /// code is a secret, and the status pages may be read from afar.
    #[serde(skip)]
    pub invitation: Option<Invitation>,
    /// Others in the local network who wait to be paired, while the portal does so, too.
    #[serde(skip)]
    pub waiting: Vec<Waiting>,
    /// What comes of the code that was entered here last, while the portal is not paired.
    #[serde(skip)]
    pub entered: EnteredCode,
    /// The words that the other screen says, too: for a minute after both were paired.
    #[serde(skip)]
    pub confirmation: Option<String>,
}

/// What a portal that is not paired shows.
#[derive(Clone, PartialEq, Eq)]
pub enum Invitation {
    /// This code.
    Code {
        /// As it is read out.
        code: String,
        /// What pairs with it at the other end, as a command: for whoever can pass it on as text.
        command: String,
    },
    /// None: too many were tried.
    Paused,
}

impl fmt::Debug for Invitation {
    /// Never the code.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code { .. } => "Code",
            Self::Paused => "Paused",
        })
    }
}

/// What comes of a code that was entered at the kiosk.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum EnteredCode {
    /// None was.
    #[default]
    None,
    /// It is being tried; what is done at this moment.
    Tried(String),
    /// Why it came to nothing, and what to do about it.
    Refused(String),
    /// It is paired; which words the other screen says, too.
    Paired(String),
}

/// Another portal that waits to be paired, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// The name of its place. Untrusted text, at most 64 characters, no control characters.
    pub site: String,
    /// Tells it from others of the same name.
    pub id: String,
}

/// A code that was typed at the kiosk. A secret: it has no words for the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Typed {
    /// The code.
    pub code: String,
    /// Which of several portals in the local network shows it ([`Waiting::id`]), where somebody has said so.
    pub shown_by: Option<String>,
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Typed")
    }
}

/// A value that is set at the kiosk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A whole number.
    Number(u16),
    /// On or off.
    Flag(bool),
}

impl View {
    /// Whether no picture of the far end may be shown now, whatever comes: somebody does not want to be seen, or ended
    /// it. While its slate stays after it said that its camera runs again, its pictures are waited for.
    pub fn refuses(&self) -> bool {
        let runs = matches!(self.far_camera, FarCamera::Running | FarCamera::Covered);
        match self.slate {
            Slate::Hidden | Slate::Connecting | Slate::NoFarEnd | Slate::Paused => false,
            Slate::FarCameraMissing | Slate::FarPrivate => !runs,
            // Whoever is closed says when it opens: we are then.
            Slate::Closed => self.opening.is_some() || !runs,
            Slate::NotPaired | Slate::FarOff | Slate::Private => true,
        }
    }
}

/// What a person at the kiosk may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start a new connection now, whatever the back-off says.
    Reconnect,
    /// Camera off and remote picture hidden, or back on.
    TogglePrivacy,
    /// Set a key of the configuration: section, key, value.
    Set(&'static str, &'static str, Value),
    /// Use the next one of the cameras that the configuration allows.
    NextCamera,
    /// Open the settings page: see which cameras there are, and nothing of what was told there before.
    OpenSettings,
    /// Look at the network, for the settings page.
    TestNetwork,
    /// Pair with the portal that shows this code.
    Pair(Typed),
    /// Forget the far end, and wait to be paired anew.
    Unpair,
    /// End the program in order.
    Quit,
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{}\"", text.escape_debug()),
            Self::Number(number) => number.fmt(f),
            Self::Flag(on) => f.write_str(if *on { "on" } else { "off" }),
        }
    }
}

/// For whoever reads the log.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reconnect => "a new connection",
            Self::TogglePrivacy => "privacy, on or off",
            Self::Set(section, key, value) => return write!(f, "{section}.{key} to be {value}"),
            Self::NextCamera => "the next camera",
            Self::OpenSettings => "the settings page",
            Self::TestNetwork => "a test of the network",
            Self::Pair(_) => "pairing, with a code that was entered",
            Self::Unpair => "to forget the far end",
            Self::Quit => "the end of the program",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_in_words() {
        for (command, words) in [
            (Command::Set("display", "fit", Value::Text("cover".into())), "display.fit to be \"cover\""),
            (Command::Set("site", "name", Value::Text("a\nb".into())), "site.name to be \"a\\nb\""),
            (Command::Set("display", "rotate_deg", Value::Number(90)), "display.rotate_deg to be 90"),
            (Command::Set("display", "self_view", Value::Flag(false)), "display.self_view to be off"),
            (Command::NextCamera, "the next camera"),
            (
                Command::Pair(Typed { code: "47-harbor-orbit".into(), shown_by: None }),
                "pairing, with a code that was entered",
            ),
        ] {
            assert_eq!(command.to_string(), words);
            assert!(!format!("{command:?}").contains("harbor"), "a code is a secret");
        }
    }
}
