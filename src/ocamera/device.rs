//! The device at a broker: carries between the network and the [`Machine`].

use super::machine::{Action, Machine, Publish};
use super::message::DeviceId;
use crate::guests::message::{GuestId, Request, ToGuest};
use crate::mqtt::{self, Client, Event, Presence, Publication, Standing};
use crate::ops::{Figures, View};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep_until, timeout};

/// Answers to guests that wait for the broker.
const REPLIES: usize = 128;
/// A broker that takes no message for so long gets none.
const SAYING: Duration = Duration::from_secs(1);

/// Where this portal is a device, and as which.
#[derive(Clone, Debug)]
pub struct Options {
    /// The broker.
    pub broker: mqtt::Options,
    /// The device's name among devices.
    pub id: DeviceId,
    /// The same for people.
    pub name: String,
}

/// Is a device there until nobody serves guests any more. Guests who watch go on watching when the broker goes away.
///
/// # Errors
/// Options that can never work.
pub async fn stay(
    options: Options,
    requests: mpsc::Sender<Request>,
    mut view: watch::Receiver<View>,
    figures: Arc<Figures>,
) -> Result<(), mqtt::Error> {
    let mut machine = Machine::new(options.id, options.name);
    let gone = machine.gone();
    let presence = Presence { topic: gone.topic, here: None, gone: gone.message.to_json() };
    let standing = Standing { subscriptions: machine.subscriptions().into(), presence: Some(presence) };
    let mut client = Client::start(&options.broker, standing)?;
    let (replies_in, mut replies) = mpsc::channel(REPLIES);
    let mut trouble = None;
    loop {
        let due = machine.due();
        let actions = tokio::select! {
            event = client.next() => match event {
                Some(Event::Connected) => {
                    tracing::info!("at the broker {} as a device: guests may come", options.broker.url);
                    figures.guests.at_broker.set(1);
                    trouble = None;
                    machine.connected(Instant::now())
                }
                Some(Event::Message(it)) => machine.heard(&it.topic, &it.payload, it.retained, Instant::now()),
                Some(Event::Lost { reason }) => {
                    figures.guests.at_broker.set(0);
                    // Each trouble is told once.
                    if trouble.as_ref() != Some(&reason) {
                        tracing::warn!("the broker for guests is not there: {reason}; it is called again and again. Who watches goes on watching");
                        trouble = Some(reason);
                    }
                    Vec::new()
                }
                // Through a bug only; the hub's way is not concerned.
                None => return Ok(()),
            },
            Some((guest, message)) = replies.recv() => machine.tell(&guest, message),
            Ok(()) = view.changed() => {
                let watching = view.borrow_and_update().guests;
                machine.watching(watching, Instant::now())
            }
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => machine.turn(Instant::now()),
            () = requests.closed() => {
                figures.guests.at_broker.set(0);
                client.close().await;
                return Ok(());
            }
        };
        for action in actions {
            carry_out(action, &client, &requests, &replies_in, &figures).await;
        }
    }
}

async fn carry_out(
    action: Action,
    client: &Client,
    requests: &mpsc::Sender<Request>,
    replies: &mpsc::Sender<(GuestId, ToGuest)>,
    figures: &Figures,
) {
    match action {
        Action::Publish(Publish { topic, message, retain }) => {
            let publication = Publication { topic, payload: message.to_json(), retain };
            if timeout(SAYING, client.publish(publication)).await.is_err() {
                tracing::debug!("the broker takes no message now");
            }
        }
        Action::Pass(guest, said) => {
            // Who floods is not heard.
            if requests.try_send(Request { guest, said, replies: replies.clone() }).is_err() {
                figures.guests.rejected_messages.one();
            }
        }
        Action::Reject(why) => {
            figures.guests.rejected_messages.one();
            tracing::debug!(why, "a message at the broker was not taken");
        }
    }
}
