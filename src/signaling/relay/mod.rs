//! Portals that do not reach each other meet through somebody else's machine: a hub, or an MQTT broker.
//!
//! ```text
//!  connection ── Line (sealed) ──► Say ──► carrier ──► hub's room, or broker's topics ──► the other end's carrier …
//!      ▲                                      │
//!      └────────── Work: whose line is it ◄── Heard
//! ```
//!
//! A carrier passes on text between the members of a room and tells who comes and goes; that is all it is believed, and lies there
//! cost nothing but time. [`Line`]s on it are what WebSockets are between two machines: the same handshake, and then the same messages, sealed
//! with keys that the carrier cannot have ([`super::sealing`]). What the carrier learns: which two portals want each other, when, and how much
//! they say.
//!
//! Queues: 64 events and 64 texts per carrier, who has more waits; 32 messages per line, with one more it is given up.

mod broker;
mod carrier;
mod envelope;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod line;
mod lines;

pub use envelope::{Content, Envelope, LineId};
pub use line::Line;
pub use lines::Relay;

use super::{CLOSING, Config};
use crate::ops::Figures;
use crate::pairing::{Code, Fingerprint};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// All ways through other machines that are configured, running.
#[derive(Debug)]
pub struct Relays {
    /// To dial.
    pub ways: Vec<Relay>,
    /// Lines that others have dialled, by whatever way; each with the words for where it comes from.
    pub accepted: mpsc::Receiver<(Line, String)>,
    /// Told whenever somebody arrives.
    pub arrivals: Arc<Notify>,
    /// What works for them; each ends by itself when `ways`, `accepted` and all lines are dropped, having said what there was to say.
    pub tasks: JoinSet<()>,
}

impl Relays {
    /// Lets what was still to be said be said, and ends; takes 300 ms at most.
    pub async fn close(self) {
        let Self { ways, accepted, mut tasks, .. } = self;
        drop((ways, accepted));
        let all_ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(CLOSING, all_ended).await.is_err() {
            tracing::debug!("a relay did not end in order in time");
        }
    }
}

/// Why there is no way through another machine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The hub's address, or what to trust.
    #[error(transparent)]
    Hub(#[from] crate::hub::client::Error),
    /// The broker's address, or what to trust.
    #[error(transparent)]
    Broker(#[from] crate::mqtt::Error),
}

/// The room of two portals that have pinned each other: the same at both, and whoever sees it learns which two they are only if he knows
/// both fingerprints.
pub fn room_of(one: Fingerprint, other: Fingerprint) -> String {
    let (first, second) = if one < other { (one, other) } else { (other, one) };
    let digest = Sha256::new()
        .chain_update(b"screen-portal room 1")
        .chain_update(first.bytes())
        .chain_update(second.bytes())
        .finalize();
    format!("portal-{}", HEXLOWER.encode(&digest[..16]))
}

/// The room where a code's two ends meet. It tells the code's number and nothing of its words: those are what is secret.
pub fn room_for(code: &Code) -> String {
    format!("pair-{}", code.number())
}

/// Enters this room by all ways that are configured. To be called inside a tokio runtime.
///
/// # Errors
/// A configuration that can never work.
pub fn enter(config: &Config, room: &str, figures: &Arc<Figures>) -> Result<Relays, Error> {
    let (accepted_in, accepted) = mpsc::channel(ACCEPTED);
    let arrivals = Arc::new(Notify::new());
    let (mut ways, mut tasks, mut carriers) = (Vec::new(), JoinSet::new(), Vec::new());
    if let Some(options) = config.hub_options() {
        carriers.push(hub::start(options, room)?);
    }
    if let Some(options) = config.broker_options() {
        carriers.push(broker::start(&options, config.broker_topic.trim(), room)?);
    }
    for (carrier, task) in carriers {
        tasks.spawn(async move {
            // A panic in there is a bug, and told by the runtime.
            let _ = task.await;
        });
        let (mut lines, work) = lines::relay(carrier, Arc::clone(figures));
        tasks.spawn(work.run());
        let (name, accepted_in, told) = (lines.relay.name().to_owned(), accepted_in.clone(), Arc::clone(&arrivals));
        tasks.spawn(async move {
            loop {
                tokio::select! {
                    line = lines.accepted.recv() => match line {
                        // Full: its handshake will be late at the other end, which dials again.
                        Some(line) => drop(accepted_in.try_send((line, name.clone()))),
                        None => return,
                    },
                    () = lines.arrivals.notified() => told.notify_one(),
                    () = accepted_in.closed() => return,
                }
            }
        });
        ways.push(lines.relay);
    }
    Ok(Relays { ways, accepted, arrivals, tasks })
}

/// Whether each hub and broker that is configured lets us in, for `screen-portal check`: its name, and why not. A room of its own is entered, so that
/// neither a portal that runs here nor its far end is disturbed. Takes five seconds at most. To be called inside a tokio runtime.
///
/// # Errors
/// As of [`enter`].
pub async fn try_out(config: &Config) -> Result<Vec<(String, Option<String>)>, Error> {
    let room = format!("portal-check-{:08x}", rand::random::<u32>());
    let relays = enter(config, &room, &Arc::default())?;
    let began = Instant::now();
    while relays.ways.iter().any(|way| way.trouble().is_some()) && began.elapsed() < TRY_OUT {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let found = relays.ways.iter().map(|way| (way.name().to_owned(), way.trouble())).collect();
    relays.close().await;
    Ok(found)
}

/// Who has not let us in after so long does not.
const TRY_OUT: Duration = Duration::from_secs(5);

/// Lines that wait to be accepted.
const ACCEPTED: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_name_the_same_room_and_no_others_do() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|it| Fingerprint::of(it));
        assert_eq!(room_of(a, b), room_of(b, a));
        assert_ne!(room_of(a, b), room_of(a, c));
        assert!(room_of(a, b).len() <= crate::hub::message::LONGEST_NAME);
        let code: Code = "47-latin-orbit".parse().unwrap();
        assert_eq!(room_for(&code), "pair-47");
    }
}
