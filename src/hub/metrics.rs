//! What the hub counts, for Prometheus.

use super::message::Code;
use super::shared::Full;
use crate::ops::process_usage;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;

/// Since the start. Each limit that was met is one of these.
#[derive(Debug, Default)]
pub struct Counters {
    /// Clients that came.
    pub connected: Counter,
    /// Messages that clients sent.
    pub messages_in: Counter,
    /// Messages that clients were sent.
    pub messages_out: Counter,
    /// Clients that were cut off because their queue was full, or everybody's and theirs was one of the longest.
    pub too_slow: Counter,
    /// How often everybody's queues together were full.
    pub queues_full: Counter,
    /// Clients that were cut off because nothing was heard of them.
    pub silent: Counter,
    /// Clients that were cut off because they never said anything.
    pub idle: Counter,
    /// Clients that were cut off for a message that was too long or no WebSocket frame.
    pub broken: Counter,
    /// TLS or HTTP that did not come to anything.
    pub failed: Counter,
    refused: Family<Reason, Counter>,
    turned_away: Family<Reason, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Counters {
    /// A message was not carried out.
    pub fn refused(&self, code: Code) {
        self.refused.get_or_create(&Reason { reason: code.word() }).inc();
    }

    /// Somebody found no place.
    pub fn turned_away(&self, full: Full) {
        self.turn_away(match full {
            Full::Hub => "clients",
            Full::Address => "address",
        });
    }

    /// A web page of somebody else's wanted to connect.
    pub fn foreign_origin(&self) {
        self.turn_away("origin");
    }

    fn turn_away(&self, reason: &'static str) {
        self.turned_away.get_or_create(&Reason { reason }).inc();
    }

    /// The text that Prometheus reads, with how many clients and rooms there are now, and how many bytes wait for clients.
    pub fn text(&self, (clients, rooms): (usize, usize), queued: usize) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("screen_portal_hub");
        let now = |count: usize| {
            let gauge = Gauge::<i64>::default();
            gauge.set(count as i64);
            gauge
        };
        registry.register("clients", "Clients that are connected", now(clients));
        registry.register("rooms", "Rooms that somebody is in", now(rooms));
        for (name, help, counter) in [
            ("connections", "Clients that came", &self.connected),
            ("messages_received", "Messages that clients sent", &self.messages_in),
            ("messages_sent", "Messages that clients were sent", &self.messages_out),
            ("too_slow", "Clients that were cut off because they read too slowly", &self.too_slow),
            ("queues_full", "How often what waits for all clients together was too much", &self.queues_full),
            ("silent", "Clients that were cut off because nothing was heard of them", &self.silent),
            ("idle", "Clients that were cut off because they never said anything", &self.idle),
            ("broken", "Clients that were cut off for a frame that was too long or none at all", &self.broken),
            ("failed", "Connections that did not get as far as a request", &self.failed),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("refused", "Messages that were not carried out", self.refused.clone());
        registry.register("turned_away", "Clients that found no place", self.turned_away.clone());
        registry.register_with_unit("queued", "What waits for clients", Unit::Bytes, now(queued));
        let resident = process_usage().resident_bytes as usize;
        registry.register_with_unit("resident_memory", "Memory of the process", Unit::Bytes, now(resident));
        let mut text = String::with_capacity(4096);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}
