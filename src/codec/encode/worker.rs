//! The encode thread.

use super::ladder::{Ladder, Situation, Step};
use super::rate::{FrameRate, KeyframeSpacing, Pace, keyframe_bytes};
use super::smaller::Smaller;
use super::telling::Telling;
use super::{Config, Control, Encoder, Error};
use crate::codec::AccessUnit;
use crate::codec::threads::Threads;
use crate::media::{Frame, mailbox};
use crate::ops::Figures;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The running encode thread. Dropping it ends the thread, or leaves it behind if it hangs.
#[derive(Debug)]
pub struct Worker {
    make: Make,
    threads: Mutex<Threads<Arc<AtomicBool>>>,
}

/// What a thread is made of; kept to make another.
#[derive(Clone, Debug)]
struct Make {
    config: Config,
    frames: mailbox::Receiver<Arc<Frame>>,
    output: mpsc::Sender<AccessUnit>,
    control: Arc<Control>,
    figures: Arc<Figures>,
}

/// How long a thread without pictures takes to see that it shall end.
const STOP_WITHIN: Duration = Duration::from_millis(50);

/// The frame rate that is assumed until the camera's own is known, a second later.
const FIRST_FPS: f32 = 30.0;

/// Starts the thread `encode`: takes the newest picture from `frames`, makes it as small as the bitrate wants it (see
/// `ladder`), encodes it and puts it into `output`.
///
/// While `output` is full the link is behind: pictures are then left out before they are encoded, so that nothing that
/// was encoded is ever dropped and the stream stays whole without a keyframe. The thread ends when the other end of
/// `frames` or `output` is gone, too. An error means that the system gave us no thread.
pub fn start(
    config: Config,
    frames: mailbox::Receiver<Arc<Frame>>,
    output: mpsc::Sender<AccessUnit>,
    control: Arc<Control>,
    figures: Arc<Figures>,
) -> std::io::Result<Worker> {
    let make = Make { config, frames, output, control, figures };
    let threads = Mutex::new(Threads::new(make.spawn()?));
    Ok(Worker { make, threads })
}

impl Worker {
    /// Puts another thread with an encoder of its own in the place of the one that runs, which is left behind: what
    /// hangs inside openh264 cannot be ended, but whatever it comes back with is thrown away. The new one begins with a
    /// keyframe.
    ///
    /// # Errors
    /// The system gives no thread, or too many that were left behind still hang.
    pub fn renew(&self) -> std::io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.replace(|stop| stop.store(true, Relaxed), || self.make.spawn())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        threads.end("encode", |stop| stop.store(true, Relaxed));
    }
}

impl Make {
    fn spawn(&self) -> std::io::Result<(Arc<AtomicBool>, JoinHandle<()>)> {
        let stop = Arc::new(AtomicBool::new(false));
        let Self { config, frames, output, control, figures } = self.clone();
        let mut stage = Stage {
            stop: Arc::clone(&stop),
            config,
            output,
            control,
            figures,
            encoder: None,
            smaller: Smaller::default(),
            ladder: Ladder::default(),
            last_step: None,
            telling: Telling::default(),
            rate: FrameRate::new(FIRST_FPS),
            pace: Pace::default(),
            spacing: KeyframeSpacing::default(),
            was_active: false,
            last_error: None,
        };
        let run = move || {
            while !stage.stop.load(Relaxed) && !stage.output.is_closed() {
                stage.figures.pulse.encode.one();
                match frames.wait(STOP_WITHIN) {
                    Ok(Some(frame)) => stage.step(&frame),
                    Ok(None) => {}
                    Err(mailbox::Closed) => break,
                }
            }
        };
        Ok((stop, std::thread::Builder::new().name("encode".into()).spawn(run)?))
    }
}

struct Stage {
    /// Set when it shall end, or when another has taken its place.
    stop: Arc<AtomicBool>,
    config: Config,
    output: mpsc::Sender<AccessUnit>,
    control: Arc<Control>,
    figures: Arc<Figures>,
    encoder: Option<Encoder>,
    smaller: Smaller,
    ladder: Ladder,
    last_step: Option<Step>,
    telling: Telling,
    rate: FrameRate,
    pace: Pace,
    spacing: KeyframeSpacing,
    was_active: bool,
    last_error: Option<Error>,
}

impl Stage {
    fn step(&mut self, frame: &Arc<Frame>) {
        if !self.control.is_active() {
            self.was_active = false;
            self.rate.pause();
            self.ladder.pause();
            return;
        }
        let ceiling_bps = self.control.ceiling_bps();
        if ceiling_bps != self.config.bitrate_bps {
            self.config.bitrate_bps = ceiling_bps;
            if let Some(encoder) = &mut self.encoder {
                encoder.set_ceiling(ceiling_bps);
            }
        }
        let now = Instant::now();
        if let Some(fps) = self.rate.observe(now) {
            tracing::debug!(fps, "the source's frame rate");
        }
        let recovers = self.recovers();
        let requested = self.control.wants_keyframe() && self.spacing.allows(now);
        let situation = Situation {
            source: frame.format.size,
            source_fps: self.rate.fps(),
            target_bps: self.control.target_bps().min(self.config.bitrate_bps),
            keyframe: requested || !self.was_active,
        };
        let step = self.ladder.choose(&situation, now);
        // Who waits for a keyframe or a recovery sees nothing meanwhile: they do not wait for their turn.
        let takes = self.pace.takes(frame.captured.unwrap_or(now), step.fps, situation.source_fps);
        if !takes && !situation.keyframe && !recovers {
            return;
        }
        // The only sender: where there is a place now, there is one when the picture is encoded.
        if self.control.is_held() || self.output.capacity() == 0 {
            self.figures.outgoing.dropped_before_send.one();
            return;
        }
        let encoded = self.encode(frame, step, &situation, now);
        if self.stop.load(Relaxed) {
            // It took so long that another thread sends by now: this picture is from another stream.
            return;
        }
        match encoded {
            Ok(unit) => {
                self.last_error = None;
                self.was_active = true;
                self.send(unit, now);
            }
            Err(error) => {
                self.figures.outgoing.encode_errors.one();
                // Once per cause, not thirty times a second.
                if self.last_error != Some(error) {
                    tracing::warn!("no picture is sent: {error}");
                    self.last_error = Some(error);
                }
            }
        }
    }

    /// Passes on what the far end says. Whether it gets a recovery picture; a keyframe is asked for where there can be
    /// none.
    fn recovers(&mut self) -> bool {
        let decoded = self.control.decoded();
        if let Some(encoder) = &mut self.encoder {
            encoder.far_end_has(decoded);
        }
        if !self.control.take_recovery() {
            return false;
        }
        let recovers = self.encoder.as_mut().is_some_and(Encoder::recover);
        if !recovers {
            self.control.request_keyframe();
        }
        recovers
    }

    fn send(&mut self, unit: Option<AccessUnit>, began: Instant) {
        let outgoing = &self.figures.outgoing;
        let Some(unit) = unit else {
            outgoing.skipped_by_rate_control.one();
            return;
        };
        let done = Instant::now();
        outgoing.encoded.one();
        if unit.keyframe {
            outgoing.keyframes.one();
            self.spacing.made(done);
        } else if unit.dependency.is_some_and(|dependency| dependency.on + 1 < dependency.number) {
            outgoing.recoveries.one();
        }
        if let Some(dependency) = unit.dependency {
            self.control.set_encoded(dependency.number);
        }
        // Full it cannot be; closed it may be, and then the thread ends.
        let _ = self.output.try_send(unit);
        self.figures.encode_time.record(done - began, done);
    }

    /// Encodes with whatever the link wants by now, in the size of the step, or in a smaller one if the keyframe gets
    /// too large.
    fn encode(
        &mut self,
        frame: &Arc<Frame>,
        mut step: Step,
        situation: &Situation,
        now: Instant,
    ) -> Result<Option<AccessUnit>, Error> {
        loop {
            let picture = self.smaller.make(frame, step.size)?;
            let encoder = match &mut self.encoder {
                Some(encoder) => encoder,
                None => {
                    let encoder = self.encoder.insert(Encoder::new(self.config.clone(), step.size, step.fps)?);
                    encoder.count_from(self.control.encoded());
                    encoder
                }
            };
            let target_bps = encoder.set_bitrate(situation.target_bps);
            encoder.set_frame_rate(step.fps)?;
            if situation.keyframe {
                // A request that comes from here on is for a later keyframe.
                self.control.keyframe_begun();
            }
            let unit = encoder.encode(&picture, situation.keyframe)?;
            match &unit {
                Some(unit) => {
                    let too_large = unit.keyframe && unit.data.len() > keyframe_bytes(target_bps) * 3 / 2;
                    if too_large && self.ladder.keyframe_too_large(now) {
                        // Not sent: the smaller one starts a stream of its own.
                        step = self.ladder.choose(situation, now);
                        continue;
                    }
                    if let Some(quantiser) = encoder.quantiser() {
                        self.ladder.encoded(unit.data.len(), quantiser, unit.keyframe);
                    }
                }
                None => self.ladder.left_out(),
            }
            self.publish(step, situation.source_fps, target_bps, now);
            return Ok(unit);
        }
    }

    fn publish(&mut self, step: Step, source_fps: f32, target_bps: u32, now: Instant) {
        let outgoing = &self.figures.outgoing;
        outgoing.target_bps.set(target_bps.into());
        outgoing.width.set(step.size.width.into());
        outgoing.height.set(step.size.height.into());
        outgoing.fps.set(step.fps.round() as u64);
        outgoing.size_reason.set(step.reason.code());
        let last = self.last_step.replace(step);
        if last.is_some_and(|last| last.size != step.size) {
            outgoing.size_changes.one();
        }
        if let Some(words) = self.telling.news(step, source_fps, target_bps, now) {
            tracing::info!("{words}");
        }
    }
}
