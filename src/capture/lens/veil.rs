//! Makes a picture unrecognisable: reduced to a few areas and enlarged again.

use crate::media::Frame;
use crate::media::blur::Blur;

/// Areas from left to right and from top to bottom. The mean colour of each is all that is left of the picture: not enough for a face that fills
/// it, for writing of any size, or for what a phone shows.
const COLUMNS: usize = 16;
const ROWS: usize = 9;

/// Blurs pictures in place. No allocation once it runs.
#[derive(Debug)]
pub struct Veil {
    blur: Blur,
}

impl Default for Veil {
    fn default() -> Self {
        Self { blur: Blur::new(COLUMNS, ROWS) }
    }
}

impl Veil {
    /// Blurs an I420 picture. What cannot be blurred for any reason becomes grey: it is not to be seen.
    pub fn draw(&mut self, frame: &mut Frame) {
        let size = frame.format.size;
        if let Err(error) = self.blur.blur(frame.data_mut(), size) {
            tracing::debug!(%error, "a picture that was to be blurred is grey instead");
            frame.data_mut().fill(128);
        }
    }
}
