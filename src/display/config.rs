//! What the display can be told, TOML section `[display]`.

use super::Brightness;
use crate::config::Invalid;
use serde::{Deserialize, Serialize};

/// The window, how the far end's picture fits into it, and what may be laid over it.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether the window covers a whole monitor. Default: true.
    pub fullscreen: bool,
    /// The monitor to cover: its name as the window system calls it (`HDMI-1`, or a part of it), or its number from 0.
    /// Empty (the default): the primary one.
    pub monitor: String,
    /// Width of the window in pixels when it is not fullscreen: 64 to 16384. Default: 1280.
    pub width: u32,
    /// Height of the window in pixels when it is not fullscreen: 64 to 16384. Default: 720.
    pub height: u32,
    /// Left edge of the window on the desktop in pixels, when it is not fullscreen. Default: wherever the window manager
    /// puts it. Only together with `position_y`.
    pub position_x: Option<i32>,
    /// Top edge of the window on the desktop in pixels, when it is not fullscreen. Only together with `position_x`.
    pub position_y: Option<i32>,
    /// Whether the window has a frame and a title bar when it is not fullscreen. Default: true.
    pub decorations: bool,
    /// How a picture fits into a window of another shape. Default: `cover`.
    pub fit: Fit,
    /// How far everything shown is turned clockwise, in degrees: 0 (default), 90, 180 or 270. For monitors hung on their side.
    pub rotate_deg: u16,
    /// Whether one's own mirrored picture is shown small in a corner at the start; `V` toggles it. Default: true.
    pub self_view: bool,
    /// Whether slates carry words and `I` and `?` show their overlays. Without it nothing but pictures and calm colour is ever
    /// shown, for measurements and for galleries. Default: true.
    pub overlays: bool,
    /// Whether the mouse pointer is hidden over the window. Default: true.
    pub hide_cursor: bool,
    /// When a finished picture goes to the monitor. Default: `auto`.
    pub present_mode: PresentMode,
    /// Whether a portal that finds no window system or no graphics driver at its start waits for one, sending meanwhile: a kiosk boots in any order.
    /// Without it the program ends with exit code 6. A display that is lost later is always waited for. Default: true.
    pub wait: bool,
    /// Levels of brightness by the clock of `[hours]` `time_zone`, at most 24: `22:00 = 30` means 30 percent from then on, until the next one.
    /// 5 to 100 percent. Default: none, always full.
    pub dim: Vec<String>,
    /// The program, with its arguments, that switches the monitor off outside opening hours, for instance `["cec-ctl", "--standby", "--to",
    /// "0"]`; no shell is in between. Default: empty, which on X11 means the monitor's power saving (DPMS), on Wayland nothing.
    pub standby_command: Vec<String>,
    /// The program that switches it on again. Default: empty, as above.
    pub wake_command: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            fullscreen: true,
            monitor: String::new(),
            width: 1280,
            height: 720,
            position_x: None,
            position_y: None,
            decorations: true,
            fit: Fit::Cover,
            rotate_deg: 0,
            self_view: true,
            overlays: true,
            hide_cursor: true,
            present_mode: PresentMode::Auto,
            wait: true,
            dim: Vec::new(),
            standby_command: Vec::new(),
            wake_command: Vec::new(),
        }
    }
}

impl Config {
    /// Says which value cannot be, and what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        for (key, side) in [("width", self.width), ("height", self.height)] {
            if !(64..=16384).contains(&side) {
                return Err(Invalid { key, problem: format!("{side} is not allowed: 64 to 16384 pixels") });
            }
        }
        if self.position_x.is_some() != self.position_y.is_some() {
            let key = if self.position_x.is_some() { "position_y" } else { "position_x" };
            let problem = "missing: position_x and position_y only work together".to_owned();
            return Err(Invalid { key, problem });
        }
        if let Err(problem) = Brightness::parse(&self.dim) {
            return Err(Invalid { key: "dim", problem });
        }
        if Rotation::from_degrees(self.rotate_deg).is_none() {
            let problem = format!("{} is not allowed: 0, 90, 180 or 270 degrees", self.rotate_deg);
            return Err(Invalid { key: "rotate_deg", problem });
        }
        Ok(())
    }

    /// The rotation; a value that [`Config::check`] would refuse counts as none.
    pub fn rotation(&self) -> Rotation {
        Rotation::from_degrees(self.rotate_deg).unwrap_or_default()
    }
}

/// How a picture fits into an area of another shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The area is filled; what sticks out of it on two sides is not shown.
    #[default]
    Cover,
    /// The whole picture is shown; two sides stay black.
    Contain,
}

/// How far everything shown is turned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Upright.
    #[default]
    None,
    /// A quarter clockwise: the top edge of the picture is on the window's right.
    Quarter,
    /// Upside down.
    Half,
    /// A quarter anticlockwise: the top edge of the picture is on the window's left.
    ThreeQuarters,
}

impl Rotation {
    /// The rotation by so many degrees clockwise, if it is one of the four.
    pub fn from_degrees(degrees: u16) -> Option<Self> {
        match degrees {
            0 => Some(Self::None),
            90 => Some(Self::Quarter),
            180 => Some(Self::Half),
            270 => Some(Self::ThreeQuarters),
            _ => None,
        }
    }

    /// Whether width and height change places.
    pub fn is_sideways(self) -> bool {
        matches!(self, Self::Quarter | Self::ThreeQuarters)
    }
}

/// When a finished picture goes to the monitor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PresentMode {
    /// `mailbox` where the driver has it, else `fifo`.
    #[default]
    Auto,
    /// At the next refresh; a newer picture replaces one that still waits. No tearing, least delay.
    Mailbox,
    /// At the next refresh, one after the other. No tearing; every driver has it.
    Fifo,
    /// At once: tears, and is the fastest.
    Immediate,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_survive_toml() {
        let config = Config::default();
        assert_eq!(config.check(), Ok(()));
        let text = toml::to_string(&config).unwrap();
        assert_eq!(toml::from_str::<Config>(&text).unwrap(), config);
    }

    #[test]
    fn wrong_values_are_named() {
        let key = |text: &str| toml::from_str::<Config>(text).unwrap().check().unwrap_err().key;
        assert_eq!(key("width = 3"), "width");
        assert_eq!(key("height = 20000"), "height");
        assert_eq!(key("rotate_deg = 45"), "rotate_deg");
        assert_eq!(key("position_x = 5"), "position_y");
        assert_eq!(key("dim = [\"22:00\"]"), "dim");
        assert!(toml::from_str::<Config>("fit = \"stretch\"").is_err());
        assert!(toml::from_str::<Config>("colour = 1").is_err());
    }
}
