//! The end where the code was entered.

use super::{Failure, PATH, Store, carry, close};
use crate::pairing::{Code, Exchange, Own, Paired};
use crate::signaling::connection::{self, HANDSHAKE, websocket_config};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;

/// Pairs with the portal that shows this code at `address`, `HOST:PORT`. `store` is called once, when both ends know each other.
///
/// # Errors
/// What is wrong, for people. After most of them the code is burnt at the other end.
pub async fn dial(address: &str, code: &Code, own: Own, store: &Store) -> Result<Paired, Failure> {
    let connect = async {
        let stream = TcpStream::connect(address).await.map_err(|error| connection::Failure::Socket(error.into()))?;
        let met_at = stream.peer_addr().ok().map(|address| address.ip());
        // Messages are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let url = format!("ws://{address}{PATH}");
        let (socket, _) = client_async_with_config(url, stream, Some(websocket_config())).await?;
        Ok::<_, connection::Failure>((socket, met_at))
    };
    let (mut socket, met_at) = timeout(HANDSHAKE, connect).await.unwrap_or(Err(connection::Failure::Late))?;
    let (mut exchange, start) = Exchange::enter(code, own, Instant::now());
    let result = match super::send(&mut socket, start).await {
        Ok(()) => carry(&mut socket, &mut exchange, None, &|paired| store(paired, met_at)).await,
        Err(failure) => Err(failure),
    };
    close(&mut socket, &result).await;
    result
}
