//! Helps DTLS while it shakes hands: repeats what it sends, and lets it finish before what follows is read.
//!
//! `rtc` repeats a lost flight only after a second, which cannot be set, and forgets to when a part of the answer has come: with
//! 20 % of the packets lost a connection took four to ten seconds. So each datagram of a handshake is sent four times within a
//! quarter of a second. Whoever has it already knows the record's sequence number and drops it (RFC 6347, section 4.1.2.6). A
//! handshake has about six datagrams of 2 kB in all; nothing else is repeated, and nothing once it is done.
//! This is for direct paths: what goes through a relay over UDP is wrapped for TURN, and is not known for a handshake here.
//!
//! The driver of `webrtc` reads up to 64 datagrams that have come before it does anything about the first, and only then are the keys
//! of a finished handshake put to use. On a busy machine the far end's first keyframe comes in one go with the handshake's end, and
//! was lost as a whole: no picture for a second. So after each datagram of a handshake the driver is told once that nothing more
//! has come.

use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

/// When a datagram is sent again, each time after the time before.
const AGAIN: [Duration; 3] = [Duration::from_millis(40), Duration::from_millis(70), Duration::from_millis(140)];
/// Datagrams of one socket that are repeated. A handshake that needs more is in trouble of another kind.
const MOST: usize = 64;

/// A UDP socket that repeats handshakes, and reads what follows them later.
pub(super) struct Repeating {
    socket: Arc<dyn AsyncUdpSocket>,
    /// The same socket: waiting for room on `socket` would take the place of whoever else waits for it.
    spare: Arc<UdpSocket>,
    repeated: AtomicUsize,
    /// What was read last belongs to a handshake.
    pause: AtomicBool,
}

impl Repeating {
    /// `spare` is another handle of `socket`, which does not block.
    pub fn new(socket: Arc<dyn AsyncUdpSocket>, spare: UdpSocket) -> Self {
        Self { socket, spare: Arc::new(spare), repeated: AtomicUsize::new(0), pause: AtomicBool::new(false) }
    }

    fn repeat(&self, datagram: &[u8], to: SocketAddr) {
        if self.repeated.fetch_add(1, Ordering::Relaxed) >= MOST {
            return;
        }
        // The connection may end before; its socket is not to outlive it.
        let (spare, datagram) = (Arc::downgrade(&self.spare), datagram.to_vec());
        tokio::spawn(async move {
            for pause in AGAIN {
                tokio::time::sleep(pause).await;
                let Some(spare) = Weak::upgrade(&spare) else { return };
                // One that gets lost right here is as good as one that gets lost on its way.
                let _ = spare.send_to(&datagram, to);
            }
        });
    }
}

/// Whether a datagram begins with a handshake or change-cipher-spec record of DTLS (RFC 7983, RFC 6347).
fn is_handshake(datagram: &[u8]) -> bool {
    matches!(datagram, [20 | 22, 254, ..])
}

impl fmt::Debug for Repeating {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Repeating").field(&self.socket).finish()
    }
}

impl AsyncUdpSocket for Repeating {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        let sent = self.socket.poll_send(cx, transmit);
        if is_handshake(transmit.contents) && sent.is_ready() {
            let each = transmit.segment_size.unwrap_or(transmit.contents.len()).max(1);
            transmit.contents.chunks(each).for_each(|datagram| self.repeat(datagram, transmit.destination));
        }
        sent
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        if self.pause.swap(false, Ordering::Relaxed) {
            // What is there is read the next time, which is at once.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = self.socket.poll_recv(cx, bufs, meta);
        if let Poll::Ready(Ok(messages)) = &read {
            let mut begins = bufs.iter().zip(meta.iter()).take(*messages);
            let pause = begins.any(|(buffer, meta)| is_handshake(&buffer[..meta.len.min(buffer.len())]));
            self.pause.store(pause, Ordering::Relaxed);
        }
        read
    }

    fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.socket.max_gro_segments()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use webrtc::runtime::{Runtime, TokioRuntime};

    #[tokio::test]
    async fn handshakes_are_repeated_and_nothing_else() {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        far.set_nonblocking(true).unwrap();
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let spare = near.try_clone().unwrap();
        let socket = Repeating::new(TokioRuntime.wrap_udp_socket(near).unwrap(), spare);
        let client_hello = [22, 254, 253, 0, 0, 1];
        let picture = [0x80, 125, 1, 2];
        let application = [23, 254, 253, 0, 1, 2];
        for datagram in [&client_hello[..], &picture, &application] {
            socket.send_to(datagram, far.local_addr().unwrap()).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
        let mut came = vec![];
        let mut buffer = [0; 64];
        while let Ok(length) = far.recv(&mut buffer) {
            came.push(buffer[..length].to_vec());
        }
        let count = |datagram: &[u8]| came.iter().filter(|other| *other == datagram).count();
        assert_eq!((count(&client_hello), count(&picture), count(&application)), (4, 1, 1));
    }

    /// Reads as the driver does: waits for one datagram, then takes what else is there. Returns the datagrams of each time.
    async fn bursts(socket: &Repeating, mut datagrams: usize) -> Vec<Vec<u8>> {
        let mut bursts = vec![];
        while datagrams > 0 {
            let mut buffer = [0; 64];
            let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
            let mut burst = vec![buffer[..length].to_vec()];
            let mut meta = [RecvMeta::default(); 1];
            let mut context = Context::from_waker(std::task::Waker::noop());
            while let Poll::Ready(Ok(_)) =
                socket.poll_recv(&mut context, &mut [IoSliceMut::new(&mut buffer)], &mut meta)
            {
                burst.push(buffer[..meta[0].len].to_vec());
            }
            datagrams -= burst.len();
            bursts.push(burst.into_iter().map(|datagram| datagram[0]).collect());
        }
        bursts
    }

    #[tokio::test]
    async fn what_follows_a_handshake_is_read_when_its_end_is_dealt_with() {
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (far, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), near.local_addr().unwrap());
        let spare = near.try_clone().unwrap();
        let socket = Repeating::new(TokioRuntime.wrap_udp_socket(near).unwrap(), spare);
        // The handshake's last flight and a keyframe, then pictures.
        for first in [20, 22, 0x80, 0x81, 0x82] {
            // Of different lengths, so that the kernel does not join them.
            far.send_to(&[first, 254, 253, 0].repeat(usize::from(first % 7) + 1), to).unwrap();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(bursts(&socket, 5).await, [vec![20], vec![22], vec![0x80, 0x81, 0x82]]);
    }
}
