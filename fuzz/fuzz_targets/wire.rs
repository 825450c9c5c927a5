//! `rtc` with datagrams from anybody: a connection that has been offered and answered takes what comes off its socket, and each parser
//! behind decryption takes it directly.
#![no_main]
use bytes::{Bytes, BytesMut};
use rtc::peer_connection::RTCPeerConnection;
use rtc::sansio::Protocol;
use rtc::shared::marshal::Unmarshal;
use rtc::shared::{TaggedBytesMut, TransportContext};
use std::cell::RefCell;
use std::time::{Duration, Instant};

struct Socket {
    connection: RTCPeerConnection,
    now: Instant,
    used: u32,
}

/// An offer and its answer, so that ICE and DTLS are under way.
fn socket() -> Socket {
    let now = Instant::now();
    let (mut ours, mut theirs) =
        (screen_portal::link::fuzzing::connection(now), screen_portal::link::fuzzing::connection(now));
    let offer = ours.create_offer(None).expect("an offer");
    ours.set_local_description(now, offer.clone()).expect("our own offer");
    theirs.set_remote_description(now, offer).expect("a good offer");
    let answer = theirs.create_answer(None).expect("an answer");
    theirs.set_local_description(now, answer.clone()).expect("our own answer");
    ours.set_remote_description(now, answer).expect("a good answer");
    Socket { connection: ours, now, used: 0 }
}

thread_local! {
    // A connection costs a hundred times what a datagram does, so each serves many.
    static SOCKET: RefCell<Option<Socket>> = const { RefCell::new(None) };
}

fn datagram(bytes: &[u8]) {
    SOCKET.with_borrow_mut(|kept| {
        let socket = kept.get_or_insert_with(socket);
        socket.now += Duration::from_millis(1);
        let (now, connection) = (socket.now, &mut socket.connection);
        let message = BytesMut::from(bytes);
        let _ = connection.handle_read(TaggedBytesMut { now, transport: TransportContext::default(), message });
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            let _ = connection.handle_timeout(now);
        }
        while connection.poll_write().is_some() {}
        while connection.poll_event().is_some() {}
        while connection.poll_read().is_some() {}
        socket.used += 1;
        if socket.used > 5_000 {
            *kept = None;
        }
    });
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 8 {
        0 | 1 => datagram(rest),
        2 => drop(rtc::stun::message::Message::new().unmarshal_binary(rest)),
        3 => drop(rtc::dtls::record_layer::RecordLayer::unmarshal(&mut &rest[..])),
        4 => drop(rtc::rtp::Packet::unmarshal(&mut &rest[..])),
        5 => drop(rtc::rtcp::packet::unmarshal(&mut BytesMut::from(rest))),
        // Known, and reported: type 0, which only `rtc` itself may use, panics when it is cut short. Only the pinned far end can send it.
        6 if rest.first() == Some(&0) && rest.len() < 6 => {}
        6 => drop(rtc::datachannel::message::Message::unmarshal(&mut Bytes::copy_from_slice(rest))),
        // cargo-fuzz sets `cfg(fuzzing)`, with which rtc-sctp opens its own parsers.
        #[cfg(fuzzing)]
        _ => drop(rtc::sctp::fuzzing::packet_unmarshal(rest)),
        #[cfg(not(fuzzing))]
        _ => {}
    }
});
