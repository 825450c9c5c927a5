//! Which long-term reference pictures the far end has, and what openh264 is told of them (pure).
//!
//! After a loss that is not repaired, a picture that refers to an older one which the far end has serves as a keyframe does, and is
//! no larger than others (ITU-T H.264 8.2.5, `docs/measurements/codec.md`). openh264 keeps each keyframe, and marks another picture
//! every half second; then it waits to hear whether the far end has that one, and marks no other before. So it has two at most: the
//! one that was confirmed last, and the one that is not confirmed yet. It takes one message per picture, and believes that every
//! keyframe arrived, which we do not.

use crate::codec::Dependency;
use crate::codec::slice::Slice;

/// A picture that openh264 has marked, and waits to hear of.
#[derive(Clone, Copy, Debug)]
struct Marked {
    /// Who has decoded the picture with this number has kept it: the marked one, or the one that said so.
    number: u32,
    frame_number: u32,
}

/// What is known of one stream's references.
#[derive(Debug, Default)]
pub(crate) struct References {
    /// The last keyframe's number. What is before it counts no more.
    keyframe: Option<u32>,
    /// The last picture's number.
    last: u32,
    marked: Option<Marked>,
    /// The newest picture that the far end has.
    has: u32,
    /// Who has decoded this one has what openh264 refers to when it recovers.
    confirmed: Option<u32>,
    wants_recovery: bool,
    /// openh264 was told to recover.
    recovers: bool,
}

/// What openh264 is to be told before the next picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wishes {
    /// The `frame_num` of the marked picture, and whether the far end has it.
    pub kept: Option<(u32, bool)>,
    /// The picture shall refer to what was confirmed.
    pub recover: bool,
}

impl References {
    /// The far end has this picture and all that it refers to. What was never sent, or is of an earlier stream, is no news.
    pub fn far_end_has(&mut self, number: u32) {
        let Some(keyframe) = self.keyframe else { return };
        if (keyframe..=self.last).contains(&number) {
            self.has = self.has.max(number);
            self.confirmed.get_or_insert(keyframe);
        }
    }

    /// Asks for a picture that refers to what the far end has; `false` if it is not known to have anything of this stream.
    pub fn recover(&mut self) -> bool {
        // openh264 cannot refer to a keyframe as a long-term reference directly behind it.
        let possible = self.confirmed.is_some() && self.keyframe != Some(self.last);
        self.wants_recovery |= possible;
        possible
    }

    /// What to tell openh264 before the next picture, which is not to be a keyframe.
    pub fn wishes(&mut self) -> Wishes {
        let mut wishes = Wishes::default();
        if let Some(marked) = self.marked {
            let has = self.has >= marked.number;
            // What comes behind a recovery has been decoded without it, so that a later picture confirms nothing.
            if has || self.wants_recovery {
                wishes.kept = Some((marked.frame_number, has));
                self.marked = None;
            }
            if has {
                self.confirmed = Some(marked.number);
            }
        }
        wishes.recover = std::mem::take(&mut self.wants_recovery);
        self.recovers |= wishes.recover;
        wishes
    }

    /// A picture was encoded. What it depends on: when in doubt on the one before it.
    pub fn encoded(&mut self, number: u32, keyframe: bool, slice: Option<Slice>) -> Dependency {
        let before = std::mem::replace(&mut self.last, number);
        if keyframe {
            *self = Self { keyframe: Some(number), last: number, ..Self::default() };
            return Dependency { number, on: number };
        }
        let refers_to_kept = slice.is_some_and(|slice| slice.refers_to_kept);
        if let Some(frame_number) = slice.and_then(|slice| slice.keeps) {
            self.marked = Some(Marked { number, frame_number });
        }
        // Others refer to a long-term reference, too: those that follow directly on one, which nobody has confirmed yet.
        let recovers = std::mem::take(&mut self.recovers) && refers_to_kept;
        Dependency { number, on: self.confirmed.filter(|_| recovers).unwrap_or(before) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(refers_to_kept: bool, keeps: Option<u32>) -> Option<Slice> {
        Some(Slice { frame_number: 0, is_reference: true, refers_to_kept, keeps })
    }

    #[test]
    fn nothing_is_referred_to_that_nobody_has_confirmed() {
        let mut references = References::default();
        assert!(!references.recover());
        assert_eq!(references.encoded(1, true, slice(false, Some(0))), Dependency { number: 1, on: 1 });
        references.far_end_has(2);
        assert!(!references.recover(), "what was not made cannot have come");
        references.far_end_has(1);
        assert!(!references.recover(), "openh264 cannot, directly behind a keyframe");
        // Refers to the keyframe as a long-term one; but that is only the picture before it.
        assert_eq!(references.encoded(2, false, slice(true, None)), Dependency { number: 2, on: 1 });
        assert_eq!(references.encoded(3, false, slice(false, None)), Dependency { number: 3, on: 2 });
        assert!(references.recover());
        assert_eq!(references.wishes(), Wishes { kept: None, recover: true });
        assert_eq!(references.encoded(4, false, slice(true, None)), Dependency { number: 4, on: 1 });
        assert_eq!(references.wishes(), Wishes::default(), "once");
        assert_eq!(references.encoded(5, true, slice(false, Some(0))), Dependency { number: 5, on: 5 });
        references.far_end_has(4);
        references.encoded(6, false, slice(true, None));
        assert!(!references.recover(), "that is before the keyframe");
    }

    #[test]
    fn a_mark_is_confirmed_by_whatever_follows_it_until_a_recovery() {
        let mut references = References::default();
        references.encoded(1, true, slice(false, Some(0)));
        references.encoded(2, false, slice(true, None));
        references.far_end_has(1);
        references.encoded(3, false, slice(false, Some(7)));
        assert_eq!(references.wishes(), Wishes::default());
        references.encoded(4, false, slice(true, None));
        references.far_end_has(4);
        assert_eq!(references.wishes().kept, Some((7, true)));
        references.encoded(5, false, slice(false, None));
        // The next mark is lost, and what follows the recovery does not confirm it.
        references.encoded(6, false, slice(false, Some(5)));
        assert!(references.recover());
        assert_eq!(references.wishes(), Wishes { kept: Some((5, false)), recover: true });
        assert_eq!(references.encoded(7, false, slice(true, None)), Dependency { number: 7, on: 3 });
        references.far_end_has(7);
        assert_eq!(references.wishes(), Wishes::default());
    }

    #[test]
    fn a_recovery_that_openh264_did_not_make_is_an_ordinary_picture() {
        let mut references = References::default();
        references.encoded(1, true, slice(false, Some(0)));
        references.encoded(2, false, slice(true, None));
        references.far_end_has(2);
        assert!(references.recover() && references.wishes().recover);
        assert_eq!(references.encoded(3, false, slice(false, None)), Dependency { number: 3, on: 2 });
    }
}
