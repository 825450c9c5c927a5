//! Carries datagrams over a TCP or TLS connection to a TURN server, and back.
//!
//! Both directions have short queues that drop when they are full, as UDP does: the congestion control above must see loss and
//! delay while they are small. A connection that cannot be made or breaks stays broken; the link's state machine replaces the
//! whole peer connection, and with it this, when nothing comes any more.

use super::Ice;
use super::framing::{self, Messages};
use super::stream;
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

/// Messages that wait for the connection: 0.5 s of 2.5 Mb/s. More are dropped.
const QUEUE: usize = 128;
/// TCP and TLS must be up by then; an attempt to connect does not live much longer.
const CONNECT: Duration = Duration::from_secs(5);
/// What is to be sent is copied into pieces of this size, not allocated one by one.
const ARENA: usize = 32 * 1024;
/// Messages that are written at once, when several wait.
const BATCH: usize = 16;

/// A datagram that came over a bridge.
pub(super) struct Received {
    /// The stand-in address of its server.
    pub from: SocketAddr,
    pub datagram: Bytes,
}

/// One connection. Dropping it ends the connection, once what waits is sent.
#[derive(Debug)]
pub(super) struct Bridge {
    queue: mpsc::Sender<Bytes>,
    arena: Mutex<BytesMut>,
}

impl Bridge {
    /// Begins to connect to the server behind `stand_in`, from a local address.
    pub fn start(ice: Arc<Ice>, stand_in: SocketAddr, from: IpAddr, received: mpsc::Sender<Received>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            let Some((server, address)) = ice.behind(stand_in) else { return };
            match carry(&ice, stand_in, from, waiting, received).await {
                Ok(()) => tracing::debug!(?server, "connection to the TURN server closed"),
                Err(error) => tracing::warn!(?server, %address, %error, "no connection to the TURN server"),
            }
        });
        Self { queue, arena: Mutex::new(BytesMut::with_capacity(ARENA)) }
    }

    /// Sends a datagram, or drops it if too many wait or if it is no TURN message.
    pub fn send(&self, datagram: &[u8]) {
        let Ok(place) = self.queue.try_reserve() else {
            return tracing::trace!("dropped: the connection to the TURN server is behind");
        };
        let mut arena = self.arena.lock().unwrap_or_else(PoisonError::into_inner);
        if arena.capacity() < datagram.len() + 4 {
            arena.reserve(ARENA.max(datagram.len() + 4));
        }
        if framing::append(datagram, &mut arena) {
            place.send(arena.split().freeze());
        }
    }
}

async fn carry(
    ice: &Ice,
    stand_in: SocketAddr,
    from: IpAddr,
    mut waiting: mpsc::Receiver<Bytes>,
    received: mpsc::Sender<Received>,
) -> io::Result<()> {
    let Some((server, address)) = ice.behind(stand_in) else { return Ok(()) };
    let connecting = stream::connect(server, address, Some(from), ice.tls.as_ref());
    let stream = tokio::time::timeout(CONNECT, connecting).await.map_err(|_| io::ErrorKind::TimedOut)??;
    tracing::debug!(?server, %address, "connected to the TURN server");
    let (mut reading, mut writing) = tokio::io::split(stream);
    let write = async {
        let (mut batch, mut joined) = (Vec::with_capacity(BATCH), Vec::with_capacity(ARENA));
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            // One packet, and one TLS record, for what waits together.
            joined.clear();
            batch.drain(..).for_each(|message| joined.extend_from_slice(&message));
            writing.write_all(&joined).await?;
            writing.flush().await?;
        }
        writing.shutdown().await
    };
    let read = async {
        let mut messages = Messages::default();
        loop {
            if reading.read_buf(messages.space()).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
            }
            while let Some(datagram) = messages.next().map_err(io::Error::other)? {
                // The connection's loop is behind: dropped, as its UDP socket would.
                let _ = received.try_send(Received { from: stand_in, datagram });
            }
        }
    };
    tokio::select! {
        result = write => result,
        result = read => result,
    }
}
