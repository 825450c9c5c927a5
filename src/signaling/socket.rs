//! A connection to another portal, whichever way it takes.

use super::connection::close_frame;
use super::relay::Line;
use super::sealing::Keys;
use futures_util::{SinkExt, StreamExt};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

/// Carries the frames of one connection.
#[derive(Debug)]
pub enum Socket {
    /// A WebSocket over TCP between the two machines, from either side.
    Direct(Box<WebSocketStream<TcpStream>>),
    /// A line through a hub or a broker.
    Relayed(Line),
}

/// How much silence is suspicious.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// How often we ask for a sign of life.
    pub ping_every: Duration,
    /// Without any for so long the connection is dead.
    pub silence: Duration,
    /// The same, while something else makes this one doubtful.
    pub doubtful_silence: Duration,
}

impl From<WebSocketStream<TcpStream>> for Socket {
    fn from(socket: WebSocketStream<TcpStream>) -> Self {
        Self::Direct(Box::new(socket))
    }
}

impl From<Line> for Socket {
    fn from(line: Line) -> Self {
        Self::Relayed(line)
    }
}

impl Socket {
    /// The next frame; `None` after the last one. Pings are answered by whoever goes on reading.
    pub async fn next(&mut self) -> Option<Result<Frame, Error>> {
        match self {
            Self::Direct(socket) => socket.next().await,
            Self::Relayed(line) => line.next().await.map(Ok),
        }
    }

    /// Sends a frame.
    pub async fn send(&mut self, frame: Frame) -> Result<(), Error> {
        match self {
            Self::Direct(socket) => socket.send(frame).await,
            Self::Relayed(line) => line.send(frame).await,
        }
    }

    /// Says that this is the end, and why.
    pub async fn close(&mut self, frame: Option<CloseFrame>) -> Result<(), Error> {
        match self {
            Self::Direct(socket) => (**socket).close(frame).await,
            Self::Relayed(line) => {
                line.send(Frame::Close(Some(frame.unwrap_or_else(|| close_frame(1000, String::new()))))).await
            }
        }
    }

    /// Whether somebody else's machine is in between, so that what is said has to be sealed.
    pub fn is_relayed(&self) -> bool {
        matches!(self, Self::Relayed(_))
    }

    /// From now on everything is sealed. Without effect where nobody is in between.
    pub fn seal(&mut self, keys: Option<Keys>) {
        if let (Self::Relayed(line), Some(keys)) = (self, keys) {
            line.seal(keys);
        }
    }

    /// Direct connections are asked often, for TCP tells nothing of a cut cable. Who uses a hub or a broker is told by it when the other one
    /// goes, and pays for each message perhaps.
    pub fn keep_alive(&self) -> KeepAlive {
        let (ping_every, silence, doubtful_silence) = match self {
            Self::Direct(_) => (2, 5, 1),
            Self::Relayed(_) => (10, 25, 3),
        };
        let of = Duration::from_secs;
        KeepAlive { ping_every: of(ping_every), silence: of(silence), doubtful_silence: of(doubtful_silence) }
    }
}
