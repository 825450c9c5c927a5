//! Where the demo's windows are: on the desktop, on a screen in memory, or nowhere.

#[cfg(feature = "kiosk")]
use super::Region;
use super::{Error, Picture, Screen};
use crate::display;
use std::path::Path;

/// Size of each window on a screen in memory: the video's own, so that it is shown pixel by pixel.
const SIZE: (u32, u32) = (1280, 720);
/// Size of each window on a desktop whose size is not known.
const SIZE_ON_DESKTOP: (u32, u32) = (960, 540);

/// Where windows can be put.
#[derive(Debug)]
pub enum Stage {
    /// A desktop with somebody in front of it, maybe.
    Desktop,
    /// A screen of our own that nobody sees.
    Memory(Screen),
    /// No windows at all: the program was built without them.
    Headless,
}

/// Place and size of a window in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From the left and from the top; `None` leaves it to the window manager.
    pub position: Option<(i32, i32)>,
    /// Width and height.
    pub size: (u32, u32),
    /// Whether it has a frame to move and close it by.
    pub decorations: bool,
}

impl Window {
    /// Writes it into a display's configuration.
    pub fn apply(&self, config: &mut display::Config) {
        config.fullscreen = false;
        (config.width, config.height) = self.size;
        config.position_x = self.position.map(|(x, _)| x);
        config.position_y = self.position.map(|(_, y)| y);
        config.decorations = self.decorations;
        config.hide_cursor = !self.decorations;
    }
}

impl Stage {
    /// The desktop if there is one, else a screen in memory, whose log goes into `folder`.
    pub fn choose(folder: &Path) -> Result<Self, Error> {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        if !cfg!(feature = "kiosk") {
            Ok(Self::Headless)
        } else if set("DISPLAY") || set("WAYLAND_DISPLAY") {
            Ok(Self::Desktop)
        } else {
            Screen::start(2 * SIZE.0, SIZE.1, folder, None).map(Self::Memory)
        }
    }

    /// For the sentence "Two portals ...".
    pub fn describe(&self) -> &'static str {
        match self {
            Self::Desktop => "in two windows: close one, or press Ctrl+C here, to end",
            Self::Memory(_) => "on a screen in memory, because there is no display",
            Self::Headless => "without windows, because this program was built without them",
        }
    }

    /// Whether somebody can close a window.
    pub fn is_desktop(&self) -> bool {
        matches!(self, Self::Desktop)
    }

    /// Whether there are no windows.
    pub fn is_headless(&self) -> bool {
        matches!(self, Self::Headless)
    }

    /// An error if the screen in memory is gone.
    pub fn check(&mut self) -> Result<(), Error> {
        match self {
            Self::Memory(screen) => screen.check(),
            Self::Desktop | Self::Headless => Ok(()),
        }
    }

    /// What a program needs in its environment to show its window here.
    pub fn environment(&self) -> Vec<(String, String)> {
        match self {
            Self::Memory(screen) => vec![("DISPLAY".into(), screen.display().into())],
            Self::Desktop | Self::Headless => vec![],
        }
    }

    /// Two windows side by side.
    pub fn windows(&self) -> [Window; 2] {
        match self {
            Self::Memory(_) | Self::Headless => {
                [0, SIZE.0 as i32].map(|x| Window { position: Some((x, 0)), size: SIZE, decorations: false })
            }
            Self::Desktop => on_desktop(desktop_size()),
        }
    }

    /// What the two windows show, where that can be read.
    pub fn pictures(&self) -> Result<Option<[Picture; 2]>, Error> {
        match self {
            #[cfg(feature = "kiosk")]
            Self::Memory(screen) => {
                let picture =
                    |x| Picture::of_screen(screen.display(), Region { x, y: 0, width: SIZE.0, height: SIZE.1 });
                Ok(Some([picture(0)?, picture(SIZE.0)?]))
            }
            _ => Ok(None),
        }
    }
}

/// Beside each other, as large as the desktop allows, not larger than the video.
fn on_desktop(desktop: Option<(u32, u32)>) -> [Window; 2] {
    let Some((width, height)) = desktop else {
        return [Window { position: None, size: SIZE_ON_DESKTOP, decorations: true }; 2];
    };
    let wide = (width / 2).clamp(320, SIZE.0) / 16 * 16;
    let y = (height.saturating_sub(wide * 9 / 16) / 3) as i32;
    [0, (width / 2) as i32].map(|x| Window { position: Some((x, y)), size: (wide, wide * 9 / 16), decorations: true })
}

/// The X server's screen in pixels; unknown on Wayland, where a window cannot choose its place anyway.
fn desktop_size() -> Option<(u32, u32)> {
    #[cfg(feature = "kiosk")]
    if std::env::var_os("WAYLAND_DISPLAY").is_none_or(|value| value.is_empty()) {
        use x11rb::connection::Connection;
        let (server, number) = x11rb::connect(None).ok()?;
        let screen = server.setup().roots.get(number)?;
        return Some((screen.width_in_pixels.into(), screen.height_in_pixels.into()));
    }
    None
}

/// The name of what draws the pictures, as the display writes it into a portal's log (for people, or as JSON), if it does.
pub fn adapter(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let (_, name) = text.split_once("device=\"").or_else(|| text.split_once("\"device\":\""))?;
    name.split_once('"').map(|(name, _)| name.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_fit_side_by_side() {
        for desktop in [(1920, 1080), (1366, 768), (3840, 2160), (1280, 1024)] {
            let [left, right] = on_desktop(Some(desktop));
            assert_eq!(left.size, right.size);
            assert!(left.size.0 <= desktop.0 / 2 && left.size.1 <= desktop.1, "{desktop:?}: {left:?}");
            assert_eq!(right.position.unwrap().0, desktop.0 as i32 / 2);
            assert_eq!(left.size.0 * 9, left.size.1 * 16);
        }
        assert_eq!(on_desktop(None)[0].position, None);
    }

    #[test]
    fn the_log_names_the_adapter() {
        let log = tempfile::NamedTempFile::new().unwrap();
        let named = |text: &str| {
            std::fs::write(log.path(), text).unwrap();
            adapter(log.path())
        };
        assert_eq!(named("INFO display device=\"llvmpipe (LLVM)\" driver=x\n").as_deref(), Some("llvmpipe (LLVM)"));
        assert_eq!(named("{\"message\":\"display\",\"device\":\"llvmpipe\"}").as_deref(), Some("llvmpipe"));
        assert_eq!(named("INFO window\n"), None);
    }

    #[test]
    fn a_window_is_a_valid_configuration() {
        let mut config = display::Config::default();
        on_desktop(Some((1920, 1080)))[1].apply(&mut config);
        config.check().unwrap();
        assert!(!config.fullscreen);
    }
}
