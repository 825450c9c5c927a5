//! What all connections share: the directory, a queue for each client, and the counters.

use super::access::Rights;
use super::config::{Config, Token};
use super::directory::{Delivery, Directory, Limits};
use super::message::{ClientId, Code, FromHub, Refusal, ToHub};
use super::metrics::Counters;
use super::queues::{Bounds, Put, Queues, TooSlow};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// One hub's state.
#[derive(Debug)]
pub struct Shared {
    /// As checked.
    pub config: Config,
    /// The tokens, for [`Rights`].
    pub tokens: Arc<[Token]>,
    /// What `/metrics` tells.
    pub counters: Counters,
    /// The end.
    pub stopped: watch::Receiver<bool>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    directory: Directory,
    queues: Queues,
    addresses: HashMap<IpAddr, usize>,
    places_taken: usize,
}

/// A client's place, from its first request to its end. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    address: IpAddr,
}

/// A client's seat in the directory. Dropping it tells everybody whom it concerns.
#[derive(Debug)]
pub struct Seat {
    shared: Arc<Shared>,
    /// Its own.
    pub id: ClientId,
    /// Where it is, for the log.
    pub address: IpAddr,
    wake: Arc<Notify>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// For anybody.
    Hub,
    /// For this address.
    Address,
}

impl Shared {
    /// Nobody is here yet.
    pub fn new(config: Config, stopped: watch::Receiver<bool>) -> Self {
        let limits = Limits { rooms: config.max_rooms, members: config.max_members };
        let state = State {
            directory: Directory::new(limits),
            queues: Queues::new(Bounds::from(&config)),
            addresses: HashMap::new(),
            places_taken: 0,
        };
        let tokens = config.tokens.clone().into();
        Self { config, tokens, counters: Counters::default(), stopped, state: Mutex::new(state) }
    }

    /// A place for somebody from this address.
    pub fn place(self: &Arc<Self>, address: IpAddr) -> Result<Place, Full> {
        let mut state = self.lock();
        let from_there = state.addresses.get(&address).copied().unwrap_or(0);
        let full = if state.places_taken >= self.config.max_clients {
            Some(Full::Hub)
        } else {
            (from_there >= self.config.max_clients_per_address).then_some(Full::Address)
        };
        if let Some(full) = full {
            self.counters.turned_away(full);
            return Err(full);
        }
        state.places_taken += 1;
        *state.addresses.entry(address).or_default() += 1;
        Ok(Place { shared: Arc::clone(self), address })
    }

    /// Lets a client in: its seat, with the welcome waiting for it.
    pub fn enter(self: &Arc<Self>, place: &Place) -> Seat {
        let id = ClientId::random();
        let mut state = self.lock();
        let wake = state.queues.open(id);
        let welcome = state.directory.enter(id);
        self.deliver(&mut state, [welcome]);
        self.counters.connected.inc();
        Seat { shared: Arc::clone(self), id, address: place.address, wake }
    }

    /// Carries out one message of a client, as text.
    pub fn take(&self, seat: &Seat, text: &str, rights: &Rights) {
        self.counters.messages_in.inc();
        let read = ToHub::read(text);
        let change = read.as_ref().ok().filter(|_| tracing::enabled!(tracing::Level::DEBUG)).and_then(change);
        let mut state = self.lock();
        let refusal = match read.and_then(|message| state.directory.carry_out(seat.id, message, rights)) {
            Ok(deliveries) => {
                self.deliver(&mut state, deliveries);
                None
            }
            Err(refusal) => {
                self.counters.refused(refusal.code);
                self.deliver(&mut state, [Delivery { to: vec![seat.id], message: refusal.clone().into() }]);
                Some(refusal)
            }
        };
        // Nobody waits for the log.
        drop(state);
        match refusal {
            Some(refusal) => log(seat, &refusal),
            None => {
                if let Some(change) = change {
                    tracing::debug!(client = %seat.id, address = %seat.address, "a client {change}");
                }
            }
        }
    }

    /// Tells one client that something of its own is wrong.
    pub fn complain(&self, to: ClientId, code: Code, message: &str) {
        self.counters.refused(code);
        let message = FromHub::Error { code, message: message.into() };
        self.deliver(&mut self.lock(), [Delivery { to: vec![to], message }]);
    }

    /// Clients and rooms.
    pub fn present(&self) -> (usize, usize) {
        let state = self.lock();
        (state.directory.clients(), state.directory.rooms())
    }

    /// Bytes that wait for clients.
    pub fn queued_bytes(&self) -> usize {
        self.lock().queues.bytes()
    }

    /// Into the queues. Whoever has no room left reads too slowly and is cut off: nobody waits for them.
    fn deliver(&self, state: &mut State, deliveries: impl IntoIterator<Item = Delivery>) {
        for Delivery { to, message } in deliveries {
            let mut json = message.to_json();
            // Writing it has reserved up to twice as much, which would wait as well.
            json.shrink_to_fit();
            let text = Utf8Bytes::from(json);
            for id in to {
                let put = state.queues.put(id, text.clone());
                if matches!(put, Put::Waits | Put::Relieved(_)) {
                    self.counters.messages_out.inc();
                }
                match put {
                    Put::Cut => {
                        self.counters.too_slow.inc();
                    }
                    Put::Relieved(cut) => {
                        self.counters.too_slow.inc_by(cut as u64);
                        self.counters.queues_full.inc();
                    }
                    Put::Waits | Put::Nobody => {}
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside is a bug; maps stay maps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// The next message for the client, when there is one.
    ///
    /// # Errors
    /// The client is cut off.
    pub async fn next(&self) -> Result<Utf8Bytes, TooSlow> {
        loop {
            let next = self.shared.lock().queues.next(self.id)?;
            if let Some(text) = next {
                return Ok(text);
            }
            self.wake.notified().await;
        }
    }

    /// Waits until the client is cut off.
    pub async fn cut(&self) -> TooSlow {
        loop {
            let cut = self.shared.lock().queues.cut(self.id);
            if let Some(why) = cut {
                return why;
            }
            self.wake.notified().await;
        }
    }
}

/// What changes who is where, for operators who ask for details.
fn change(message: &ToHub) -> Option<String> {
    match message {
        ToHub::Join(join) => {
            let kind = join.device_type.as_deref().unwrap_or("viewer");
            Some(match &join.camera_id {
                Some(camera) => format!("enters the room {:?} as the camera {camera:?}", join.room),
                None => format!("enters the room {:?} as {kind:?}", join.room),
            })
        }
        ToHub::Leave => Some("leaves its room".into()),
        ToHub::RegisterMediaServer { .. } => Some("is the media server now".into()),
        _ => None,
    }
}

/// What was not carried out, as far as operators can do something about it. The words name rooms and roles, never a token.
fn log(seat: &Seat, refusal: &Refusal) {
    let (client, address, reason) = (seat.id, seat.address, refusal.message.as_str());
    match refusal.code {
        Code::NotAllowed => tracing::warn!(%client, %address, reason, "a client is not let in"),
        Code::RoomFull | Code::TooManyRooms => tracing::warn!(%client, %address, reason, "a client finds no room"),
        code => tracing::debug!(%client, %address, code = code.word(), reason, "a client's message is not carried out"),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.places_taken -= 1;
        if let Some(count) = state.addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                state.addresses.remove(&self.address);
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.queues.close(self.id);
        let deliveries = state.directory.vanish(self.id);
        self.shared.deliver(&mut state, deliveries);
    }
}
