//! Readers of H.264 (from the network, before the decoder, and from files) and of Y4M files.
#![no_main]
use screen_portal::capture::y4m;
use screen_portal::codec::{nal, slice, sps};
use screen_portal::media::Size;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 4 {
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
        2 => {
            // A slice header, of a stream whose parameter set says how long its numbers are.
            let [frame_number, order, unit @ ..] = rest else { return };
            let sps = sps::Sps {
                profile_idc: 66,
                constraints: 0xc0,
                level_idc: 31,
                size: Size { width: 1280, height: 720 },
                colour: None,
                frame_rate: None,
                gaps_allowed: false,
                frame_number_bits: 4 + frame_number % 13,
                order_bits: [None, Some(0), Some(4), Some(16)][usize::from(order % 4)],
            };
            if let Some(slice) = slice::Slice::of(&[&[0, 0, 0, 1][..], unit].concat(), &sps) {
                let numbers = 1 << sps.frame_number_bits;
                assert!(slice.frame_number < numbers && slice.keeps.is_none_or(|kept| kept < numbers), "{slice:?}");
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
