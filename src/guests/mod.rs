//! Guests: others than the far end who look at this portal's camera, where the operator allows it. Off unless configured; then not a byte
//! goes out.
//!
//! ```text
//!  hub's room ─► room ─┐                        ┌─► visit: one guest's connection ─► queue ─► SRTP
//!                      ├─► hall: who is let in ─┤                                      ▲
//!  another way in ─────┘   (message)            └─► visit: another's …                 │
//!  capture ─►[latest]─► encoding: one encoder for all ─► audience ─────────────────────┘
//! ```
//!
//! | | |
//! |---|---|
//! | [`message`] | what guests and portal say to each other, in no dialect |
//! | `room` | the way in through a hub's room |
//! | `hall`, `admission` | who is let in (the latter pure) |
//! | `visit` | one guest, from the first word to the end |
//! | `sight` | what guests may see now (pure) |
//! | `encoding`, `audience` | the thread that encodes, and the queues between it and the connections |
//! | `priority` | threads that give way to all others |
//!
//! **They see what the far end sees**: blurred while the lens is covered, and a slate while the privacy key is on, outside opening hours,
//! without a camera, and whenever there is doubt. Nothing comes in from them: no pictures, no sound, no words that are shown.
//!
//! **They cost the far end nothing**: all of this happens in two threads that give way to every other one, `guests` (signalling and
//! network, a runtime of its own) and `guest-encode` (at most half of a core). Without guests the latter sleeps, and the camera's
//! pictures do not come here at all.
//!
//! **Who is let in** is decided by whoever keeps the way in: in a hub's room, the hub by its tokens. Guests are therefore counted, listed
//! and logged, and whoever stands before the portal is told how many there are.
//!
//! **How fast to send**: each connection learns from transport-wide feedback what its path carries, as the link does; the one encoder aims at
//! what the narrowest path carries, at least a third of `bitrate_bps`. Whose path carries less loses pictures up to a keyframe, at
//! most one a second. A guest that gives no such feedback gets a fixed rate with repairs.

mod admission;
mod audience;
mod config;
mod encoding;
mod hall;
pub mod message;
mod priority;
mod room;
mod sight;
mod visit;

pub use config::Config;

use crate::capture::Tapped;
use crate::hub::client::{self, Options};
use crate::hub::message::Join;
use crate::link::{self, guest};
use crate::media::Era;
use crate::ocamera::device;
use crate::ops::{Figures, View};
use audience::Audience;
use encoding::Encoding;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use visit::House;

/// What guests say that waits for being heard; one more is not heard.
const REQUESTS: usize = 128;
/// An orderly end takes no longer than this.
const CLOSING: Duration = Duration::from_millis(500);

/// Why guests cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No hub by this address, or no certificates to trust.
    #[error("[guests]: {0}")]
    Hub(#[from] client::Error),
    /// The connection's own needs, as configured for the link.
    #[error("[guests]: {0}")]
    Link(#[from] link::Error),
    /// The system gives no thread, or no runtime.
    #[error("cannot start the threads for guests: {0}; free memory or raise the limit of processes (ulimit -u)")]
    Threads(#[from] std::io::Error),
}

/// What guests are connected to inside the portal. The calls must not block.
#[derive(Clone)]
pub struct Ports {
    /// The camera's pictures; turned on while somebody watches.
    pub tapped: Tapped,
    /// Pictures are seen only while their era holds.
    pub era: Era,
    /// What the portal is doing: whether there is anything to be seen.
    pub view: watch::Receiver<View>,
    /// Where to count.
    pub figures: Arc<Figures>,
    /// So many guests watch now.
    pub on_watching: Arc<dyn Fn(usize) + Send + Sync>,
}

/// Guests are served. Dropping it sends them away, within a second.
#[derive(Debug)]
pub struct Guests {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    encoding: Option<Encoding>,
}

/// Begins to serve guests, if the configuration allows it. Returns at once; what fails later is tried again. `link` is how guests are
/// reached, `site` what the place is called.
///
/// # Errors
/// What can never work.
pub fn start(config: &Config, link: &link::Config, site: &str, ports: Ports) -> Result<Option<Guests>, Error> {
    if !config.enabled {
        return Ok(None);
    }
    let at_hub = Some(options(config, site)).filter(|options| !options.url.is_empty());
    // Whatever else can never work is said by the thread.
    if let Some(options) = &at_hub {
        options.check()?;
        if options.token.is_some() && options.url.starts_with("ws://") {
            tracing::warn!("[guests] token goes to {} unencrypted: use wss:// where others may listen", options.url);
        }
    }
    let at_broker = config.device_id(site).filter(|_| !config.broker.is_empty()).map(|id| device::Options {
        broker: config.broker_options(),
        name: if config.camera.is_empty() { site.to_owned() } else { config.camera.clone() },
        id,
    });
    let (least_bps, most_bps) = (config.least_bps(), config.bitrate_bps);
    let audience = Arc::new(Audience::new(ports.tapped.clone(), least_bps, most_bps));
    let house = Arc::new(House {
        setup: guest::Setup::new(link.clone(), least_bps, most_bps)?,
        audience: Arc::clone(&audience),
        era: ports.era.clone(),
        figures: Arc::clone(&ports.figures),
        on_watching: Arc::clone(&ports.on_watching),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let encoding = encoding::start(config, site, &ports, audience)?;
    let (stop, stopped) = oneshot::channel();
    let (most, figures, view) = (config.max_viewers, Arc::clone(&ports.figures), ports.view.clone());
    let serve = move || {
        priority::yield_to_others();
        runtime.block_on(async move {
            let (requests_in, requests) = mpsc::channel(REQUESTS);
            let hall = tokio::spawn(hall::serve(house, most, requests));
            let (hub_in, broker_in) = (requests_in.clone(), requests_in);
            // Each fails at its beginning or never.
            let room = async {
                if let Some(options) = at_hub
                    && let Err(error) = room::stay(options, hub_in, Arc::clone(&figures)).await
                {
                    tracing::error!("guests cannot come to the hub: {error}");
                }
            };
            let device = async {
                if let Some(options) = at_broker
                    && let Err(error) = device::stay(options, broker_in, view, Arc::clone(&figures)).await
                {
                    tracing::error!("guests cannot come to the broker: {error}");
                }
            };
            tokio::select! {
                _ = futures_util::future::join(room, device) => {}
                _ = stopped => {}
            }
            figures.guests.joined.set(0);
            figures.guests.at_broker.set(0);
            // With the room its way in is gone, and the hall closes.
            let _ = hall.await;
        });
    };
    let thread = std::thread::Builder::new().name("guests".into()).spawn(serve)?;
    Ok(Some(Guests { stop: Some(stop), thread: Some(thread), encoding: Some(encoding) }))
}

fn options(config: &Config, site: &str) -> Options {
    let named = if config.camera.is_empty() { site } else { &config.camera };
    let camera = &named[..named.floor_char_boundary(crate::hub::message::LONGEST_NAME)];
    let token = Some(config.token.clone()).filter(|token| !token.is_empty());
    let join = Join {
        room: config.room.clone(),
        device_type: Some("camera".into()),
        camera_id: Some(camera.to_owned()).filter(|camera| !camera.is_empty()),
        token: token.clone(),
    };
    let trust = Some(config.trust.clone()).filter(|file| !file.as_os_str().is_empty());
    Options { url: config.hub.clone(), join: Some(join), token, trust }
}

impl Drop for Guests {
    fn drop(&mut self) {
        drop(self.stop.take());
        let Some(thread) = self.thread.take() else { return };
        let begin = Instant::now();
        while !thread.is_finished() && begin.elapsed() < CLOSING {
            std::thread::sleep(Duration::from_millis(2));
        }
        if !thread.is_finished() {
            tracing::warn!("the thread `guests` does not end: left behind");
        } else if thread.join().is_err() {
            tracing::error!("the thread `guests` had panicked");
        }
        drop(self.encoding.take());
    }
}
