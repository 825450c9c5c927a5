//! ICE-TCP (RFC 6544): streams that never make the library wait.
//!
//! The library writes to a stream in the loop that moves every packet, and waits until TCP takes it. A far end that is gone would stop
//! everything. So each stream has a short queue of its own that drops when it is full, as UDP does. The library writes one whole
//! message (RFC 4571) at a time, so what is dropped leaves the stream in step.
//!
//! Anybody may connect. Who does so on behalf of ICE speaks first, and soon; a stream that does not is closed, as it would keep the far
//! end from its place.

use super::framing::MAGIC_COOKIE;
use super::stream::{WRITTEN_WITHIN, tune};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};
use webrtc::runtime::{AsyncTcpListener, AsyncTcpStream};

/// Messages that wait for a stream. More are dropped.
const QUEUE: usize = 128;
/// Streams that one listener has at a time. Strangers may connect; the next one waits until another has gone.
const STREAMS: usize = 16;
/// Who connected must have begun a message of ICE by then: the far end connects because it has a check to send.
const FIRST_WITHIN: Duration = Duration::from_secs(5);
/// What tells a message of ICE: its length (RFC 4571), then STUN's type, length and cookie (RFC 8489, section 5).
const BEGINNING: usize = 10;

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

/// The first bytes of a stream from somebody who is not known to speak ICE.
#[derive(Debug)]
struct Introduction {
    until: Instant,
    bytes: [u8; BEGINNING],
    length: usize,
}

/// What is known of who connected.
#[derive(Debug, PartialEq, Eq)]
enum Speaks {
    Ice,
    SomethingElse,
    TooLittle,
}

impl Introduction {
    fn new() -> Self {
        Self { until: Instant::now() + FIRST_WITHIN, bytes: [0; BEGINNING], length: 0 }
    }

    fn hear(&mut self, bytes: &[u8]) -> Speaks {
        let free = &mut self.bytes[self.length..];
        let more = bytes.len().min(free.len());
        free[..more].copy_from_slice(&bytes[..more]);
        self.length += more;
        match self.bytes {
            _ if self.length < BEGINNING => Speaks::TooLittle,
            [_, _, 0..=0x3f, _, _, _, cookie @ ..] if cookie == MAGIC_COOKIE => Speaks::Ice,
            _ => Speaks::SomethingElse,
        }
    }
}

/// A stream to or from the far end.
#[derive(Debug)]
pub(in crate::link) struct QueuedStream {
    reading: OwnedReadHalf,
    queue: mpsc::Sender<Bytes>,
    local: SocketAddr,
    peer: SocketAddr,
    /// Until whoever connected to us is known to speak ICE.
    introduction: Mutex<Option<Introduction>>,
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
                // Whoever dropped the stream does not wait for this; but TCP would try for a quarter of an hour.
                let written = timeout(WRITTEN_WITHIN, writing.write_all(&message)).await;
                if let Err(error) = written.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                    return tracing::debug!(%peer, %error, "ICE-TCP stream ended");
                }
            }
        });
        let introduction = Mutex::new(place.is_some().then(Introduction::new));
        Ok(Self { reading, queue, local, peer, introduction, _place: place })
    }

    /// Connects to a candidate of the far end.
    pub async fn connect(peer: SocketAddr) -> io::Result<Self> {
        Self::new(TcpStream::connect(peer).await?, None)
    }

    /// When whoever connected must have said something; `None` once they have.
    fn awaited_until(&self) -> Option<Instant> {
        let introduction = self.introduction.lock().unwrap_or_else(PoisonError::into_inner);
        introduction.as_ref().map(|introduction| introduction.until)
    }

    /// Whether to go on with the stream on which this came.
    fn accepts(&self, bytes: &[u8]) -> bool {
        let mut introduction = self.introduction.lock().unwrap_or_else(PoisonError::into_inner);
        let speaks = introduction.as_mut().map_or(Speaks::Ice, |introduction| introduction.hear(bytes));
        if speaks == Speaks::Ice {
            *introduction = None;
        }
        speaks != Speaks::SomethingElse
    }
}

impl AsyncTcpStream for QueuedStream {
    fn read<'a, 'b>(&'a self, buffer: &'b mut [u8]) -> Boxed<'b, io::Result<usize>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            loop {
                if let Some(until) = self.awaited_until() {
                    let Ok(readable) = timeout_at(until, self.reading.readable()).await else {
                        tracing::debug!(peer = %self.peer, "ICE-TCP stream closed: nothing was said on it");
                        return Ok(0);
                    };
                    readable?;
                } else {
                    self.reading.readable().await?;
                }
                match self.reading.try_read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Ok(length) if !self.accepts(&buffer[..length]) => {
                        tracing::debug!(peer = %self.peer, "ICE-TCP stream closed: that is not ICE");
                        return Ok(0);
                    }
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

    /// How a check of ICE begins.
    const FIRST: &[u8] = b"\0\x14\0\x01\0\0\x21\x12\xa4\x42";

    #[tokio::test]
    async fn a_far_end_that_does_not_read_stops_nobody() {
        let listener = Listener::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let stream = QueuedStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (far, _) = listener.accept().await.unwrap();
        stream.write_all(FIRST).await.unwrap();
        let mut buffer = [0; 16];
        let length = far.read(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], FIRST);
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

    /// What the library would read; 0 is the end.
    async fn read(stream: &Arc<dyn AsyncTcpStream>) -> usize {
        stream.read(&mut [0; 16]).await.unwrap()
    }

    #[tokio::test]
    async fn who_says_nothing_loses_the_place() {
        let listener = Listener::new(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let (mut accepted, mut strangers) = (vec![], vec![]);
        for _ in 0..STREAMS {
            strangers.push(TcpStream::connect(address).await.unwrap());
            accepted.push(listener.accept().await.unwrap().0);
        }
        let (far_end, silent) = accepted.split_first().unwrap();
        // In pieces, as TCP may bring it.
        for piece in [&FIRST[..3], &FIRST[3..]] {
            strangers[0].write_all(piece).await.unwrap();
            assert_eq!(read(far_end).await, piece.len());
        }
        strangers[1].write_all(&FIRST[..9]).await.unwrap();
        assert_eq!(read(&silent[0]).await, 9, "that may become something");
        let begin = Instant::now();
        for stream in silent {
            assert_eq!(read(stream).await, 0);
        }
        assert!(begin.elapsed() <= FIRST_WITHIN + Duration::from_secs(1), "all at once: {:?}", begin.elapsed());
        assert!(timeout(Duration::from_millis(50), read(far_end)).await.is_err(), "the far end may be silent now");
        accepted.truncate(1);
        strangers.push(TcpStream::connect(address).await.unwrap());
        let next = listener.accept().await.unwrap().0;
        strangers[STREAMS].write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        assert_eq!(read(&next).await, 0, "that is not ICE");
    }
}
