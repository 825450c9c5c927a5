//! A telephone with the oCamera app, as far as the dialect goes: it asks who is there, and watches by an offer of its own. JSON is written by hand
//! here, so that a mistake in this program's types is not made twice.

use crate::viewer::{Candidates, Shown, connect, receive_only};
use screen_portal::mqtt::{Client, Event, Options, Publication, Standing};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use webrtc::peer_connection::{PeerConnection, RTCIceCandidateInit, RTCSessionDescription};

/// A telephone at a broker.
pub struct Phone {
    name: &'static str,
    client: Client,
    pub shown: Arc<Shown>,
    connection: Option<(Arc<dyn PeerConnection>, Candidates)>,
    /// Heard while something else was waited for.
    kept: VecDeque<(Value, bool)>,
}

impl Phone {
    pub async fn start(broker: &str, name: &'static str) -> Self {
        let options = Options { url: broker.into(), ..Options::default() };
        let standing = Standing { subscriptions: vec!["/devices".into(), format!("/{name}")], presence: None };
        let mut client = Client::start(&options, standing).unwrap();
        assert_eq!(client.next().await, Some(Event::Connected));
        Self { name, client, shown: Arc::default(), connection: None, kept: VecDeque::new() }
    }

    pub async fn say(&self, topic: &str, kind: &str, data: Value) {
        let message = json!({ "source": self.name, "type": kind, "data": data });
        let publication = Publication { topic: topic.into(), payload: message.to_string().into_bytes(), retain: false };
        self.client.publish(publication).await;
    }

    /// The next message of this type that is not its own, and whether it was retained.
    pub async fn next(&mut self, kind: &str) -> (Value, bool) {
        let heard = timeout(Duration::from_secs(20), async {
            loop {
                let (value, retained) = match self.kept.pop_front() {
                    Some(kept) => kept,
                    None => {
                        let Some(Event::Message(message)) = self.client.next().await else { continue };
                        (serde_json::from_slice(&message.payload).unwrap(), message.retained)
                    }
                };
                if value["source"] != self.name && value["type"] == kind {
                    return (value, retained);
                }
            }
        });
        heard.await.unwrap_or_else(|_| panic!("no {kind} came"))
    }

    /// Nothing of this type comes for a while.
    pub async fn hears_no(&mut self, kind: &str) {
        let heard = timeout(Duration::from_secs(1), self.next(kind)).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Makes an offer to this device.
    pub async fn watch(&mut self, device: &str) {
        let (connection, candidates) = connect(&self.shown, true).await;
        receive_only(&*connection).await;
        let offer = connection.create_offer(None).await.unwrap();
        connection.set_local_description(offer.clone()).await.unwrap();
        self.connection = Some((connection, candidates));
        self.say(&format!("/{device}"), "sdp", json!({ "type": "offer", "sdp": offer.sdp })).await;
    }

    /// Passes on what is said until the connection is made.
    pub async fn negotiate(&mut self, device: &str) {
        let topic = format!("/{device}");
        let mut answered = false;
        while self.shown.whole.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            let (connection, candidates) = self.connection.as_mut().unwrap();
            let connection = Arc::clone(connection);
            tokio::select! {
                event = self.client.next() => {
                    let Some(Event::Message(message)) = event else { continue };
                    let value: Value = serde_json::from_slice(&message.payload).unwrap();
                    let data = &value["data"];
                    match value["type"].as_str().unwrap() {
                        "sdp" if value["source"] == device => {
                            assert_eq!((&data["type"], answered), (&"answer".into(), false));
                            let sdp = RTCSessionDescription::answer(data["sdp"].as_str().unwrap().into()).unwrap();
                            connection.set_remote_description(sdp).await.unwrap();
                            answered = true;
                        }
                        "ice" if value["source"] == device => {
                            let init = RTCIceCandidateInit {
                                candidate: data["candidate"].as_str().unwrap().into(),
                                sdp_mid: data["sdpMid"].as_str().map(Into::into),
                                sdp_mline_index: data["sdpMLineIndex"].as_u64().map(|line| line as u16),
                                ..RTCIceCandidateInit::default()
                            };
                            connection.add_ice_candidate(init).await.unwrap();
                        }
                        _ => self.kept.push_back((value, message.retained)),
                    }
                }
                Some(it) = candidates.recv() => {
                    let data = json!({ "candidate": it.candidate, "sdpMid": it.sdp_mid, "sdpMLineIndex": it.sdp_m_line_index });
                    self.say(&topic, "ice", data).await;
                }
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    }
}
