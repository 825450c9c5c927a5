//! What every origin of pictures has in common.

use crate::media::{Exhausted, Frame, Pool};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where outgoing pictures come from. Made and used on the capture thread only.
pub trait Source {
    /// Blocks until the next picture is there, at the source's own rate. The picture's size is even, its layout I420, its
    /// `number` counts from 1, its `captured` is the moment it was taken, and its `format.colour` says what the samples mean:
    /// a camera's code values are passed on as they are.
    ///
    /// After an error that [`Error::is_passing`], the next call may well succeed; after any other the source is of no more use.
    fn next_frame(&mut self, pool: &mut Pool) -> Result<Arc<Frame>, Error>;

    /// Name and format, for people: `Test Webcam, 1280x720 YUYV at 30 fps`.
    fn describe(&self) -> String;

    /// The time from one picture to the next that the source promises; longer gaps are counted as missed pictures. `None` for
    /// a source that promises nothing.
    fn period(&self) -> Option<Duration> {
        None
    }
}

/// Why there is no picture: the thing, the cause, the remedy. Shown on the slate, in the log and by `check`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing that delivers pictures is plugged in.
    #[error("no camera found: plug one in, or set source.kind to \"pattern\"")]
    NoCamera,
    /// Cameras are there, the configured one is not.
    #[error("camera {wanted} is not there, only {present}: plug it in, or correct source.camera")]
    NotFound {
        /// What the configuration asks for, in quotes.
        wanted: String,
        /// What there is.
        present: String,
    },
    /// The device node may not be opened.
    #[error("no permission to open {camera}: add this user to the group \"video\" and log in again")]
    Permission {
        /// The camera's name and device node.
        camera: String,
    },
    /// Another program has the camera.
    #[error("{camera} is in use by {holder}: close that program")]
    Busy {
        /// The camera's name and device node.
        camera: String,
        /// Who has it, as far as that can be known.
        holder: String,
    },
    /// The camera has no format that could be used.
    #[error("{camera} offers no YUYV, NV12 or MJPEG pictures at a whole number per second: use another camera")]
    NoFormat {
        /// The camera's name and device node.
        camera: String,
    },
    /// The camera could not be opened for any other reason.
    #[error("{camera} cannot be opened: {cause}; it is tried again, else plug it out and in")]
    Open {
        /// The camera's name and device node.
        camera: String,
        /// What the driver said.
        cause: String,
    },
    /// The camera is open, but no picture came for so long.
    #[error("{camera} sent no picture for {:.1} s: it is opened again, else plug it out and in", after.as_secs_f64())]
    Stalled {
        /// The camera's name and device node.
        camera: String,
        /// How long nothing came.
        after: Duration,
    },
    /// The camera went away.
    #[error("{camera} was unplugged: plug it in again")]
    Unplugged {
        /// The camera's name and device node.
        camera: String,
    },
    /// Reading failed for any other reason.
    #[error("{camera} cannot be read: {cause}; it is opened again")]
    Read {
        /// The camera's name and device node.
        camera: String,
        /// What the driver said.
        cause: String,
    },
    /// Pictures come, but none of them is whole.
    #[error("{camera} delivers only damaged pictures ({cause}): try another cable or port")]
    OnlyDamaged {
        /// The camera's name and device node, or the source's description.
        camera: String,
        /// What was wrong with the last one.
        cause: String,
    },
    /// One picture was damaged; the next may be whole.
    #[error("damaged picture: {0}")]
    Damaged(String),
    /// One picture was lost because all buffers are in use.
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    /// Waiting for a picture was cut short on request.
    #[error("interrupted")]
    Interrupted,
    /// The file cannot be played.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// The source needs something of the system that is not there.
    #[error("cannot start the capture: {0}")]
    System(#[from] std::io::Error),
}

impl Error {
    /// Whether only this one picture is lost.
    pub fn is_passing(&self) -> bool {
        matches!(self, Error::Damaged(_) | Error::Exhausted(_))
    }
}
