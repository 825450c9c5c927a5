//! NAL units in a byte stream (ITU-T H.264, Annex B): where they begin, what they are, and which belong to one picture.
//!
//! Everything here is total: any bytes at all give an answer, none a panic.

use std::ops::Range;

/// What a NAL unit holds (H.264 table 7-1), as far as we care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A slice of a picture that refers to earlier ones (1), or one of its data partitions (2 to 4).
    Slice,
    /// A slice of an IDR picture (5): decoding can start here, given the parameter sets.
    Idr,
    /// Supplemental information (6).
    Sei,
    /// Sequence parameter set (7): size, colour, timing.
    Sps,
    /// Picture parameter set (8).
    Pps,
    /// Access unit delimiter (9).
    Delimiter,
    /// Anything else, by its number.
    Other(u8),
}

impl Kind {
    /// What `unit` (without its start code) is. `None` for an empty one and one with the forbidden bit set: it is damaged.
    pub fn of(unit: &[u8]) -> Option<Self> {
        let header = *unit.first()?;
        if header & 0x80 != 0 {
            return None;
        }
        Some(match header & 0x1f {
            1..=4 => Self::Slice,
            5 => Self::Idr,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::Delimiter,
            other => Self::Other(other),
        })
    }

    /// Whether it carries coded samples.
    pub fn is_picture(self) -> bool {
        matches!(self, Self::Slice | Self::Idr)
    }

    /// Whether, behind coded samples, it can only belong to the next picture (H.264 7.4.1.2.3).
    fn opens_access_unit(self) -> bool {
        matches!(self, Self::Sei | Self::Sps | Self::Pps | Self::Delimiter | Self::Other(14..=18))
    }
}

/// Where the next start code (00 00 01) lies, at or after `from`.
fn start_code(data: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(&third) = data.get(at + 2) {
        match third {
            // Only here may a start code end; anything above 1 rules out all three positions at once.
            1 if data[at] == 0 && data[at + 1] == 0 => return Some(at),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

/// The NAL units of a byte stream. What lies in front of the first start code is passed over, and so are empty units.
#[derive(Clone, Debug)]
pub struct Units<'a> {
    data: &'a [u8],
    /// Position of the next start code.
    next: Option<usize>,
}

/// The NAL units of `data`, without start codes and without the zeros that may follow a unit.
pub fn units(data: &[u8]) -> Units<'_> {
    Units { data, next: start_code(data, 0) }
}

impl Units<'_> {
    /// The next unit's place in the stream, without its start code.
    fn next_range(&mut self) -> Option<Range<usize>> {
        loop {
            let begin = self.next? + 3;
            self.next = start_code(self.data, begin);
            let end = self.next.unwrap_or(self.data.len());
            // A unit's last byte is never zero (rbsp_trailing_bits): zeros belong to the next start code, or are padding.
            let length = self.data[begin..end].iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            if length > 0 {
                return Some(begin..begin + length);
            }
        }
    }
}

impl<'a> Iterator for Units<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let range = self.next_range()?;
        Some(&self.data[range])
    }
}

/// What an access unit holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// A sequence parameter set.
    pub sps: bool,
    /// A picture parameter set.
    pub pps: bool,
    /// At least one slice of an IDR picture.
    pub idr: bool,
    /// At least one slice of another picture.
    pub slice: bool,
    /// A unit that cannot be one.
    pub damaged: bool,
}

impl Contents {
    /// Looks through all NAL units of `data`.
    pub fn of(data: &[u8]) -> Self {
        let mut contents = Self::default();
        for unit in units(data) {
            match Kind::of(unit) {
                Some(Kind::Sps) => contents.sps = true,
                Some(Kind::Pps) => contents.pps = true,
                Some(Kind::Idr) => contents.idr = true,
                Some(Kind::Slice) => contents.slice = true,
                Some(_) => {}
                None => contents.damaged = true,
            }
        }
        contents
    }

    /// Whether a decoder that knows nothing can start here: an IDR picture with its own parameter sets.
    pub fn is_keyframe(self) -> bool {
        self.sps && self.pps && self.idr && !self.slice && !self.damaged
    }
}

/// Cuts a byte stream into access units, one picture each: the places of their bytes, start codes included. For files; what
/// comes from the network is put together by the RTP marker bit instead.
pub fn access_units(data: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut all = units(data);
    let (mut begin, mut has_picture) = (None, false);
    while let Some(range) = all.next_range() {
        // The range begins behind a start code of three bytes, so this cannot underflow.
        let start = range.start - 3;
        let unit = &data[range.clone()];
        let Some(kind) = Kind::of(unit) else { continue };
        // first_mb_in_slice is the first field of a slice header; 0 is the single bit 1 in Exp-Golomb.
        let first_slice = kind.is_picture() && unit.get(1).is_some_and(|byte| byte & 0x80 != 0);
        if has_picture && (first_slice || kind.opens_access_unit()) {
            found.extend(begin.map(|begin| begin..start));
            (begin, has_picture) = (Some(start), false);
        }
        begin.get_or_insert(start);
        has_picture |= kind.is_picture();
    }
    if has_picture {
        found.extend(begin.map(|begin| begin..data.len()));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_end_where_the_next_begins() {
        let stream = [9, 9, 0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 0, 0, 1, 0, 0, 1, 0x65, 0x88, 3, 0, 0];
        let found: Vec<&[u8]> = units(&stream).collect();
        assert_eq!(found, [&[0x67, 1][..], &[0x68, 2], &[0x65, 0x88, 3]]);
        assert!(Contents::of(&stream).is_keyframe());
        assert!(!Contents::of(&stream[..17]).is_keyframe());
    }

    #[test]
    fn a_start_code_behind_zeros_and_at_each_alignment_is_found() {
        for padding in 0..6 {
            let mut stream = vec![0xff; padding];
            stream.extend([0, 0, 0, 0, 1, 0x41, 7]);
            assert_eq!(units(&stream).collect::<Vec<_>>(), [&[0x41, 7]]);
        }
    }

    #[test]
    fn pictures_are_told_apart_by_their_first_slice() {
        let mut stream = Vec::new();
        // SPS, PPS, IDR of two slices | P | SEI, P of two slices
        for unit in [
            &[0x67, 1][..],
            &[0x68, 1],
            &[0x65, 0x80],
            &[0x65, 0x41],
            &[0x41, 0x80],
            &[6, 5],
            &[0x41, 0x9a],
            &[0x41, 0x40],
        ] {
            stream.extend([0, 0, 1]);
            stream.extend(unit);
        }
        let kinds: Vec<Vec<u8>> = access_units(&stream)
            .into_iter()
            .map(|range| units(&stream[range]).map(|unit| unit[0]).collect())
            .collect();
        assert_eq!(kinds, [vec![0x67, 0x68, 0x65, 0x65], vec![0x41], vec![6, 0x41, 0x41]]);
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(data in prop::collection::vec(prop_oneof![Just(0u8), Just(1), any::<u8>()], 0..200)) {
            let total: usize = units(&data).map(<[u8]>::len).sum();
            prop_assert!(total <= data.len());
            Contents::of(&data);
            let mut last = 0;
            for range in access_units(&data) {
                prop_assert!(range.start >= last && range.end > range.start && range.end <= data.len());
                last = range.end;
            }
        }

        #[test]
        fn what_was_put_together_comes_apart(payloads in prop::collection::vec(prop::collection::vec(1u8..=255, 1..30), 0..8)) {
            let mut stream = Vec::new();
            for payload in &payloads {
                stream.extend([0, 0, 0, 1]);
                stream.extend(payload);
            }
            prop_assert_eq!(units(&stream).collect::<Vec<_>>(), payloads);
        }
    }
}
