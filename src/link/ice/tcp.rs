//! ICE-TCP (RFC 6544): streams that never make the library wait.
//!
//! The library writes to a stream in the loop that moves every packet, and waits until TCP takes it. A far end that is gone would stop
//! everything. So each stream has a short queue of its own that drops when it is full, as UDP does. The library writes one whole
//! message (RFC 4571) at a time, so what is dropped leaves the stream in step.

use super::stream::tune;
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use webrtc::runtime::{AsyncTcpListener, AsyncTcpStream};

/// Messages that wait for a stream. More are dropped.
const QUEUE: usize = 128;
/// Streams that one listener has at a time. Strangers may connect; the next one waits until another has gone.
const STREAMS: usize = 16;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Accepts streams from the far end.
#[derive(Debug)]
pub(in crate::link) struct Listener {
    listener: tokio::net::TcpListener,
    places: Arc<Semaphore>,
}

impl Listener {
    /// Of a socket that the library has bound.
    pub fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: tokio::net::TcpListener::from_std(listener)?, places: Arc::new(Semaphore::new(STREAMS)) })
    }
}

impl AsyncTcpListener for Listener {
    fn accept<'a>(&'a self) -> Boxed<'a, io::Result<(Arc<dyn AsyncTcpStream>, SocketAddr)>> {
        Box::pin(async move {
            let place = self.places.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = self.listener.accept().await?;
            Ok((Arc::new(QueuedStream::new(stream, Some(place))?) as Arc<dyn AsyncTcpStream>, peer))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream to or from the far end.
#[derive(Debug)]
pub(in crate::link) struct QueuedStream {
    reading: OwnedReadHalf,
    queue: mpsc::Sender<Bytes>,
    local: SocketAddr,
    peer: SocketAddr,
    _place: Option<OwnedSemaphorePermit>,
}

impl QueuedStream {
    fn new(stream: TcpStream, place: Option<OwnedSemaphorePermit>) -> io::Result<Self> {
        tune(&stream);
        let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
        let (reading, mut writing) = stream.into_split();
        let (queue, mut waiting) = mpsc::channel::<Bytes>(QUEUE);
        tokio::spawn(async move {
            while let Some(message) = waiting.recv().await {
                if let Err(error) = writing.write_all(&message).await {
                    return tracing::debug!(%peer, %error, "ICE-TCP stream ended");
                }
            }
        });
        Ok(Self { reading, queue, local, peer, _place: place })
    }

    /// Connects to a candidate of the far end.
    pub async fn connect(peer: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(peer).await?, None)
    }
}

impl AsyncTcpStream for QueuedStream {
    fn read<'a, 'b>(&'a self, buffer: &'b mut [u8]) -> Boxed<'b, io::Result<usize>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            loop {
                self.reading.readable().await?;
                match self.reading.try_read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                }
            }
        })
    }

    fn write_all<'a, 'b>(&'a self, message: &'b [u8]) -> Boxed<'b, io::Result<()>>
    where
        'a: 'b,
    {
        match self.queue.try_send(Bytes::copy_from_slice(message)) {
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => Box::pin(async { Ok(()) }),
            Err(mpsc::error::TrySendError::Closed(_)) => Box::pin(async { Err(io::ErrorKind::BrokenPipe.into()) }),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_far_end_that_does_not_read_stops_nobody() {
        let listener = Listener::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let stream = QueuedStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        stream.write_all(b"first").await.unwrap();
        let mut buffer = [0; 16];
        let length = far.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"first");
        for _ in 0..20_000 {
            stream.write_all(&[0; 1024]).await.unwrap();
            tokio::task::yield_now().await;
        }
        assert_eq!(stream.queue.capacity(), 0);
        drop(far);
    }

    #[tokio::test]
    async fn strangers_wait_for_a_place() {
        let listener = Listener::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (mut accepted, mut strangers) = (vec![], vec![]);
        for _ in 0..STREAMS {
            strangers.push(TcpStream::connect(address).await.unwrap());
            accepted.push(listener.accept().await.unwrap());
        }
        strangers.push(TcpStream::connect(address).await.unwrap());
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept());
        assert!(waiting.await.is_err(), "one more has no place");
        accepted.pop();
        listener.accept().await.unwrap();
    }
}
