//! Readers of H.264 (from the network, before the decoder, and from files) and of Y4M files.
#![no_main]
use screen_portal::capture::y4m;
use screen_portal::codec::{nal, sps};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 3 {
        0 => {
            let mut end = 0;
            for range in nal::access_units(rest) {
                assert!(range.start >= end && range.end <= rest.len() && range.start < range.end, "{range:?}");
                end = range.end;
            }
            for unit in nal::units(rest) {
                let _ = nal::Kind::of(unit);
            }
            let _ = nal::Contents::of(rest);
        }
        1 => {
            if let Ok(sps) = sps::Sps::parse(rest) {
                assert!(sps.size.width > 0 && sps.size.height > 0, "{sps:?}");
            }
        }
        _ => {
            let mut from = rest;
            if let Ok(header) = y4m::Header::read(&mut from) {
                // Odd sizes in a file lose a column or a row.
                assert!(header.format.size.is_valid(), "{header:?}");
            }
        }
    }
});
