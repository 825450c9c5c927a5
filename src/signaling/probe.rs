//! Looks whether the far end answers, without disturbing it.

use super::connection::{FAREWELL, Failure, HANDSHAKE, LOOKED, close_frame, next_text, websocket_config};
use super::hello::{Handshake, Role};
use super::message::SessionId;
use super::socket::Socket;
use crate::pairing::{Fingerprint, Identity};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::Message as Frame;

/// Dials `address`: the far end there must show the pinned fingerprint, prove that it has the key, and have pinned us. We show who we are and prove
/// nothing, so that no connection is made: a portal that runs here with the same identity keeps its own. Then the far end is told that somebody only
/// looked.
///
/// # Errors
/// What is wrong, in plain words.
pub async fn probe(address: &str, identity: &Identity, far_end: Fingerprint) -> Result<(), String> {
    let look = async {
        let stream = TcpStream::connect(address).await.map_err(|error| Failure::Socket(error.into()))?;
        let url = format!("ws://{address}/signal");
        let (socket, _) = client_async_with_config(url, stream, Some(websocket_config())).await?;
        let mut socket = Socket::from(socket);
        let seen = exchange(&mut socket, identity, far_end).await;
        let farewell = match &seen {
            Ok(()) => Some(close_frame(LOOKED, "only looked".into())),
            Err(Failure::Refused(refusal)) => Some(close_frame(refusal.close_code(), refusal.to_string())),
            Err(_) => None,
        };
        if let Some(farewell) = farewell {
            // It has been heard when the other end hangs up. If it is not, the far end takes it for somebody who changed his mind.
            let _ = timeout(FAREWELL, async {
                let _ = socket.close(Some(farewell)).await;
                while let Some(Ok(_)) = socket.next().await {}
            })
            .await;
        }
        seen
    };
    timeout(HANDSHAKE, look).await.unwrap_or(Err(Failure::Late)).map_err(|failure| failure.to_string())
}

/// The handshake up to the far end's proof.
async fn exchange(socket: &mut Socket, identity: &Identity, far_end: Fingerprint) -> Result<(), Failure> {
    let handshake = Handshake::new(identity, far_end, SessionId::random(), Role::Dialler);
    socket.send(Frame::text(handshake.hello())).await?;
    let (proving, _) = handshake.receive_hello(&next_text(socket).await?)?;
    proving.receive_proof(&next_text(socket).await?)?;
    Ok(())
}
