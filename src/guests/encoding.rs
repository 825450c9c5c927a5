//! The thread `guest-encode`: one encoder for all guests, of its own, that works only while there is somebody to look.
//!
//! It must never cost the far end a picture: it yields to every other thread, it takes at most half of one core, and pictures that come
//! meanwhile are left out. Whenever what guests see changes between camera and slate, the stream begins anew: a picture that was
//! predicted from one before would show traces of it.

use super::audience::{Audience, Picture};
use super::priority;
use super::sight::{STALE, Sight, Why, sight};
use super::{Config, Ports};
use crate::capture::{Tapped, paint_card};
use crate::codec::AccessUnit;
use crate::codec::encode::{self, Encoder, Error, FrameRate, Ladder, Pace, Situation, Smaller};
use crate::media::{Era, Format, Frame, Pool, Size, mailbox};
use crate::ops::{Figures, View};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long the thread takes to see that there is a guest while nothing comes from the camera, or that it shall end.
const IDLE_TURN: Duration = Duration::from_millis(250);
/// How long it takes to see that the camera's pictures must not be seen any more.
const TURN: Duration = Duration::from_millis(30);
/// A slate is sent so often: it stands still, but whoever has just lost it shall have it again.
const SLATE_EVERY: Duration = Duration::from_millis(500);
/// Whoever begins to look does not see a slate if the camera's first picture comes within this.
const PATIENCE: Duration = Duration::from_millis(400);
/// The size of slates. Another than the camera's most often, so that decoders begin anew by themselves.
const SLATE: Size = Size::new(640, 360);
/// Between two keyframes that guests ask for: one who loses much must not make the picture worse for all.
const KEYFRAMES_APART: Duration = Duration::from_secs(1);

/// The running thread. Dropping it ends it.
#[derive(Debug)]
pub struct Encoding {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Encoding {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        // It ends within a turn and the encoding of one picture.
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread `guest-encode` had panicked");
        }
    }
}

/// Starts the thread.
///
/// # Errors
/// The system has none.
pub fn start(config: &Config, site: &str, ports: &Ports, audience: Arc<Audience>) -> std::io::Result<Encoding> {
    let stop = Arc::new(AtomicBool::new(false));
    let Ports { tapped, era, view, figures, .. } = ports;
    let mut stage = Stage {
        tapped: tapped.clone(),
        era: era.clone(),
        view: view.clone(),
        figures: Arc::clone(figures),
        audience,
        size: config.size(),
        fps: config.fps as f32,
        bitrate_bps: config.bitrate_bps,
        site: site.to_owned(),
        seen: None,
        begins: true,
        looked: None,
        newest: None,
        encoder: None,
        smaller: Smaller::default(),
        ladder: Ladder::default(),
        rate: FrameRate::new(30.0),
        pace: Pace::default(),
        cards: Pool::new(2),
        last_slate: None,
        last_keyframe: None,
        rests_until: None,
        last_error: None,
    };
    let stopped = Arc::clone(&stop);
    let run = move || {
        priority::yield_to_others();
        while !stopped.load(Relaxed) && stage.turn() {}
    };
    let thread = std::thread::Builder::new().name("guest-encode".into()).spawn(run)?;
    Ok(Encoding { stop, thread: Some(thread) })
}

struct Stage {
    tapped: Tapped,
    era: Era,
    view: watch::Receiver<View>,
    figures: Arc<Figures>,
    audience: Arc<Audience>,
    /// The largest picture.
    size: Size,
    fps: f32,
    bitrate_bps: u32,
    site: String,
    /// What guests see.
    seen: Option<Sight>,
    /// The next picture begins the stream anew.
    begins: bool,
    /// Since when somebody looks.
    looked: Option<Instant>,
    /// When the camera's newest picture that may be seen came.
    newest: Option<Instant>,
    encoder: Option<Encoder>,
    smaller: Smaller,
    ladder: Ladder,
    rate: FrameRate,
    pace: Pace,
    cards: Pool,
    last_slate: Option<Instant>,
    last_keyframe: Option<Instant>,
    rests_until: Option<Instant>,
    last_error: Option<Error>,
}

impl Stage {
    /// Takes one picture, or waits a moment for it. `false`: none will come any more.
    fn turn(&mut self) -> bool {
        let patience = if self.audience.is_empty() { IDLE_TURN } else { TURN };
        let frame = match self.tapped.pictures.wait(patience) {
            Ok(frame) => frame,
            Err(mailbox::Closed) => return false,
        };
        let now = Instant::now();
        if self.audience.is_empty() {
            self.rest();
            return true;
        }
        // What was left from when somebody looked last is not of now.
        let fresh = |frame: &Arc<Frame>| frame.captured.is_none_or(|at| now.saturating_duration_since(at) < STALE);
        let frame = frame.filter(|frame| self.era.holds(frame.era)).filter(fresh);
        if frame.is_some() {
            self.newest = Some(now);
            self.rate.observe(now);
        }
        let looked = *self.looked.get_or_insert(now);
        let sight = sight(&self.view.borrow(), self.newest.map(|at| now.saturating_duration_since(at)));
        if self.seen.replace(sight) != Some(sight) {
            tracing::debug!(?sight, "what guests see");
            (self.begins, self.last_slate) = (true, None);
        }
        match (sight, frame) {
            (Sight::Camera, Some(frame)) => self.camera(&frame, now),
            (Sight::Camera, None) => {}
            // Nothing of the camera was shown to them yet that this would have to cover.
            (Sight::Slate(Why::Waiting), _) if now.saturating_duration_since(looked) < PATIENCE => {}
            (Sight::Slate(why), _) => self.slate(why, now),
        }
        true
    }

    /// Nobody looks.
    fn rest(&mut self) {
        (self.encoder, self.seen, self.newest, self.looked, self.begins) = (None, None, None, None, true);
        self.ladder.pause();
        self.rate.pause();
    }

    fn camera(&mut self, frame: &Arc<Frame>, now: Instant) {
        let keyframe = self.keyframe(now);
        let (source_fps, target_bps) = (self.rate.fps(), self.audience.target_bps());
        let situation = Situation {
            source: within(frame.format.size, self.size),
            source_fps: source_fps.min(self.fps),
            target_bps,
            keyframe,
        };
        let step = self.ladder.choose(&situation, now);
        let takes = self.pace.takes(frame.captured.unwrap_or(now), step.fps, source_fps);
        let rests = self.rests_until.is_some_and(|until| now < until);
        if (!takes || rests) && !self.begins {
            return;
        }
        let smaller = self.smaller.make(frame, step.size);
        let unit = smaller.and_then(|frame| self.encode(&frame, step.fps, target_bps, keyframe, now));
        match self.usable(unit) {
            Some(Some(unit)) => {
                if let Some(quantiser) = self.encoder.as_mut().and_then(Encoder::quantiser) {
                    self.ladder.encoded(unit.data.len(), quantiser, unit.keyframe);
                }
                self.show(Picture { unit, is_slate: false });
            }
            Some(None) => self.ladder.left_out(),
            None => {}
        }
    }

    fn slate(&mut self, why: Why, now: Instant) {
        let due = self.last_slate.is_none_or(|at| now.saturating_duration_since(at) >= SLATE_EVERY);
        let keyframe = self.keyframe(now);
        if !due && !keyframe {
            return;
        }
        self.last_slate = Some(now);
        let site = self.site.as_str();
        let card = self.cards.fill(Format::i420(SLATE), |card| {
            card.captured = Some(now);
            paint_card(card.data_mut(), SLATE, &[why.words(), site]);
            Ok::<(), Error>(())
        });
        let fps = 1.0 / SLATE_EVERY.as_secs_f32();
        let unit = card.and_then(|(card, ())| self.encode(&card, fps, self.bitrate_bps, keyframe, now));
        if let Some(Some(unit)) = self.usable(unit) {
            self.figures.guests.slates.one();
            self.show(Picture { unit, is_slate: true });
        }
    }

    /// Whether the next picture is to be a keyframe.
    fn keyframe(&self, now: Instant) -> bool {
        let apart = self.last_keyframe.is_none_or(|at| now.saturating_duration_since(at) >= KEYFRAMES_APART);
        self.begins || (apart && self.audience.wants_keyframe())
    }

    fn encode(
        &mut self,
        frame: &Frame,
        fps: f32,
        target_bps: u32,
        keyframe: bool,
        now: Instant,
    ) -> Result<Option<AccessUnit>, Error> {
        if self.begins {
            self.encoder = None;
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            None => {
                let config = encode::Config { bitrate_bps: self.bitrate_bps, ..encode::Config::default() };
                self.encoder.insert(Encoder::new(config, frame.format.size, fps)?)
            }
        };
        let target_bps = encoder.set_bitrate(target_bps);
        self.figures.guests.target_bps.set(target_bps.into());
        encoder.set_frame_rate(fps)?;
        if keyframe {
            // A request that comes from here on is for a later one.
            self.audience.keyframe_begun();
            self.last_keyframe = Some(now);
        }
        self.begins = false;
        let unit = encoder.encode(frame, keyframe);
        let spent = now.elapsed();
        self.figures.guests.encode_ms.add(spent.as_millis() as u64);
        // As long as this took, others may have the core.
        self.rests_until = Some(now + spent * 2);
        unit
    }

    /// Counts what came of encoding a picture; `None` is a failure, which is logged once per cause.
    fn usable(&mut self, encoded: Result<Option<AccessUnit>, Error>) -> Option<Option<AccessUnit>> {
        match encoded {
            Ok(unit) => {
                self.last_error = None;
                Some(unit)
            }
            Err(error) => {
                self.figures.guests.encode_errors.one();
                if self.last_error != Some(error) {
                    tracing::warn!("guests get no picture: {error}");
                    self.last_error = Some(error);
                }
                // Whatever was to begin begins with the next one.
                self.begins = true;
                None
            }
        }
    }

    fn show(&self, picture: Picture) {
        let figures = &self.figures.guests;
        figures.encoded.one();
        if picture.unit.keyframe {
            figures.keyframes.one();
        }
        figures.dropped_before_send.add(self.audience.show(&picture));
    }
}

/// The size of a picture that is to be no larger than `most`: its shape is kept, and nothing is enlarged.
fn within(size: Size, most: Size) -> Size {
    let share = |side: u32, most: u32| f64::from(most) / f64::from(side.max(1));
    let share = share(size.width, most.width).min(share(size.height, most.height));
    if share >= 1.0 {
        return size;
    }
    let side = |side: u32| ((f64::from(side) * share / 2.0).round() as u32).max(8) * 2;
    Size::new(side(size.width), side(size.height))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_pictures_are_made_to_fit() {
        let most = Size::new(1280, 720);
        for (size, expected) in [
            ((1280, 720), (1280, 720)),
            ((640, 480), (640, 480)),
            ((1920, 1080), (1280, 720)),
            ((1600, 1200), (960, 720)),
            ((1080, 1920), (406, 720)),
            ((4096, 16), (1280, 16)),
        ] {
            let (size, expected) = (Size::new(size.0, size.1), Size::new(expected.0, expected.1));
            assert_eq!(within(size, most), expected, "{size}");
        }
    }
}
