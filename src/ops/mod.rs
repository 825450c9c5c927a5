//! What an operator sees: the figures, the state in words, logs and process measurements.
//!
//! [`Figures`] is the one place where every part of the program counts what it does. The screen, `/status`, `/metrics`, the
//! log and the demo's report all read the same [`Snapshot`].

pub mod alone;
pub mod ending;
mod figures;
mod freezes;
pub mod logging;
mod measure;
mod notice;
pub mod panics;
mod path;
mod privacy;
mod process;
pub mod pulse;
mod quality;
pub mod systemd;
mod terminal;
mod view;
pub mod watchdog;
mod words;

pub use figures::{
    Figure, Figures, GuestFigures, GuestValues, HISTORY, Incoming, IncomingValues, LinkFigures, LinkValues, Minute,
    Outgoing, OutgoingValues, PairingFigures, PairingValues, Sample, SizeReason, Snapshot, WatchdogFigures,
    WatchdogValues, Watcher,
};
pub use measure::{Counter, Gauge, Latencies, Latency};
pub use notice::notice;
pub use path::{CandidateKind, Path, Transport};
pub use privacy::{Privacy, PrivacyState, open_devices};
pub use process::{ProcessUsage, free_large_blocks_at_once, process_usage};
pub use quality::{Quality, QualityChange};
pub use terminal::{say, try_say};
pub use view::{
    CameraState, Command, EnteredCode, FarCamera, Invitation, LinkState, Slate, Typed, Value, View, Waiting,
};
pub use words::Words;
