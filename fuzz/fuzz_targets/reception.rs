//! Assembler, playout and keyframe policy: packets in any order, and time.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| screen_portal::link::fuzzing::reception(bytes));
