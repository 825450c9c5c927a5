//! The display: the far end's picture, full size and at once; one's own, small; a slate where there is no picture.
//!
//! Bevy makes the window, reads the keys and lays out words. The picture itself goes past Bevy's renderer: its planes are copied into
//! persistent textures and drawn once, straight into the window's image ([`surface`], [`planes`], [`painter`], [`stage`]).
//!
//! | file | idea |
//! |---|---|
//! | [`app`] | puts the plugins together and runs them |
//! | [`server`], [`gpu`], [`waiting`] | the window system and the graphics device, looked for and waited for before anything else |
//! | [`witness`], [`xlib`] | notice that the window system is gone, whatever the main thread is doing |
//! | [`window`] | the window: monitor, fullscreen, coming back after a monitor was unplugged |
//! | [`wake`] | what wakes the display; it sleeps otherwise |
//! | [`stage`] | the last step of each update: newest pictures in, one pass, present, count |
//! | [`privacy`] | which pictures may be seen: a pure policy |
//! | [`fit`], [`self_view`] | where pictures go: pure geometry |
//! | [`reduce`], [`direct`] | what is done on the processor where there is no GPU |
//! | [`canvas`] | where Bevy's UI paints words and figures, only when they change |
//! | [`slates`], [`overlays`], [`keys`] | words, figures, keys |
//! | [`invitation`], [`qr`] | the slate of a portal that is not paired: its code in words and as a QR code |
//! | [`page`], [`entry`], [`live`](Live) | the settings page and the entry of a code as models; what the display follows while it runs |
//! | [`wear`], `brightness` | what spares the screen: less light by the clock, words that fade, a slow drift: pure |
//! | [`power`] | the monitor's standby |
//! | [`loss`] | a graphics device that fails |
//! | `remedy` | what a watchdog may ask for: a new window, a new device |

mod brightness;
mod config;
mod error;
mod live;
pub mod power;
mod remedy;

#[cfg(feature = "kiosk")]
pub mod app;
#[cfg(feature = "kiosk")]
pub mod canvas;
#[cfg(feature = "kiosk")]
mod controls;
#[cfg(feature = "kiosk")]
pub mod direct;
#[cfg(feature = "kiosk")]
pub mod entry;
#[cfg(feature = "kiosk")]
pub mod fit;
#[cfg(feature = "kiosk")]
pub mod gpu;
#[cfg(feature = "kiosk")]
pub mod invitation;
#[cfg(feature = "kiosk")]
pub mod keys;
#[cfg(feature = "kiosk")]
pub mod loss;
#[cfg(feature = "kiosk")]
pub mod overlays;
#[cfg(feature = "kiosk")]
pub mod page;
#[cfg(feature = "kiosk")]
pub mod painter;
#[cfg(feature = "kiosk")]
pub mod planes;
#[cfg(feature = "kiosk")]
pub mod privacy;
#[cfg(feature = "kiosk")]
pub mod qr;
#[cfg(feature = "kiosk")]
pub mod reduce;
#[cfg(feature = "kiosk")]
pub mod self_view;
#[cfg(feature = "kiosk")]
pub mod server;
#[cfg(feature = "kiosk")]
pub mod slates;
#[cfg(feature = "kiosk")]
pub mod stage;
#[cfg(feature = "kiosk")]
mod stream;
#[cfg(feature = "kiosk")]
pub mod surface;
#[cfg(feature = "kiosk")]
pub mod waiting;
#[cfg(feature = "kiosk")]
pub mod wake;
#[cfg(feature = "kiosk")]
pub mod wear;
#[cfg(feature = "kiosk")]
pub mod window;
#[cfg(feature = "kiosk")]
pub mod witness;
#[cfg(feature = "kiosk")]
pub mod xlib;

#[cfg(all(test, feature = "kiosk"))]
mod keys_tests;
#[cfg(all(test, feature = "kiosk"))]
mod layout_tests;
#[cfg(all(test, feature = "kiosk"))]
mod pixel_tests;
#[cfg(all(test, feature = "kiosk"))]
mod slate_tests;
#[cfg(all(test, feature = "kiosk"))]
mod window_tests;

#[cfg(feature = "kiosk")]
pub use app::{Inputs, run};
pub use brightness::Brightness;
pub use config::{Config, Fit, PresentMode, Rotation};
pub use error::Error;
pub use live::{FarEnd, Live};
pub use remedy::Remedies;
#[cfg(feature = "kiosk")]
pub use witness::Alarm;
