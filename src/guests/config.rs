//! The section `[guests]`.

use crate::config::Invalid;
use crate::hub::message::LONGEST_NAME;
use crate::media::Size;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Whether, where and how well others than the far end may look at this portal's camera.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether this portal enters a hub's room as a camera and sends pictures to whoever the hub lets in there. Default false: it
    /// calls nobody.
    pub enabled: bool,
    /// The hub: `wss://HOST:PORT/`, or `ws://HOST:PORT/` in a private network. At most 256 characters. Default: empty.
    pub hub: String,
    /// The room's name, 1 to 64 bytes. Default: empty.
    pub room: String,
    /// By which name guests ask for the pictures, at most 64 bytes. Default: empty, the site's name.
    pub camera: String,
    /// What lets this portal into the room, where the hub asks for a token: at most 256 characters. A secret. Default: empty, none.
    pub token: String,
    /// A PEM file with the certificates that a `wss:` hub is trusted by, instead of the system's: a hub's own `hub.pem`. Default: empty.
    pub trust: PathBuf,
    /// Guests at once, 1 to 16; one more is refused. Default: 4.
    pub max_viewers: usize,
    /// The largest picture for guests, in pixels: 160 to 1920 and 90 to 1080, even. A larger one of the camera is made smaller. Default:
    /// 1280x720.
    pub width: u32,
    /// See `width`.
    pub height: u32,
    /// Pictures a second for guests, at most: 1 to 30. Default: 15, half of what the far end gets, for half of the processor time.
    pub fps: u32,
    /// The most that each guest is sent, in bits per second: 200000 to 5000000. A guest with a narrower path makes it less for all, down to
    /// a third. Default: 1000000.
    pub bitrate_bps: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: false,
            hub: String::new(),
            room: String::new(),
            camera: String::new(),
            token: String::new(),
            trust: PathBuf::new(),
            max_viewers: 4,
            width: 1280,
            height: 720,
            fps: 15,
            bitrate_bps: 1_000_000,
        }
    }
}

/// Never shows the token.
impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("enabled", &self.enabled)
            .field("hub", &self.hub)
            .field("room", &self.room)
            .field("camera", &self.camera)
            .field("max_viewers", &self.max_viewers)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// The largest picture.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }

    /// The least that a guest is sent: one with a narrow path shall not spoil the picture for the others.
    pub fn least_bps(&self) -> u32 {
        self.bitrate_bps / 3
    }

    /// Says what is wrong with the values.
    ///
    /// # Errors
    /// The first one that cannot be.
    pub fn check(&self) -> Result<(), Invalid> {
        let wrong = |key, problem: String| Err(Invalid { key, problem });
        let within = |key, value: u64, least: u64, most: u64| {
            let problem = format!("{value}: must be from {least} to {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(Invalid { key, problem }) }
        };
        within("max_viewers", self.max_viewers as u64, 1, 16)?;
        within("width", self.width.into(), 160, 1920)?;
        within("height", self.height.into(), 90, 1080)?;
        within("fps", self.fps.into(), 1, 30)?;
        within("bitrate_bps", self.bitrate_bps.into(), 200_000, 5_000_000)?;
        for (key, side) in [("width", self.width), ("height", self.height)] {
            if side % 2 != 0 {
                return wrong(key, format!("{side} is odd"));
            }
        }
        let printable = |text: &str| !text.contains(char::is_control);
        for (key, name) in [("room", &self.room), ("camera", &self.camera)] {
            if name.len() > LONGEST_NAME || !printable(name) {
                return wrong(key, "must be of at most 64 bytes without control characters".into());
            }
        }
        // What stands in a header of HTTP.
        if self.token.len() > 256 || !self.token.chars().all(|c| c.is_ascii_graphic() || c == ' ') {
            return wrong("token", "must be of at most 256 letters, digits and signs of ASCII".into());
        }
        let is_plain = self.hub.len() <= 256 && self.hub.chars().all(|c| c.is_ascii_graphic());
        let is_hub = is_plain && (self.hub.starts_with("ws://") || self.hub.starts_with("wss://"));
        if !self.hub.is_empty() && !is_hub {
            return wrong(
                "hub",
                format!("`{}` is no address of a hub: write wss://HOST:PORT/ or ws://HOST:PORT/", self.hub),
            );
        }
        if self.hub.contains(['?', '@', '#']) {
            return wrong("hub", "has more than an address in it; what is secret belongs into `token`".into());
        }
        for (key, value) in [("hub", &self.hub), ("room", &self.room)] {
            if self.enabled && value.is_empty() {
                return wrong(key, "must be given with enabled = true".into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        let with = |change: fn(&mut Config)| {
            let (hub, room) = ("wss://hub.example/".into(), "hall".into());
            let mut config = Config { enabled: true, hub, room, ..Config::default() };
            change(&mut config);
            config.check().map_err(|invalid| invalid.key)
        };
        assert_eq!(Config::default().check(), Ok(()), "off");
        assert!(!Config::default().enabled);
        assert_eq!(with(|_| ()), Ok(()));
        assert_eq!(with(|it| it.hub = "ws://[::1]:7415".into()), Ok(()));
        assert_eq!(with(|it| it.hub.clear()), Err("hub"));
        assert_eq!(with(|it| it.room.clear()), Err("room"));
        assert_eq!(with(|it| it.hub = "https://hub.example/".into()), Err("hub"));
        assert_eq!(with(|it| it.hub = "wss://hub.example/?token=x".into()), Err("hub"));
        assert_eq!(with(|it| it.room = "a\nb".into()), Err("room"));
        assert_eq!(with(|it| it.camera = "x".repeat(65)), Err("camera"));
        assert_eq!(with(|it| it.token = "a\r\nb".into()), Err("token"));
        assert_eq!(with(|it| it.max_viewers = 0), Err("max_viewers"));
        assert_eq!(with(|it| it.width = 1281), Err("width"));
        assert_eq!(with(|it| it.height = 2), Err("height"));
        assert_eq!(with(|it| it.fps = 0), Err("fps"));
        assert_eq!(with(|it| it.bitrate_bps = 1), Err("bitrate_bps"));
        let config = Config { token: "a secret of the operator's".into(), ..Config::default() };
        assert!(!format!("{config:?}").contains("secret of"));
    }
}
