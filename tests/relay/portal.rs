//! A portal's signalling, without the rest of it.

use screen_portal::hub::client::{self, Client, Options};
use screen_portal::hub::message::{ClientId, Content, FromHub, Join, ToHub};
use screen_portal::hub::{self, Hub};
use screen_portal::ops::{Figures, LinkValues};
use screen_portal::pairing::{Fingerprint, Identity};
use screen_portal::signaling::{self, Config, Event, Message, SessionId, Signaling};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

pub struct Portal {
    pub signaling: Signaling,
    figures: Arc<Figures>,
}

/// A hub of the tests' own, as long as both live.
pub struct Place {
    pub hub: Hub,
    _folder: tempfile::TempDir,
}

impl Place {
    pub fn with(listen: SocketAddr, change: impl FnOnce(&mut hub::Config)) -> Self {
        let mut config = hub::Config { listen, ..hub::Config::default() };
        change(&mut config);
        config.check().unwrap();
        let folder = tempfile::tempdir().unwrap();
        Self { hub: hub::start(&config, folder.path()).unwrap(), _folder: folder }
    }

    pub fn new() -> Self {
        Self::with(([127, 0, 0, 1], 0).into(), |_| ())
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.hub.address())
    }
}

pub fn at_hub(url: &str) -> Config {
    Config { listen: String::new(), hub: url.into(), ..Config::default() }
}

impl Portal {
    pub fn start(config: &Config, identity: &Identity, far_end: Fingerprint) -> Self {
        config.check().unwrap();
        let figures = Arc::new(Figures::default());
        Self { signaling: signaling::start(config, identity, far_end, figures.clone()).unwrap(), figures }
    }

    pub async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(20), self.signaling.events.recv()).await.expect("an event within 20 s").unwrap()
    }

    pub async fn up(&mut self) -> SessionId {
        loop {
            match self.event().await {
                Event::Up { session } => return session,
                Event::Unreachable { .. } | Event::Down { .. } => {}
                Event::Message(other) => panic!("{other:?} instead of Up"),
            }
        }
    }

    pub async fn down(&mut self) -> String {
        loop {
            match self.event().await {
                Event::Down { reason } => return reason,
                Event::Up { .. } => {}
                other => panic!("{other:?} instead of Down"),
            }
        }
    }

    pub async fn message(&mut self) -> Message {
        loop {
            match self.event().await {
                Event::Message(message) => return message,
                Event::Up { .. } => {}
                other => panic!("{other:?} instead of a message"),
            }
        }
    }

    pub async fn say(&self, attempt: u64) {
        self.signaling.outgoing.send(offer(attempt)).await.unwrap();
    }

    /// Nothing but failures to reach the far end.
    pub async fn never_up_for(&mut self, time: Duration) {
        let _ = timeout(time, async {
            loop {
                match self.signaling.events.recv().await {
                    Some(Event::Unreachable { .. }) => {}
                    other => panic!("{other:?} where nobody should be let in"),
                }
            }
        })
        .await;
    }

    pub fn figures(&self) -> LinkValues {
        self.figures.snapshot(Instant::now()).link
    }
}

/// A client of the hub that plays a portal.
pub struct Stranger {
    client: Client,
    others: Vec<ClientId>,
}

impl Stranger {
    pub async fn join(url: &str, room: &str) -> Self {
        let join = Join { room: room.into(), device_type: Some("portal".into()), ..Join::default() };
        let mut client = Client::start(Options { url: url.into(), join: Some(join), ..Options::default() }).unwrap();
        loop {
            if let client::Event::Message(FromHub::Joined { clients, .. }) = client.next().await {
                let others = clients.iter().map(|member| member.client_id).collect();
                return Self { client, others };
            }
        }
    }

    /// Begins a handshake with each other member, with this certificate.
    pub async fn dial_without_waiting(&mut self, certificate: &[u8]) {
        let of = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for target in self.others.clone() {
            let hello = json!({ "type": "hello", "version": 1, "session": of(&rand::random::<[u8; 16]>()),
                "nonce": of(&rand::random::<[u8; 32]>()), "certificate": of(certificate),
                "key": "0900000000000000000000000000000000000000000000000000000000000000" });
            let line = json!({ "line": of(&rand::random::<[u8; 8]>()), "by": "dialler", "type": "text",
                "text": hello.to_string() });
            self.client.say(ToHub::Relay { target, content: Content::Sealed { data: line.to_string() } }).await;
        }
    }

    /// The same; gives all that is said to it within a second, to which it answers with a proof of its own invention.
    pub async fn dial_everybody(&mut self, certificate: &[u8]) -> Vec<Value> {
        self.dial_without_waiting(certificate).await;
        let mut heard = Vec::new();
        let until = tokio::time::Instant::now() + Duration::from_secs(1);
        while let Ok(event) = tokio::time::timeout_at(until, self.client.next()).await {
            let client::Event::Message(FromHub::Relayed { sender, content: Content::Sealed { data } }) = event else {
                continue;
            };
            let words: Value = serde_json::from_str(&data).unwrap();
            if words["text"].as_str().is_some_and(|text| text.contains("hello")) {
                let proof = json!({ "type": "proof", "signature": "00".repeat(70) }).to_string();
                let line = json!({ "line": words["line"], "by": "dialler", "type": "text", "text": proof });
                let content = Content::Sealed { data: line.to_string() };
                self.client.say(ToHub::Relay { target: sender, content }).await;
            }
            heard.push(words);
        }
        heard
    }
}

/// Two identities, the smaller fingerprint first.
pub fn identities() -> (Identity, Identity) {
    let (a, b) = (Identity::make().unwrap(), Identity::make().unwrap());
    if a.fingerprint() < b.fingerprint() { (a, b) } else { (b, a) }
}

pub fn offer(attempt: u64) -> Message {
    Message::Offer { attempt, sdp: "v=0\r\n".repeat(600) }
}

/// Two portals that meet there, and say something to each other.
pub async fn two_at(url: &str, (a, b): &(Identity, Identity)) -> [Portal; 2] {
    let config = at_hub(url);
    let mut portals = [Portal::start(&config, a, b.fingerprint()), Portal::start(&config, b, a.fingerprint())];
    for portal in &mut portals {
        portal.up().await;
    }
    talk(&mut portals, 1).await;
    portals
}

/// Each says something, and the other hears it.
pub async fn talk(portals: &mut [Portal; 2], attempt: u64) {
    for (from, to) in [(0, 1), (1, 0)] {
        portals[from].say(attempt).await;
        assert_eq!(portals[to].message().await, offer(attempt));
    }
}
