//! Looks after the portal: reads the signs of life of each stage, does what the watchdog's policy says, and tells systemd that we are alive
//! only while all is well.
//!
//! It has a thread of its own that waits for nobody else: what it reads are atomics, what it does are wishes that others carry out, or new
//! threads in the place of old ones.

use super::Quit;
use super::board::Board;
use super::quit::Ended;
use crate::capture::Capture;
use crate::codec::{decode, encode};
use crate::link::Link;
use crate::ops::watchdog::{
    Bystander, FEED_EVERY, Finding, LOOK_EVERY, Remedy, STAGES, Sign, Stage, Standing, Watchdog,
};
use crate::ops::{Figures, systemd};
use crate::{display, signaling};
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::convert::Infallible;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// All that is looked after, and what remedies are done to.
pub(super) struct Watched {
    pub figures: Arc<Figures>,
    pub board: Arc<Board>,
    pub capture: Arc<Capture>,
    pub encoder: Arc<encode::Worker>,
    pub encoder_control: Arc<encode::Control>,
    pub decoder: Arc<decode::Worker>,
    pub link: Option<Arc<Link>>,
    pub dial: Option<signaling::Controls>,
    /// The window's, if there is to be one.
    pub display: Option<display::Remedies>,
    pub quit: Quit,
}

impl Watched {
    /// Starts the thread `watch`. It ends when the other end of `over` is dropped.
    pub(super) fn start(self, over: Receiver<Infallible>) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("watch".into()).spawn(move || self.watch(&over))
    }

    fn watch(&self, over: &Receiver<Infallible>) {
        let (mut watchdog, mut configuration) = (Watchdog::default(), Bystander::default());
        let every = systemd::watchdog_interval().map(|every| every.min(FEED_EVERY));
        let mut feeding = Feeding { every, last: None };
        while let Err(RecvTimeoutError::Timeout) = over.recv_timeout(LOOK_EVERY) {
            let now = Instant::now();
            for finding in watchdog.look(&self.signs(), now) {
                self.act(finding);
            }
            self.figures.watchdog.standing.set(watchdog.standing().count() as u64);
            if let Some(standing) = configuration.look(self.figures.pulse.configuration.get(), now) {
                self.tell_configuration(standing);
            }
            if watchdog.is_well() && feeding.is_due(now) {
                systemd::feed();
            }
        }
    }

    /// In the order of [`Stage::all`].
    fn signs(&self) -> [Sign; STAGES] {
        let mut signs = [Sign::Idle; STAGES];
        for stage in Stage::all() {
            signs[stage as usize] = self.sign(stage);
        }
        signs
    }

    fn sign(&self, stage: Stage) -> Sign {
        let Figures { outgoing, incoming, pulse, .. } = &*self.figures;
        let wanted = pulse.pictures_wanted.get() != 0;
        let control = &self.encoder_control;
        match stage {
            Stage::Capture if pulse.source_off.get() == 0 => Sign::Turns(pulse.capture.get()),
            // Of a portal that is not paired, these two threads have ended: nobody takes or brings pictures.
            Stage::Encoder if self.link.is_some() => Sign::Turns(pulse.encode.get()),
            Stage::Encoding if control.is_active() && !control.is_held() => Sign::Flows {
                given: outgoing.captured.get(),
                made: outgoing.encoded.get()
                    + outgoing.skipped_by_rate_control.get()
                    + outgoing.dropped_before_send.get(),
            },
            Stage::Network => Sign::Turns(pulse.network.get()),
            Stage::Link if self.link.is_some() => Sign::Turns(pulse.link.get()),
            Stage::Receiving if wanted => Sign::Flows {
                given: incoming.packets.get(),
                made: incoming.received.get() + incoming.dropped_before_decode.get(),
            },
            Stage::Decoder if self.link.is_some() => Sign::Turns(pulse.decode.get()),
            Stage::Decoding if wanted => Sign::Flows { given: incoming.received.get(), made: incoming.decoded.get() },
            Stage::Presenting if wanted => presenting(&self.figures, self.display.is_some()),
            Stage::Display if self.display.is_some() => display(&self.figures),
            Stage::Commands => Sign::Turns(pulse.commands.get()),
            _ => Sign::Idle,
        }
    }

    fn act(&self, finding: Finding) {
        let figures = &self.figures.watchdog;
        match finding {
            Finding::Mend { stage, stood, remedy } => {
                tracing::warn!(?stage, ?remedy, stood_s = stood.as_secs_f64(), "{}", stage.words());
                if stage == Stage::Capture {
                    self.board.source_hangs(true);
                    self.tell_camera();
                }
                self.apply(stage, stood, remedy);
            }
            Finding::Healed { stage, stood } => {
                tracing::info!(?stage, stood_s = stood.as_secs_f64(), "goes on after a remedy");
                figures.healed.one();
                if stage == Stage::Capture {
                    self.board.source_hangs(false);
                    self.tell_camera();
                }
            }
        }
    }

    fn apply(&self, stage: Stage, stood: Duration, remedy: Remedy) {
        let figures = &self.figures.watchdog;
        match remedy {
            Remedy::ReopenSource => {
                figures.sources_reopened.one();
                self.capture.reopen();
            }
            Remedy::NewEncoder => {
                figures.new_encoders.one();
                warn_if_refused("encoder", self.encoder.renew());
            }
            Remedy::NewDecoder => {
                figures.new_decoders.one();
                warn_if_refused("decoder", self.decoder.renew());
            }
            Remedy::Keyframe => {
                figures.keyframes.one();
                if let Some(link) = &self.link {
                    link.request_keyframe();
                }
            }
            Remedy::NewConnection => {
                figures.new_connections.one();
                if let Some(dial) = &self.dial {
                    dial.dial_now();
                }
                if let Some(link) = &self.link {
                    link.reconnect();
                }
            }
            Remedy::NewWindow => {
                figures.new_windows.one();
                self.display.iter().for_each(display::Remedies::new_window);
            }
            Remedy::NewDevice => {
                figures.new_devices.one();
                self.display.iter().for_each(display::Remedies::new_device);
            }
            Remedy::GiveUp => {
                let reason = format!("{}, for {:.0} s, and no remedy helped", stage.words(), stood.as_secs_f64());
                self.quit.now(Ended::Again(reason));
            }
        }
    }

    /// Nobody's picture hangs on that thread: people are told, and nothing begins again.
    fn tell_configuration(&self, standing: Standing) {
        self.figures.watchdog.configuration_hangs.set(matches!(standing, Standing::Still(_)).into());
        match standing {
            Standing::Still(stood) => tracing::warn!(
                stood_s = stood.as_secs_f64(),
                "the configuration is not kept: changes of its files and what is set at the kiosk wait for a disk or a camera that does not answer; \
                 if that lasts, see what the kernel says (journalctl -k) and start the portal anew"
            ),
            Standing::Over(stood) => tracing::info!(stood_s = stood.as_secs_f64(), "the configuration is kept again"),
        }
    }

    /// What the far end is told of our camera, when it is us who say that it hangs.
    fn tell_camera(&self) {
        if let Some(link) = &self.link {
            link.set_camera(super::told_to_far_end(&self.board.camera_state()));
        }
    }
}

/// The loop turns from the start on, except while a window system is waited for: that one may come whenever it likes. A driver that is
/// being opened may not.
fn display(figures: &Figures) -> Sign {
    let Figures { link, pulse, .. } = figures;
    match link.display_waiting.get() != 0 && pulse.driver.get() == 0 {
        true => Sign::Idle,
        false => Sign::Turns(link.display_updates.get()),
    }
}

/// What is decoded is presented as soon as there is a window; without one at all (`has_window`) whoever decodes also counts what would be.
fn presenting(figures: &Figures, has_window: bool) -> Sign {
    let Figures { incoming, link, pulse, .. } = figures;
    let is_absent = link.display_waiting.get() != 0
        // Not yet: the loop's own sign tells whether it comes to that.
        || link.display_updates.get() == 0
        || link.display_without_monitor.get() != 0;
    match has_window && is_absent {
        true => Sign::Idle,
        // Old pictures are not shown, which is nobody's fault here.
        false => Sign::Flows { given: incoming.decoded.get(), made: incoming.presented.get() + pulse.stale.get() },
    }
}

fn warn_if_refused(what: &str, renewed: std::io::Result<()>) {
    if let Err(error) = renewed {
        tracing::warn!("no new {what}: {error}");
    }
}

/// When systemd is owed a word.
struct Feeding {
    every: Option<Duration>,
    last: Option<Instant>,
}

impl Feeding {
    fn is_due(&mut self, now: Instant) -> bool {
        // Early rather than late: a look may be late itself.
        let due = self.every.is_some_and(|every| {
            let owed = |last| now.saturating_duration_since(last) + LOOK_EVERY >= every;
            self.last.is_none_or(owed)
        });
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
