//! The runtime that `webrtc` runs on: Tokio, with UDP buffers large enough for a burst, and with [`super::ice`]'s sockets.
//!
//! What the library runs on it for a connection is contained: it reads what the far end sends, and where it panics about that (0.21.1
//! does, about a data channel's control message of type 0 that is too short) the connection ends, not the program.
//!
//! `webrtc` binds its sockets itself; wrapping them is the only moment at which their options can be set. With the kernel's
//! default buffer a stream of 20 Mb/s loses hundreds of packets inside this machine, with 2 MB none.

use super::handshakes::Repeating;
use super::ice::{Ice, Listener, QueuedStream, RelaySocket};
use crate::ops::panics;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime, TokioRuntime,
};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tokio with tuned UDP sockets, for one connection.
pub(super) struct TunedRuntime {
    /// Wanted size of the receive and of the send buffer of each UDP socket, in bytes.
    pub socket_buffer_bytes: usize,
    /// The servers, for look-ups and for those that are reached over TCP.
    pub ice: Arc<Ice>,
    /// Called when something of the connection has panicked: nothing moves its packets any more.
    pub on_panic: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for TunedRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TunedRuntime").field("socket_buffer_bytes", &self.socket_buffer_bytes).finish_non_exhaustive()
    }
}

impl Runtime for TunedRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        let on_panic = self.on_panic.clone();
        TokioRuntime.spawn(Box::pin(async move {
            if panics::contain("a connection", future).await.is_err() {
                on_panic();
            }
        }))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let options = socket2::SockRef::from(&socket);
        let wanted = self.socket_buffer_bytes;
        // The kernel grants at most net.core.rmem_max and wmem_max and says nothing: less is no reason to fail.
        for result in [options.set_recv_buffer_size(wanted), options.set_send_buffer_size(wanted)] {
            if let Err(error) = result {
                tracing::debug!(%error, wanted, "UDP socket buffer keeps its default size");
            }
        }
        socket.set_nonblocking(true)?;
        let spare = socket.try_clone()?;
        let socket = Arc::new(Repeating::new(TokioRuntime.wrap_udp_socket(socket)?, spare));
        Ok(if self.ice.has_relays() { Arc::new(RelaySocket::new(socket, self.ice.clone())) } else { socket })
    }

    fn wrap_tcp_listener(&self, listener: std::net::TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        Ok(Arc::new(Listener::new(listener)?))
    }

    fn connect_tcp<'a>(&'a self, remote: SocketAddr) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        Box::pin(async move { Ok(Arc::new(QueuedStream::connect(remote).await?) as Arc<dyn AsyncTcpStream>) })
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        // What is known already: this is called in the loop that moves every packet.
        let known = self.ice.resolve(host);
        Box::pin(async move { known })
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        TokioRuntime.yield_now()
    }

    fn name(&self) -> &'static str {
        "tokio, tuned"
    }
}
