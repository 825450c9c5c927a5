//! The decode thread.

use super::{Decoder, Error};
use crate::codec::AccessUnit;
use crate::codec::threads::Threads;
use crate::media::{Frame, Pool, Waker, is_stale, mailbox};
use crate::ops::Figures;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The running decode thread. Dropping it ends the thread, or leaves it behind if it hangs.
pub struct Worker {
    make: Make,
    threads: Mutex<Threads<Stop>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("decode::Worker").field(&self.threads).finish()
    }
}

/// What a thread is made of; kept to make another.
#[derive(Clone)]
struct Make {
    units: Receiver<AccessUnit>,
    remote: Arc<mailbox::Sender<Arc<Frame>>>,
    on_damage: Arc<dyn Fn() + Send + Sync>,
    waker: Waker,
    figures: Arc<Figures>,
    present: bool,
}

/// Ends one thread.
#[derive(Debug)]
struct Stop {
    /// For the one that works, or hangs.
    flag: Arc<AtomicBool>,
    /// For the one that waits: dropped to end it; nothing is ever sent.
    _wake: Sender<Infallible>,
}

/// Decoded pictures on their way: one being filled, one in the mailbox, and what the display holds for as long as the GPU
/// reads it.
const PICTURES: usize = 6;

/// How often `on_damage` is called while a keyframe is missing. The link decides which calls become requests on the wire.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How often it turns when nothing comes: a sign of life.
const TURN: Duration = Duration::from_millis(500);

/// Starts the thread `decode`: decodes what comes from `units` and puts the newest picture into `remote`, then wakes the
/// display.
///
/// `on_damage` is called when the stream is damaged or begins without a keyframe, and again from time to time as long as units
/// come but no keyframe. With `present` (an agent without display) every decoded picture counts as presented. The thread ends
/// when the other end of `units` is gone, too. An error means that the system gave us no thread.
pub fn start(
    units: Receiver<AccessUnit>,
    remote: mailbox::Sender<Arc<Frame>>,
    on_damage: Box<dyn Fn() + Send + Sync>,
    waker: Waker,
    figures: Arc<Figures>,
    present: bool,
) -> std::io::Result<Worker> {
    let make = Make { units, remote: Arc::new(remote), on_damage: on_damage.into(), waker, figures, present };
    let threads = Mutex::new(Threads::new(make.spawn()?));
    Ok(Worker { make, threads })
}

impl Worker {
    /// Puts another thread with a decoder of its own in the place of the one that runs, which is left behind: what hangs inside
    /// openh264 cannot be ended, but whatever it comes back with is thrown away. The new one asks for a keyframe.
    ///
    /// # Errors
    /// The system gives no thread, or too many that were left behind still hang.
    pub fn renew(&self) -> std::io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.replace(|stop| stop.flag.store(true, Relaxed), || self.make.spawn())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let threads = self.threads.get_mut().unwrap_or_else(PoisonError::into_inner);
        threads.end("decode", |stop| stop.flag.store(true, Relaxed));
    }
}

impl Make {
    fn spawn(&self) -> std::io::Result<(Stop, JoinHandle<()>)> {
        let (wake, woken) = bounded::<Infallible>(0);
        let flag = Arc::new(AtomicBool::new(false));
        let Self { units, remote, on_damage, waker, figures, present } = self.clone();
        let mut stage = Stage {
            stop: Arc::clone(&flag),
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
            while !stage.stop.load(Relaxed) {
                stage.figures.pulse.decode.one();
                select! {
                    recv(units) -> unit => match unit {
                        Ok(unit) => stage.step(&unit),
                        Err(_) => break,
                    },
                    recv(woken) -> _ => break,
                    default(TURN) => {}
                }
            }
        };
        Ok((Stop { flag, _wake: wake }, std::thread::Builder::new().name("decode".into()).spawn(run)?))
    }
}

struct Stage {
    /// Set when it shall end, or when another has taken its place.
    stop: Arc<AtomicBool>,
    remote: Arc<mailbox::Sender<Arc<Frame>>>,
    on_damage: Arc<dyn Fn() + Send + Sync>,
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
        if self.stop.load(Relaxed) {
            // It took so long that another thread decodes by now: an older picture must not come after newer ones.
            return;
        }
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
            self.figures.pulse.stale.one();
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
