//! The section `[source]`.

use super::Preference;
use crate::config::Invalid;
use crate::media::Size;
use std::path::PathBuf;

/// What kind of source the outgoing pictures come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A camera (V4L2).
    #[default]
    Camera,
    /// Colour bars, something moving, a clock and the site's name.
    Pattern,
    /// A landscape that the program paints: moves and compresses like film.
    Scene,
    /// A film from a file, Y4M or H.264, again and again.
    File,
}

/// Where outgoing pictures come from.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `camera` (default), `pattern`, `scene` or `file`.
    pub kind: Kind,
    /// Which cameras, best first: one text or a list of them, see [`Preference`]. The first one that is there is used; a better one
    /// that returns is taken back once it has been there for ten seconds. Others than these are never used. Empty (default): the
    /// first camera that has pictures.
    pub camera: Preference,
    /// The film, for `kind = "file"` only. Default: none.
    pub file: PathBuf,
    /// Width of the sent picture in pixels, even, 160 to 4096. Default 1280. A camera that does not have this size is used at
    /// the nearest one that it has; larger pictures are cropped and scaled down to it, smaller ones sent as they are. A file
    /// has its own size.
    pub width: u32,
    /// Height of the sent picture in pixels, even, 90 to 4096. Default 720. See `width`.
    pub height: u32,
    /// Pictures per second, 1 to 60. Default 30. A camera may deliver fewer. A file has its own rate.
    pub fps: u32,
    /// Draws a time code into every picture, for measuring latency from outside. Default false.
    pub time_code: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kind: Kind::Camera,
            camera: Preference::default(),
            file: PathBuf::new(),
            width: 1280,
            height: 720,
            fps: 30,
            time_code: false,
        }
    }
}

impl Config {
    /// Whether the values can be used.
    pub fn check(&self) -> Result<(), Invalid> {
        let invalid = |key, problem: String| Err(Invalid { key, problem });
        let side = |value: u32, least: u32| (least..=Size::MAX_SIDE).contains(&value) && value.is_multiple_of(2);
        if !side(self.width, 160) {
            return invalid("width", format!("{} pixels: must be even, from 160 to {}", self.width, Size::MAX_SIDE));
        }
        if !side(self.height, 90) {
            return invalid("height", format!("{} pixels: must be even, from 90 to {}", self.height, Size::MAX_SIDE));
        }
        if !(1..=60).contains(&self.fps) {
            return invalid("fps", format!("{} pictures per second: must be from 1 to 60", self.fps));
        }
        if let Some(problem) = self.camera.problem() {
            return invalid("camera", problem);
        }
        match (self.kind, self.file.as_os_str().is_empty()) {
            (Kind::File, true) => invalid("file", "kind is \"file\": name the film (.y4m, .h264, .264)".into()),
            (_, _) => Ok(()),
        }
    }

    /// The wanted size.
    pub fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_values_are_named() {
        assert_eq!(Config::default().check(), Ok(()));
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().key
        };
        assert_eq!(wrong(|c| c.width = 1281), "width");
        assert_eq!(wrong(|c| c.width = 8192), "width");
        assert_eq!(wrong(|c| c.height = 2), "height");
        assert_eq!(wrong(|c| c.fps = 0), "fps");
        assert_eq!(wrong(|c| c.camera = Preference::new(["x"; 17])), "camera");
        assert_eq!(wrong(|c| c.kind = Kind::File), "file");
    }
}
