//! The covered lens: a hand on it, a face pressed against it, a phone held close to it. Noticed in the captured picture, before it is encoded, and
//! answered by blurring what is sent and what is shown here until it ends.
//!
//! Why blurred, and not replaced by a slate: the picture stays live, so whoever covered the lens sees at once that it worked and that
//! uncovering it ends it; whoever looks from the far end sees that the place is there and somebody is near; and a false alarm costs
//! a moment of blur instead of the window. What is left are the mean colours of sixteen by nine areas: no face, no writing, no
//! screen of a phone. Both ends say in words what it is.
//!
//! [`Thumbnail`] measures a picture (a few tens of microseconds), [`Judge`] is the pure policy, [`Veil`] blurs.

mod judge;
#[cfg(test)]
mod life_tests;
#[cfg(test)]
mod material;
#[cfg(test)]
mod tests;
mod thumbnail;
mod veil;

pub use judge::{Judge, Sight};
pub use thumbnail::Thumbnail;
pub use veil::Veil;

use crate::media::Frame;
use std::time::Instant;

/// Looks at the pictures of one camera. No allocation once it runs.
#[derive(Debug, Default)]
pub struct Lens {
    thumbnail: Thumbnail,
    judge: Judge,
}

impl Lens {
    /// Looks at the next picture, at `now`. Whether the lens is covered, as far as can be told from pictures.
    pub fn is_covered(&mut self, frame: &Frame, now: Instant) -> bool {
        let sight = self.thumbnail.look(frame, now);
        self.judge.judge(sight, now)
    }

    /// What was measured last.
    pub fn sight(&self) -> Sight {
        self.thumbnail.sight()
    }
}
