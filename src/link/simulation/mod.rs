//! A network in a test tube: two portals and what lies between them, in virtual time.
//!
//! ```text
//!  encoder ─► packetizer ─► interceptors ─► tube ─► interceptors ─► assembler ─► screen
//! (emulated)    (real)         (real)     (model)      (real)         (real)   (emulated)
//! ```
//!
//! Nothing here knows a socket, a thread or a clock: the interceptors take the time as an argument, and an hour of network takes
//! seconds. Chance comes from a seed, so that each run is the same.
//!
//! | | |
//! |---|---|
//! | `tube`, `tcp` | the path of one direction; a download that shares it |
//! | `encoder`, `screen` | what is sent and what is seen |
//! | `connection`, `peer` | one end's media; the connection around it (emulated) |
//! | `portal`, `signalling`, `world` | one end, with the real state machine; how the two meet; everything |
//! | `scenario`, `scenarios` | what the network does and what must be seen, as data; one file per behaviour |

mod connection;
mod encoder;
mod peer;
mod portal;
mod random;
mod scenario;
mod scenarios;
mod screen;
mod signalling;
mod soak;
mod tcp;
mod tube;
mod world;
