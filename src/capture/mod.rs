//! Where outgoing pictures come from.
//!
//! One thread opens the configured [`Source`] and keeps it open for as long as the portal runs ([`start`]): whatever goes
//! wrong is told to the operator and tried again, for ever. Each picture goes into two mailboxes, for the encoder and for the
//! self-view, and into a third one while there are guests.

mod camera;
mod cameras;
mod card;
mod choose;
mod config;
mod control;
mod failback;
mod file;
pub mod lens;
mod pace;
mod paint;
mod pattern;
mod preference;
mod run;
mod scene;
mod selection;
mod source;
mod tap;
mod watchdog;
pub mod y4m;

pub use cameras::{CameraInfo, cameras};
pub use card::paint_card;
pub use choose::{CameraFormat, Coding, choose};
pub use config::{Config, Kind};
pub use control::Capture;
pub use file::File;
pub use pace::Pace;
pub use pattern::Pattern;
pub use preference::Preference;
pub use run::{Begin, Outputs, start, start_with};
pub use scene::Scene;
pub use source::{Error, Source};
pub use tap::{Tap, Tapped, tap};
