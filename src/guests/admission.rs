//! Who may watch: how many at once, and how often somebody may ask. Pure.

use super::message::GuestId;
use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

/// Within this time …
const WINDOW: Duration = Duration::from_secs(60);
/// … the same guest may begin so often: a page that is loaded again and again.
const EACH: usize = 6;
/// … and all together so often. Each beginning costs sockets and a handshake.
const TOGETHER: usize = 40;

/// Why somebody is not let in, in words for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// As many watch as may.
    #[error("{0} watch already, which is the most; try again later")]
    Full(usize),
    /// Asked too often.
    #[error("asked too often; try again in a minute")]
    TooOften,
}

/// Keeps count.
#[derive(Debug)]
pub struct Admission {
    most: usize,
    /// Who is there, or on the way in.
    inside: HashMap<GuestId, u64>,
    begun: VecDeque<(Instant, GuestId)>,
    numbers: u64,
}

impl Admission {
    /// For so many at once.
    pub fn new(most: usize) -> Self {
        Self { most, inside: HashMap::new(), begun: VecDeque::new(), numbers: 0 }
    }

    /// Lets a guest in, or in again: then what it had before is over. Gives a number that was never given before.
    ///
    /// # Errors
    /// Why not. A guest who is inside stays there.
    pub fn begin(&mut self, guest: &GuestId, now: Instant) -> Result<u64, Refusal> {
        while self.begun.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= WINDOW) {
            self.begun.pop_front();
        }
        if !self.inside.contains_key(guest) && self.inside.len() >= self.most {
            return Err(Refusal::Full(self.most));
        }
        let own = self.begun.iter().filter(|(_, it)| it == guest).count();
        if own >= EACH || self.begun.len() >= TOGETHER {
            return Err(Refusal::TooOften);
        }
        self.begun.push_back((now, guest.clone()));
        self.numbers += 1;
        self.inside.insert(guest.clone(), self.numbers);
        Ok(self.numbers)
    }

    /// What was begun under this number is over.
    pub fn end(&mut self, guest: &GuestId, number: u64) {
        if self.inside.get(guest) == Some(&number) {
            self.inside.remove(guest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_given_back() {
        let (mut admission, now) = (Admission::new(2), Instant::now());
        let [a, b, c] = ["a", "b", "c"].map(|name| GuestId::new("test", name));
        let first = admission.begin(&a, now).unwrap();
        let second = admission.begin(&b, now).unwrap();
        assert_eq!(admission.begin(&c, now), Err(Refusal::Full(2)));
        let again = admission.begin(&a, now).unwrap();
        assert!(first != second && again != first);
        // What was replaced ends late and takes nobody's place away.
        admission.end(&a, first);
        assert_eq!(admission.begin(&c, now), Err(Refusal::Full(2)));
        admission.end(&a, again);
        assert!(admission.begin(&c, now).is_ok());
    }

    #[test]
    fn who_asks_without_end_is_not_served_without_end() {
        let (mut admission, start) = (Admission::new(4), Instant::now());
        let at = |s| start + Duration::from_secs(s);
        let (eager, calm) = (GuestId::new("test", "eager"), GuestId::new("test", "calm"));
        let let_in = (0..60).filter(|s| admission.begin(&eager, at(*s)).is_ok()).count();
        assert_eq!(let_in, EACH);
        assert_eq!(admission.begin(&eager, at(59)), Err(Refusal::TooOften));
        assert!(admission.begin(&calm, at(59)).is_ok(), "others are not to blame");
        assert!(admission.begin(&eager, at(61)).is_ok(), "a minute later");
        // Under ever new names.
        let mut crowd = Admission::new(4);
        let begun = (0..1000).filter(|n| {
            let guest = GuestId::new("test", n);
            crowd.begin(&guest, start).is_ok_and(|number| {
                crowd.end(&guest, number);
                true
            })
        });
        assert_eq!(begun.count(), TOGETHER);
    }
}
