//! What is said between guests and this portal before pictures flow, in no dialect: a way in (a hub's room, a broker) turns its own messages into
//! these and back, and needs to know nothing of pictures.

use std::fmt;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Names a guest for as long as it is there: the way in which it came, and the name it has there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GuestId(Arc<str>);

impl GuestId {
    /// The longest name that is kept of a guest, in bytes; of a longer one, the beginning.
    const LONGEST: usize = 64;

    /// `way` is a word of ours, `name` whatever the guest is called there.
    pub fn new(way: &'static str, name: impl fmt::Display) -> Self {
        let name: String = name.to_string().chars().filter(|letter| !letter.is_control()).collect();
        let end = name.floor_char_boundary(Self::LONGEST);
        Self(format!("{way} {}", &name[..end]).into())
    }
}

impl fmt::Display for GuestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A way to reach somebody, as browsers write it (`RTCIceCandidateInit`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidate {
    /// RFC 8839, section 5.1.
    pub candidate: String,
    /// The media section that it belongs to, by its `a=mid`.
    pub mid: Option<String>,
    /// The same by its place in the description, from 0 on.
    pub line: u16,
}

/// What a guest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromGuest {
    /// It wants pictures, and waits for an offer.
    Wants,
    /// It wants pictures, and makes the offer itself: RFC 8866.
    Offer(String),
    /// It takes our offer.
    Answer(String),
    /// A way to reach it: RFC 8839, section 5.1.
    Candidate(String),
    /// It has left.
    Gone,
}

/// What a guest is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToGuest {
    /// Our offer.
    Offer(String),
    /// Our answer to its offer.
    Answer(String),
    /// A way to reach us.
    Candidate(Candidate),
    /// It gets no pictures; why, for people.
    Refused(String),
    /// It gets no more pictures, because its connection is gone; why, for people.
    HangUp(String),
}

/// Where a guest is told something. Bounded: what does not fit is lost, and the guest, who then cannot connect, with it.
pub type Replies = mpsc::Sender<(GuestId, ToGuest)>;

/// What a guest says, and where it is answered.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who.
    pub guest: GuestId,
    /// What.
    pub said: FromGuest,
    /// Where to answer.
    pub replies: Replies,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_of_one_line() {
        assert_eq!(GuestId::new("hub", "ab\n12").to_string(), "hub ab12");
        assert_eq!(GuestId::new("x", "ä".repeat(100)).to_string().len(), 2 + 64);
        assert_ne!(GuestId::new("hub", 1), GuestId::new("broker", 1));
    }
}
