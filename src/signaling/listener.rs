//! Accepts connections. Strangers get little: eight at once, three seconds each, and no line in the log per head.

use super::caller::Caller;
use super::connection::{Connection, Failure, HANDSHAKE, Note, authenticate};
use super::hello::Role;
use super::limits::Quiet;
use super::relay::Line;
use super::{Local, hello::Refusal, pair};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;

/// Connections that are still in their handshake. One more ends the oldest of them: whoever holds connections open without
/// speaking keeps nobody out, for the far end's own handshake takes two round trips.
const UNAUTHENTICATED: usize = 8;

/// Authenticated connections besides. There are two when both ends dialled; more can only be remains.
const AUTHENTICATED: usize = 8;

/// One line in so long about connections that were refused.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// Accepts until `stopped`: on the listener, if there is one, and what `relayed` brings.
pub async fn run(
    listener: Option<TcpListener>,
    mut relayed: mpsc::Receiver<(Line, String)>,
    local: Arc<Local>,
    notes: mpsc::Sender<Note>,
    mut stopped: watch::Receiver<bool>,
) {
    let quiet = Arc::new(Mutex::new(Quiet::every(LOGGED_EVERY)));
    // Dropping the sender ends the handshake; one whose handshake is over does not mind.
    let mut handshakes: VecDeque<oneshot::Sender<()>> = VecDeque::new();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let caller = tokio::select! {
            caller = Caller::at(listener.as_ref()) => caller,
            Some((line, from)) = relayed.recv() => Ok(Caller::Relayed(line, from)),
            _ = stopped.wait_for(|stopped| *stopped) => break,
        };
        let caller = match caller {
            Ok(caller) => caller,
            Err(error) => {
                // Of a connection that is gone already (harmless), or no more file descriptors (passes, or is seen elsewhere).
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        handshakes.retain(|handshake| !handshake.is_closed());
        if handshakes.len() >= UNAUTHENTICATED {
            handshakes.pop_front();
            local.figures.link.rejected_messages.one();
        }
        if connections.len() >= UNAUTHENTICATED + AUTHENTICATED {
            local.figures.link.rejected_messages.one();
            continue;
        }
        let (keep, evicted) = oneshot::channel();
        handshakes.push_back(keep);
        connections.spawn(serve(caller, local.clone(), notes.clone(), evicted, quiet.clone()));
    }
    drop(listener);
    drop(handshakes);
    // Authenticated connections are ended in order by the switchboard.
    while connections.join_next().await.is_some() {}
}

async fn serve(
    caller: Caller,
    local: Arc<Local>,
    notes: mpsc::Sender<Note>,
    mut evicted: oneshot::Receiver<()>,
    quiet: Arc<Mutex<Quiet>>,
) {
    let (address, ip) = (caller.name(), caller.ip());
    let handshake = async {
        let mut socket = caller.socket(no_pairing).await?;
        let session = authenticate(&mut socket, Role::Listener, &local).await?;
        Ok((socket, session))
    };
    let done = tokio::select! {
        done = timeout(HANDSHAKE, handshake) => done.unwrap_or(Err(Failure::Late)),
        _ = &mut evicted => return,
    };
    evicted.close();
    match done {
        Ok((socket, session)) => {
            Connection::run(socket, session, Role::Listener, address, local, notes).await;
        }
        // `screen-portal check` at the far end, or the network test on its settings page.
        Err(failure @ Failure::Looked) => tracing::info!(%address, "a check at the far end: {failure}"),
        Err(failure) => {
            count(&local, &failure);
            let admitted = quiet.lock().unwrap_or_else(PoisonError::into_inner).admit(Instant::now());
            if let Some(left_out) = admitted {
                let what = refused(&local, &failure);
                tracing::warn!(address, left_out, "{what}");
                if mispaired(&failure) {
                    // Fails only when signalling ends.
                    let place = ip.map_or(address, |ip| ip.to_string());
                    let _ = notes.send(Note::Mispaired(format!("{place}: {what}"))).await;
                }
            }
        }
    }
}

/// Whoever wants to pair learns that this portal is paired already.
#[expect(clippy::result_large_err, reason = "tungstenite's signature")]
fn no_pairing(request: &Request, response: Response) -> Result<Response, ErrorResponse> {
    if request.uri().path() != pair::PATH {
        return Ok(response);
    }
    let mut refused = ErrorResponse::new(Some("this portal is paired already\n".into()));
    *refused.status_mut() = StatusCode::CONFLICT;
    Err(refused)
}

/// Whether the two ends have not pinned each other.
fn mispaired(failure: &Failure) -> bool {
    matches!(failure, Failure::Refused(Refusal::Stranger(_)) | Failure::RefusedByOther { code: 4002, .. })
}

/// For people, with the remedy.
fn refused(local: &Local, failure: &Failure) -> String {
    match failure {
        // Our hello was the reason, so theirs was right.
        Failure::RefusedByOther { code: 4002, .. } => format!(
            "the far end tried to connect but has pinned somebody else: set pairing.far_end there to {}",
            local.identity.fingerprint()
        ),
        failure => format!("somebody tried to connect who is not the pinned far end: {failure}"),
    }
}

/// Counts a connection that did not get through its handshake.
pub(super) fn count(local: &Local, failure: &Failure) {
    match failure {
        Failure::Refused(refusal) if refusal.is_identity() => local.figures.link.rejected_identities.one(),
        failure if mispaired(failure) => local.figures.link.rejected_identities.one(),
        Failure::Refused(Refusal::OwnProof(_)) => {}
        _ => local.figures.link.rejected_messages.one(),
    }
}
