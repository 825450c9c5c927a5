//! Who may use the keys: section `[operator]`, and the policy behind the PIN. Pure; the display asks it.

mod config;
mod lock;

pub use config::{Config, MOST_DIGITS, Pin};
pub use lock::{Entered, Lock};
