//! What is published at a broker where this portal is a device, in any order.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| screen_portal::ocamera::fuzzing::story(bytes));
