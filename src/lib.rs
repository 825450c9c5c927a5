//! Screen Portal: two kiosks, two places, one window between them.
#![forbid(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

pub mod capture;
pub mod cli;
pub mod codec;
pub mod config;
pub mod demo;
pub mod display;
pub mod link;
pub mod media;
pub mod ops;
pub mod pairing;
pub mod portal;
pub mod signaling;
pub mod web;
