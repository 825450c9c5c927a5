//! TURN on a stream: where one message ends and the next begins (RFC 8656, sections 3.1 and 12.5).
//!
//! On UDP a datagram is a message. On a stream, a STUN message is as long as its header says, and so is ChannelData, which is padded to
//! four bytes besides. The first two bits tell which is which. Anything else means that what speaks there is no TURN server.

use bytes::{Buf, Bytes, BytesMut};

/// The header of a STUN message, whose length field does not count it.
const STUN_HEADER: usize = 20;
/// RFC 8489, section 5.
pub(super) const MAGIC_COOKIE: [u8; 4] = 0x2112_A442_u32.to_be_bytes();
/// The header of ChannelData.
const CHANNEL_HEADER: usize = 4;
/// ChannelData is padded to a multiple of this on a stream.
const ALIGNMENT: usize = 4;
/// Room for one read, and for the longest message that has begun.
const READ: usize = 16 * 1024;

/// What came is not TURN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server does not speak TURN on this port")]
pub(crate) struct NotTurn;

/// How long a message is: without padding, and with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    message: usize,
    on_stream: usize,
}

/// The length of the message that begins with these bytes; `None` while they are too few to tell. At most 65,555 bytes.
fn length(bytes: &[u8]) -> Result<Option<Length>, NotTurn> {
    let Some(&[first, _, high, low]) = bytes.first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    match first >> 6 {
        0 => {
            // The attributes of a STUN message are padded themselves.
            let cookie = bytes.get(4..).unwrap_or_default();
            let known = cookie.len().min(MAGIC_COOKIE.len());
            if !length.is_multiple_of(ALIGNMENT) || cookie[..known] != MAGIC_COOKIE[..known] {
                return Err(NotTurn);
            }
            Ok(Some(Length { message: STUN_HEADER + length, on_stream: STUN_HEADER + length }))
        }
        1 => {
            let message = CHANNEL_HEADER + length;
            Ok(Some(Length { message, on_stream: message.next_multiple_of(ALIGNMENT) }))
        }
        _ => Err(NotTurn),
    }
}

/// Appends a datagram as it goes on a stream. One that is no TURN message is left out: it would bring the stream out of step.
pub(crate) fn append(datagram: &[u8], stream: &mut BytesMut) -> bool {
    let Ok(Some(length)) = length(datagram) else { return false };
    // On UDP, ChannelData may be padded too.
    if datagram.len() != length.message && datagram.len() != length.on_stream {
        return false;
    }
    stream.extend_from_slice(&datagram[..length.message]);
    stream.resize(stream.len() + length.on_stream - length.message, 0);
    true
}

/// Takes a stream apart.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    buffer: BytesMut,
}

impl Messages {
    /// Where to read into; has room.
    pub fn space(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ);
        &mut self.buffer
    }

    /// The next whole message, as a datagram. It shares the memory that was read into.
    pub fn next(&mut self) -> Result<Option<Bytes>, NotTurn> {
        let Some(length) = length(&self.buffer)? else { return Ok(None) };
        if self.buffer.len() < length.on_stream {
            return Ok(None);
        }
        let message = self.buffer.split_to(length.message).freeze();
        self.buffer.advance(length.on_stream - length.message);
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stun(attributes: usize) -> Vec<u8> {
        let mut message = vec![0, 1];
        message.extend(u16::try_from(attributes * 4).unwrap().to_be_bytes());
        message.extend(MAGIC_COOKIE);
        message.resize(STUN_HEADER + attributes * 4, 7);
        message
    }

    fn channel_data(length: usize) -> Vec<u8> {
        let mut message = vec![0x40, 0];
        message.extend(u16::try_from(length).unwrap().to_be_bytes());
        message.resize(CHANNEL_HEADER + length, 9);
        message
    }

    #[test]
    fn what_is_not_turn_is_refused_at_once() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request"[..],
            b"\x16\x03\x01\x02\x00\x01",
            b"\x80\0\0\0",
            b"\xc0\0\0\0",
            b"\0\x01\0\x03",
        ] {
            let mut messages = Messages::default();
            messages.space().extend_from_slice(bytes);
            // "HTTP" begins like ChannelData of 21,584 bytes; that nothing comes is for the watchdogs.
            let expected = if bytes.starts_with(b"HTTP") { Ok(None) } else { Err(NotTurn) };
            assert_eq!(messages.next(), expected, "{bytes:?}");
        }
    }

    #[test]
    fn only_turn_is_sent() {
        let mut stream = BytesMut::new();
        assert!(append(&channel_data(5), &mut stream));
        assert_eq!(stream.len(), 12, "padded");
        let mut padded = channel_data(5);
        padded.resize(12, 0);
        assert!(append(&padded, &mut stream));
        for other in
            [&b""[..], b"\x16\xfe\xfd\0\0\0\0", b"\x80\x60\0\0", &stun(2)[..24], &[&stun(1)[..], b"more"].concat()]
        {
            assert!(!append(other, &mut stream), "{other:?}");
        }
        assert_eq!(stream.len(), 24);
    }

    fn datagram() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![(0..400_usize).prop_map(stun), (0..1500_usize).prop_map(channel_data), Just(channel_data(65_535))]
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut(datagrams in prop::collection::vec(datagram(), 0..20), cuts in 1..5000_usize) {
            let mut stream = BytesMut::new();
            for datagram in &datagrams {
                prop_assert!(append(datagram, &mut stream));
            }
            let (mut messages, mut found) = (Messages::default(), vec![]);
            for piece in stream.chunks(cuts) {
                messages.space().extend_from_slice(piece);
                while let Some(message) = messages.next().unwrap() {
                    found.push(message.to_vec());
                }
            }
            prop_assert_eq!(found, datagrams);
            prop_assert!(messages.buffer.is_empty());
        }

        #[test]
        fn total_on_anything(bytes: Vec<u8>) {
            let mut messages = Messages::default();
            messages.space().extend_from_slice(&bytes);
            while let Ok(Some(_)) = messages.next() {}
            append(&bytes, &mut BytesMut::new());
        }
    }
}
