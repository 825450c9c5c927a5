//! The hub: a signalling server where portals, cameras and viewers meet by room. It passes on what they say to each other before media
//! flows, and nothing of the media itself.
//!
//! One WebSocket endpoint at `/` speaks the three dialects of [`message`]; `GET /health`, `GET /metrics`, `POST /rooms` and a page for
//! browsers at `GET /` are beside it. It holds no state but who is connected: restarted, it is whole again as soon as its clients are.
//!
//! | | |
//! |---|---|
//! | [`message`] | what is said, and how it is read |
//! | `directory` | who is in which room and who is told what; pure |
//! | `access` | tokens, roles, origins |
//! | `limits` | how fast a client may speak |
//! | `queues` | what waits for clients that read slowly |
//! | `shared` | directory, queues and counters behind one lock |
//! | `connection` | one client's WebSocket |
//! | `server`, `certificate` | HTTP, TLS, the way from a socket to a connection |
//! | [`client`] | the other end, for programs
//! | `names` | names for rooms that can be read out on the telephone |
//!
//! Nobody waits for anybody else: who reads slowly has a queue of their own and is cut off when it is full, who speaks too fast is read
//! more slowly, and the lock is held for the time of a lookup. What waits for all together is bounded, too.

mod access;
mod certificate;
pub mod client;
mod config;
mod connection;
mod directory;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod limits;
pub mod message;
mod metrics;
mod names;
mod queues;
mod server;
mod shared;

#[cfg(test)]
mod directory_tests;

pub use access::Role;
pub use certificate::Error as CertificateError;
pub use config::{Config, Tls, Token};
pub use names::room as generated_room;

use shared::Shared;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// For so long clients are told of the end before it comes.
const CLOSING: Duration = Duration::from_millis(500);

/// Why there is no hub.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be had.
    #[error(
        "the hub cannot listen on {listen}: {source}; stop what runs there, or choose another port with [hub] listen or PORT"
    )]
    Bind {
        /// The configured address.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
    /// No certificate.
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
}

/// A hub that runs. Dropping it ends it at once; [`Hub::close`] in order.
#[derive(Debug)]
pub struct Hub {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// Starts a hub. To be called inside a tokio runtime; listens when it returns. `folder` is where a certificate of its own is kept.
///
/// # Errors
/// The port is taken, or there is no certificate.
pub fn start(config: &Config, folder: &Path) -> Result<Hub, Error> {
    let tls = certificate::acceptor(config, folder)?;
    let listen = config.listen;
    let bound = TcpListener::bind(listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((tokio::net::TcpListener::from_std(listener)?, address))
    });
    let (listener, address) = bound.map_err(|source| Error::Bind { listen, source })?;
    let (stop, stopped) = watch::channel(false);
    let shared = Arc::new(Shared::new(config.clone(), stopped));
    let accepting = tokio::spawn(server::accept(listener, tls, Arc::clone(&shared)));
    Ok(Hub { address, stop, shared, accepting })
}

impl Hub {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many clients are connected, and in how many rooms.
    pub fn present(&self) -> (usize, usize) {
        self.shared.present()
    }

    /// Takes no more connections, tells clients (close code 1001: they come back later), and ends; takes half a second at most.
    pub async fn close(self) {
        self.accepting.abort();
        self.stop.send_replace(true);
        let all_gone = async {
            while self.shared.present().0 > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(CLOSING, all_gone).await.is_err() {
            tracing::debug!("some clients did not say goodbye in time");
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
