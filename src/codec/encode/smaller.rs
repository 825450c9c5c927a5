//! Pictures made smaller for the encoder.

use super::Error;
use crate::media::scale::{Fit, Scaler};
use crate::media::{Format, Frame, Layout, Pool, Size};
use std::sync::Arc;

/// Makes pictures smaller, into buffers of its own.
#[derive(Debug)]
pub struct Smaller {
    pool: Pool,
    scaler: Option<Scaler>,
}

impl Default for Smaller {
    fn default() -> Self {
        // One is held while it is encoded; the encoder copies what it needs.
        Self { pool: Pool::new(1), scaler: None }
    }
}

impl Smaller {
    /// The picture in another size of the same shape, with its number, capture time and era; itself if it has that size.
    pub fn make(&mut self, frame: &Arc<Frame>, size: Size) -> Result<Arc<Frame>, Error> {
        let from = frame.format.size;
        if from == size {
            return Ok(Arc::clone(frame));
        }
        if frame.format.layout != Layout::I420 {
            return Err(Error::Layout(frame.format.layout));
        }
        let fit = Fit { from, left: 0, top: 0, part: from, to: size };
        let scaler = match self.scaler.take().filter(|scaler| scaler.fit() == fit) {
            Some(scaler) => self.scaler.insert(scaler),
            None => self.scaler.insert(Scaler::new(fit)),
        };
        let (smaller, ()) = self.pool.fill(Format { size, ..frame.format }, |smaller| {
            (smaller.number, smaller.captured, smaller.era) = (frame.number, frame.captured, frame.era);
            Ok::<(), Error>(scaler.scale(frame.data(), smaller.data_mut())?)
        })?;
        Ok(smaller)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever sends it asks for its era: one that lost it would never be sent again after privacy had been on once.
    #[test]
    fn a_smaller_picture_belongs_to_the_same_era() {
        let (mut pool, mut smaller) = (Pool::new(1), Smaller::default());
        pool.set_era(2);
        let whole = pool.fill(Format::i420(Size::new(64, 36)), |frame| {
            frame.number = 7;
            Ok::<(), Error>(())
        });
        let made = smaller.make(&whole.unwrap().0, Size::new(32, 18)).unwrap();
        assert_eq!((made.format.size, made.number, made.era), (Size::new(32, 18), 7, 2));
    }
}
