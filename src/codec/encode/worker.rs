//! The encode thread.

use super::rate::{FrameRate, KeyframeSpacing};
use super::{Config, Control, Encoder};
use crate::codec::AccessUnit;
use crate::media::{Frame, mailbox};
use crate::ops::Figures;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// The running encode thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Worker {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// How long a thread without pictures takes to see that it shall end.
const STOP_WITHIN: Duration = Duration::from_millis(50);

/// The frame rate that is assumed until the camera's own is known, a second later.
const FIRST_FPS: f32 = 30.0;

/// Starts the thread `encode`: takes the newest picture from `frames`, encodes it and puts it into `output`.
///
/// While `output` is full the link is behind: pictures are then left out before they are encoded, so that nothing that was
/// encoded is ever dropped and the stream stays whole without a keyframe. The thread ends when the other end of `frames` or
/// `output` is gone, too. An error means that the system gave us no thread.
pub fn start(
    config: Config,
    frames: mailbox::Receiver<Arc<Frame>>,
    output: mpsc::Sender<AccessUnit>,
    control: Arc<Control>,
    figures: Arc<Figures>,
) -> std::io::Result<Worker> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut stage = Stage {
        config,
        output,
        control,
        figures,
        encoder: None,
        rate: FrameRate::new(FIRST_FPS),
        spacing: KeyframeSpacing::default(),
        was_active: false,
        last_error: None,
    };
    let stopped = Arc::clone(&stop);
    let run = move || {
        while !stopped.load(Relaxed) && !stage.output.is_closed() {
            match frames.wait(STOP_WITHIN) {
                Ok(Some(frame)) => stage.step(&frame),
                Ok(None) => {}
                Err(mailbox::Closed) => break,
            }
        }
    };
    let thread = std::thread::Builder::new().name("encode".into()).spawn(run)?;
    Ok(Worker { stop, thread: Some(thread) })
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the encode thread had panicked");
        }
    }
}

struct Stage {
    config: Config,
    output: mpsc::Sender<AccessUnit>,
    control: Arc<Control>,
    figures: Arc<Figures>,
    encoder: Option<Encoder>,
    rate: FrameRate,
    spacing: KeyframeSpacing,
    was_active: bool,
    last_error: Option<super::Error>,
}

impl Stage {
    fn step(&mut self, frame: &Frame) {
        if !self.control.is_active() {
            self.was_active = false;
            self.rate.pause();
            return;
        }
        let now = Instant::now();
        let new_rate = self.rate.observe(now);
        // The only sender: a place that is reserved now stays ours.
        let Ok(place) = self.output.try_reserve() else {
            self.figures.outgoing.dropped_before_send.one();
            return;
        };
        let requested = self.control.wants_keyframe() && self.spacing.allows(now);
        let force = requested || !self.was_active;
        match Self::encode(&mut self.encoder, &self.config, &self.control, &self.rate, new_rate, frame, force) {
            Ok((unit, target_bps)) => {
                self.last_error = None;
                self.was_active = true;
                let outgoing = &self.figures.outgoing;
                outgoing.target_bps.set(target_bps.into());
                let Some(unit) = unit else {
                    outgoing.skipped_by_rate_control.one();
                    return;
                };
                let done = Instant::now();
                outgoing.encoded.one();
                outgoing.width.set(frame.format.size.width.into());
                outgoing.height.set(frame.format.size.height.into());
                if unit.keyframe {
                    outgoing.keyframes.one();
                    self.spacing.made(done);
                }
                place.send(unit);
                self.figures.encode_time.record(done - now, done);
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

    /// Encodes with whatever the link wants by now. Gives the access unit and the bitrate that was aimed for.
    fn encode(
        encoder: &mut Option<Encoder>,
        config: &Config,
        control: &Control,
        rate: &FrameRate,
        new_rate: Option<f32>,
        frame: &Frame,
        force: bool,
    ) -> Result<(Option<AccessUnit>, u32), super::Error> {
        let encoder = match encoder {
            Some(encoder) => encoder,
            None => encoder.insert(Encoder::new(config.clone(), frame.format.size, rate.fps())?),
        };
        let target_bps = encoder.set_bitrate(control.target_bps())?;
        if let Some(fps) = new_rate {
            tracing::debug!(fps, "the source's frame rate");
            encoder.set_frame_rate(fps)?;
        }
        if force {
            // A request that comes from here on is for a later keyframe.
            control.keyframe_begun();
        }
        Ok((encoder.encode(frame, force)?, target_bps))
    }
}
