//! Buffers for pictures, lent and taken back without allocating.

use super::{Format, Frame};
use std::sync::Arc;

/// A few picture buffers that one thread fills again and again.
///
/// A buffer is free again when nobody holds its `Arc` any more, so consumers need to know nothing of the pool. The number of
/// buffers is bounded: a consumer that keeps pictures makes the producer lose pictures, never the machine lose memory.
#[derive(Debug)]
pub struct Pool {
    frames: Vec<Arc<Frame>>,
    capacity: usize,
    era: u64,
}

/// Every buffer of the pool is still held by somebody: the picture is lost, the next one may find room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("every picture buffer is still in use")]
pub struct Exhausted;

impl Pool {
    /// A pool of at most `capacity` buffers, made when first needed. A picture is typically held by the thread that fills it, a
    /// mailbox, and the thread that uses it: 4 per consumer is plenty.
    pub fn new(capacity: usize) -> Self {
        Self { frames: Vec::with_capacity(capacity), capacity, era: 0 }
    }

    /// The stamp ([`super::Era`]) of all pictures that are made from now on. At the beginning 0.
    pub fn set_era(&mut self, era: u64) {
        self.era = era;
    }

    /// Lends a buffer of this format to `fill`, which writes the samples, the number and the capture time. An error of `fill`
    /// gives the buffer back.
    pub fn fill<T, E: From<Exhausted>>(
        &mut self,
        format: Format,
        fill: impl FnOnce(&mut Frame) -> Result<T, E>,
    ) -> Result<(Arc<Frame>, T), E> {
        let free = self.frames.iter_mut().position(|frame| Arc::get_mut(frame).is_some());
        let index = match free {
            Some(index) => index,
            None if self.frames.len() < self.capacity => {
                self.frames.push(Arc::new(Frame::empty()));
                self.frames.len() - 1
            }
            None => return Err(Exhausted.into()),
        };
        let slot = &mut self.frames[index];
        // The position above was found by get_mut, and only this thread can clone from the pool.
        let frame = Arc::get_mut(slot).ok_or(Exhausted)?;
        frame.reshape(format);
        frame.era = self.era;
        let extra = fill(frame)?;
        Ok((Arc::clone(slot), extra))
    }

    /// Changes a picture that was just made: in place if it is this pool's and nobody else holds it, else in a copy. `None`
    /// if a copy is needed and every buffer is in use.
    pub fn amend(&mut self, picture: Arc<Frame>, change: impl FnOnce(&mut Frame)) -> Option<Arc<Frame>> {
        if let Some(slot) = self.frames.iter_mut().find(|slot| Arc::ptr_eq(slot, &picture)) {
            drop(picture);
            if let Some(frame) = Arc::get_mut(slot) {
                change(frame);
                return Some(Arc::clone(slot));
            }
            let held = Arc::clone(slot);
            return self.copy(&held, change);
        }
        self.copy(&picture, change)
    }

    fn copy(&mut self, picture: &Frame, change: impl FnOnce(&mut Frame)) -> Option<Arc<Frame>> {
        let fill = |frame: &mut Frame| {
            frame.data_mut().copy_from_slice(picture.data());
            (frame.number, frame.captured, frame.era) = (picture.number, picture.captured, picture.era);
            change(frame);
            Ok::<(), Exhausted>(())
        };
        self.fill(picture.format, fill).ok().map(|(frame, ())| frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Size;

    fn lend(pool: &mut Pool) -> Result<Arc<Frame>, Exhausted> {
        pool.fill(Format::i420(Size::new(4, 2)), |_| Ok(())).map(|(frame, ())| frame)
    }

    #[test]
    fn a_buffer_comes_back_when_nobody_holds_it() {
        let mut pool = Pool::new(2);
        let first = lend(&mut pool).unwrap();
        let second = lend(&mut pool).unwrap();
        assert_eq!(lend(&mut pool).unwrap_err(), Exhausted);
        let address = first.data().as_ptr();
        drop(first);
        assert_eq!(lend(&mut pool).unwrap().data().as_ptr(), address);
        assert_eq!(second.data().len(), 12);
    }

    #[test]
    fn a_picture_that_somebody_else_holds_is_not_changed() {
        let mut pool = Pool::new(2);
        let first = lend(&mut pool).unwrap();
        let address = first.data().as_ptr();
        let alone = pool.amend(first, |frame| frame.number = 7).unwrap();
        assert_eq!((alone.number, alone.data().as_ptr()), (7, address));
        let other_holder = Arc::clone(&alone);
        let copy = pool.amend(alone, |frame| frame.number = 8).unwrap();
        assert_eq!((copy.number, other_holder.number), (8, 7));
        assert!(pool.amend(Arc::clone(&other_holder), |_| ()).is_none(), "both buffers are in use");
        let strange = lend(&mut Pool::new(1)).unwrap();
        drop(copy);
        assert!(pool.amend(strange, |frame| frame.number = 9).is_some_and(|frame| frame.number == 9));
    }
}
