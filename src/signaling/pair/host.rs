//! The end that shows the code: listens while the portal is not paired. Strangers get little: eight connections at once, three seconds to the
//! first message, one exchange at a time, and no line in the log per head.

use super::{Failure, PATH, Store, carry, close};
use crate::ops::Figures;
use crate::pairing::attempts::{Attempts, Showing};
use crate::pairing::{Code, Exchange, Own, Paired};
use crate::signaling::connection::{self, HANDSHAKE, next_text, websocket_config};
use crate::signaling::limits::Quiet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::accept_hdr_async_with_config;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

/// Connections at once; who comes besides is sent away.
const CONNECTIONS: usize = 8;
/// How often it is looked whether the code is over.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// One line in so long about connections that came to nothing.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// What the end that shows the code needs.
pub struct Host {
    /// What the other end shall know of us.
    pub own: Own,
    /// Stores what was agreed on.
    pub store: Box<Store>,
    /// Where exchanges are counted.
    pub figures: Arc<Figures>,
    /// Told what is to be seen whenever it changes.
    pub showing: watch::Sender<Option<Showing>>,
}

struct Shared {
    host: Host,
    attempts: Mutex<Attempts>,
    quiet: Mutex<Quiet>,
}

/// A port that is listened on already, so that a taken one is known before anything is shown.
pub struct Listening(TcpListener);

impl Listening {
    /// Binds `IP:PORT`. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// As of signalling: the port is taken.
    pub fn bind(listen: &str) -> Result<(Self, SocketAddr), crate::signaling::Error> {
        crate::signaling::bind(listen).map(|(listener, address)| (Self(listener), address))
    }

    /// Shows codes until somebody has paired; gives the far end. Dropping it ends everything.
    pub async fn run(self, host: Host) -> Paired {
        let shared =
            Arc::new(Shared { host, attempts: Mutex::default(), quiet: Mutex::new(Quiet::every(LOGGED_EVERY)) });
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        let (paired_in, mut paired) = mpsc::channel(1);
        let mut connections = JoinSet::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            while connections.try_join_next().is_some() {}
            tokio::select! {
                accepted = self.0.accept() => match accepted {
                    Ok((stream, address)) => match seats.clone().try_acquire_owned() {
                        Ok(seat) => {
                            let (shared, paired) = (shared.clone(), paired_in.clone());
                            connections.spawn(async move {
                                let _seat = seat;
                                if let Some(far_end) = serve(stream, address, &shared).await {
                                    // Full means that another one has paired in the same moment.
                                    let _ = paired.try_send(far_end);
                                }
                            });
                        }
                        Err(_) => shared.host.figures.pairing.refused.one(),
                    },
                    Err(error) => {
                        // Of a connection that is gone already (harmless), or no more file descriptors (passes, or is seen elsewhere).
                        tracing::debug!(%error, "a connection could not be accepted");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                _ = look.tick() => shared.look(),
                Some(far_end) = paired.recv() => {
                    shared.host.showing.send_replace(None);
                    return far_end;
                }
            }
        }
    }
}

impl Shared {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        // A panic in there is a bug; the numbers are whole all the same.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows another code where one is due.
    fn look(&self) {
        let showing = self.attempts().look(Instant::now(), || self.fresh());
        let paused = matches!(showing, Showing::Paused(_));
        self.host.figures.pairing.paused.set(paused.into());
        self.host.showing.send_if_modified(|shown| {
            let news = *shown != Some(showing);
            *shown = Some(showing);
            if news && paused {
                tracing::warn!(
                    "too many wrong codes were tried: for an hour from the first of them on, no code is shown"
                );
            }
            news
        });
    }

    fn fresh(&self) -> Code {
        self.host.figures.pairing.codes.one();
        Code::random()
    }
}

async fn serve(stream: TcpStream, address: SocketAddr, shared: &Shared) -> Option<Paired> {
    let figures = &shared.host.figures.pairing;
    let greet = async {
        stream.set_nodelay(true).map_err(|error| connection::Failure::Socket(error.into()))?;
        let mut socket = accept_hdr_async_with_config(stream, only_pairing, Some(websocket_config())).await?;
        let first = next_text(&mut socket).await?;
        Ok::<_, connection::Failure>((socket, first))
    };
    let (mut socket, first) = match timeout(HANDSHAKE, greet).await.unwrap_or(Err(connection::Failure::Late)) {
        Ok(greeted) => greeted,
        Err(failure) => {
            figures.refused.one();
            shared.log(address, &failure.to_string());
            return None;
        }
    };
    let begun = shared.attempts().begin(Instant::now(), || shared.fresh());
    let (result, spent) = match begun {
        Err(refusal) => {
            figures.refused.one();
            (Err(refusal.into()), false)
        }
        Ok(code) => {
            figures.exchanges.one();
            let mut exchange = Exchange::show(&code, shared.host.own.clone(), Instant::now());
            let store = |paired: &Paired| (shared.host.store)(paired, Some(address.ip()));
            // If this task is dropped here, the portal ends.
            let result = carry(&mut socket, &mut exchange, Some(first), &store).await;
            shared.attempts().end(Instant::now(), exchange.is_spent());
            (result, exchange.is_spent())
        }
    };
    match &result {
        Ok(paired) => {
            figures.completed.one();
            tracing::info!(%address, far_end = %paired.far_end, site = paired.site, words = paired.words, "paired");
        }
        Err(failure) if spent => {
            figures.burnt_codes.one();
            tracing::warn!(%address, "a code was tried and is burnt: {failure}");
            shared.look();
        }
        Err(failure) => {
            if !matches!(failure, Failure::Refused(_)) {
                figures.refused.one();
            }
            shared.log(address, &failure.to_string());
        }
    }
    close(&mut socket, &result).await;
    result.ok()
}

impl Shared {
    fn log(&self, address: SocketAddr, what: &str) {
        let admitted = self.quiet.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if let Some(left_out) = admitted {
            tracing::warn!(%address, left_out, "somebody tried to pair: {what}");
        }
    }
}

/// Whoever wants to signal learns that nobody is paired here.
#[expect(clippy::result_large_err, reason = "tungstenite's signature")]
fn only_pairing(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() == PATH {
        return Ok(response);
    }
    let mut refused = ErrorResponse::new(Some("this portal is not paired\n".into()));
    *refused.status_mut() = StatusCode::NOT_FOUND;
    Err(refused)
}
