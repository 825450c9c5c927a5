//! Carries datagrams over a TCP or TLS connection to a TURN server, and back.
//!
//! Both directions have short queues that drop when they are full, as UDP does: the congestion control above must see
//! loss and delay while they are small. A connection that cannot be made or breaks stays broken; the link's state
//! machine replaces the whole peer connection, and with it this, when nothing comes any more.

use super::Ice;
use super::framing::{self, Messages};
use super::stream::{self, WRITTEN_WITHIN};
use bytes::{Bytes, BytesMut};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

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
                // What it is for has no answer then, and that is what is told.
                Err(error) => {
                    tracing::debug!(?server, %address, %error, "no connection to the TURN server");
                    ice.connection(stand_in, Some(error.to_string()));
                }
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
    let stream = timeout(CONNECT, connecting).await??;
    tracing::debug!(?server, %address, "connected to the TURN server");
    ice.connection(stand_in, None);
    let (mut reading, mut writing) = tokio::io::split(stream);
    let write = async {
        let (mut batch, mut joined) = (Vec::with_capacity(BATCH), Vec::with_capacity(ARENA));
        while waiting.recv_many(&mut batch, BATCH).await > 0 {
            // One packet, and one TLS record, for what waits together.
            joined.clear();
            batch.drain(..).for_each(|message| joined.extend_from_slice(&message));
            // TCP would try for a quarter of an hour, though nobody has wanted the bridge since.
            let written = async {
                writing.write_all(&joined).await?;
                writing.flush().await
            };
            timeout(WRITTEN_WITHIN, written).await??;
        }
        timeout(WRITTEN_WITHIN, writing.shutdown()).await?
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Config, IceServer};
    use tokio::net::{TcpListener, TcpStream};

    const CHANNEL_DATA: [u8; 7] = [0x40, 0, 0, 3, 7, 8, 9];

    /// A server, and a bridge to it.
    async fn bridged() -> (TcpStream, Bridge, mpsc::Receiver<Received>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("turn:{}?transport=tcp", listener.local_addr().unwrap());
        let server = IceServer { urls: vec![url], username: "portal".into(), credential: "secret".into() };
        let ice = Arc::new(Ice::new(&Config { ice_servers: vec![server], ..Config::default() }).unwrap());
        let (received, datagrams) = mpsc::channel(4);
        let bridge = Bridge::start(ice, "192.0.0.8:1".parse().unwrap(), [127, 0, 0, 1].into(), received);
        (listener.accept().await.unwrap().0, bridge, datagrams)
    }

    #[tokio::test]
    async fn datagrams_cross_both_ways_and_what_waits_is_sent_before_the_end() {
        let (mut server, bridge, mut datagrams) = bridged().await;
        bridge.send(b"\x80 no TURN");
        bridge.send(&CHANNEL_DATA);
        bridge.send(&CHANNEL_DATA);
        server.write_all(&[CHANNEL_DATA.as_slice(), &[0], &CHANNEL_DATA, &[0]].concat()).await.unwrap();
        for _ in 0..2 {
            let Received { from, datagram } = datagrams.recv().await.unwrap();
            assert_eq!((from.to_string().as_str(), &datagram[..]), ("192.0.0.8:1", &CHANNEL_DATA[..]));
        }
        drop(bridge);
        let mut sent = vec![];
        server.read_to_end(&mut sent).await.unwrap();
        assert_eq!(sent, [CHANNEL_DATA.as_slice(), &[0], &CHANNEL_DATA, &[0]].concat(), "padded, and nothing else");
    }

    #[tokio::test]
    async fn what_is_no_turn_server_is_left() {
        let (mut server, bridge, mut datagrams) = bridged().await;
        server.write_all(b"\xff\xff\xff\xff").await.unwrap();
        assert!(datagrams.recv().await.is_none());
        bridge.send(&CHANNEL_DATA);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap_or(0), 0, "closed");
    }

    #[tokio::test]
    async fn a_server_that_does_not_read_stops_nobody() {
        let (server, bridge, _datagrams) = bridged().await;
        let message = [&[0x40, 0, 0x04, 0][..], &[0; 1024]].concat();
        for _ in 0..20_000 {
            bridge.send(&message);
            tokio::task::yield_now().await;
        }
        assert_eq!(bridge.queue.capacity(), 0, "what TCP does not take is dropped");
        drop(server);
    }
}
