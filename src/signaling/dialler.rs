//! Dials the far end, for ever, whenever nobody is connected, and beside a connection that is doubted.
//!
//! It may be known by several addresses: what is configured, what it said when it was paired, what it announces in the local network. All are tried
//! at once, and a little later the ways through other machines. Who answers at a wrong one, or lies, fails in the handshake, which costs nothing but
//! that.

use super::Local;
use super::backoff::Backoff;
use super::connection::{Connection, Failure, HANDSHAKE, Note, authenticate, websocket_config};
use super::hello::Role;
use super::message::SessionId;
use super::relay::{Line, Relay};
use super::socket::Socket;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::client_async_with_config;

/// The part of the address behind host and port. What listens does not care; proxies in between may.
const PATH: &str = "/signal";
/// While nobody answers, a connection is asked for so often.
const ASK_AGAIN: Duration = Duration::from_millis(300);

/// Between the attempts at one address and the next: who answers at the first is not dialled twice.
const STAGGER: Duration = Duration::from_millis(100);

/// What the dialler listens to.
pub struct Signs {
    /// Where to dial, `HOST:PORT`, best first; while there are none, nobody is dialled.
    pub addresses: watch::Receiver<Vec<String>>,
    /// Ways through other machines; tried besides the addresses, and a little later: the far end may be in the same network.
    pub relays: Vec<Relay>,
    /// Somebody has come to one of those.
    pub arrivals: Arc<Notify>,
    /// Whether the far end is connected, whoever made the connection.
    pub connected: watch::Receiver<bool>,
    /// Somebody wants no more waiting.
    pub dial_now: Arc<Notify>,
    /// Changes when the connections there are may be dead without knowing it.
    pub doubts: watch::Receiver<u64>,
    /// The end.
    pub stopped: watch::Receiver<bool>,
}

/// Dials until stopped; waits while there is a connection that nobody doubts.
pub async fn run(local: Arc<Local>, notes: mpsc::Sender<Note>, mut signs: Signs) {
    let mut backoff = Backoff::new(Instant::now());
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let mut stopped = signs.stopped.clone();
        let dialled = tokio::select! {
            dialled = dial_when_wanted(&local, &mut signs, &mut backoff) => dialled,
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        match dialled {
            Ok(Answer { socket, session, address }) => {
                let since = Instant::now();
                let (local, notes) = (local.clone(), notes.clone());
                connections.spawn(Connection::run(socket, session, Role::Dialler, address, local, notes));
                tokio::select! {
                    // From now on whoever knows of connections knows of this one.
                    _ = signs.connected.wait_for(|connected| *connected) => continue,
                    _ = connections.join_next() => backoff.connection_ended(since, Instant::now()),
                }
            }
            Err((address, failure)) => {
                if is_refusal(&failure) {
                    backoff.refused(Instant::now());
                }
                if notes.send(Note::Unreachable(format!("{address}: {failure}"))).await.is_err() {
                    break;
                }
            }
        }
        tokio::select! {
            () = pause(&signs.dial_now, &mut backoff) => {}
            // Left unread: it makes us dial at once.
            Ok(_) = doubted(&signs.doubts) => {}
            // It is somewhere else now, perhaps.
            Ok(()) = signs.addresses.changed() => {}
            () = arrived(&signs.arrivals, local.dials_first) => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
    }
    // The switchboard ends them in order.
    while connections.join_next().await.is_some() {}
}

/// The delay after an attempt that failed, or a connection that ended.
async fn pause(dial_now: &Notify, backoff: &mut Backoff) {
    tokio::select! {
        () = sleep(backoff.next_delay(Instant::now(), rand::random())) => {}
        () = dial_now.notified() => backoff.begin_anew(Instant::now()),
    }
}

/// Waits until somebody comes. Of two that see each other come one dials; should it fail, the other dials when its delay is over.
async fn arrived(arrivals: &Notify, dials_first: bool) {
    match dials_first {
        true => arrivals.notified().await,
        false => std::future::pending().await,
    }
}

/// Waits for a doubt without taking it off.
async fn doubted(doubts: &watch::Receiver<u64>) -> Result<(), watch::error::RecvError> {
    let mut doubts = doubts.clone();
    doubts.changed().await
}

async fn until_alone(connected: &mut watch::Receiver<bool>) -> bool {
    connected.wait_for(|connected| !connected).await.is_ok()
}

/// Dials when nobody is connected, or when what is connected is doubted: then beside it. Whichever of the two is alive is used.
async fn dial_when_wanted(
    local: &Local,
    signs: &mut Signs,
    backoff: &mut Backoff,
) -> Result<Answer, (String, Failure)> {
    while *signs.connected.borrow() && !signs.doubts.has_changed().unwrap_or(false) {
        let since = Instant::now();
        tokio::select! {
            // Fails when the switchboard is gone, and `stopped` comes.
            alone = until_alone(&mut signs.connected) => if !alone {
                return std::future::pending().await;
            },
            Ok(()) = doubted(&signs.doubts) => break,
        }
        backoff.connection_ended(since, Instant::now());
        // The far end that lost its connection dials too: let the two not always meet half-way.
        tokio::select! {
            () = sleep(backoff.next_delay(Instant::now(), rand::random())) => {}
            Ok(()) = doubted(&signs.doubts) => {}
        }
    }
    if signs.doubts.has_changed().unwrap_or(false) {
        signs.doubts.mark_unchanged();
        backoff.doubted();
    }
    let is_enough = |addresses: &Vec<String>| !addresses.is_empty() || !signs.relays.is_empty();
    let known = signs.addresses.wait_for(is_enough).await.map(|addresses| addresses.clone());
    match known {
        Ok(addresses) => dial(&addresses, &signs.relays, local).await,
        // Nobody will tell us any, and the end comes by `stopped`.
        Err(_) => std::future::pending().await,
    }
}

/// The far end, where it was found.
struct Answer {
    socket: Socket,
    session: SessionId,
    address: String,
}

/// Whether somebody answered, and it was no use.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(_) | Failure::RefusedByOther { .. })
}

/// Tries all addresses and ways; the first one where the far end proves itself counts. The failure is the most telling one, and else that of the
/// first address, so that it is the same each time.
async fn dial(addresses: &[String], relays: &[Relay], local: &Local) -> Result<Answer, (String, Failure)> {
    let direct = addresses.iter().map(|it| Way::Direct(it));
    let ways: Vec<Way> = direct.chain(relays.iter().map(Way::Relayed)).collect();
    let attempt = async |at: usize, way: &Way| {
        sleep(STAGGER * at as u32).await;
        let dialled = match way {
            Way::Direct(address) => timeout(HANDSHAKE, dial_one(address, local)).await,
            Way::Relayed(relay) => timeout(HANDSHAKE, dial_through(relay, local)).await,
        };
        (at, dialled.unwrap_or(Err(Failure::Late)))
    };
    let mut attempts: FuturesUnordered<_> = ways.iter().enumerate().map(|(at, it)| attempt(at, it)).collect();
    let mut worst: Option<(usize, Failure)> = None;
    while let Some((at, result)) = attempts.next().await {
        let failure = match result {
            Ok((socket, session)) => return Ok(Answer { socket, session, address: ways[at].name().to_owned() }),
            Err(failure) => failure,
        };
        if let Failure::Refused(refusal) = &failure
            && refusal.is_identity()
        {
            local.figures.link.rejected_identities.one();
        }
        let rank = |at: usize, failure: &Failure| (!is_refusal(failure), at);
        if worst.as_ref().is_none_or(|(before, worst)| rank(at, &failure) < rank(*before, worst)) {
            worst = Some((at, failure));
        }
    }
    let (at, failure) = worst.unwrap_or((0, Failure::HungUp));
    Err((ways.get(at).map(|way| way.name().to_owned()).unwrap_or_default(), failure))
}

/// How to reach the far end.
enum Way<'a> {
    Direct(&'a str),
    Relayed(&'a Relay),
}

impl Way<'_> {
    /// For people.
    fn name(&self) -> &str {
        match self {
            Self::Direct(address) => address,
            Self::Relayed(relay) => relay.name(),
        }
    }
}

async fn dial_one(address: &str, local: &Local) -> Result<(Socket, SessionId), Failure> {
    let io = |error: io::Error| Failure::Socket(error.into());
    let stream = connect(address).await.map_err(io)?;
    stream.set_nodelay(true).map_err(io)?;
    let url = format!("ws://{address}{PATH}");
    let (socket, _) = client_async_with_config(url, stream, Some(websocket_config())).await?;
    let mut socket = Socket::from(socket);
    let session = authenticate(&mut socket, Role::Dialler, local).await?;
    Ok((socket, session))
}

/// Everybody who is in the room, at once: the far end is who can prove it.
async fn dial_through(relay: &Relay, local: &Local) -> Result<(Socket, SessionId), Failure> {
    let attempt = async |line: Line| {
        let mut socket = Socket::from(line);
        let session = authenticate(&mut socket, Role::Dialler, local).await?;
        Ok((socket, session))
    };
    let mut attempts: FuturesUnordered<_> = relay.dial().await.into_iter().map(attempt).collect();
    let mut last = Err(relay.trouble().map_or(Failure::NotThere, Failure::Away));
    while let Some(result) = attempts.next().await {
        match result {
            Ok(done) => return Ok(done),
            Err(failure) => last = Err(failure),
        }
    }
    last
}

/// Connects, and asks again every [`ASK_AGAIN`] while nobody answers: the kernel itself repeats a lost request only after 1 s, and
/// then after 2 s more, too seldom to notice that the network is back. The caller limits the time.
async fn connect(address: &str) -> io::Result<TcpStream> {
    let addresses: Vec<SocketAddr> = lookup_host(address).await?.collect();
    let mut requests = FuturesUnordered::new();
    loop {
        requests.push(TcpStream::connect(&addresses[..]));
        let again = sleep(ASK_AGAIN);
        tokio::pin!(again);
        loop {
            tokio::select! {
                answer = requests.next() => match answer {
                    Some(Err(_)) if !requests.is_empty() => {}
                    Some(answer) => return answer,
                    // Not reached: it returns with the last one.
                    None => break,
                },
                () = &mut again => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket as Raw, Type};

    /// A listener whose queue is full does not answer, like a network that is gone; when it accepts again, the network is back.
    #[tokio::test]
    async fn a_network_that_is_back_is_noticed_at_once() {
        let listener = Raw::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
            queued.push(stream);
        }
        let address = address.to_string();
        let connecting = connect(&address);
        tokio::pin!(connecting);
        // Just after the kernel has repeated the request; it would do so again at 3 s.
        assert!(timeout(Duration::from_millis(1200), &mut connecting).await.is_err(), "nobody answers");
        let back = Instant::now();
        for _ in &queued {
            listener.accept().unwrap();
        }
        timeout(Duration::from_secs(4), connecting).await.expect("connected within 4 s").unwrap();
        assert!(back.elapsed() < Duration::from_millis(600), "{:?}", back.elapsed());
    }
}
