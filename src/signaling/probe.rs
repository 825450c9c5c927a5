//! Looks whether the far end answers, without disturbing it.

use super::connection::{Failure, HANDSHAKE, next_text, websocket_config};
use super::hello::{Handshake, Role};
use super::message::SessionId;
use crate::pairing::{Fingerprint, Identity};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;

/// Dials `address` and compares the fingerprint that is shown there with the pinned one. Nothing is proved and no connection is
/// made, so that a portal that runs here with the same identity keeps its own.
///
/// # Errors
/// What is wrong, in plain words.
pub async fn probe(address: &str, identity: &Identity, far_end: Fingerprint) -> Result<(), String> {
    let look = async {
        let stream = TcpStream::connect(address).await.map_err(|error| Failure::Socket(error.into()))?;
        let url = format!("ws://{address}/signal");
        let (mut socket, _) = client_async_with_config(url, stream, Some(websocket_config())).await?;
        let handshake = Handshake::new(identity, far_end, SessionId::random(), Role::Dialler);
        handshake.receive_hello(&next_text(&mut socket).await?)?;
        // The far end takes it for somebody who changed his mind, whether it hears this or not.
        let _ = socket.close(None).await;
        Ok(())
    };
    timeout(HANDSHAKE, look).await.unwrap_or(Err(Failure::Late)).map_err(|failure| failure.to_string())
}
