//! Session descriptions: signalling is not encrypted, so somebody on the way may change all of one but the fingerprint, and the rest goes
//! into `rtc`. The bytes change a good offer: parts of it are replaced, or it is all theirs.
#![no_main]
use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::sansio::Protocol;
use screen_portal::link::fuzzing;
use screen_portal::pairing::Fingerprint;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static OFFER: OnceLock<String> = OnceLock::new();
    let now = Instant::now();
    let good = OFFER.get_or_init(|| fuzzing::connection(now).create_offer(None).expect("an offer").sdp);
    let [kind, at_high, at_low, length, rest @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let sdp = if kind % 4 == 0 {
        text.to_owned()
    } else {
        // Lines are the natural pieces: some are left out, and the text takes their place.
        let lines: Vec<&str> = good.split_inclusive('\n').collect();
        let begin = usize::from(u16::from_be_bytes([*at_high, *at_low])) % lines.len();
        let end = (begin + usize::from(length % 4)).min(lines.len());
        [&lines[..begin], &[text, "\r\n"], &lines[end..]].concat().concat()
    };
    fuzzing::description(&sdp, Fingerprint::of(b"x"));
    fuzzing::guests_description(&sdp);
    let mut connection = fuzzing::connection(now);
    let Ok(offer) = RTCSessionDescription::offer(sdp) else { return };
    if connection.set_remote_description(now, offer).is_err() {
        return;
    }
    // The same for a candidate that comes by itself.
    let _ = connection.add_remote_candidate(RTCIceCandidateInit { candidate: text.into(), ..Default::default() });
    if let Ok(answer) = connection.create_answer(None) {
        let _ = connection.set_local_description(now, answer);
    }
    let _ = connection.handle_timeout(now + Duration::from_millis(100));
    while connection.poll_write().is_some() {}
    while connection.poll_event().is_some() {}
});
