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
    /// The picture in another size of the same shape, number and capture time kept; itself if it has that size.
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
            (smaller.number, smaller.captured) = (frame.number, frame.captured);
            Ok::<(), Error>(scaler.scale(frame.data(), smaller.data_mut())?)
        })?;
        Ok(smaller)
    }
}
