//! What is done about the packets of one remote track: what is waited for, what is asked for, when a picture is due.
//!
//! Pure: packets and the time go in; whole access units, and what the far end should be told, come out. The task around it is
//! `link::incoming`. A caller pushes each packet, and after each, and whenever [`Reception::deadline`] has come, asks for all that
//! is due: [`Reception::poll`], [`Reception::repairs_due`] and [`Reception::keyframe_due`].
//!
//! | what is missing | is |
//! |---|---|
//! | at once | asked for again (see `link::nack`), and everything behind it waits |
//! | after three repairs that should have come, or two when a third would come too late to be presented in time | no longer relied upon: a keyframe is asked for |
//! | when the keyframe had the time to come | given up, with all pictures up to the next keyframe |
//!
//! Whichever comes first ends the waiting, the repair or the keyframe. A keyframe that somebody else wants is asked for at once, but
//! again only when one that was sent for the first request would have come by now, and not at all while one is under way. So a
//! path that loses much does not also carry keyframes that nobody waits for.
//!
//! Where the sender says what its pictures refer to, it hears what was delivered, and is asked first for a picture that refers to
//! something of that (a *recovery*), which is no larger than others and serves as a keyframe does. Only when nothing was delivered
//! since, and when the decoder has failed, is a keyframe asked for.

use super::assembler::{Assembler, Losses, Packet, Unit};
use super::dependency::Feedback;
use super::nack::Nack;
use super::playout::{MAX_HOLD, Playout};
use std::time::{Duration, Instant};

/// Keyframes are asked for at most this often, plus a round trip: until then the one asked for may be on its way.
const KEYFRAME_INTERVAL: Duration = Duration::from_millis(200);
/// A request for a keyframe may be lost: it is sent twice, this far apart. The far end takes both for one.
const REPEAT: Duration = Duration::from_millis(10);
/// No path that carries pictures has a longer round trip. A ping may have waited for a machine that was stopped, and what it says must
/// not keep us from asking.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(1);
/// How long a keyframe takes beyond the time of a repair: it has to be encoded, and is large.
const KEYFRAME_TIME: Duration = Duration::from_millis(100);

/// How often the sender hears what was delivered. It may refer to nothing newer.
const FEEDBACK: Duration = Duration::from_millis(200);

/// What a sender can do about a picture that does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Keyframe,
    Recovery,
}

/// The receiving policy of one track. See the module's documentation.
#[derive(Debug)]
pub struct Reception {
    assembler: Assembler,
    nack: Nack,
    playout: Playout,
    round_trip: Duration,
    /// When a keyframe was last asked for. The far end sends one by itself at the beginning.
    asked: Instant,
    /// The request that is to be repeated.
    repeat: Option<Wish>,
    /// Somebody else wants a keyframe: the decoder, the state machine.
    wanted: bool,
    /// A recovery was asked for, and nothing was delivered since.
    recovery_asked: bool,
    /// What the sender heard last, and when.
    told: Option<(u32, Instant)>,
    units: Vec<Unit>,
}

impl Reception {
    /// The reception of a track that begins at `now`. Delivers nothing before its first keyframe.
    pub fn new(now: Instant) -> Self {
        let nack = Nack::default();
        Self {
            assembler: Assembler::new(hold(&nack)),
            nack,
            playout: Playout::new(now),
            round_trip: Duration::ZERO,
            asked: now,
            repeat: None,
            wanted: false,
            recovery_asked: false,
            told: None,
            units: Vec::new(),
        }
    }

    /// The round trip of the path; zero while it is unknown.
    pub fn set_round_trip(&mut self, round_trip: Duration) {
        let round_trip = round_trip.min(MAX_ROUND_TRIP);
        self.round_trip = round_trip;
        self.nack.set_round_trip(round_trip);
    }

    /// Takes a packet in, at the time that it carries: one that was sent first, or a repair without its wrapping.
    pub fn push(&mut self, packet: Packet) {
        let now = packet.arrived;
        let (sequence, timestamp, marker) = (packet.sequence, packet.timestamp, packet.marker);
        if !self.assembler.push(packet, &mut self.units) {
            self.nack.start_anew();
        }
        self.nack.received(sequence, timestamp, marker, now);
        self.settle(now);
    }

    /// Delivers the units that are due, in the order of decoding.
    pub fn poll(&mut self, now: Instant, deliver: &mut impl FnMut(Unit)) {
        self.assembler.set_hold(hold(&self.nack));
        self.settle(now);
        // Behind a keyframe that ended the waiting there may be a gap that is as old.
        while self.assembler.deadline().is_some_and(|deadline| deadline <= now) {
            self.assembler.expire(now, &mut self.units);
            self.settle(now);
        }
        while let Some(unit) = self.playout.pop(now) {
            // It is newer than the wish.
            self.wanted &= !unit.keyframe;
            deliver(unit);
        }
    }

    /// After the assembler has seen something new.
    fn settle(&mut self, now: Instant) {
        if self.assembler.wants_keyframe() || self.doubtful_at().is_some_and(|at| at <= now) {
            self.assembler.skip_gap(&mut self.units);
        }
        if let Some(next) = self.assembler.next() {
            self.nack.forget_before(next);
        }
        self.recovery_asked &= self.units.is_empty();
        for unit in self.units.drain(..) {
            self.playout.push(unit, now);
        }
    }

    /// When to ask again if nothing comes before.
    pub fn deadline(&self) -> Option<Instant> {
        let own = [self.assembler.deadline(), self.nack.deadline(), self.playout.deadline(), self.keyframe_at()];
        own.into_iter().flatten().min()
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

    /// Appends the sequence numbers of the packets that the far end should send again, in order. They count as asked for.
    pub fn repairs_due(&mut self, now: Instant, into: &mut Vec<u16>) {
        // Normally the assembler gives up first; not if nothing at all comes any more.
        if let Some(limit) = now.checked_sub(hold(&self.nack)) {
            self.nack.give_up(limit);
        }
        self.nack.due(now, into);
    }

    /// Whether a keyframe should be asked for now. Counts as asked when it says so.
    pub fn keyframe_due(&mut self, now: Instant) -> bool {
        self.request_due(Wish::Keyframe, now)
    }

    /// What the sender should hear of what was delivered, and whether a recovery should be asked for now. Counts as said.
    pub(super) fn feedback_due(&mut self, now: Instant) -> Option<Feedback> {
        let decoded = self.assembler.newest()?;
        let lost = self.request_due(Wish::Recovery, now);
        let news = self.told.is_none_or(|(told, at)| told != decoded && now.saturating_duration_since(at) >= FEEDBACK);
        (lost || news).then(|| {
            self.told = Some((decoded, now));
            Feedback { decoded, lost }
        })
    }

    /// What would help.
    fn wish(&self) -> Wish {
        let recoverable = !self.wanted && self.assembler.newest().is_some();
        match self.repeat {
            Some(Wish::Recovery) if recoverable => Wish::Recovery,
            None if recoverable && !self.recovery_asked => Wish::Recovery,
            _ => Wish::Keyframe,
        }
    }

    fn request_due(&mut self, wish: Wish, now: Instant) -> bool {
        let due = self.wish() == wish && self.keyframe_at().is_some_and(|at| at <= now);
        if due {
            self.wanted = false;
            self.recovery_asked |= wish == Wish::Recovery;
            self.repeat = self.repeat.is_none().then_some(wish);
            self.asked = now;
        }
        due
    }

    fn keyframe_at(&self) -> Option<Instant> {
        if self.repeat.is_some() {
            return Some(self.asked + REPEAT);
        }
        let allowed = self.asked + KEYFRAME_INTERVAL + self.round_trip;
        let wanted = self.assembler.wants_keyframe() || (self.wanted && !self.playout.has_keyframe());
        let at = if wanted { allowed } else { self.doubtful_at()?.max(allowed) };
        // One that is under way is waited for as long as for its repair.
        let begun = self.assembler.keyframe_begun();
        let begun = begun.or_else(|| self.assembler.recovery_begun().filter(|_| !self.wanted));
        Some(begun.map_or(at, |begun| at.max(begun + hold(&self.nack))))
    }

    /// When a missing packet is no longer relied upon.
    fn doubtful_at(&self) -> Option<Instant> {
        Some(self.nack.oldest()? + patience(&self.nack))
    }

    /// Losses since the last call.
    pub fn take_losses(&mut self) -> Losses {
        self.assembler.take_losses()
    }

    /// What is being presented: jitter, hold, pictures that came late.
    pub fn playout(&mut self) -> &mut Playout {
        &mut self.playout
    }
}

/// How long a missing packet is relied upon.
fn patience(nack: &Nack) -> Duration {
    let repair = nack.repair_time();
    // Asked for any later, it would come too late to be presented in time. But two repairs are sooner than a keyframe.
    MAX_HOLD.saturating_sub(repair).clamp(2 * repair, 3 * repair) + 2 * REPEAT
}

/// How long packets behind a gap wait: until a keyframe has had the time to come.
fn hold(nack: &Nack) -> Duration {
    patience(nack) + nack.repair_time() + KEYFRAME_TIME
}
