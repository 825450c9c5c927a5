//! What clients of a hub may say, in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| screen_portal::hub::fuzzing::story(bytes));
