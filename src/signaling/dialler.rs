//! Dials the far end, for ever, whenever nobody is connected.

use super::Local;
use super::backoff::Backoff;
use super::connection::{Connection, Failure, HANDSHAKE, Note, Socket, authenticate, websocket_config};
use super::hello::Role;
use super::message::SessionId;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::client_async_with_config;

/// The part of the address behind host and port. What listens does not care; proxies in between may.
const PATH: &str = "/signal";

/// Dials `address` until `stopped`; waits while `connected`, whoever made the connection.
pub async fn run(
    address: String,
    local: Arc<Local>,
    notes: mpsc::Sender<Note>,
    mut connected: watch::Receiver<bool>,
    dial_now: Arc<Notify>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::new(Instant::now());
    loop {
        let dialled = tokio::select! {
            dialled = dial_when_alone(&address, &local, &mut connected, &mut backoff) => dialled,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match dialled {
            Ok((socket, session)) => {
                let since = Instant::now();
                // The switchboard ends it in order, so `stopped` is no matter here.
                Connection::run(socket, session, Role::Dialler, address.clone(), local.clone(), notes.clone()).await;
                backoff.connection_ended(since, Instant::now());
            }
            Err(failure) => {
                if let Failure::Refused(refusal) = &failure
                    && refusal.is_identity()
                {
                    local.figures.link.rejected_identities.one();
                }
                if notes.send(Note::Unreachable(format!("{address}: {failure}"))).await.is_err() {
                    return;
                }
            }
        }
        tokio::select! {
            () = sleep(backoff.next_delay(Instant::now(), rand::random())) => {}
            () = dial_now.notified() => backoff.begin_anew(Instant::now()),
            _ = stopped.wait_for(|stopped| *stopped) => return,
        }
    }
}

async fn dial_when_alone(
    address: &str,
    local: &Local,
    connected: &mut watch::Receiver<bool>,
    backoff: &mut Backoff,
) -> Result<(Socket, SessionId), Failure> {
    while *connected.borrow() {
        let since = Instant::now();
        if connected.wait_for(|connected| !connected).await.is_err() {
            // The switchboard is gone, and `stopped` comes.
            return std::future::pending().await;
        }
        backoff.connection_ended(since, Instant::now());
        // The far end that lost its connection dials too: let the two not always meet half-way.
        sleep(backoff.next_delay(Instant::now(), rand::random())).await;
    }
    dial(address, local).await
}

async fn dial(address: &str, local: &Local) -> Result<(Socket, SessionId), Failure> {
    let attempt = async {
        let io = |error: std::io::Error| Failure::Socket(error.into());
        let stream = TcpStream::connect(address).await.map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        let url = format!("ws://{address}{PATH}");
        let (mut socket, _) = client_async_with_config(url, stream, Some(websocket_config())).await?;
        let session = authenticate(&mut socket, Role::Dialler, local).await?;
        Ok((socket, session))
    };
    timeout(HANDSHAKE, attempt).await.unwrap_or(Err(Failure::Late))
}
