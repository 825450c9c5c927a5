//! Whoever comes in: over the network, or on a line through somebody else's machine.

use super::connection::{Failure, websocket_config};
use super::relay::Line;
use super::socket::Socket;
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::Callback;

/// Somebody who wants to talk.
pub enum Caller {
    /// At our own port.
    Direct(TcpStream, SocketAddr),
    /// Through a relay; the words say which.
    Relayed(Line, String),
}

impl Caller {
    /// The next one at our own port; waits for ever where there is none.
    pub async fn at(listener: Option<&TcpListener>) -> io::Result<Self> {
        match listener {
            Some(listener) => listener.accept().await.map(|(stream, address)| Self::Direct(stream, address)),
            None => std::future::pending().await,
        }
    }

    /// Where it comes from, for people.
    pub fn name(&self) -> String {
        match self {
            Self::Direct(_, address) => address.to_string(),
            Self::Relayed(_, from) => from.clone(),
        }
    }

    /// Its address, where that is known.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Direct(_, address) => Some(address.ip()),
            Self::Relayed(..) => None,
        }
    }

    /// Ready to talk. `admit` may refuse a WebSocket by its path. The caller limits the time.
    pub async fn socket(self, admit: impl Callback + Unpin) -> Result<Socket, Failure> {
        match self {
            Self::Direct(stream, _) => {
                // Messages are small and wanted at once.
                stream.set_nodelay(true).map_err(|error| Failure::Socket(error.into()))?;
                Ok(accept_hdr_async_with_config(stream, admit, Some(websocket_config())).await?.into())
            }
            Self::Relayed(line, _) => Ok(line.into()),
        }
    }
}
