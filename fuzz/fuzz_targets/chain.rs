//! The real interceptors with any RTP and RTCP from the far end, beginning with `rtc`'s own parsers.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| screen_portal::link::fuzzing::chain(bytes));
