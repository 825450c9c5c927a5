//! A UDP socket some of whose datagrams go over bridges, and that wakes the library for what goes through relays.

use super::bridge::{Bridge, Received};
use super::relays::{Outcome, Talk};
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
    /// The addresses of TURN servers, and which of the configured ones each is.
    relays: Vec<(SocketAddr, usize)>,
    /// With each of these.
    talks: Mutex<Vec<Talk>>,
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
        let talks = Mutex::new(relays.iter().map(|_| Talk::default()).collect());
        let (bridges, wake) = (Mutex::default(), Mutex::default());
        Self { socket, ice, bridges, received: Mutex::new(received), receiving, relays, talks, wake }
    }

    /// Looks at a datagram to or from an address, if that is a TURN server's: whether the server does what it is for.
    /// Says whether it is.
    fn look(&self, address: SocketAddr, look: impl FnOnce(&mut Talk, Instant) -> Option<(Outcome, Instant)>) -> bool {
        let Some(n) = self.relays.iter().position(|(relay, _)| *relay == address) else { return false };
        let now = Instant::now();
        let came =
            self.talks.lock().unwrap_or_else(PoisonError::into_inner).get_mut(n).and_then(|talk| look(talk, now));
        if let Some(came) = came {
            self.ice.tell(self.relays[n].1, came, now);
        }
        true
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
        self.look(transmit.destination, |talk, now| talk.sends(transmit.contents, now));
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
        let messages = if let Poll::Ready(Ok(messages)) = result { messages } else { 0 };
        for (buffer, meta) in buffers.iter().zip(metas.iter()).take(messages) {
            // The answers that tell something come alone; of several datagrams in one buffer the first is looked at.
            let datagram = buffer.get(..meta.len.min(meta.stride)).unwrap_or_default();
            if self.look(meta.addr, |talk, now| talk.hears(datagram, now)) {
                wake.relayed(Instant::now());
            }
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
