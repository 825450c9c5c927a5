//! Screen Portal: two kiosks, two places, one window between them.
//!
//! A portal is a display with a camera. Whoever stands in front of one sees, at once, who stands in front of the other. This crate
//! is the whole program; `src/main.rs` holds only the command line. This page is a tour: read it, then the module you came for.
//!
//! # How a picture travels
//!
//! ```text
//!  camera ─► capture thread ─►[latest frame]─► encode thread ─►(4)─► sender ──┐
//!                  └─►[latest frame]─► self-view                              │  SRTP over UDP,
//!  display ◄─[latest frame]◄─ decode thread ◄─(8)─ assembler ◄─ receiver ◄────┘  both ways
//! ```
//!
//! 1. [`capture`] opens a source (camera, test pattern, scene, file), makes I420 of what it gives and stamps it.
//! 2. The picture goes into two [`media::mailbox`]es, one for the encoder, one for the self-view. A mailbox has one slot and
//!    the newest wins: nothing old is ever encoded or shown; whoever is slow loses pictures, nobody gains delay.
//! 3. [`codec::encode`] makes an access unit of it: H.264, constrained baseline, no reordering, a keyframe only on request.
//! 4. [`link`] sends it over WebRTC: SRTP, repair by retransmission, a congestion controller that tells the encoder its bitrate. At the
//!    far end the same module puts the packets together again, and never gives an incomplete access unit to the decoder.
//! 5. [`codec::decode`] makes a picture of it; when it cannot, it asks the far end for a keyframe and shows nothing meanwhile.
//! 6. [`display`] is woken by the new picture, uploads its planes and draws them once, straight into the window's image.
//!
//! The capture time travels with the picture, so each portal knows how old what it presents is: [`ops::Figures::latency`].
//!
//! # What keeps it alive
//!
//! The invariant: *the link is live only while newly decoded remote pictures are being presented.* Not ICE's state, not packets:
//! presented pictures. [`link`]'s state machine is a pure function of events and time; everything that reconnects hangs on it.
//! It never gives up.
//!
//! # What keeps strangers out
//!
//! [`pairing`]: a portal is a DTLS certificate, made once and kept; its SHA-256 fingerprint is its name. Each portal pins the far
//! end's, by a one-time code or by configuration. [`signaling`] lets nobody speak who cannot prove to hold the pinned identity's key, and [`link`] sends and shows
//! nothing before the DTLS certificate has been compared with it.
//!
//! # Where they meet
//!
//! [`hub`] is a signalling server for those who cannot reach each other directly, and for browsers, cameras and media servers. It runs as
//! a program of its own (`screen-portal hub`) and sees no media.
//!
//! # Who else looks
//!
//! [`guests`]: where the operator allows it, others than the far end may look at the camera, as members of a hub's room. They see what the
//! far end sees, out of an encoder of their own that yields to everything else, and nothing of them is shown here.
//!
//! # What people see
//!
//! [`ops::Figures`] is the one place where everything is counted; [`ops::View`] says in few words what the portal is doing. The
//! display, the status pages ([`web`]), the log and the demo's report all read these two.
//!
//! # Who knows whom
//!
//! [`media`] and [`files`] know nobody, [`ops`] only `files` and, for the log, [`config`]'s section. [`capture`], [`codec`] and [`display`] know `media`; [`link`] knows `codec`'s access units, none of its
//! threads; only [`portal`] knows all: it wires them together and takes them down again.
//!
//! # Panics
//!
//! A panic is a bug in this program, never the answer to bad input: whatever comes from the network, the configuration or the
//! camera is parsed by functions that return errors.
#![forbid(unsafe_op_in_unsafe_fn)]
#![warn(missing_docs)]

pub mod capture;
pub mod cli;
pub mod codec;
pub mod config;
pub mod demo;
pub mod discovery;
pub mod display;
pub mod files;
pub mod guests;
pub mod hours;
pub mod hub;
pub mod link;
pub mod media;
pub mod mqtt;
pub mod ocamera;
pub mod operator;
pub mod ops;
pub mod pairing;
pub mod portal;
pub mod service;
pub mod signaling;
pub mod web;
