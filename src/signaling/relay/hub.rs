//! A room of a hub as a carrier.

use super::carrier::{Carrier, Heard, Peer, QUEUE, Say};
use crate::hub::client::{Client, Error, Event, Options};
use crate::hub::message::{ClientId, Code, Content, FromHub, Join, Member, ToHub};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// What portals call themselves at a hub.
const DEVICE_TYPE: &str = "portal";
/// A hub that has refused us is asked again so often: its operator may have made room.
const ASK_AGAIN: Duration = Duration::from_secs(30);
/// A hub that takes no message for so long gets none.
const SAYING: Duration = Duration::from_millis(300);

/// Enters a room of the hub, and again whenever it was lost. To be called inside a tokio runtime.
///
/// # Errors
/// Options that can never work.
pub fn start(options: Options, room: &str) -> Result<(Carrier, JoinHandle<()>), Error> {
    let join = Join { room: room.into(), device_type: Some(DEVICE_TYPE.into()), ..Join::default() };
    let name = format!("the hub {}", options.url);
    let client = Client::start(Options { join: Some(join.clone()), ..options })?;
    let (heard_in, heard) = mpsc::channel(QUEUE);
    let (say, said) = mpsc::channel(QUEUE);
    let task = tokio::spawn(carry(client, join, heard_in, said));
    Ok((Carrier { name, heard, say }, task))
}

async fn carry(mut client: Client, join: Join, heard: mpsc::Sender<Heard>, mut said: mpsc::Receiver<Say>) {
    let mut ask_again = tokio::time::interval(ASK_AGAIN);
    let mut is_inside = false;
    loop {
        let event = tokio::select! {
            event = client.next() => event,
            say = said.recv() => match say {
                Some(Say { to, text }) => {
                    // A name that is none is nobody's.
                    if let Ok(target) = to.name().parse() {
                        say_to(&client, target, text).await;
                    }
                    continue;
                }
                None => return client.close().await,
            },
            _ = ask_again.tick() => {
                if !is_inside {
                    client.say(ToHub::Join(join.clone())).await;
                }
                continue;
            }
        };
        let is_over = match event {
            Event::Lost { reason } => {
                is_inside = false;
                heard.send(Heard::Lost { reason }).await.is_err()
            }
            Event::Message(FromHub::Joined { room, clients, .. }) if room == join.room => {
                is_inside = true;
                let mut over = heard.send(Heard::Entered).await.is_err();
                for member in clients {
                    over |= arrived(&heard, member).await.is_err();
                }
                over
            }
            Event::Message(FromHub::ClientJoined(member)) => arrived(&heard, member).await.is_err(),
            Event::Message(FromHub::ClientDisconnected { client_id }) => {
                heard.send(Heard::Left(Peer::new(&client_id.to_string()))).await.is_err()
            }
            Event::Message(FromHub::Relayed { sender, content: Content::Sealed { data } }) => {
                heard.send(Heard::Said { from: Peer::new(&sender.to_string()), text: data }).await.is_err()
            }
            Event::Message(FromHub::Error { code, message }) if !is_inside && code != Code::TargetNotFound => {
                heard.send(Heard::Lost { reason: format!("it refuses us: {message}") }).await.is_err()
            }
            Event::Message(other) => {
                tracing::trace!(?other, "the hub says");
                false
            }
        };
        if is_over {
            // Nobody listens; what is still to be said comes, and then the end.
            while let Some(Say { to, text }) = said.recv().await {
                if let Ok(target) = to.name().parse() {
                    say_to(&client, target, text).await;
                }
            }
            return client.close().await;
        }
    }
}

/// A client that waits for us to hear it takes nothing: then nothing is said, rather than that both wait for ever.
async fn say_to(client: &Client, target: ClientId, data: String) {
    let said = client.say(ToHub::Relay { target, content: Content::Sealed { data } });
    if tokio::time::timeout(SAYING, said).await.is_err() {
        tracing::debug!("a message was dropped: the hub takes none");
    }
}

/// Only portals are of interest.
async fn arrived(heard: &mpsc::Sender<Heard>, member: Member) -> Result<(), mpsc::error::SendError<Heard>> {
    match member.device_type.as_deref() {
        Some(DEVICE_TYPE) => heard.send(Heard::Arrived(Peer::new(&member.client_id.to_string()))).await,
        _ => Ok(()),
    }
}
