//! Presents all connections to the far end as one: up or down, messages in, messages out.

use super::Event;
use super::choice::{Candidate, ConnectionId, Succession, choose};
use super::connection::{Note, Order, Up};
use super::limits::Quiet;
use super::message::Message;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Events that wait for the link. When it does not take them, messages are left out, never the turns of up and down.
const WAITING: usize = 64;

/// Two portals with one identity are warned of so often, while it goes on.
const TWINS_WARNED_EVERY: Duration = Duration::from_secs(600);

/// Owns what is known of the connections; runs as one task.
pub struct Switchboard {
    prefers_own_dial: bool,
    outgoing: mpsc::Receiver<Message>,
    notes: mpsc::Receiver<Note>,
    connected: watch::Sender<bool>,
    lines: Vec<Line>,
    used: Option<Candidate>,
    succession: Succession,
    twins: Quiet,
    waiting: VecDeque<Event>,
    last_unreachable: Option<String>,
}

struct Line {
    candidate: Candidate,
    address: String,
    orders: mpsc::Sender<Order>,
    retired: bool,
    /// The link doubts it, and it has not been heard since.
    doubted: bool,
}

impl Switchboard {
    /// Without connections yet.
    pub fn new(
        prefers_own_dial: bool,
        outgoing: mpsc::Receiver<Message>,
        notes: mpsc::Receiver<Note>,
        connected: watch::Sender<bool>,
    ) -> Self {
        Self {
            prefers_own_dial,
            outgoing,
            notes,
            connected,
            lines: Vec::new(),
            used: None,
            succession: Succession::default(),
            twins: Quiet::every(TWINS_WARNED_EVERY),
            waiting: VecDeque::with_capacity(WAITING),
            last_unreachable: None,
        }
    }

    /// Runs until `stopped`, then sends what waits and ends the connections in order.
    pub async fn run(
        mut self,
        events: mpsc::Sender<Event>,
        mut doubts: watch::Receiver<u64>,
        mut stopped: watch::Receiver<bool>,
    ) {
        loop {
            tokio::select! {
                // Never waits for the link: it may be waiting for us.
                permit = events.reserve(), if !self.waiting.is_empty() => {
                    let Ok(permit) = permit else { break };
                    if let Some(event) = self.waiting.pop_front() {
                        permit.send(event);
                    }
                }
                note = self.notes.recv() => match note {
                    Some(note) => self.take(note),
                    None => break,
                },
                message = self.outgoing.recv() => match message {
                    Some(message) => self.send(&message),
                    // The link is gone.
                    None => break,
                },
                Ok(()) = doubts.changed() => self.doubt(),
                _ = stopped.wait_for(|stopped| *stopped) => break,
            }
        }
        while let Ok(message) = self.outgoing.try_recv() {
            self.send(&message);
        }
        for line in &self.lines {
            // One whose queue is full is stuck anyway; dropping the queue ends it.
            let _ = line.orders.try_send(Order::Close);
        }
        self.lines.clear();
        // Connections tell us of their end, and must not wait for us.
        while self.notes.recv().await.is_some() {}
    }

    fn take(&mut self, note: Note) {
        match note {
            Note::Up(up) => self.up(up),
            Note::Message(id, message) => {
                // Also from a connection that is not used any more: it was sent before the far end changed over.
                let session = self.lines.iter().find(|line| line.candidate.id == id).map(|line| line.candidate.session);
                if session.is_some() && session == self.used.map(|used| used.session) {
                    self.tell(Event::Message(message));
                }
            }
            Note::Alive(id) => {
                if let Some(line) = self.lines.iter_mut().find(|line| line.candidate.id == id) {
                    line.doubted = false;
                }
            }
            Note::Ended(id, reason) => self.ended(id, reason),
            Note::Unreachable(reason) => self.unreachable(reason),
            Note::Mispaired(reason) => {
                if self.used.is_none() {
                    self.tell(Event::Unreachable { reason });
                }
            }
        }
    }

    fn up(&mut self, up: Up) {
        let candidate = Candidate { id: up.id, session: up.session, dialled: up.dialled };
        for line in &self.lines {
            // Our dialler dials only while nobody is connected, and so does the far end's: it may have lost these.
            let _ = line.orders.try_send(Order::Probe);
        }
        let now = Instant::now();
        if !self.succession.admits(up.session, now) {
            if let Some(left_out) = self.twins.admit(now) {
                tracing::warn!(
                    address = up.address,
                    left_out,
                    "two portals use the far end's identity, one of them is turned away: on one of the two delete the \
                     identity file and pair it again"
                );
            }
            // Its queue is empty. It dials again; if the one in use does not answer the probe, it is let in then.
            let _ = up.orders.try_send(Order::TurnAway);
            return;
        }
        self.lines.push(Line { candidate, address: up.address, orders: up.orders, retired: false, doubted: false });
        self.choose("the far end was started again");
    }

    fn doubt(&mut self) {
        for line in &mut self.lines {
            line.doubted = true;
            // One whose queue is full is stuck, and finds out by itself.
            let _ = line.orders.try_send(Order::Probe);
        }
    }

    fn ended(&mut self, id: ConnectionId, reason: String) {
        self.lines.retain(|line| line.candidate.id != id);
        tracing::debug!(id, reason, "a signalling connection ended");
        self.choose(&reason);
    }

    /// Applies [`choose`] to what there is now; `why` is the reason if the far end is lost by it.
    fn choose(&mut self, why: &str) {
        let candidates: Vec<_> = self.lines.iter().map(|line| line.candidate).collect();
        let chosen = choose(&candidates, self.prefers_own_dial);
        let before = std::mem::replace(&mut self.used, chosen);
        if let Some(before) = before
            && chosen.is_none_or(|chosen| chosen.session != before.session)
        {
            tracing::info!("signalling with the far end ended: {why}");
            self.tell(Event::Down { reason: why.into() });
        }
        if let Some(chosen) = chosen {
            if before.is_none_or(|before| before.session != chosen.session) {
                let address = self.lines.iter().find(|line| line.candidate == chosen).map(|line| line.address.as_str());
                let by = if chosen.dialled { "dialled" } else { "accepted" };
                tracing::info!(address, by, "signalling with the far end is up");
                self.tell(Event::Up { session: chosen.session });
            } else if before.is_some_and(|before| before.id != chosen.id && self.is_lost(before.id)) {
                tracing::debug!(
                    id = chosen.id,
                    "another signalling connection is used, what was said lately may be lost"
                );
                self.tell(Event::Up { session: chosen.session });
            }
            self.last_unreachable = None;
        } else {
            self.succession.ended();
        }
        self.connected.send_if_modified(|connected| {
            let changed = *connected != chosen.is_some();
            *connected = chosen.is_some();
            changed
        });
        self.lines.retain_mut(|line| {
            if Some(line.candidate) == chosen || line.retired {
                return true;
            }
            line.retired = true;
            // What an earlier run of the far end left behind has nothing more to say, and is not to be used again.
            let remains = chosen.is_some_and(|chosen| chosen.session != line.candidate.session);
            let _ = line.orders.try_send(if remains { Order::Close } else { Order::Retire });
            !remains
        });
    }

    /// Whether what was said through a connection lately may be lost.
    fn is_lost(&self, id: ConnectionId) -> bool {
        self.lines.iter().find(|line| line.candidate.id == id).is_none_or(|line| line.doubted)
    }

    fn unreachable(&mut self, reason: String) {
        if self.used.is_some() {
            return;
        }
        tracing::debug!(reason, "dialling failed");
        if self.last_unreachable.as_ref() != Some(&reason) {
            tracing::warn!("the far end cannot be reached at {reason}; trying again and again");
            self.tell(Event::Unreachable { reason: reason.clone() });
            self.last_unreachable = Some(reason);
        }
    }

    fn send(&mut self, message: &Message) {
        let line = self.used.and_then(|used| self.lines.iter().find(|line| line.candidate == used));
        let Some(line) = line else {
            tracing::debug!("a message was dropped: nobody is connected");
            return;
        };
        if line.orders.try_send(Order::Send(Arc::from(message.to_json()))).is_err() {
            // The connection finds out by itself that the far end does not read, and ends.
            tracing::debug!("a message was dropped: the far end does not read");
        }
    }

    fn tell(&mut self, event: Event) {
        if matches!(event, Event::Message(_)) && self.waiting.len() >= WAITING {
            tracing::debug!("a message was dropped: the link is behind");
            return;
        }
        if self.waiting.len() >= WAITING {
            // A turn makes obsolete what came before it: every `Up` of another run follows a `Down` of its own.
            self.waiting.clear();
        }
        self.waiting.push_back(event);
    }
}
