//! What anybody may say to a portal that shows a pairing code, or to one where a code was entered: every parser, and the state machine from both ends.
#![no_main]
use screen_portal::pairing::{Code, Frame, Sealed, strangers_pair};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => {
            if let Ok(text) = std::str::from_utf8(rest)
                && let Ok(frame) = Frame::parse(text)
            {
                assert_eq!(Frame::parse(&frame.to_json()), Ok(frame));
            }
        }
        1 => {
            // What is read is within limits, so it can be said again and be read as the same.
            if let Ok(sealed) = Sealed::parse(rest) {
                assert_eq!(Sealed::parse(sealed.to_json().as_bytes()), Ok(sealed));
            }
        }
        2 => {
            if let Ok(text) = std::str::from_utf8(rest)
                && let Ok(code) = text.parse::<Code>()
            {
                assert_eq!(code.to_string().parse(), Ok(code));
            }
        }
        kind => {
            let pieces: Vec<&[u8]> = rest.split(|byte| *byte == 0xff).take(12).collect();
            assert!(!strangers_pair(kind == 3, &pieces), "nobody pairs without the code");
        }
    }
});
