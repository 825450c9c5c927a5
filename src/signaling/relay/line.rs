//! One connection through a carrier: what a WebSocket is between two machines that reach each other.

use super::carrier::{Peer, Say};
use super::envelope::{Content, Envelope, LineId};
use crate::ops::Figures;
use crate::signaling::connection::close_frame;
use crate::signaling::hello::Role;
use crate::signaling::message::for_people;
use crate::signaling::sealing::Keys;
use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

/// The longest text that is sent: with its number, in Base64 and in its envelopes it still fits into a hub's 64 KiB.
const LONGEST_TEXT: usize = 44 * 1024;

/// What the first byte of a sealed message says of the rest.
mod kind {
    pub const TEXT: u8 = b't';
    pub const PING: u8 = b'p';
    pub const PONG: u8 = b'q';
    pub const CLOSE: u8 = b'c';
}

/// A line to one other end, dialled or accepted.
pub struct Line {
    id: LineId,
    role: Role,
    peer: Peer,
    say: mpsc::Sender<Say>,
    heard: mpsc::Receiver<Content>,
    keys: Option<Box<Keys>>,
    figures: Arc<Figures>,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Line {
    /// A line whose other end's words come through `heard`.
    pub(super) fn new(
        (peer, id, role): (Peer, LineId, Role),
        say: mpsc::Sender<Say>,
        heard: mpsc::Receiver<Content>,
        figures: Arc<Figures>,
    ) -> Self {
        Self { id, role, peer, say, heard, keys: None, figures }
    }

    /// From now on everything is sealed, and what is not is passed over.
    pub fn seal(&mut self, keys: Keys) {
        self.keys = Some(Box::new(keys));
    }

    /// The next frame; `None` when the other end or the carrier is gone.
    pub async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = match (self.heard.recv().await?, &mut self.keys) {
                (Content::Text { text }, None) => Some(Frame::text(text)),
                (Content::Close { code, reason }, None) => {
                    Some(Frame::Close(Some(close_frame(code, for_people(&reason, 120)))))
                }
                (Content::Sealed { number, sealed }, Some(keys)) => keys.open(number, sealed).and_then(frame_of),
                // Whoever carries the messages can write these.
                (Content::Text { .. } | Content::Close { .. }, Some(_)) | (Content::Sealed { .. }, None) => None,
            };
            match frame {
                Some(Frame::Ping(what)) => {
                    // The carrier is gone: its end comes as `None`.
                    let _ = self.send(Frame::Pong(what.clone())).await;
                    return Some(Frame::Ping(what));
                }
                Some(frame) => return Some(frame),
                None => {
                    self.figures.link.rejected_messages.one();
                    tracing::debug!(peer = %self.peer, "a message through the relay is not the far end's, or came before");
                }
            }
        }
    }

    /// Sends a frame; waits while the carrier is slow.
    pub async fn send(&mut self, frame: Frame) -> Result<(), Error> {
        if frame.len() > LONGEST_TEXT {
            tracing::warn!(bytes = frame.len(), "a message is too long for the relay and is left out");
            return Ok(());
        }
        let content = match &mut self.keys {
            Some(keys) => {
                let (number, sealed) = keys.seal(bytes_of(&frame)).ok_or(Error::ConnectionClosed)?;
                Content::Sealed { number, sealed }
            }
            None => match frame {
                Frame::Text(text) => Content::Text { text: text.as_str().into() },
                Frame::Close(frame) => frame.map_or(Content::Close { code: 1000, reason: String::new() }, |frame| {
                    Content::Close { code: frame.code.into(), reason: frame.reason.as_str().into() }
                }),
                // Before the keys are there nobody asks for a sign of life.
                _ => return Ok(()),
            },
        };
        let text = Envelope { line: self.id, by: self.role, content }.to_json();
        self.say.send(Say { to: self.peer.clone(), text }).await.map_err(|_| Error::ConnectionClosed)
    }
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    let (kind, rest): (u8, Vec<u8>) = match frame {
        Frame::Text(text) => (kind::TEXT, text.as_str().into()),
        Frame::Pong(_) => (kind::PONG, Vec::new()),
        Frame::Close(frame) => {
            let (code, reason) = frame.as_ref().map_or((1000, ""), |it| (it.code.into(), it.reason.as_str()));
            (kind::CLOSE, [&u16::to_be_bytes(code)[..], reason.as_bytes()].concat())
        }
        // No portal sends binary messages.
        Frame::Ping(_) | Frame::Binary(_) | Frame::Frame(_) => (kind::PING, Vec::new()),
    };
    [&[kind][..], &rest].concat()
}

fn frame_of(bytes: Vec<u8>) -> Option<Frame> {
    let (kind, rest) = bytes.split_first()?;
    match *kind {
        kind::TEXT => std::str::from_utf8(rest).ok().map(Frame::text),
        kind::PING => Some(Frame::Ping(Default::default())),
        kind::PONG => Some(Frame::Pong(Default::default())),
        kind::CLOSE => {
            let (code, reason) = rest.split_first_chunk()?;
            let reason = for_people(std::str::from_utf8(reason).ok()?, 120);
            Some(Frame::Close(Some(close_frame(u16::from_be_bytes(*code), reason))))
        }
        _ => None,
    }
}
