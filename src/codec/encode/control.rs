//! What the link tells the encode thread, from any thread and without locks.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

/// Wishes to the encode thread. They take effect with the next picture.
#[derive(Debug)]
pub struct Control {
    active: AtomicBool,
    held: AtomicBool,
    keyframe: AtomicBool,
    recovery: AtomicBool,
    /// The last picture that was encoded.
    encoded: AtomicU32,
    /// 0: nothing was said yet.
    far_end_has: AtomicU32,
    target_bps: AtomicU32,
    ceiling_bps: AtomicU32,
}

impl Control {
    /// Nobody wants pictures yet; the target is the configured bitrate.
    pub fn new(config: &super::Config) -> Self {
        let target_bps = AtomicU32::new(config.bitrate_bps);
        Self {
            active: AtomicBool::new(false),
            held: AtomicBool::new(false),
            keyframe: AtomicBool::new(false),
            recovery: AtomicBool::new(false),
            encoded: AtomicU32::new(0),
            far_end_has: AtomicU32::new(0),
            target_bps,
            ceiling_bps: AtomicU32::new(config.bitrate_bps),
        }
    }

    /// Asks for a keyframe. Requests that come within a quarter of a second get one.
    pub fn request_keyframe(&self) {
        self.keyframe.store(true, Relaxed);
    }

    /// The far end has decoded the picture with this number ([`crate::codec::Dependency`]), and all that it refers to. What is older
    /// than a number said before is no news, and a picture that was not encoded yet is a lie: it would stand above all true ones,
    /// for as long as the portal runs. Numbers go on from one connection to the next, so what was said in an earlier one is older.
    pub fn far_end_has(&self, number: u32) {
        if number <= self.encoded.load(Relaxed) {
            self.far_end_has.fetch_max(number, Relaxed);
        }
    }

    /// The far end has lost something for good: the next picture shall refer to one that it has, or be a keyframe.
    pub fn request_recovery(&self) {
        self.recovery.store(true, Relaxed);
    }

    /// Another highest bitrate than the one that the thread was started with, in bits per second.
    pub fn set_ceiling_bps(&self, bps: u32) {
        self.ceiling_bps.store(bps, Relaxed);
    }

    pub(super) fn ceiling_bps(&self) -> u32 {
        self.ceiling_bps.load(Relaxed)
    }

    /// The bitrate to aim for from now on, in bits per second. Never more than the configured one is used.
    pub fn set_target_bps(&self, bps: u32) {
        self.target_bps.store(bps, Relaxed);
    }

    /// Whether anybody wants pictures. While nobody does, nothing is encoded; it begins again with a keyframe.
    pub fn set_active(&self, active: bool) {
        self.active.store(active, Relaxed);
    }

    /// Whether a picture that is encoded now would have to wait in front of the network. Meanwhile pictures are left out: a newer
    /// one is worth more when there is room again.
    pub fn set_held(&self, held: bool) {
        self.held.store(held, Relaxed);
    }

    /// What [`Control::set_held`] said last.
    pub fn is_held(&self) -> bool {
        self.held.load(Relaxed)
    }

    /// What [`Control::set_active`] said last.
    pub fn is_active(&self) -> bool {
        self.active.load(Relaxed)
    }

    pub(super) fn target_bps(&self) -> u32 {
        self.target_bps.load(Relaxed)
    }

    pub(super) fn wants_keyframe(&self) -> bool {
        self.keyframe.load(Relaxed)
    }

    /// The picture with this number is about to be sent. To be said before it is: the answer may be quick.
    pub(super) fn set_encoded(&self, number: u32) {
        self.encoded.store(number, Relaxed);
    }

    /// The number of the last picture that was encoded; 0 before the first.
    pub(super) fn encoded(&self) -> u32 {
        self.encoded.load(Relaxed)
    }

    pub(super) fn decoded(&self) -> u32 {
        self.far_end_has.load(Relaxed)
    }

    /// From here on a request means another recovery.
    pub(super) fn take_recovery(&self) -> bool {
        self.recovery.swap(false, Relaxed)
    }

    /// From here on a request means another keyframe.
    pub(super) fn keyframe_begun(&self) {
        self.keyframe.store(false, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_far_end_cannot_have_does_not_hide_what_it_has() {
        let control = Control::new(&Default::default());
        let decoded = |number| {
            control.far_end_has(number);
            control.decoded()
        };
        assert_eq!(decoded(u32::MAX), 0, "nothing was encoded yet");
        control.set_encoded(7);
        assert_eq!(decoded(5), 5);
        assert_eq!((decoded(u32::MAX), decoded(8)), (5, 5), "not yet");
        assert_eq!((decoded(7), decoded(6)), (7, 7), "older ones are no news");
        control.set_encoded(8);
        assert_eq!(decoded(8), 8);
    }
}
