//! The decode thread.

use super::{Decoder, Error};
use crate::codec::AccessUnit;
use crate::media::{Frame, Pool, Waker, is_stale, mailbox};
use crate::ops::Figures;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The running decode thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct Worker {
    /// Dropped to end the thread; nothing is ever sent.
    stop: Option<Sender<Infallible>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Decoded pictures on their way: one being filled, one in the mailbox, and what the display holds for as long as the GPU
/// reads it.
const PICTURES: usize = 6;

/// How often `on_damage` is called while a keyframe is missing. The link decides which calls become requests on the wire.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// Starts the thread `decode`: decodes what comes from `units` and puts the newest picture into `remote`, then wakes the
/// display.
///
/// `on_damage` is called when the stream is damaged or begins without a keyframe, and again from time to time as long as units
/// come but no keyframe. With `present` (an agent without display) every decoded picture counts as presented. The thread ends
/// when the other end of `units` is gone, too. An error means that the system gave us no thread.
pub fn start(
    units: Receiver<AccessUnit>,
    remote: mailbox::Sender<Arc<Frame>>,
    on_damage: Box<dyn Fn() + Send>,
    waker: Waker,
    figures: Arc<Figures>,
    present: bool,
) -> std::io::Result<Worker> {
    let (stop, stopped) = bounded::<Infallible>(0);
    let mut stage = Stage {
        remote,
        on_damage,
        waker,
        figures,
        present,
        decoder: Decoder::new(),
        pool: Pool::new(PICTURES),
        last_asked: None,
        last_error: None,
    };
    let run = move || {
        loop {
            select! {
                recv(units) -> unit => match unit {
                    Ok(unit) => stage.step(&unit),
                    Err(_) => break,
                },
                recv(stopped) -> _ => break,
            }
        }
    };
    let thread = std::thread::Builder::new().name("decode".into()).spawn(run)?;
    Ok(Worker { stop: Some(stop), thread: Some(thread) })
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the decode thread had panicked");
        }
    }
}

struct Stage {
    remote: mailbox::Sender<Arc<Frame>>,
    on_damage: Box<dyn Fn() + Send>,
    waker: Waker,
    figures: Arc<Figures>,
    present: bool,
    decoder: Decoder,
    pool: Pool,
    last_asked: Option<Instant>,
    last_error: Option<Error>,
}

impl Stage {
    fn step(&mut self, unit: &AccessUnit) {
        let begin = Instant::now();
        let result = self.decoder.decode(unit, &mut self.pool);
        let done = Instant::now();
        match result {
            Ok(Some(frame)) => {
                self.figures.incoming.decoded.one();
                self.figures.decode_time.record(done - begin, done);
                self.last_error = None;
                self.pass_on(frame, done);
            }
            Ok(None) => {}
            Err(Error::Exhausted(_)) => self.figures.incoming.dropped_before_present.one(),
            Err(error) => {
                self.figures.incoming.decode_errors.one();
                if self.last_error != Some(error) {
                    tracing::debug!(number = unit.number, bytes = unit.data.len(), "not decoded: {error}");
                    self.last_error = Some(error);
                }
                // New damage is told at once.
                self.last_asked = None;
            }
        }
        if !self.decoder.needs_keyframe() {
            self.last_asked = None;
        } else if self.last_asked.is_none_or(|last| done.saturating_duration_since(last) >= ASK_AGAIN) {
            self.last_asked = Some(done);
            (self.on_damage)();
        }
    }

    fn pass_on(&mut self, frame: Arc<Frame>, now: Instant) {
        let incoming = &self.figures.incoming;
        if frame.captured.is_some_and(|captured| is_stale(captured, now)) {
            // It waited while this program was stopped, after the link had found it fresh.
            return incoming.dropped_before_present.one();
        }
        if self.present {
            incoming.width.set(frame.format.size.width.into());
            incoming.height.set(frame.format.size.height.into());
            self.figures.presented(frame.captured, now);
            self.remote.put(frame);
        } else {
            incoming.dropped_before_present.add(self.remote.put(frame));
        }
        self.waker.wake();
    }
}
