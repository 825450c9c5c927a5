//! Finding other portals in the local network, by DNS-SD over multicast DNS (RFC 6763, RFC 6762): `_screen-portal._tcp.local.`.
//!
//! A portal announces the name of its place, its port, the first 16 digits of its fingerprint, and whether it shows a pairing code. Anybody in the
//! network can announce anything: what is found is only ever dialled, and the handshake proves who answers. A lie costs a failed dial.
//!
//! | | |
//! |---|---|
//! | [`Announcement`], [`Neighbour`], [`Neighbours`] | what is said and what is read, with limits |
//! | [`Discovery`] | says and hears it, by the crate `mdns-sd`, whose thread does the work |

mod config;
mod neighbour;

pub use config::Config;
pub use neighbour::{Announcement, MOST, Neighbour, Neighbours, ShortId};

use mdns_sd::{ServiceDaemon, ServiceEvent, ServiceInfo};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// What portals are announced as.
pub const SERVICE: &str = "_screen-portal._tcp.local.";

/// The crate keeps what it hears, without a limit of its own. So many records are no portals any more, but a flood: it is begun anew.
const MOST_RECORDS: i64 = 4096;
/// How often they are counted.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// What several announcements in a row say is told together.
const SETTLE: Duration = Duration::from_millis(100);

/// Why nobody is found, and nobody finds us.
#[derive(Debug, thiserror::Error)]
#[error("the local network cannot be searched: {0}; other ways to meet are not affected")]
pub struct Error(String);

impl From<mdns_sd::Error> for Error {
    fn from(error: mdns_sd::Error) -> Self {
        Self(error.to_string())
    }
}

/// Announces and looks, as long as it lives.
pub struct Discovery(ServiceDaemon);

impl Drop for Discovery {
    fn drop(&mut self) {
        // It says goodbye by itself; an error means that it is gone already.
        let _ = self.0.shutdown();
    }
}

impl Discovery {
    /// Starts the thread of the crate.
    ///
    /// # Errors
    /// No socket on the port of multicast DNS.
    pub fn start() -> Result<Self, Error> {
        Ok(Self(ServiceDaemon::new()?))
    }

    /// From now on this is said of us, on all interfaces, with the addresses that this machine has at any moment.
    ///
    /// # Errors
    /// Of the crate.
    pub fn announce(&self, announcement: &Announcement) -> Result<(), Error> {
        // Unique, so that two places of one name are not renamed; people read the record's `site`.
        let name = format!("portal-{}", announcement.id);
        let host = format!("{name}.local.");
        let (properties, none) = (announcement.properties(), "");
        let service = ServiceInfo::new(SERVICE, &name, &host, none, announcement.port, &properties[..])?;
        Ok(self.0.register(service.enable_addr_auto())?)
    }

    /// Looks for others until `found` has no reader any more, and tells who is there whenever that changes. `own` is left out.
    ///
    /// # Errors
    /// Of the crate, or there are too many records: to be begun anew.
    pub async fn look(&self, own: ShortId, found: &watch::Sender<Vec<Neighbour>>) -> Result<(), Error> {
        let events = self.0.browse(SERVICE)?;
        let (mut neighbours, mut count_at) = (Neighbours::default(), Instant::now() + COUNT_EVERY);
        let (mut news, mut tell_at) = (false, Instant::now());
        loop {
            let next = if news { tell_at } else { count_at };
            let event = tokio::select! {
                event = timeout_at(next, events.recv_async()) => event,
                () = found.closed() => break,
            };
            let told = match event {
                Ok(Ok(ServiceEvent::ServiceResolved(service))) => {
                    let property = |name: &str| service.get_property_val_str(name);
                    let ips = service.addresses.iter().map(mdns_sd::ScopedIp::to_ip_addr);
                    neighbours.found(&service.fullname, Neighbour::read(property, service.port, ips))
                }
                Ok(Ok(ServiceEvent::ServiceRemoved(_, name))) => neighbours.gone(&name),
                Ok(Ok(_)) => false,
                Ok(Err(_)) => return Err(Error("its thread has ended".into())),
                Err(_) => false,
            };
            let now = Instant::now();
            if told && !news {
                (news, tell_at) = (true, now + SETTLE);
            }
            if news && now >= tell_at {
                news = false;
                let list = neighbours.list(own);
                found.send_if_modified(|before| {
                    let changed = *before != list;
                    *before = list;
                    changed
                });
            }
            if now >= count_at {
                count_at = now + COUNT_EVERY;
                self.count_records().await?;
            }
        }
        let _ = self.0.stop_browse(SERVICE);
        Ok(())
    }

    async fn count_records(&self) -> Result<(), Error> {
        let Ok(metrics) = self.0.get_metrics() else { return Ok(()) };
        let Ok(Ok(metrics)) = timeout_at(Instant::now() + COUNT_EVERY, metrics.recv_async()).await else {
            return Ok(());
        };
        let records: i64 = metrics.iter().filter(|(name, _)| name.starts_with("cached-")).map(|(_, count)| count).sum();
        if records > MOST_RECORDS {
            Err(Error(format!("{records} records are announced, which is a flood")))
        } else {
            Ok(())
        }
    }
}
