//! A UDP socket some of whose datagrams go over bridges, and that wakes the library for what goes through relays.

use super::bridge::{Bridge, Received};
use super::wake::Wake;
use super::{Ice, is_bridged};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;
use tokio::sync::mpsc;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

/// Datagrams that came over bridges and wait for the connection's loop. More are dropped.
const QUEUE: usize = 256;

/// Wraps one of a connection's sockets.
pub(in crate::link) struct RelaySocket {
    socket: Arc<dyn AsyncUdpSocket>,
    ice: Arc<Ice>,
    bridges: Mutex<HashMap<SocketAddr, Bridge>>,
    received: Mutex<mpsc::Receiver<Received>>,
    receiving: mpsc::Sender<Received>,
    relays: Vec<SocketAddr>,
    wake: Mutex<Wake>,
}

impl fmt::Debug for RelaySocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.socket.fmt(out)
    }
}

impl RelaySocket {
    /// Bridges are made when the first datagram goes to one, so there must be a tokio runtime then.
    pub fn new(socket: Arc<dyn AsyncUdpSocket>, ice: Arc<Ice>) -> Self {
        let (receiving, received) = mpsc::channel(QUEUE);
        let relays = ice.relay_addresses();
        let (bridges, wake) = (Mutex::default(), Mutex::default());
        Self { socket, ice, bridges, received: Mutex::new(received), receiving, relays, wake }
    }

    fn send_over_bridge(&self, transmit: &Transmit<'_>) -> io::Result<usize> {
        let stand_in = transmit.destination;
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        let bridge = match bridges.entry(stand_in) {
            Entry::Occupied(bridge) => bridge.into_mut(),
            // As a far end that names the stand-in address as its own would find out.
            Entry::Vacant(_) if self.ice.behind(stand_in).is_none() => {
                return Err(io::ErrorKind::HostUnreachable.into());
            }
            Entry::Vacant(place) => {
                let from = self.socket.local_addr()?.ip();
                place.insert(Bridge::start(self.ice.clone(), stand_in, from, self.receiving.clone()))
            }
        };
        // Several datagrams of one size may come at once.
        let size = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
        transmit.contents.chunks(size).for_each(|datagram| bridge.send(datagram));
        Ok(transmit.contents.len())
    }
}

impl RelaySocket {
    fn poll_datagram(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut received = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        while let Poll::Ready(Some(Received { from, datagram })) = received.poll_recv(context) {
            let (Some(buffer), Some(meta)) = (buffers.first_mut(), metas.first_mut()) else { break };
            // Longer than any that the library can have asked for: as if it had been lost.
            let Some(place) = buffer.get_mut(..datagram.len()) else { continue };
            place.copy_from_slice(&datagram);
            *meta = RecvMeta::default();
            (meta.addr, meta.len, meta.stride) = (from, datagram.len(), datagram.len().max(1));
            return Poll::Ready(Ok(1));
        }
        drop(received);
        self.socket.poll_recv(context, buffers, metas)
    }
}

impl AsyncUdpSocket for RelaySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, context: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if is_bridged(transmit.destination) {
            return Poll::Ready(self.send_over_bridge(transmit));
        }
        self.socket.poll_send(context, transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut wake = self.wake.lock().unwrap_or_else(PoisonError::into_inner);
        // The library asks for more of a burst in this way, without having gone through its round.
        let in_a_burst = context.waker().will_wake(Waker::noop());
        if let Poll::Ready(()) = if in_a_burst { Poll::Pending } else { wake.poll(context, Instant::now()) } {
            if let Some(meta) = metas.first_mut() {
                *meta = RecvMeta::default();
                (meta.len, meta.stride) = (0, 1);
            }
            return Poll::Ready(Ok(1));
        }
        let result = self.poll_datagram(context, buffers, metas);
        if result.is_ready() && metas.first().is_some_and(|meta| self.relays.contains(&meta.addr)) {
            wake.relayed(Instant::now());
        }
        result
    }

    fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.socket.max_gro_segments()
    }
}
