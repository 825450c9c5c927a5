//! What all connections share: the directory, a queue for each client, and the counters.

use super::access::Rights;
use super::config::{Config, Token};
use super::directory::{Delivery, Directory, Limits};
use super::message::{ClientId, Code, FromHub, ToHub};
use super::metrics::Counters;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
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
    /// Whose queue is taken away is cut off.
    queues: HashMap<ClientId, mpsc::Sender<Utf8Bytes>>,
    addresses: HashMap<IpAddr, usize>,
    places_taken: usize,
}

/// A client's place, from its first request to its end. Dropping it tells everybody whom it concerns.
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
            queues: HashMap::new(),
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

    /// Lets a client in: its seat, and what it is to be told, the welcome first. The queue ends when it is cut off.
    pub fn enter(self: &Arc<Self>) -> (Seat, mpsc::Receiver<Utf8Bytes>) {
        let id = ClientId::random();
        let (queue, to_tell) = mpsc::channel(self.config.queue_messages);
        let mut state = self.lock();
        state.queues.insert(id, queue);
        let welcome = state.directory.enter(id);
        self.deliver(&mut state, [welcome]);
        self.counters.connected.inc();
        (Seat { shared: Arc::clone(self), id }, to_tell)
    }

    /// Carries out one message of a client, as text.
    pub fn take(&self, from: ClientId, text: &str, rights: &Rights) {
        self.counters.messages_in.inc();
        let read = ToHub::read(text);
        let mut state = self.lock();
        let done = read.and_then(|message| state.directory.carry_out(from, message, rights));
        match done {
            Ok(deliveries) => self.deliver(&mut state, deliveries),
            Err(refusal) => {
                self.counters.refused(refusal.code);
                self.deliver(&mut state, [Delivery { to: vec![from], message: refusal.into() }]);
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

    /// Into the queues. Whoever has no room left reads too slowly and is cut off: nobody waits for them.
    fn deliver(&self, state: &mut State, deliveries: impl IntoIterator<Item = Delivery>) {
        for Delivery { to, message } in deliveries {
            let text = Utf8Bytes::from(message.to_json());
            for id in to {
                let Some(queue) = state.queues.get(&id) else { continue };
                if queue.try_send(text.clone()).is_ok() {
                    self.counters.messages_out.inc();
                } else if state.queues.remove(&id).is_some() {
                    self.counters.too_slow.inc();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside is a bug; maps stay maps.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        state.queues.remove(&self.id);
        let deliveries = state.directory.vanish(self.id);
        self.shared.deliver(&mut state, deliveries);
    }
}
