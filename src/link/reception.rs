//! What is done about the packets of one remote track: what is waited for, what is asked for, when a picture is due.
//!
//! Pure: packets and the time go in; whole access units, and what the far end should be told, come out. The task around it is
//! [`super::incoming`]. A caller pushes each packet, and after each, and whenever [`Reception::deadline`] has come, asks for all that
//! is due: [`Reception::poll`] and [`Reception::keyframe_due`].
//!
//! A keyframe is needed when the assembler had to give something up, or when somebody behind it wants one. It is asked for at
//! once, and again only when one that was sent for the first request would have come by now; not at all while one is under way. So
//! a path that loses much does not also carry keyframes that nobody waits for.

use super::assembler::{Assembler, Losses, Packet, Unit};
use super::playout::Playout;
use std::time::{Duration, Instant};

/// Keyframes are asked for at most this often, plus a round trip: until then the one asked for may be on its way.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(200);
/// Bounds of the time that packets wait for a repair: four round trips and some, so that a repair may be lost twice.
const HOLD: (Duration, Duration) = (Duration::from_millis(80), Duration::from_millis(600));

/// The receiving policy of one track. See the module's documentation.
#[derive(Debug)]
pub struct Reception {
    assembler: Assembler,
    playout: Playout,
    round_trip: Duration,
    hold: Duration,
    /// When a keyframe was last asked for. The far end sends one by itself at the beginning.
    asked: Instant,
    /// Somebody else wants a keyframe: the decoder, the state machine.
    wanted: bool,
    units: Vec<Unit>,
}

impl Reception {
    /// The reception of a track that begins at `now`. Delivers nothing before its first keyframe.
    pub fn new(now: Instant) -> Self {
        Self {
            assembler: Assembler::new(HOLD.0),
            playout: Playout::default(),
            round_trip: Duration::ZERO,
            hold: HOLD.0,
            asked: now,
            wanted: false,
            units: Vec::new(),
        }
    }

    /// The round trip of the path; zero while it is unknown.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
        self.hold = (round_trip * 4 + HOLD.0 / 2).clamp(HOLD.0, HOLD.1);
        self.assembler.set_hold(self.hold);
    }

    /// Takes a packet in, at the time that it carries.
    pub fn push(&mut self, packet: Packet) {
        let now = packet.arrived;
        self.assembler.push(packet, &mut self.units);
        self.enqueue(now);
    }

    /// Delivers the units that are due, in the order of decoding.
    pub fn poll(&mut self, now: Instant, deliver: &mut impl FnMut(Unit)) {
        self.assembler.expire(now, &mut self.units);
        self.enqueue(now);
        while let Some(unit) = self.playout.pop(now) {
            // It is newer than the wish.
            self.wanted &= !unit.keyframe;
            deliver(unit);
        }
    }

    fn enqueue(&mut self, now: Instant) {
        for unit in self.units.drain(..) {
            self.playout.push(unit, now);
        }
    }

    /// When to ask again if nothing comes before.
    pub fn deadline(&self) -> Option<Instant> {
        [self.assembler.deadline(), self.playout.deadline(), self.keyframe_at()].into_iter().flatten().min()
    }

    /// Somebody who takes the units wants a keyframe; others are still welcome.
    pub fn request_keyframe(&mut self) {
        self.wanted = true;
    }

    /// From now on nothing is delivered before a keyframe comes: for a consumer that had to drop one.
    pub fn require_keyframe(&mut self) {
        self.playout.clear();
        self.assembler.require_keyframe();
    }

    /// Whether a keyframe should be asked for now. Counts as asked when it says so.
    pub fn keyframe_due(&mut self, now: Instant) -> bool {
        let due = self.keyframe_at().is_some_and(|at| at <= now);
        if due {
            self.wanted = false;
            self.asked = now;
        }
        due
    }

    fn keyframe_at(&self) -> Option<Instant> {
        let wanted = self.assembler.wants_keyframe() || (self.wanted && !self.playout.has_keyframe());
        let allowed = wanted.then(|| self.asked + KEYFRAME_INTERVAL + self.round_trip)?;
        // One that is under way is waited for as long as for its repair.
        let begun = self.assembler.keyframe_begun();
        Some(begun.map_or(allowed, |begun| allowed.max(begun + self.hold)))
    }

    /// Losses since the last call.
    pub fn take_losses(&mut self) -> Losses {
        self.assembler.take_losses()
    }
}
