//! The status pages: what an operator or a monitoring system reads of a portal over HTTP.
//!
//! | page | |
//! |---|---|
//! | `/status` | JSON: view, all figures, version, fingerprint |
//! | `/health` | 200 while the portal does what it should, 503 with the reason when somebody should have a look; see [`health`] |
//! | `/metrics` | the figures for Prometheus (OpenMetrics text) |
//!
//! Read-only, on a loopback address unless configured otherwise.

mod config;
mod health;
mod metrics;
mod pages;
mod places;
mod server;

pub use config::Config;
pub use health::{Health, health};
pub use metrics::CONTENT_TYPE as METRICS_TYPE;
pub use server::{Error, serve};
