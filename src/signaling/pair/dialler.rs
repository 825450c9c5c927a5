//! The end where the code was entered.

use super::{Failure, PATH, Store, carry, close};
use crate::ops::Figures;
use crate::pairing::{Code, Exchange, Own, Paired};
use crate::signaling::Config;
use crate::signaling::connection::{self, HANDSHAKE, websocket_config};
use crate::signaling::relay::{self, Line, Relays};
use crate::signaling::socket::Socket;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::client_async_with_config;

/// How long the other end is waited for in the code's room.
const WAIT: Duration = Duration::from_secs(10);
/// So long after the first one has come all are known who are there.
const SETTLE: Duration = Duration::from_millis(200);

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
    let (socket, met_at) = timeout(HANDSHAKE, connect).await.unwrap_or(Err(connection::Failure::Late))?;
    exchange(socket.into(), code, own, &|paired| store(paired, met_at)).await
}

/// The same with the portal that shows this code wherever a hub or a broker is configured; it is waited for ten seconds.
///
/// # Errors
/// As of [`dial`]; nobody is there, or more than one.
pub async fn dial_through(
    signaling: &Config,
    code: &Code,
    own: Own,
    store: &Store,
    figures: &Arc<Figures>,
) -> Result<Paired, Failure> {
    let relays = relay::enter(signaling, &relay::room_for(code), figures)
        .map_err(|error| Failure::Connection(error.to_string()))?;
    let found = timeout(WAIT, find(&relays)).await.unwrap_or_else(|_| Err(nobody(&relays, code)));
    let result = match found {
        Ok(line) => exchange(line.into(), code, own, &|paired| store(paired, None)).await,
        Err(failure) => Err(failure),
    };
    relays.close().await;
    result
}

/// Why nobody was found.
fn nobody(relays: &Relays, code: &Code) -> Failure {
    let troubles: Option<Vec<_>> =
        relays.ways.iter().map(|way| way.trouble().map(|trouble| format!("{}: {trouble}", way.name()))).collect();
    troubles.map_or(Failure::NobodyThere(code.number()), |troubles| Failure::Away(troubles.join("; ")))
}

/// Who is in the room, if it is one. A code is not tried on several: each would have a guess.
async fn find(relays: &Relays) -> Result<Line, Failure> {
    loop {
        relays.arrivals.notified().await;
        // Whoever else is there is told of in the same moment.
        tokio::time::sleep(SETTLE).await;
        for way in &relays.ways {
            let mut lines = way.dial().await;
            match (lines.pop(), lines.is_empty()) {
                (Some(line), true) => return Ok(line),
                (Some(_), false) => return Err(Failure::Crowd),
                (None, _) => {}
            }
        }
    }
}

async fn exchange(
    mut socket: Socket,
    code: &Code,
    own: Own,
    store: &(dyn Fn(&Paired) -> io::Result<()> + Send + Sync),
) -> Result<Paired, Failure> {
    let (mut exchange, start) = Exchange::enter(code, own, Instant::now());
    let result = match super::send(&mut socket, start).await {
        Ok(()) => carry(&mut socket, &mut exchange, None, store).await,
        Err(failure) => Err(failure),
    };
    close(&mut socket, &result).await;
    result
}
