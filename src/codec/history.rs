//! Which pictures a decoder has, by their numbers: what decides whether one that says what it refers to can be decoded.

use super::Dependency;
use std::collections::VecDeque;

/// Pictures that are remembered: those of eight seconds. Who refers to an older one has to send a keyframe.
const PICTURES: usize = 256;

/// The pictures since the last keyframe, that one included.
#[derive(Debug, Default)]
pub(crate) struct History(VecDeque<u32>);

impl History {
    /// The number of the newest picture.
    pub fn newest(&self) -> Option<u32> {
        self.0.back().copied()
    }

    /// Whether a picture comes behind all of these and refers to one of them.
    pub fn allows(&self, dependency: Dependency) -> bool {
        self.newest().is_some_and(|newest| newest < dependency.number) && self.0.contains(&dependency.on)
    }

    /// A picture was decoded.
    pub fn add(&mut self, dependency: Option<Dependency>, keyframe: bool) {
        if keyframe {
            // A decoder keeps nothing of before.
            self.clear();
        }
        if let Some(dependency) = dependency {
            if self.0.len() >= PICTURES {
                self.0.pop_front();
            }
            self.0.push_back(dependency.number);
        }
    }

    /// The decoder keeps nothing any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_may_be_referred_to() {
        let mut history = History::default();
        let dependency = |number, on| Dependency { number, on };
        assert!(!history.allows(dependency(2, 1)));
        history.add(Some(dependency(1, 1)), true);
        history.add(Some(dependency(2, 1)), false);
        history.add(Some(dependency(5, 1)), false);
        for (number, on, allowed) in [(6, 5, true), (9, 2, true), (6, 3, false), (5, 2, false), (3, 2, false)] {
            assert_eq!(history.allows(dependency(number, on)), allowed, "{number} refers to {on}");
        }
        history.add(Some(dependency(7, 7)), true);
        assert!(history.allows(dependency(8, 7)) && !history.allows(dependency(8, 5)));
        (8..8 + PICTURES as u32).for_each(|number| history.add(Some(dependency(number, number - 1)), false));
        assert_eq!(history.0.len(), PICTURES);
        assert!(!history.allows(dependency(1000, 7)), "that is long ago");
    }
}
