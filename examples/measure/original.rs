//! The film as it was before anybody encoded it, to compare with what is shown.

use crate::Trouble;
use crate::film::Film;
use crate::ssim::{rough_difference, ssim};
use std::path::Path;

/// A film as it was before anybody encoded it.
pub struct Original {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    pictures: Vec<Vec<u8>>,
}

impl Original {
    /// Reads all of it.
    pub fn open(path: &Path) -> Result<Self, Trouble> {
        let mut film = Film::open(path)?;
        let mut pictures = Vec::with_capacity(film.pictures);
        for picture in 0..film.pictures {
            let mut luma = vec![];
            film.luma(picture, &mut luma)?;
            pictures.push(luma);
        }
        Ok(Self { width: film.width, height: film.height, pictures })
    }

    /// How like the film's picture a shown one is, whichever of them it is. The time code, at the top, is not the
    /// film's and does not count.
    pub fn likeness(&self, shown: &[u8]) -> Option<f64> {
        let top = self.width / 10;
        let difference = |original: &&Vec<u8>| rough_difference(shown, original, self.width, top);
        let best = self.pictures.iter().min_by(|a, b| difference(a).total_cmp(&difference(b)))?;
        (shown.len() == best.len()).then(|| ssim(shown, best, self.width, top))
    }
}
