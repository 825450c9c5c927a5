//! The end that shows the code: listens while the portal is not paired, and waits in the code's room wherever a hub or a broker is configured.
//! Strangers get little: eight connections at once, three seconds to the first message, one exchange at a time, and no line in the log per head.

use super::{Failure, NOT_PAIRED, PATH, Store, Turn, carry, close};
use crate::ops::Figures;
use crate::pairing::attempts::{Attempts, Refusal, Showing};
use crate::pairing::{Code, Exchange, Own, Paired};
use crate::signaling::Config;
use crate::signaling::caller::Caller;
use crate::signaling::connection::{self, HANDSHAKE, next_text};
use crate::signaling::limits::Quiet;
use crate::signaling::relay::{self, Line, Relays};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

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
    /// Says through which other machines, too, one may come.
    pub signaling: Config,
    /// Shared with whoever enters another portal's code here.
    pub turn: Turn,
}

struct Shared {
    host: Host,
    attempts: Mutex<Attempts>,
    quiet: Mutex<Quiet>,
}

/// A port that is listened on already, so that a taken one is known before anything is shown; or none, where one comes through other machines only.
pub struct Listening(Option<TcpListener>);

impl Listening {
    /// Binds `IP:PORT`. To be called inside a tokio runtime.
    ///
    /// # Errors
    /// As of signalling: the port is taken.
    pub fn bind(listen: &str) -> Result<(Self, SocketAddr), crate::signaling::Error> {
        crate::signaling::bind(listen).map(|(listener, address)| (Self(Some(listener)), address))
    }

    /// Listens nowhere: for whoever is behind an address translation.
    pub fn nowhere() -> Self {
        Self(None)
    }

    /// Shows codes until somebody has paired; gives the far end. Dropping it ends everything.
    pub async fn run(self, host: Host) -> Paired {
        let shared =
            Arc::new(Shared { host, attempts: Mutex::default(), quiet: Mutex::new(Quiet::every(LOGGED_EVERY)) });
        let seats = Arc::new(Semaphore::new(CONNECTIONS));
        let (paired_in, mut paired) = mpsc::channel(1);
        let mut connections = JoinSet::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut room = Room::default();
        let far_end = loop {
            while connections.try_join_next().is_some() {}
            let caller = tokio::select! {
                caller = Caller::at(self.0.as_ref()) => caller,
                (line, from) = room.accept() => Ok(Caller::Relayed(line, from)),
                _ = look.tick() => {
                    room.enter(shared.look(), &shared.host);
                    continue;
                }
                Some(far_end) = paired.recv() => break far_end,
            };
            match (caller, seats.clone().try_acquire_owned()) {
                (Ok(caller), Ok(seat)) => {
                    let (shared, paired) = (shared.clone(), paired_in.clone());
                    connections.spawn(async move {
                        let _seat = seat;
                        if let Some(far_end) = serve(caller, &shared).await {
                            // Full means that another one has paired in the same moment.
                            let _ = paired.try_send(far_end);
                        }
                    });
                }
                (Ok(_), Err(_)) => shared.host.figures.pairing.refused.one(),
                (Err(error), _) => {
                    // Of a connection that is gone already (harmless), or no more file descriptors (passes, or is seen elsewhere).
                    tracing::debug!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        shared.host.showing.send_replace(None);
        // It may be that the other end has not heard the last words yet.
        drop(connections);
        if let Some((_, relays)) = room.0 {
            relays.close().await;
        }
        far_end
    }
}

/// Where the code's other end may come, through other machines.
#[derive(Default)]
struct Room(Option<(Code, Relays)>);

impl Room {
    /// Changes over to the room of the code that is shown.
    fn enter(&mut self, showing: Showing, host: &Host) {
        let code = match showing {
            Showing::Code(code, _) => Some(code),
            Showing::Paused(_) => None,
        };
        if self.0.as_ref().map(|(entered, _)| *entered) == code {
            return;
        }
        if let Some((_, before)) = self.0.take() {
            // Whoever tried the last one still has to hear that it was wrong.
            tokio::spawn(before.close());
        }
        let entered = code.map(|code| (code, relay::enter(&host.signaling, &relay::room_for(&code), &host.figures)));
        self.0 = entered.and_then(|(code, entered)| match entered {
            Ok(relays) => Some((code, relays)),
            Err(error) => {
                tracing::warn!("nobody can pair through another machine: {error}");
                None
            }
        });
    }

    /// Somebody who has come there.
    async fn accept(&mut self) -> (Line, String) {
        if let Some((_, relays)) = &mut self.0
            && let Some(caller) = relays.accepted.recv().await
        {
            return caller;
        }
        std::future::pending().await
    }
}

impl Shared {
    fn attempts(&self) -> MutexGuard<'_, Attempts> {
        // A panic in there is a bug; the numbers are whole all the same.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows another code where one is due; tells what is shown.
    fn look(&self) -> Showing {
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
        showing
    }

    fn fresh(&self) -> Code {
        self.host.figures.pairing.codes.one();
        Code::random()
    }
}

async fn serve(caller: Caller, shared: &Shared) -> Option<Paired> {
    let figures = &shared.host.figures.pairing;
    let (address, met_at) = (caller.name(), caller.ip());
    let greet = async {
        let mut socket = caller.socket(only_pairing).await?;
        let first = next_text(&mut socket).await?;
        Ok::<_, connection::Failure>((socket, first))
    };
    let (mut socket, first) = match timeout(HANDSHAKE, greet).await.unwrap_or(Err(connection::Failure::Late)) {
        Ok(greeted) => greeted,
        Err(failure) => {
            figures.refused.one();
            shared.log(&address, &failure.to_string());
            return None;
        }
    };
    let turn = shared.host.turn.take();
    let begun = match turn {
        Some(_) => shared.attempts().begin(Instant::now(), || shared.fresh()),
        None => Err(Refusal::Busy),
    };
    let (result, spent) = match begun {
        Err(refusal) => {
            figures.refused.one();
            (Err(refusal.into()), false)
        }
        Ok(code) => {
            figures.exchanges.one();
            let mut exchange = Exchange::show(&code, shared.host.own.clone(), Instant::now());
            let store = |paired: &Paired| (shared.host.store)(paired, met_at);
            // If this task is dropped here, the portal ends.
            let result = carry(&mut socket, &mut exchange, Some(first), &store).await;
            shared.attempts().end(Instant::now(), exchange.is_spent());
            (result, exchange.is_spent())
        }
    };
    match &result {
        Ok(paired) => {
            shared.host.turn.end();
            figures.completed.one();
            tracing::info!(address, far_end = %paired.far_end, site = paired.site, words = paired.words, "paired");
        }
        Err(failure) if spent => {
            figures.burnt_codes.one();
            tracing::warn!(address, "a code was tried and is burnt: {failure}");
            shared.look();
        }
        Err(failure) => {
            if !matches!(failure, Failure::Refused(_)) {
                figures.refused.one();
            }
            shared.log(&address, &failure.to_string());
        }
    }
    close(&mut socket, &result).await;
    result.ok()
}

impl Shared {
    fn log(&self, address: &str, what: &str) {
        let admitted = self.quiet.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
        if let Some(left_out) = admitted {
            tracing::warn!(address, left_out, "somebody tried to pair: {what}");
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
    *refused.status_mut() = NOT_PAIRED;
    Err(refused)
}
