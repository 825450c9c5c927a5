//! What happens to displays, done to the real program: window systems that come late, die, stop and start again,
//! outputs that go and come, windows that are taken away. Nobody lends a hand; the right picture is back after a while,
//! and until then nothing wrong is shown.
//!
//! `cargo test --release --test display -- --nocapture --test-threads 1` prints the table of
//! docs/measurements/display.md.

#[path = "../pairing/cable.rs"]
mod cable;
mod driver;
mod failures;
#[allow(dead_code, reason = "tests/relay uses all of it")]
#[path = "../relay/mosquitto.rs"]
mod mosquitto;
mod pair;
mod pairing;
mod screens;
mod settings;
mod unpair;
mod wayland;
mod x11;
