//! What a hub and a broker have in common: a room where portals hear of each other and pass on text.

use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// What a carrier tells, and what is said through it: more than a few waiting means that somebody is stuck. Whoever has too many waits.
pub const QUEUE: usize = 64;

/// Names another member of the room, in the carrier's own way, for as long as it is there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer(Arc<str>);

impl Peer {
    /// By the carrier's name for it.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The carrier's name for it.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What happens in the room.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// We are in it; who is there follows.
    Entered,
    /// We are not, or not any more. The carrier tries again by itself.
    Lost {
        /// Why, for people.
        reason: String,
    },
    /// Another portal is there.
    Arrived(Peer),
    /// It is gone.
    Left(Peer),
    /// It says something.
    Said {
        /// Who.
        from: Peer,
        /// What.
        text: String,
    },
    /// Somebody says something that no portal says.
    Nonsense,
}

/// Something to be said to one other member.
#[derive(Debug, PartialEq, Eq)]
pub struct Say {
    /// To whom.
    pub to: Peer,
    /// What.
    pub text: String,
}

/// A carrier that runs: it ends, having said what there is to say, when nobody can say anything more.
#[derive(Debug)]
pub struct Carrier {
    /// What it is and where, for people: `the hub wss://hub.example/`.
    pub name: String,
    /// What happens.
    pub heard: mpsc::Receiver<Heard>,
    /// What is to be said. While we are not in the room it is dropped.
    pub say: mpsc::Sender<Say>,
}
