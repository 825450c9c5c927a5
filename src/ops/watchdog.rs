//! Which stage stands still, and what to do about it: a pure policy.
//!
//! Each [`Stage`] has a [`Sign`] of life that is looked at twice a second. One that stands still for longer than its bound gets a
//! remedy, and if that does not help, the next one of its ladder, up to the last: to give the process up, with a reason. Only time that
//! was *witnessed* counts: between two looks at most [`WITNESSED`]. A process that was stopped or starved, or a machine that was suspended, finds
//! its stages as old as it left them, not hours old.
//!
//! A stage that goes on after a remedy has its ladder back only after a while without trouble ([`RECOVERED`]): one that falls over again
//! and again climbs, instead of getting the first remedy for ever.

use std::time::{Duration, Instant};

/// Between two looks.
pub const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The longest time between two words to systemd, as long as all is well: its patience is to begin when something goes wrong, not long before.
pub const FEED_EVERY: Duration = Duration::from_secs(2);
/// The most that counts of the time between two looks.
pub const WITNESSED: Duration = Duration::from_secs(1);
/// A stage that has been well for so long is as good as new.
pub const RECOVERED: Duration = Duration::from_secs(60);

/// What is watched, in the direction of the pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The capture thread turns, and a source that is open delivers.
    Capture,
    /// The encode thread turns.
    Encoder,
    /// Captured pictures come out of it while the far end wants them.
    Encoding,
    /// The runtime of the network turns.
    Network,
    /// The link's session turns.
    Link,
    /// Packets of pictures become whole pictures.
    Receiving,
    /// The decode thread turns.
    Decoder,
    /// Received pictures are decoded.
    Decoding,
    /// Decoded pictures reach the glass.
    Presenting,
    /// The display's loop turns.
    Display,
    /// The thread that does what keys ask for.
    Commands,
}

/// What is done about a stage that stands still, from cheap to dear.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The camera, or whatever source there is, is closed and opened again.
    ReopenSource,
    /// Another encode thread with an encoder of its own; the old one is left behind.
    NewEncoder,
    /// The far end is asked for a keyframe.
    Keyframe,
    /// Another decode thread with a decoder of its own; the old one is left behind.
    NewDecoder,
    /// Another connection beside the one in use.
    NewConnection,
    /// The window is closed and made again.
    NewWindow,
    /// The graphics device is given up and opened again.
    NewDevice,
    /// Nothing in this process helps: it begins again.
    GiveUp,
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Nothing is to be expected of it now: switched off, known to be absent, or nobody wants its work. It is well.
    Idle,
    /// It has turned so often. It should go on, whatever there is to do.
    Turns(u64),
    /// It was given so much and made so much of it. It should make something while it is given something.
    Flows {
        /// What came in.
        given: u64,
        /// What came out, in whichever way it was dealt with.
        made: u64,
    },
}

/// The bounds and remedies of one stage: how long it may stand still until the first, then until the next.
struct Ladder {
    stage: Stage,
    /// What stands still, in words.
    words: &'static str,
    rungs: &'static [(Duration, Remedy)],
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// All stages. What only we can have broken is given up within 20 s, as long as systemd waits by our unit. What the far end or a camera may have broken has more time: beginning
/// again would not mend it, and costs the other direction its picture.
const LADDERS: &[Ladder] = &[
    Ladder {
        stage: Stage::Capture,
        words: "the source delivers nothing and does not say why",
        // A camera's own bounds are 2 s without a picture and 5 s to open. What hangs longer is a driver, and the next process
        // may find it as it is: seldom.
        rungs: &[(s(10), Remedy::ReopenSource), (s(20), Remedy::ReopenSource), (s(570), Remedy::GiveUp)],
    },
    Ladder {
        stage: Stage::Encoder,
        words: "the encoder hangs",
        rungs: &[(s(5), Remedy::NewEncoder), (s(5), Remedy::NewEncoder), (s(10), Remedy::GiveUp)],
    },
    Ladder {
        stage: Stage::Encoding,
        words: "pictures go into the encoder and none comes out",
        // Later than the thread's own: one that hangs is replaced once.
        rungs: &[(s(8), Remedy::NewEncoder), (s(10), Remedy::NewEncoder), (s(582), Remedy::GiveUp)],
    },
    Ladder { stage: Stage::Network, words: "the network's threads hang", rungs: &[(s(10), Remedy::GiveUp)] },
    Ladder { stage: Stage::Link, words: "the link's task hangs", rungs: &[(s(10), Remedy::GiveUp)] },
    Ladder {
        stage: Stage::Receiving,
        words: "packets come and no picture becomes whole",
        rungs: &[
            (s(5), Remedy::Keyframe),
            (s(10), Remedy::NewConnection),
            (s(45), Remedy::NewConnection),
            (s(240), Remedy::GiveUp),
        ],
    },
    Ladder {
        stage: Stage::Decoder,
        words: "the decoder hangs",
        rungs: &[(s(5), Remedy::NewDecoder), (s(5), Remedy::NewDecoder), (s(10), Remedy::GiveUp)],
    },
    Ladder {
        stage: Stage::Decoding,
        words: "pictures come and cannot be decoded",
        rungs: &[
            (s(3), Remedy::Keyframe),
            (s(3), Remedy::NewDecoder),
            (s(9), Remedy::NewConnection),
            (s(45), Remedy::NewDecoder),
            (s(240), Remedy::GiveUp),
        ],
    },
    Ladder {
        stage: Stage::Presenting,
        words: "pictures are decoded and do not reach the glass",
        // Where there is no monitor, nothing is expected: what is left is a driver, a compositor or us.
        rungs: &[(s(5), Remedy::NewWindow), (s(5), Remedy::NewDevice), (s(10), Remedy::GiveUp)],
    },
    Ladder { stage: Stage::Display, words: "the display's loop hangs", rungs: &[(s(15), Remedy::GiveUp)] },
    Ladder { stage: Stage::Commands, words: "keys are not answered", rungs: &[(s(20), Remedy::GiveUp)] },
];

/// Stages whose standing still is told to people instead of systemd, because something else than this process may be to blame.
const FORGIVEN: [Stage; 4] = [Stage::Capture, Stage::Encoding, Stage::Receiving, Stage::Decoding];

/// How many stages there are.
pub const STAGES: usize = LADDERS.len();

impl Stage {
    /// Every stage, in the order of [`Watchdog::look`]'s signs.
    pub fn all() -> impl Iterator<Item = Self> {
        LADDERS.iter().map(|ladder| ladder.stage)
    }

    /// What stands still, in words.
    pub fn words(self) -> &'static str {
        LADDERS[self as usize].words
    }
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// A stage stands still for longer than it may: to be mended now.
    Mend {
        /// Which one.
        stage: Stage,
        /// For how long it has stood still, as far as that was witnessed.
        stood: Duration,
        /// How.
        remedy: Remedy,
    },
    /// A stage that needed a remedy goes on.
    Healed {
        /// Which one.
        stage: Stage,
        /// For how long it stood still.
        stood: Duration,
    },
}

/// Remembers how long each stage has stood still.
#[derive(Debug)]
pub struct Watchdog {
    looked: Option<Instant>,
    stages: [State; STAGES],
}

#[derive(Clone, Copy, Debug)]
struct State {
    last: Sign,
    /// How long it has stood still, in time that was witnessed.
    stood: Duration,
    /// How long it stood still since the last remedy.
    waited: Duration,
    /// How long it has been well since it last stood still for longer than it may.
    well: Duration,
    /// The next remedy.
    rung: usize,
    /// It had a remedy and has not moved since.
    mending: bool,
}

impl Default for Watchdog {
    fn default() -> Self {
        let fresh = State {
            last: Sign::Idle,
            stood: Duration::ZERO,
            waited: Duration::ZERO,
            well: Duration::ZERO,
            rung: 0,
            mending: false,
        };
        Self { looked: None, stages: [fresh; STAGES] }
    }
}

impl Watchdog {
    /// Looks at the signs of all stages, in the order of [`Stage::all`]. To be called every [`LOOK_EVERY`].
    pub fn look(&mut self, signs: &[Sign; STAGES], now: Instant) -> Vec<Finding> {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let witnessed = since.min(WITNESSED);
        let stages = self.stages.iter_mut().zip(LADDERS).zip(signs);
        // Nothing is allocated while there is nothing to tell.
        stages.filter_map(|((state, ladder), sign)| state.look(ladder, *sign, witnessed)).collect()
    }

    /// Whether every stage is within its bound: only then may systemd be told that we are alive. A source that delivers nothing, or nothing
    /// that can be encoded, is told to people as missing and is no reason for a new start, nor is what the far end may be to blame for: these are
    /// forgiven up to the end of their ladder, which is longer than systemd's patience. Once a stage is given up, only a new start is well.
    pub fn is_well(&self) -> bool {
        let forgiven =
            |ladder: &Ladder, state: &State| FORGIVEN.contains(&ladder.stage) && state.rung < ladder.rungs.len();
        self.stages.iter().zip(LADDERS).all(|(state, ladder)| !state.mending || forgiven(ladder, state))
    }

    /// From when systemd hears nothing more of us until all that may help has been tried, for the stage where that takes longest: systemd must not be
    /// less patient than that.
    pub fn longest_silence() -> Duration {
        let unforgiven = LADDERS.iter().filter(|ladder| !FORGIVEN.contains(&ladder.stage));
        let silence = |ladder: &Ladder| ladder.rungs.iter().skip(1).map(|(wait, _)| *wait).sum::<Duration>();
        FEED_EVERY + LOOK_EVERY + unforgiven.map(silence).max().unwrap_or_default()
    }

    /// The stages that stand still for longer than they may, and for how long they have.
    pub fn standing(&self) -> impl Iterator<Item = (Stage, Duration)> {
        let states = self.stages.iter().zip(LADDERS);
        states.filter(|(state, _)| state.mending).map(|(state, ladder)| (ladder.stage, state.stood))
    }
}

impl State {
    fn look(&mut self, ladder: &Ladder, sign: Sign, witnessed: Duration) -> Option<Finding> {
        let last = std::mem::replace(&mut self.last, sign);
        match standing(last, sign) {
            Some(false) => return self.moved(ladder, witnessed),
            Some(true) => {
                self.stood += witnessed;
                self.waited += witnessed;
            }
            None => {}
        }
        let (bound, remedy) = *ladder.rungs.get(self.rung)?;
        if self.waited < bound {
            return None;
        }
        (self.rung, self.waited, self.well, self.mending) = (self.rung + 1, Duration::ZERO, Duration::ZERO, true);
        Some(Finding::Mend { stage: ladder.stage, stood: self.stood, remedy })
    }

    fn moved(&mut self, ladder: &Ladder, witnessed: Duration) -> Option<Finding> {
        let stood = std::mem::take(&mut self.stood);
        self.waited = Duration::ZERO;
        self.well += witnessed;
        if self.well >= RECOVERED {
            self.rung = 0;
        }
        std::mem::take(&mut self.mending).then_some(Finding::Healed { stage: ladder.stage, stood })
    }
}

/// Whether a stage stands still between two signs; `None`: it has had nothing to do, so that nothing can be said.
fn standing(last: Sign, now: Sign) -> Option<bool> {
    match (last, now) {
        (Sign::Turns(before), Sign::Turns(after)) => Some(before == after),
        (Sign::Flows { made: before, .. }, Sign::Flows { made: after, .. }) if before != after => Some(false),
        (Sign::Flows { given: before, .. }, Sign::Flows { given: after, .. }) => (before != after).then_some(true),
        // It is switched off, or has just been switched on.
        _ => Some(false),
    }
}

/// A thread whose standing still is told to people, and for which nothing is done: pictures pass without it, and a process that begins again may hang
/// at the same place before it shows any.
#[derive(Debug, Default)]
pub struct Bystander {
    looked: Option<Instant>,
    turns: u64,
    stood: Duration,
    told: bool,
}

impl Bystander {
    /// So long may it stand still: disks, cameras and editors are slow.
    pub const BOUND: Duration = s(20);

    /// Looks how often it has turned. Tells each change: for how long it has stood still, or had until now. To be called every [`LOOK_EVERY`].
    pub fn look(&mut self, turns: u64, now: Instant) -> Option<Standing> {
        let since = self.looked.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if std::mem::replace(&mut self.turns, turns) != turns {
            let stood = std::mem::take(&mut self.stood);
            return std::mem::take(&mut self.told).then_some(Standing::Over(stood));
        }
        self.stood += since.min(WITNESSED);
        (self.stood >= Self::BOUND && !std::mem::replace(&mut self.told, true)).then_some(Standing::Still(self.stood))
    }
}

/// What is new of a [`Bystander`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It stands still for longer than it may.
    Still(Duration),
    /// It goes on, after so long.
    Over(Duration),
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
