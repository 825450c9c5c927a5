//! A client of an MQTT broker, versions 3.1.1 and 5, over TCP or TLS. It stays connected for as long as it lives; what is subscribed and what is said
//! of its presence is said again after each connection.
//!
//! | | |
//! |---|---|
//! | [`Options`] | which broker, as whom |
//! | [`Client`], [`Event`] | what is published, what happens |
//! | `session` | the two versions of the protocol, as one |

mod options;
mod session;

pub use options::{Options, Version};

use options::Address;
use rumqttc::QoS;
use session::{Received, Session};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// The longest message that is read or sent, in bytes, topic included.
pub const LONGEST_MESSAGE: usize = 128 * 1024;
/// Events that wait for whoever owns the client: with more, the client waits, and the broker with it.
const QUEUE: usize = 64;
/// The first call after a loss comes within this; each one that fails doubles it up to the second, as at a hub ([`crate::hub::client`]).
const FIRST_WITHIN: Duration = Duration::from_secs(2);
const LONGEST_WITHIN: Duration = Duration::from_secs(6);
/// Never sooner.
const SOONEST: Duration = Duration::from_millis(100);
/// How long an orderly end may take.
const CLOSING: Duration = Duration::from_millis(300);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address of a broker.
    #[error("`{url}` is no address of a broker: {problem}; write mqtt://HOST:PORT or mqtts://HOST:PORT")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No certificates to trust.
    #[error(transparent)]
    Trust(#[from] crate::hub::client::Error),
}

/// A message of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What: anything, from anybody.
    pub payload: Vec<u8>,
    /// Whether it was there before we were.
    pub retained: bool,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The broker has let us in. What it retains for our topics follows.
    Connected,
    /// Somebody has published something.
    Message(Message),
    /// The broker is gone, or not there. It is called again by itself.
    Lost {
        /// Why, for people.
        reason: String,
    },
}

/// What is always so while the client is connected.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Topics to hear of, with MQTT's wildcards.
    pub subscriptions: Vec<String>,
    /// Retained while we are there, replaced when we are not.
    pub presence: Option<Presence>,
}

/// What the broker is to say of us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Where.
    pub topic: String,
    /// While we are there. `None`: nothing is said by itself.
    pub here: Option<Vec<u8>>,
    /// When we are gone, in whatever way: empty, nothing is retained any more.
    pub gone: Vec<u8>,
}

/// To be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// Whether the broker is to keep it for those who come later: of presence only.
    pub retain: bool,
}

/// A running client. Dropping it ends the connection, and the broker says what is to be said then.
#[derive(Debug)]
pub struct Client {
    publications: mpsc::Sender<Publication>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Starts to call the broker. To be called inside a tokio runtime; returns at once.
    ///
    /// # Errors
    /// Options that can never work.
    pub fn start(options: &Options, standing: Standing) -> Result<Self, Error> {
        let address = Address::of(options)?;
        let (publications, to_publish) = mpsc::channel(QUEUE);
        let (events_in, events) = mpsc::channel(QUEUE);
        let task = tokio::spawn(stay(options.clone(), address, standing, to_publish, events_in));
        Ok(Self { publications, events, task })
    }

    /// What happens next; `None` when the client has ended, which it does by itself only through a bug.
    pub async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Publishes, at least once. While the broker is not there, nothing is kept.
    pub async fn publish(&self, publication: Publication) {
        // The task lives as long as we do.
        let _ = self.publications.send(publication).await;
    }

    /// Says what was still to be said, and that we are gone; takes 300 ms at most.
    pub async fn close(mut self) {
        // Without anybody who could say more, the task ends when it has said all.
        self.publications = mpsc::channel(1).0;
        self.events.close();
        if timeout(CLOSING, &mut self.task).await.is_err() {
            tracing::debug!("the client of the broker did not end in order in time");
        }
    }
}

async fn stay(
    options: Options,
    address: Address,
    standing: Standing,
    mut to_publish: mpsc::Receiver<Publication>,
    events: mpsc::Sender<Event>,
) {
    let mut within = FIRST_WITHIN;
    loop {
        let session = Session::start(&options, &address, standing.presence.as_ref());
        let (reason, was_inside) = match converse(session, &standing, &mut to_publish, &events).await {
            End::Asked => return,
            End::Lost { reason, was_inside } => (reason, was_inside),
        };
        if was_inside {
            within = FIRST_WITHIN;
        }
        if events.send(Event::Lost { reason }).await.is_err() {
            return;
        }
        let pause = sleep(within.mul_f64(rand::random()).max(SOONEST));
        within = (within * 2).min(LONGEST_WITHIN);
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                // Dropped: it is for people who are not there any more.
                publication = to_publish.recv() => if publication.is_none() { return },
            }
        }
    }
}

enum End {
    /// By whoever owns the client.
    Asked,
    Lost {
        reason: String,
        was_inside: bool,
    },
}

async fn converse(
    mut session: Session,
    standing: &Standing,
    to_publish: &mut mpsc::Receiver<Publication>,
    events: &mpsc::Sender<Event>,
) -> End {
    let mut was_inside = false;
    loop {
        let received = tokio::select! {
            received = session.next() => received,
            publication = to_publish.recv() => {
                match publication {
                    Some(Publication { topic, payload, retain }) if was_inside => session.publish(topic, payload, retain),
                    Some(_) => {}
                    None => {
                        if let Some(presence) = standing.presence.as_ref().filter(|_| was_inside) {
                            session.publish(presence.topic.clone(), presence.gone.clone(), true);
                        }
                        session.end().await;
                        return End::Asked;
                    }
                }
                continue;
            }
        };
        let event = match received {
            Received::Connected => {
                was_inside = true;
                for topic in &standing.subscriptions {
                    session.subscribe(topic.clone(), QoS::AtLeastOnce);
                }
                if let Some(Presence { topic, here: Some(here), .. }) = &standing.presence {
                    session.publish(topic.clone(), here.clone(), true);
                }
                Event::Connected
            }
            Received::Message(message) => Event::Message(message),
            Received::Lost(reason) => return End::Lost { reason, was_inside },
        };
        if events.send(event).await.is_err() && !was_inside {
            return End::Asked;
        }
    }
}
