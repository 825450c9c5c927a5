//! One guest, from the first word to the end: a task that owns the connection.

use super::audience::{Audience, Queue, Seat};
use super::message::{Candidate, FromGuest, GuestId, Replies, ToGuest};
use crate::link::guest::{Event, Guest, Outlet, Setup, description};
use crate::media::Era;
use crate::ops::Figures;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{interval, sleep_until};

/// Whoever is not connected by then never will be.
const CONNECT: Duration = Duration::from_secs(15);
/// What a connection reports waits here; it waits when this is full.
const EVENTS: usize = 64;
/// A guest's messages that wait for its task; one who says more before it is heard is sent away.
pub const INBOX: usize = 64;
/// Candidates that may come before the description that they belong to.
const MOST_EARLY: usize = 32;

/// What visits have in common.
pub struct House {
    pub setup: Setup,
    pub audience: Arc<Audience>,
    pub era: Era,
    pub figures: Arc<Figures>,
    /// Told whenever somebody has come or gone.
    pub on_watching: Arc<dyn Fn(usize) + Send + Sync>,
}

/// Why a visit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It gets no pictures. It is told, if it can be.
    Refused(String),
    /// Its connection is gone. It is told, too: it may not know.
    Lost(&'static str),
    /// By its own word, or for another visit of the same guest.
    Left,
}

/// A visit under way.
pub struct Visit {
    pub house: Arc<House>,
    pub guest: GuestId,
    /// Nobody else's.
    pub number: u64,
    pub replies: Replies,
}

impl Visit {
    /// Serves the guest until it is gone. `offer` is the guest's; without one, we make it.
    pub async fn run(&self, offer: Option<String>, mut inbox: mpsc::Receiver<FromGuest>) -> End {
        let (events_in, mut events) = mpsc::channel(EVENTS);
        let connection = match self.connect(offer.as_deref(), events_in).await {
            Ok(connection) => connection,
            Err(end) => return end,
        };
        let (mut described, mut early) = (offer.is_some(), Vec::new());
        let give_up = sleep_until((Instant::now() + CONNECT).into());
        tokio::pin!(give_up);
        let mut seconds = interval(Duration::from_secs(1));
        let mut watching: Option<Watching> = None;
        let end = loop {
            tokio::select! {
                said = inbox.recv() => match said {
                    None | Some(FromGuest::Gone) => break End::Left,
                    Some(FromGuest::Answer(answer)) if !described => {
                        if let Err(error) = description::check_answer(&answer) {
                            break End::Refused(error.to_string());
                        }
                        if let Err(error) = connection.accept(answer).await {
                            tracing::debug!(guest = %self.guest, %error, "an answer cannot be used");
                            break End::Refused("the answer cannot be used".into());
                        }
                        described = true;
                        for candidate in early.drain(..) {
                            self.take(&connection, candidate).await;
                        }
                    }
                    Some(FromGuest::Candidate(candidate)) if described => self.take(&connection, candidate).await,
                    Some(FromGuest::Candidate(candidate)) if early.len() < MOST_EARLY => early.push(candidate),
                    // Whoever wants to begin anew is a new visit.
                    Some(_) => self.house.figures.guests.rejected_messages.one(),
                },
                event = events.recv() => match event {
                    None => break End::Lost("its connection is gone"),
                    Some(Event::Candidate(candidate)) => self.say_candidate(&connection, candidate).await,
                    Some(Event::Keyframe) => {
                        self.house.figures.guests.keyframe_requests.one();
                        self.house.audience.request_keyframe();
                    }
                    Some(Event::Connected) if watching.is_none() => match connection.outlet().await {
                        Ok(outlet) => watching = Some(self.arrive(&connection, outlet).await),
                        Err(error) => break End::Refused(error.to_string()),
                    },
                    Some(Event::Connected) => {}
                    Some(Event::Closed(reason)) => break End::Lost(reason),
                },
                _ = seconds.tick() => if let Some(watching) = &watching {
                    let path_bps = connection.target_bps();
                    watching.seat.queue.set_path_bps(path_bps);
                    self.house.figures.watchers.note(self.number, watching.bytes.load(Relaxed), path_bps.into());
                },
                () = &mut give_up, if watching.is_none() => {
                    self.house.figures.guests.unreached.one();
                    break End::Refused("no connection came up within 15 s: this network needs a TURN server".into());
                }
            }
        };
        if let Some(watching) = watching {
            self.leave(watching, &end);
        }
        connection.close().await;
        end
    }

    async fn connect(&self, offer: Option<&str>, events: mpsc::Sender<Event>) -> Result<Connection, End> {
        if let Some(offer) = offer {
            description::check_offer(offer).map_err(|error| End::Refused(error.to_string()))?;
        }
        let failed = |error: crate::link::Error| {
            tracing::debug!(guest = %self.guest, %error, "no connection could be made");
            self.house.figures.guests.rejected_messages.one();
            End::Refused("the session description cannot be used".into())
        };
        let guest = Guest::new(&self.house.setup, offer.is_none(), events).await.map_err(|error| {
            tracing::warn!(%error, "no connection to a guest can be opened");
            End::Refused("no connection can be opened here".into())
        })?;
        let (sdp, reply): (String, fn(String) -> ToGuest) = match offer {
            Some(offer) => (guest.answer(offer.to_owned()).await.map_err(failed)?, ToGuest::Answer),
            None => (guest.offer().await.map_err(failed)?, ToGuest::Offer),
        };
        let place = description::place(&sdp);
        self.say(reply(sdp));
        let connection = Connection { guest, place };
        for candidate in connection.guest.release_candidates() {
            self.say_candidate(&connection, candidate).await;
        }
        Ok(connection)
    }

    async fn take(&self, connection: &Connection, candidate: String) {
        if !connection.guest.add_candidate(candidate).await {
            self.house.figures.guests.rejected_messages.one();
        }
    }

    async fn say_candidate(&self, connection: &Connection, candidate: String) {
        let (mid, line) = connection.place.clone();
        self.say(ToGuest::Candidate(Candidate { candidate, mid, line }));
    }

    fn say(&self, message: ToGuest) {
        if let Err(error) = self.replies.try_send((self.guest.clone(), message)) {
            // Whoever misses it does not connect, and is given up.
            tracing::debug!(guest = %self.guest, %error, "nothing can be said to a guest now");
        }
    }

    async fn arrive(&self, connection: &Connection, outlet: Outlet) -> Watching {
        let (seat, now_watching) = self.house.audience.join();
        let (figures, address) = (&self.house.figures, connection.guest.address().await);
        let now = Instant::now();
        figures.guests.arrivals.one();
        figures.guests.watching.set(now_watching as u64);
        let from = address.as_deref().unwrap_or("an unknown address");
        tracing::info!(guest = %self.guest, watching = now_watching, "a guest watches, from {from}");
        figures.watchers.arrive(self.number, self.guest.to_string(), address.clone(), now);
        (self.house.on_watching)(now_watching);
        let bytes = Arc::new(AtomicU64::new(0));
        let (queue, era) = (Arc::clone(&seat.queue), self.house.era.clone());
        let sending = tokio::spawn(send(outlet, queue, era, Arc::clone(figures), Arc::clone(&bytes)));
        Watching { seat, since: now, bytes, sending }
    }

    fn leave(&self, watching: Watching, end: &End) {
        let Watching { seat, since, bytes, sending } = watching;
        sending.abort();
        let house = &self.house;
        let left = house.audience.leave(seat);
        house.figures.guests.departures.one();
        house.figures.guests.watching.set(left as u64);
        house.figures.watchers.leave(self.number);
        (house.on_watching)(left);
        let why = match end {
            End::Refused(why) => why.as_str(),
            End::Lost(why) => why,
            End::Left => "it left",
        };
        let (for_s, megabytes) = (since.elapsed().as_secs(), bytes.load(Relaxed) as f64 / 1e6);
        tracing::info!(guest = %self.guest, watching = left, "a guest watches no more, after {for_s} s and {megabytes:.1} MB: {why}");
    }
}

struct Connection {
    guest: Guest,
    /// Where our candidates belong.
    place: (Option<String>, u16),
}

impl std::ops::Deref for Connection {
    type Target = Guest;

    fn deref(&self) -> &Guest {
        &self.guest
    }
}

/// A guest who is connected.
struct Watching {
    seat: Seat,
    since: Instant,
    bytes: Arc<AtomicU64>,
    sending: JoinHandle<()>,
}

/// Sends what comes until the connection takes no more. The camera's pictures only while their era holds: what waited here when privacy
/// began is never seen.
async fn send(mut outlet: Outlet, queue: Arc<Queue>, era: Era, figures: Arc<Figures>, bytes: Arc<AtomicU64>) {
    loop {
        outlet.room().await;
        let picture = queue.next().await;
        if !picture.is_slate && !era.holds(picture.unit.era) {
            queue.interrupt();
            continue;
        }
        if let Err(error) = outlet.send(&picture.unit).await {
            tracing::debug!(%error, "a picture cannot be sent to a guest");
            return;
        }
        let length = picture.unit.data.len() as u64;
        bytes.fetch_add(length, Relaxed);
        figures.guests.sent.one();
        figures.guests.bytes.add(length);
    }
}
