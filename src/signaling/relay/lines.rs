//! Many lines through one carrier: tells apart what comes, knows who is there.

use super::carrier::{Carrier, Heard, Peer, QUEUE};
use super::envelope::{Content, Envelope, LineId};
use super::line::Line;
use crate::ops::Figures;
use crate::signaling::hello::Role;
use crate::signaling::limits::Allowance;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// Other members that are remembered; those that came last. In a room of two portals there are more only by remains, or by strangers.
const PEERS: usize = 8;
/// Lines at once; the ends that read them limit handshakes besides.
pub(super) const LINES: usize = 24;
/// Messages that wait for whoever reads a line; with one more the line is given up.
const LINE_QUEUE: usize = 32;

/// Dials through a carrier; cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    name: Arc<str>,
    dials: mpsc::Sender<oneshot::Sender<Vec<Line>>>,
    trouble: watch::Receiver<Option<String>>,
}

impl Relay {
    /// What it is and where, for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Why we are not in the room, for people; `None`: we are.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.borrow().clone()
    }

    /// A fresh line to each portal that is in the room.
    pub async fn dial(&self) -> Vec<Line> {
        let (lines_in, lines) = oneshot::channel();
        if self.dials.send(lines_in).await.is_err() {
            return Vec::new();
        }
        lines.await.unwrap_or_default()
    }
}

/// What [`relay`] makes of a carrier.
pub struct Lines {
    /// To dial.
    pub relay: Relay,
    /// Lines that others have dialled.
    pub accepted: mpsc::Receiver<Line>,
    /// Told whenever somebody arrives.
    pub arrivals: Arc<Notify>,
}

/// What has to be done for [`Lines`].
pub struct Work {
    carrier: Carrier,
    dials: mpsc::Receiver<oneshot::Sender<Vec<Line>>>,
    accepted: mpsc::Sender<Line>,
    arrivals: Arc<Notify>,
    figures: Arc<Figures>,
    peers: Vec<Peer>,
    lines: HashMap<(Peer, LineId, Role), mpsc::Sender<Content>>,
    allowance: Allowance,
    /// Why we are not in the room.
    trouble: watch::Sender<Option<String>>,
}

/// Lines through this carrier; they live as long as the work runs.
pub fn relay(carrier: Carrier, figures: Arc<Figures>) -> (Lines, Work) {
    let (dials_in, dials) = mpsc::channel(QUEUE);
    let (accepted_in, accepted) = mpsc::channel(LINES);
    let arrivals = Arc::new(Notify::new());
    let (trouble_in, trouble) = watch::channel(Some("it has not answered yet".to_owned()));
    let relay = Relay { name: carrier.name.as_str().into(), dials: dials_in, trouble };
    let work = Work {
        carrier,
        dials,
        accepted: accepted_in,
        arrivals: Arc::clone(&arrivals),
        figures,
        peers: Vec::with_capacity(PEERS),
        lines: HashMap::new(),
        allowance: Allowance::new(Instant::now()),
        trouble: trouble_in,
    };
    (Lines { relay, accepted, arrivals }, work)
}

impl Work {
    /// Runs until nobody dials or accepts any more. Lines that are open then can still be written to, for a goodbye.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                heard = self.carrier.heard.recv() => match heard {
                    Some(heard) => self.take(heard),
                    None => return,
                },
                dial = self.dials.recv() => match dial {
                    Some(answer) => {
                        let lines = self.peers.clone().into_iter().filter_map(|peer| self.dial(peer)).collect();
                        // Whoever asked may have changed his mind.
                        let _ = answer.send(lines);
                    }
                    None => return,
                },
                () = self.accepted.closed() => return,
            }
        }
    }

    fn take(&mut self, heard: Heard) {
        match heard {
            Heard::Entered => {
                tracing::info!("at {}", self.carrier.name);
                self.trouble.send_replace(None);
                self.forget_all();
            }
            Heard::Lost { reason } => {
                // Each trouble is told once.
                if self.trouble.borrow().as_ref() != Some(&reason) {
                    tracing::warn!("not at {}: {reason}; it is tried again", self.carrier.name);
                    self.trouble.send_replace(Some(reason));
                }
                self.forget_all();
            }
            Heard::Arrived(peer) => {
                self.peers.retain(|known| *known != peer);
                if self.peers.len() >= PEERS {
                    self.peers.remove(0);
                }
                self.peers.push(peer);
                self.arrivals.notify_one();
            }
            Heard::Left(peer) => {
                self.peers.retain(|known| *known != peer);
                self.lines.retain(|(of, _, _), _| *of != peer);
            }
            Heard::Said { from, text } => self.said(from, &text),
            Heard::Nonsense => self.figures.link.rejected_messages.one(),
        }
    }

    /// Whoever reads a line hears of its end.
    fn forget_all(&mut self) {
        self.peers.clear();
        self.lines.clear();
    }

    fn said(&mut self, from: Peer, text: &str) {
        let envelope = match Envelope::parse(text) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.figures.link.rejected_messages.one();
                tracing::debug!(%from, %error, "a message through the relay was refused");
                return;
            }
        };
        let key = (from, envelope.line, envelope.by.other());
        if let Some(line) = self.lines.get(&key) {
            // One that is full is not read: it is given up. One that is closed was not taken off yet.
            if line.try_send(envelope.content).is_err() {
                self.lines.remove(&key);
            }
            return;
        }
        if envelope.by != Role::Dialler || !matches!(envelope.content, Content::Text { .. }) {
            tracing::trace!("something is said on a line that has ended, or never was");
        } else if !self.allowance.take(Instant::now()) {
            self.figures.link.rejected_messages.one();
        } else if let Some((line, words)) = self.open(key) {
            // The line's queue is empty. Where too many wait to be accepted, this one is dropped, and its handshake fails.
            let _ = words.try_send(envelope.content);
            let _ = self.accepted.try_send(line);
        }
    }

    fn dial(&mut self, peer: Peer) -> Option<Line> {
        self.open((peer, LineId::random(), Role::Dialler)).map(|(line, _)| line)
    }

    fn open(&mut self, key: (Peer, LineId, Role)) -> Option<(Line, mpsc::Sender<Content>)> {
        self.lines.retain(|_, line| !line.is_closed());
        if self.lines.len() >= LINES {
            self.figures.link.rejected_messages.one();
            return None;
        }
        let (words_in, words) = mpsc::channel(LINE_QUEUE);
        let line = Line::new(key.clone(), self.carrier.say.clone(), words, Arc::clone(&self.figures));
        self.lines.insert(key, words_in.clone());
        Some((line, words_in))
    }
}

#[cfg(test)]
mod tests {
    use super::super::carrier::Say;
    use super::*;
    use std::time::Duration;
    use tokio_tungstenite::tungstenite::Message as Frame;

    /// A carrier that the test plays.
    struct Played {
        lines: Lines,
        heard: mpsc::Sender<Heard>,
        said: mpsc::Receiver<Say>,
        figures: Arc<Figures>,
    }

    fn played() -> (Played, Work) {
        let (heard_in, heard) = mpsc::channel(QUEUE);
        let (say, said) = mpsc::channel(QUEUE);
        let figures = Arc::new(Figures::default());
        let (lines, work) = relay(Carrier { name: "the test".into(), heard, say }, Arc::clone(&figures));
        (Played { lines, heard: heard_in, said, figures }, work)
    }

    fn words(line: LineId, by: Role, text: &str) -> String {
        Envelope { line, by, content: Content::Text { text: text.into() } }.to_json()
    }

    impl Played {
        async fn hears(&self, heard: Heard) {
            self.heard.send(heard).await.unwrap();
        }

        async fn hears_of(&self, peer: &Peer, line: LineId, by: Role, text: &str) {
            self.hears(Heard::Said { from: peer.clone(), text: words(line, by, text) }).await;
        }

        fn rejected(&self) -> u64 {
            self.figures.snapshot(Instant::now()).link.rejected_messages
        }
    }

    #[tokio::test]
    async fn lines_end_with_their_peer_and_with_the_carrier() {
        let (mut it, work) = played();
        tokio::spawn(work.run());
        let (one, other) = (Peer::new("one"), Peer::new("other"));
        it.hears(Heard::Entered).await;
        assert!(it.lines.relay.dial().await.is_empty(), "nobody is there");
        for peer in [&one, &other] {
            it.hears(Heard::Arrived(peer.clone())).await;
        }
        let mut lines = Vec::new();
        while lines.len() < 2 {
            // What has come and what is asked for are taken in any order.
            lines = it.lines.relay.dial().await;
        }
        lines[0].send(Frame::text("hello")).await.unwrap();
        let said = it.said.recv().await.unwrap();
        assert_eq!(said.to, one);
        let line = Envelope::parse(&said.text).unwrap().line;
        it.hears_of(&other, line, Role::Listener, "not of this line").await;
        it.hears_of(&one, line, Role::Listener, "hello to you").await;
        assert_eq!(lines[0].next().await, Some(Frame::text("hello to you")));
        it.hears(Heard::Nonsense).await;
        it.hears(Heard::Left(one)).await;
        assert_eq!(lines[0].next().await, None);
        it.hears(Heard::Lost { reason: "cut".into() }).await;
        assert_eq!(lines[1].next().await, None);
        assert!(it.lines.relay.dial().await.is_empty());
        assert_eq!(it.rejected(), 1);
    }

    #[tokio::test]
    async fn who_dials_too_much_gets_no_more_lines() {
        let (mut it, work) = played();
        tokio::spawn(work.run());
        let stranger = Peer::new("stranger");
        for _ in 0..1000 {
            it.hears_of(&stranger, LineId::random(), Role::Dialler, "hello").await;
        }
        // Lies of a listener open nothing.
        it.hears_of(&stranger, LineId::random(), Role::Listener, "hello").await;
        it.hears(Heard::Arrived(Peer::new("far end"))).await;
        let mut accepted = Vec::new();
        while let Ok(Some(line)) = tokio::time::timeout(Duration::from_millis(100), it.lines.accepted.recv()).await {
            accepted.push(line);
        }
        assert_eq!(accepted.len(), LINES);
        assert!(it.rejected() > 900);
        assert!(it.lines.relay.dial().await.is_empty(), "as long as those are held");
        drop(accepted);
        assert_eq!(it.lines.relay.dial().await.len(), 1);
    }

    #[tokio::test]
    async fn a_line_that_nobody_reads_is_given_up_and_the_others_go_on() {
        let (mut it, work) = played();
        tokio::spawn(work.run());
        let (peer, unread, read) = (Peer::new("peer"), LineId::random(), LineId::random());
        it.hears_of(&peer, unread, Role::Dialler, "0").await;
        it.hears_of(&peer, read, Role::Dialler, "0").await;
        let (mut first, mut second) =
            (it.lines.accepted.recv().await.unwrap(), it.lines.accepted.recv().await.unwrap());
        for n in 1..200 {
            it.hears_of(&peer, unread, Role::Dialler, &n.to_string()).await;
            it.hears_of(&peer, read, Role::Dialler, &n.to_string()).await;
            assert!(second.next().await.is_some());
        }
        let mut left = 0;
        while first.next().await.is_some() {
            left += 1;
        }
        assert_eq!(left, LINE_QUEUE);
    }
}
