//! Natural pictures to measure with: the clip (Y4M) that `SCREEN_PORTAL_CLIP` names, else the program's own landscape.

#![allow(dead_code)]

use screen_portal::capture::{Scene, y4m};
use screen_portal::media::{Exhausted, Format, Frame, Pool, Size};
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Pictures to go through forth and back, which makes any clip endless.
pub struct Film {
    pub pictures: Vec<Arc<Frame>>,
    /// Where they come from, for people.
    pub name: String,
}

impl Film {
    /// At most `count` pictures of the clip, or as many of the landscape in `size`. A clip has its own size.
    pub fn load(size: Size, count: usize) -> Self {
        match std::env::var_os("SCREEN_PORTAL_CLIP") {
            Some(path) => Self::read(Path::new(&path), count),
            None => Self::painted(size, count),
        }
    }

    /// The landscape, 30 pictures a second.
    pub fn painted(size: Size, count: usize) -> Self {
        let (scene, mut pool) = (Scene::new(size, 30, "Here"), Pool::new(count));
        let paint = |n: usize| {
            let (frame, ()) = pool
                .fill(Format::i420(size), |frame| {
                    scene.paint(Duration::from_secs_f64(n as f64 / 30.0), frame.data_mut());
                    frame.number = n as u64 + 1;
                    Ok::<_, Exhausted>(())
                })
                .expect("the pool has room for all");
            frame
        };
        Self { pictures: (0..count).map(paint).collect(), name: format!("the program's own landscape, {size}") }
    }

    /// The first `count` pictures of a Y4M file.
    pub fn read(path: &Path, count: usize) -> Self {
        let mut file = BufReader::new(std::fs::File::open(path).expect("the clip can be opened"));
        let header = y4m::Header::read(&mut file).expect("the clip is Y4M");
        let (mut pool, mut text, mut pictures) = (Pool::new(count + 1), Vec::new(), Vec::new());
        while pictures.len() < count {
            let mut whole = false;
            let (frame, ()) = pool
                .fill(header.format, |frame| {
                    whole = header.read_picture(&mut file, frame, &mut text).expect("the clip can be read");
                    frame.number = pictures.len() as u64 + 1;
                    Ok::<_, Exhausted>(())
                })
                .expect("the pool has room for all");
            if !whole {
                break;
            }
            pictures.push(frame);
        }
        assert!(pictures.len() > 1, "the clip has at least two pictures");
        Self { pictures, name: format!("{}, {}", path.display(), header.format.size) }
    }

    /// Picture `n` of the endless film.
    pub fn picture(&self, n: usize) -> &Arc<Frame> {
        let last = self.pictures.len() - 1;
        let at = n % (2 * last);
        &self.pictures[if at <= last { at } else { 2 * last - at }]
    }
}
