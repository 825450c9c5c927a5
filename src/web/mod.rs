//! The status pages: what an operator or a monitoring system reads of a portal over HTTP.

mod config;

pub use config::Config;
