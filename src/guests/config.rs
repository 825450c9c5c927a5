//! The section `[guests]`.

use crate::config::Invalid;
use crate::hub::message::LONGEST_NAME;
use crate::media::Size;
use crate::mqtt;
use crate::ocamera::message::DeviceId;
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
    /// An MQTT broker where this portal is a device of the oCamera dialect, instead of a hub's room or besides: `mqtt://HOST:PORT` or
    /// `mqtts://HOST:PORT`. Default: empty, none.
    pub broker: String,
    /// Who we are at the broker, where it asks for that. Default: empty.
    pub broker_username: String,
    /// The password for the user name. Default: empty.
    pub broker_password: String,
    /// A PEM file of what to trust in the broker, instead of the system's certificates. Default: empty.
    pub broker_trust: PathBuf,
    /// The version of MQTT: `3.1.1` or `5`. Default: `5`.
    pub broker_version: mqtt::Version,
    /// The device's name among devices at the broker: at most 64 bytes without blanks and `/ + # $`. Default: empty, the site's name with hyphens.
    pub device: String,
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
            broker: String::new(),
            broker_username: String::new(),
            broker_password: String::new(),
            broker_trust: PathBuf::new(),
            broker_version: mqtt::Version::default(),
            device: String::new(),
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
            .field("broker", &self.broker)
            .field("device", &self.device)
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
        if !self.broker.is_empty()
            && let Err(problem) = self.broker_options().check()
        {
            return wrong("broker", problem.to_string());
        }
        if !self.device.is_empty() && DeviceId::new(&self.device).is_none() {
            return wrong(
                "device",
                format!("`{}` cannot be a device's name: at most 64 bytes, no blanks and / + # $", self.device),
            );
        }
        let at_hub = self.broker.is_empty() || !self.hub.is_empty() || !self.room.is_empty();
        for (key, value) in [("hub", &self.hub), ("room", &self.room)] {
            if self.enabled && at_hub && value.is_empty() {
                return wrong(key, "must be given with enabled = true, unless there is only a broker".into());
            }
        }
        Ok(())
    }

    /// Which broker, if there is one.
    pub fn broker_options(&self) -> mqtt::Options {
        mqtt::Options {
            url: self.broker.clone(),
            username: self.broker_username.clone(),
            password: self.broker_password.clone(),
            trust: Some(&self.broker_trust).filter(|trust| !trust.as_os_str().is_empty()).cloned(),
            version: self.broker_version,
        }
    }

    /// As which device: the name that is configured, or one made of the site's.
    pub fn device_id(&self, site: &str) -> Option<DeviceId> {
        let is_odd = |letter: char| !letter.is_alphanumeric();
        let made = || site.split(is_odd).filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-");
        let name = if self.device.is_empty() { made() } else { self.device.clone() };
        DeviceId::new(&name[..name.floor_char_boundary(LONGEST_NAME)]).or_else(|| DeviceId::new("portal"))
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
        let at_broker = |it: &mut Config| {
            it.hub.clear();
            it.room.clear();
            it.broker = "mqtts://broker.example".into();
        };
        assert_eq!(with(at_broker), Ok(()));
        assert_eq!(with(|it| it.broker = "broker.example".into()), Err("broker"));
        assert_eq!(with(|it| it.device = "all/#".into()), Err("device"));
        let device = |device: &str, site: &str| {
            Config { device: device.into(), ..Config::default() }.device_id(site).unwrap().to_string()
        };
        assert_eq!((&*device("door", "Old Harbour"), &*device("", "Old Harbour / East")), ("door", "Old-Harbour-East"));
        assert_eq!((&*device("", "???"), &*device("", "devices")), ("portal", "portal"));
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
