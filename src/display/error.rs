//! Why the display could not start, or had to end.

/// Why the display could not start, or had to end. Each is one line with cause and remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no window system in sight.
    #[error(
        "no display: neither WAYLAND_DISPLAY nor DISPLAY is set; start the program inside a graphical session or a kiosk \
         compositor such as cage, or use a build without the `kiosk` feature as a headless agent"
    )]
    NoDisplay,
    /// Built without the feature `kiosk`.
    #[error("this build shows no window: run it with --headless, or build it with the feature `kiosk`")]
    NotBuiltIn,
    /// The window system is named but does not answer.
    #[error("no display: {server} does not answer ({cause}); is it running, and may this user connect to it?")]
    Unreachable {
        /// Which one, as the environment names it.
        server: String,
        /// What it said.
        cause: String,
    },
    /// No Vulkan driver, not even a software one.
    #[error(
        "no Vulkan driver ({cause}); install one, `apt install libvulkan1 mesa-vulkan-drivers` has a software one too"
    )]
    NoVulkan {
        /// What the loader said.
        cause: String,
    },
    /// The driver is there, but its device cannot be used.
    #[error(
        "the Vulkan device {device} cannot be opened ({cause}); update its driver, or choose another with VK_ICD_FILENAMES"
    )]
    Device {
        /// The device's name.
        device: String,
        /// What the driver said.
        cause: String,
    },
    /// The device was lost more often than is worth trying.
    #[error(
        "the graphics device failed {times} times within {minutes} minutes ({cause}); restart, and look into its driver"
    )]
    Lost {
        /// How often.
        times: usize,
        /// Within how many minutes.
        minutes: u64,
        /// What the driver said the last time.
        cause: String,
    },
    /// The window system has closed our connection: it has ended, or it has thrown us out.
    #[error("the window system ({server}) is gone")]
    Gone {
        /// Which one.
        server: &'static str,
    },
    /// The window system or the renderer ended without a word that we know.
    #[error("the window system ended ({cause}); restart the program, and the graphical session if that does not help")]
    Crashed {
        /// What is known.
        cause: String,
    },
}

impl Error {
    /// Whether a display that did work was lost: a process that begins again can have it back, this one cannot, because a window system can be entered only
    /// once in a process.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Gone { .. } | Self::Crashed { .. })
    }
}
