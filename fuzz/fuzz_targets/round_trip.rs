//! Packetiser and assembler: what goes in comes out.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| screen_portal::link::fuzzing::round_trip(bytes));
