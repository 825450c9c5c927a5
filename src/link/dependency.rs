//! What a picture refers to, as it travels in an RTP header extension, and what the far end says of it in RTCP.
//!
//! The extension stands on the first packet of each picture: the picture's number and that of the one that it needs
//! ([`Dependency`]), each 32 bits in network order. A far end that does not know it does not negotiate it, is sent none, and gets
//! keyframes. Whoever receives it answers with a reference picture selection indication (RFC 4585, 6.3.3), whose contents RTP's
//! payload format for H.264 leaves open; ours are one bit that says whether something after the named picture was lost for good, and
//! that picture's number. Chromium's loss notification says the same, but in a message that `rtc` takes for a malformed REMB.

use crate::codec::Dependency;
use bytes::{BufMut, Bytes, BytesMut};
use rtc::rtcp::Packet;
use rtc::rtcp::raw_packet::RawPacket;

/// The extension's name in SDP.
pub(super) const URI: &str = "urn:x-screen-portal:rtp-hdrext:dependency";

/// The extension's eight bytes.
pub(super) fn write(dependency: Dependency) -> [u8; 8] {
    (u64::from(dependency.number) << 32 | u64::from(dependency.on)).to_be_bytes()
}

/// What the extension says; `None` if it is too short.
pub(super) fn read(extension: &[u8]) -> Option<Dependency> {
    let both = u64::from_be_bytes(extension.get(..8)?.try_into().ok()?);
    Some(Dependency { number: (both >> 32) as u32, on: both as u32 })
}

/// What one end has decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feedback {
    /// The newest picture that came whole, with all that it refers to.
    pub decoded: u32,
    /// What came after it cannot be decoded: a picture that refers to one that was decoded is wanted, or a keyframe.
    pub lost: bool,
}

/// RTCP's version 2 and the format number 3; payload-specific feedback; four more words.
const HEADER: [u8; 4] = [0x83, 206, 0, 4];

impl Feedback {
    /// The message about the stream `ssrc`.
    pub fn packet(self, ssrc: u32, payload_type: u8) -> RawPacket {
        let mut data = BytesMut::with_capacity(20);
        data.put_slice(&HEADER);
        data.put_u32(0);
        data.put_u32(ssrc);
        // No bits of padding.
        data.put_slice(&[0, payload_type & 0x7f, 0, self.lost.into()]);
        data.put_u32(self.decoded);
        RawPacket(data.freeze())
    }

    /// Reads a message; `None` for all others.
    pub fn read(packet: &dyn Packet) -> Option<Self> {
        let RawPacket(data) = packet.as_any().downcast_ref()?;
        let data: &Bytes = data;
        let body = data.strip_prefix(&HEADER)?;
        let [_, _, _, _, _, _, _, _, 0, _, 0, lost @ (0 | 1), decoded @ ..] = body else { return None };
        Some(Self { decoded: u32::from_be_bytes(decoded.try_into().ok()?), lost: *lost == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::rtcp::packet::{marshal, unmarshal};
    use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;

    #[test]
    fn there_and_back() {
        let dependency = Dependency { number: 0x0102_0304, on: 0xfffe_fdfc };
        assert_eq!(read(&write(dependency)), Some(dependency));
        assert_eq!(read(&[0; 7]), None);
        for lost in [false, true] {
            let feedback = Feedback { decoded: 70_000, lost };
            let pli = PictureLossIndication { sender_ssrc: 0, media_ssrc: 9 };
            let sent = marshal(&[Box::new(pli) as Box<dyn Packet>, Box::new(feedback.packet(9, 125))]).unwrap();
            let came = unmarshal(&mut sent.freeze()).unwrap();
            assert_eq!(Feedback::read(&*came[0]), None);
            assert_eq!(Feedback::read(&*came[1]), Some(feedback));
        }
    }

    #[test]
    fn other_messages_are_not_read() {
        let RawPacket(whole) = Feedback { decoded: 1, lost: true }.packet(9, 125);
        for length in 0..whole.len() {
            assert_eq!(Feedback::read(&RawPacket(whole.slice(..length))), None);
        }
        for at in [0, 1, 3, 12, 14, 15] {
            let mut other = whole.to_vec();
            other[at] ^= 0x08;
            assert_eq!(Feedback::read(&RawPacket(other.into())), None, "byte {at}");
        }
    }
}
