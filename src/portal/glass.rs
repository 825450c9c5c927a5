//! The main thread while there is a window, and somebody beside it.
//!
//! What the main thread shows pictures on can keep it for ever: a server that is stopped, a driver that waits, Xlib when its server is gone. The portal says
//! goodbye and ends, or begins again, all the same: the thread beside it does not touch any of that.

use super::quit::{Ended, Quit};
use super::{Portal, Waker};
use crate::display;
use crate::ops::ending::{self, Ending};
use std::sync::Arc;
use std::time::Duration;

/// How long the main thread may take to come out of the display when it is told to end: some milliseconds, if it is not stuck.
const GRACE: Duration = Duration::from_millis(200);

impl Portal {
    /// The window, until it is closed or told to stop.
    pub(super) fn show(&self, quit: &Quit, waker: Waker) -> Result<(), display::Error> {
        self.end_beside(quit.clone())?;
        let config = self.live.borrow().config.clone();
        let lost = quit.clone();
        let inputs = display::Inputs {
            remote: self.remote.clone(),
            self_view: self.self_view.clone(),
            view: self.board.subscribe(),
            figures: Arc::clone(&self.figures),
            eras: self.eras.clone(),
            commands: self.commands.clone(),
            waker,
            live: self.live.clone(),
            stop: quit.stop(),
            alarm: display::Alarm::new(move |error| lost.now(Ended::Again(error.to_string()))),
            remedies: self.remedies.clone(),
            // Who has begun again because the display was lost has to wait for another, however it is at a start.
            patient: config.wait || ending::last().is_some_and(Ending::is_again),
        };
        display::run(config, inputs)
    }

    /// The thread that says goodbye and ends the portal if the main thread does not.
    fn end_beside(&self, quit: Quit) -> Result<(), display::Error> {
        let farewell = Arc::clone(&self.farewell);
        let beside = move || {
            quit.wait();
            std::thread::sleep(GRACE);
            if farewell.say() {
                quit.force();
            }
        };
        let thread = std::thread::Builder::new().name("beside".into()).spawn(beside);
        thread.map(drop).map_err(|error| display::Error::Crashed { cause: format!("no thread beside it: {error}") })
    }
}
