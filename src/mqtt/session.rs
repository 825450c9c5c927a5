//! One connection with a broker: MQTT 3.1.1 and 5 as one. rumqttc has them as two families of the same names.

use super::options::Address;
use super::{LONGEST_MESSAGE, Message, Options, Presence, Version};
use rumqttc::{QoS, v5};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The broker takes us for gone when it has heard nothing for one and a half times as long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Requests that wait for the network. One more is dropped: who publishes so much faster than the network carries is not heard anyway.
const REQUESTS: usize = 64;
/// Events that wait for us; with more, the network waits.
const EVENTS: usize = 16;
/// What a broker retains of us is forgotten after so long, if the broker itself has lost our last will. With version 5 only.
const PRESENCE_EXPIRES: Duration = Duration::from_secs(7 * 86_400);

/// What comes.
pub(super) enum Received {
    Connected,
    Message(Message),
    /// The last.
    Lost(String),
}

enum Requests {
    Three(rumqttc::AsyncClient),
    Five(v5::AsyncClient),
}

/// A connection, or the attempt at one.
pub(super) struct Session {
    requests: Requests,
    received: mpsc::Receiver<Received>,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    pub fn start(options: &Options, address: &Address, presence: Option<&Presence>) -> Self {
        // Nobody else's, so that no other client is thrown out, nor we.
        let id = format!("screen-portal-{:016x}", rand::random::<u64>());
        let (received_in, received) = mpsc::channel(EVENTS);
        let (requests, task) = match options.version {
            Version::Three => {
                let mut settings = rumqttc::MqttOptions::new(id, &address.host, address.port);
                settings.set_keep_alive(KEEP_ALIVE).set_transport(address.transport.clone());
                settings.set_max_packet_size(LONGEST_MESSAGE, LONGEST_MESSAGE);
                if !options.username.is_empty() {
                    settings.set_credentials(&options.username, &options.password);
                }
                if let Some(Presence { topic, gone, .. }) = presence {
                    settings.set_last_will(rumqttc::LastWill::new(topic, gone.clone(), QoS::AtLeastOnce, true));
                }
                let (client, mut events) = rumqttc::AsyncClient::new(settings, REQUESTS);
                let task = tokio::spawn(async move {
                    loop {
                        let told = match events.poll().await {
                            Ok(rumqttc::Event::Incoming(rumqttc::Packet::ConnAck(_))) => Received::Connected,
                            Ok(rumqttc::Event::Incoming(rumqttc::Packet::Publish(it))) => Received::Message(Message {
                                topic: it.topic,
                                payload: it.payload.to_vec(),
                                retained: it.retain,
                            }),
                            Ok(_) => continue,
                            Err(error) => Received::Lost(error.to_string()),
                        };
                        if !tell(told, &received_in).await {
                            return;
                        }
                    }
                });
                (Requests::Three(client), task)
            }
            Version::Five => {
                let mut settings = v5::MqttOptions::new(id, &address.host, address.port);
                settings.set_keep_alive(KEEP_ALIVE).set_transport(address.transport.clone());
                settings.set_max_packet_size(Some(LONGEST_MESSAGE as u32));
                if !options.username.is_empty() {
                    settings.set_credentials(&options.username, &options.password);
                }
                if let Some(Presence { topic, gone, .. }) = presence {
                    let will = v5::mqttbytes::v5::LastWill::new(
                        topic,
                        gone.clone(),
                        v5::mqttbytes::QoS::AtLeastOnce,
                        true,
                        None,
                    );
                    settings.set_last_will(will);
                }
                let (client, mut events) = v5::AsyncClient::new(settings, REQUESTS);
                let task = tokio::spawn(async move {
                    loop {
                        let told = match events.poll().await {
                            Ok(v5::Event::Incoming(v5::Incoming::ConnAck(_))) => Received::Connected,
                            Ok(v5::Event::Incoming(v5::Incoming::Publish(it))) => Received::Message(Message {
                                topic: String::from_utf8_lossy(&it.topic).into_owned(),
                                payload: it.payload.to_vec(),
                                retained: it.retain,
                            }),
                            Ok(_) => continue,
                            Err(error) => Received::Lost(error.to_string()),
                        };
                        if !tell(told, &received_in).await {
                            return;
                        }
                    }
                });
                (Requests::Five(client), task)
            }
        };
        Self { requests, received, task }
    }

    /// What comes next. Whoever asks again after the last gets it again.
    pub async fn next(&mut self) -> Received {
        self.received.recv().await.unwrap_or_else(|| Received::Lost("the connection has ended".into()))
    }

    pub fn subscribe(&self, topic: String, quality: QoS) {
        let done = match &self.requests {
            Requests::Three(client) => client.try_subscribe(topic, quality).is_ok(),
            Requests::Five(client) => client.try_subscribe(topic, v5_quality(quality)).is_ok(),
        };
        log_full(done);
    }

    /// At least once.
    pub fn publish(&self, topic: String, payload: Vec<u8>, retain: bool) {
        let done = match &self.requests {
            Requests::Three(client) => client.try_publish(topic, QoS::AtLeastOnce, retain, payload).is_ok(),
            Requests::Five(client) => {
                let expires = (retain && !payload.is_empty()).then_some(PRESENCE_EXPIRES.as_secs() as u32);
                let properties =
                    v5::mqttbytes::v5::PublishProperties { message_expiry_interval: expires, ..Default::default() };
                let quality = v5_quality(QoS::AtLeastOnce);
                client.try_publish_with_properties(topic, quality, retain, payload, properties).is_ok()
            }
        };
        log_full(done);
    }

    /// Sends what waits and says goodbye. The caller limits the time.
    pub async fn end(mut self) {
        let _ = match &self.requests {
            Requests::Three(client) => client.try_disconnect().is_ok(),
            Requests::Five(client) => client.try_disconnect().is_ok(),
        };
        // The broker hangs up when it has heard it.
        let over = async { while !matches!(self.next().await, Received::Lost(_)) {} };
        let _ = timeout(Duration::from_secs(1), over).await;
    }
}

/// Passes it on; whether more is wanted.
async fn tell(told: Received, to: &mpsc::Sender<Received>) -> bool {
    let is_last = matches!(told, Received::Lost(_));
    to.send(told).await.is_ok() && !is_last
}

fn v5_quality(quality: QoS) -> v5::mqttbytes::QoS {
    match quality {
        QoS::AtMostOnce => v5::mqttbytes::QoS::AtMostOnce,
        QoS::AtLeastOnce => v5::mqttbytes::QoS::AtLeastOnce,
        QoS::ExactlyOnce => v5::mqttbytes::QoS::ExactlyOnce,
    }
}

fn log_full(done: bool) {
    if !done {
        tracing::debug!("a message to the broker was dropped: the network is slower than we are");
    }
}
