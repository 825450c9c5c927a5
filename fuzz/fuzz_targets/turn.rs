//! What a TURN server, or what poses as one, sends over TCP or TLS.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| screen_portal::link::fuzzing::turn_stream(bytes));
