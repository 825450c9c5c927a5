//! One connection, whichever way it takes: the handshake, and then messages, keep-alive and limits until it ends.

use super::Local;
use super::choice::ConnectionId;
use super::hello::{Handshake, LONGEST_FRAME, Refusal, Role};
use super::limits::Allowance;
use super::message::{LONGEST_MESSAGE, Message, SessionId, for_people};
use super::pair::NOT_PAIRED;
use super::socket::Socket;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{timeout, timeout_at};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame};

/// From the connection (or the dialling) to the proof of the far end's identity, everything included.
pub const HANDSHAKE: Duration = Duration::from_secs(3);

/// A connection that is not used any more is read for so long: what the far end sent before it changed over is not lost, and it
/// has the other connection by then.
const LINGER: Duration = Duration::from_secs(1);
/// How long saying goodbye may take.
pub const FAREWELL: Duration = Duration::from_millis(250);
/// Messages that wait for the network.
const QUEUE: usize = 32;

/// The close code for a portal whose identity another one has, too; see [`Refusal::close_code`] for the others.
const TWIN: u16 = 4005;
/// The close code of somebody who only looked whether we answer: [`super::probe`].
pub const LOOKED: u16 = 4006;
/// What an orderly end is called on the wire.
const IN_ORDER: &str = "in order";

/// What a connection tells the switchboard.
#[derive(Debug)]
pub enum Note {
    /// The far end is authenticated.
    Up(Up),
    /// It says something.
    Message(ConnectionId, Message),
    /// It has been heard since [`Order::Probe`].
    Alive(ConnectionId),
    /// It is over; always the last.
    Ended(ConnectionId, String),
    /// Dialling failed.
    Unreachable(String),
    /// Somebody dialled whom one of the two does not take for the far end; why, for people. Not told more often than logged.
    Mispaired(String),
}

/// A connection that has just been authenticated.
#[derive(Debug)]
pub struct Up {
    /// See [`ConnectionId`].
    pub id: ConnectionId,
    /// The far end's run.
    pub session: SessionId,
    /// Whether we dialled.
    pub dialled: bool,
    /// The other address, for people.
    pub address: String,
    /// For the connection; when it is dropped, the connection ends.
    pub orders: mpsc::Sender<Order>,
}

/// What the switchboard tells a connection.
#[derive(Debug)]
pub enum Order {
    /// To be sent.
    Send(Arc<str>),
    /// Show soon that you live, or end.
    Probe,
    /// Another connection is used from now on: end soon.
    Retire,
    /// End in order, now.
    Close,
    /// End now: another portal with the same identity is kept.
    TurnAway,
}

/// Why there is no authenticated connection.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The other end is not the far end.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The other end thinks that we are not its far end, or does not like something else.
    #[error("{}", told(*.code, .reason))]
    RefusedByOther {
        /// See [`Refusal::close_code`].
        code: u16,
        /// Its own words.
        reason: String,
    },
    /// It showed the far end's certificate and said that it only wanted to see whether we answer. It has proved nothing.
    #[error("it only looked whether this portal answers")]
    Looked,
    /// It hung up.
    #[error("it hung up during the handshake")]
    HungUp,
    /// Nobody is in the room.
    #[error("the far end is not there")]
    NotThere,
    /// We are not in the room.
    #[error("{0}")]
    Away(String),
    /// It is too slow.
    #[error("it did not finish the handshake within 3 s")]
    Late,
    /// What answers does not speak WebSocket, or the network failed.
    #[error("{}", websocket_problem(.0))]
    Socket(#[from] tungstenite::Error),
}

/// The limits of every connection, from its first byte on.
pub fn websocket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE))
        .read_buffer_size(8 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(4 * LONGEST_MESSAGE)
}

/// Authenticates both ends; on failure the other end is told why. The caller limits the time.
pub async fn authenticate(socket: &mut Socket, role: Role, local: &Local) -> Result<SessionId, Failure> {
    let done = exchange(socket, role, local).await;
    if let Err(Failure::Refused(refusal)) = &done {
        let reason = refusal.to_string();
        let _ = timeout(FAREWELL, socket.close(Some(close_frame(refusal.close_code(), reason)))).await;
    }
    done
}

async fn exchange(socket: &mut Socket, role: Role, local: &Local) -> Result<SessionId, Failure> {
    let handshake = match socket.is_relayed() {
        true => Handshake::sealed(&local.identity, local.far_end, local.session, role)?,
        false => Handshake::new(&local.identity, local.far_end, local.session, role),
    };
    socket.send(Frame::text(handshake.hello())).await?;
    let (proving, proof) = handshake.receive_hello(&next_text(socket).await?)?;
    socket.send(Frame::text(proof)).await?;
    let proven = match next_text(socket).await {
        // Here only, after the certificate: a stranger stays one, whatever he says.
        Err(Failure::RefusedByOther { code: LOOKED, .. }) => return Err(Failure::Looked),
        proof => proving.receive_proof(&proof?)?,
    };
    socket.seal(proven.keys);
    Ok(proven.session)
}

/// The next text of a handshake.
pub async fn next_text(socket: &mut Socket) -> Result<String, Failure> {
    loop {
        match socket.next().await.ok_or(Failure::HungUp)?? {
            Frame::Text(text) if text.len() <= LONGEST_FRAME => return Ok(text.as_str().to_owned()),
            Frame::Text(_) | Frame::Binary(_) => return Err(Refusal::OutOfTurn.into()),
            Frame::Close(Some(frame)) => {
                return Err(Failure::RefusedByOther {
                    code: frame.code.into(),
                    reason: for_people(&frame.reason, 120),
                });
            }
            Frame::Close(None) => return Err(Failure::HungUp),
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => {}
        }
    }
}

/// The reason of a close frame has at most 123 bytes (RFC 6455, section 5.5).
pub fn close_frame(code: u16, mut reason: String) -> CloseFrame {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.truncate(end);
    CloseFrame { code: CloseCode::from(code), reason: reason.into() }
}

fn told(code: u16, reason: &str) -> Cow<'static, str> {
    match code {
        4002 => "it is not paired with this portal: put there what `screen-portal identity` prints here".into(),
        4003 => "it says that we are it: two portals have the same identity, or the address is our own".into(),
        _ => format!("it refuses ({code}): {reason}").into(),
    }
}

/// The far end's reason for ending a connection, for people.
fn farewell(code: u16, reason: &str) -> String {
    match (code, for_people(reason, 120).as_str()) {
        (TWIN, _) => {
            "the far end is connected with another portal that has this one's identity; on one of the two delete \
                      the identity file and pair it again"
                .into()
        }
        (_, "" | IN_ORDER) => "the far end ended the connection".into(),
        (_, reason) => format!("the far end ended the connection: {reason}"),
    }
}

fn websocket_problem(error: &tungstenite::Error) -> String {
    match error {
        // Nothing proves it: words for people, and nothing else follows.
        tungstenite::Error::Http(response) if response.status() == NOT_PAIRED => {
            "the portal there is not paired, perhaps because it was replaced or lost its data: unpair this one too, then pair the two again".into()
        }
        tungstenite::Error::Http(response) => format!("what answers is not a portal (HTTP {})", response.status()),
        tungstenite::Error::Io(error) => error.to_string(),
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => "it hung up".into(),
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
            "it hung up without a goodbye".into()
        }
        other => format!("it does not speak WebSocket as a portal does ({})", for_people(&other.to_string(), 120)),
    }
}

/// An authenticated connection.
pub struct Connection {
    id: ConnectionId,
    socket: Socket,
    local: Arc<Local>,
    orders: mpsc::Receiver<Order>,
    notes: mpsc::Sender<Note>,
    allowance: Allowance,
}

impl Connection {
    /// Tells the switchboard of the connection and serves it until it ends.
    pub async fn run(
        socket: Socket,
        session: SessionId,
        role: Role,
        address: String,
        local: Arc<Local>,
        notes: mpsc::Sender<Note>,
    ) {
        let id = next_id();
        let (orders_in, orders) = mpsc::channel(QUEUE);
        let up = Up { id, session, dialled: role == Role::Dialler, address, orders: orders_in };
        if notes.send(Note::Up(up)).await.is_err() {
            return;
        }
        let allowance = Allowance::new(Instant::now());
        let mut connection = Self { id, socket, local, orders, notes, allowance };
        let reason = connection.serve().await;
        // Whoever does not listen any more does not want to know either.
        let _ = connection.notes.send(Note::Ended(id, reason)).await;
    }

    async fn serve(&mut self) -> String {
        let keep_alive = self.socket.keep_alive();
        let mut ping = tokio::time::interval(keep_alive.ping_every);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ping.reset();
        let far = tokio::time::Instant::now() + Duration::from_secs(86_400 * 365);
        let (mut silent_at, mut retire_at) = (tokio::time::Instant::now() + keep_alive.silence, far);
        let mut probed = false;
        loop {
            tokio::select! {
                frame = self.socket.next() => {
                    silent_at = tokio::time::Instant::now() + keep_alive.silence;
                    match frame {
                        Some(Ok(frame)) => {
                            if std::mem::take(&mut probed) && self.notes.send(Note::Alive(self.id)).await.is_err() {
                                return "we ended it".into();
                            }
                            if let Err(reason) = self.receive(frame).await {
                                return reason;
                            }
                        }
                        Some(Err(error)) => return websocket_problem(&error),
                        None => return "it hung up".into(),
                    }
                }
                order = self.orders.recv() => match order {
                    Some(Order::Send(text)) => if let Err(reason) = self.send(Frame::text(text.as_ref())).await {
                        return reason;
                    },
                    Some(Order::Probe) => {
                        probed = true;
                        silent_at = silent_at.min(tokio::time::Instant::now() + keep_alive.doubtful_silence);
                        if let Err(reason) = self.send(Frame::Ping(Default::default())).await {
                            return reason;
                        }
                    }
                    Some(Order::Retire) => retire_at = retire_at.min(tokio::time::Instant::now() + LINGER),
                    Some(Order::Close) | None => return self.close(CloseCode::Normal.into(), IN_ORDER).await,
                    Some(Order::TurnAway) => return self.close(TWIN, "another portal has the same identity").await,
                },
                _ = ping.tick() => if let Err(reason) = self.send(Frame::Ping(Default::default())).await {
                    return reason;
                },
                () = tokio::time::sleep_until(retire_at) => return self.close(CloseCode::Normal.into(), "another connection is used").await,
                () = tokio::time::sleep_until(silent_at) => return "it has fallen silent".into(),
            }
        }
    }

    async fn receive(&mut self, frame: Frame) -> Result<(), String> {
        match frame {
            Frame::Text(text) => {
                if !self.allowance.take(Instant::now()) {
                    self.local.figures.link.rejected_messages.one();
                    let _ = self.close(CloseCode::Policy.into(), "too many messages").await;
                    return Err("it sent too many messages".into());
                }
                match Message::parse(&text) {
                    Ok(message) => {
                        // The switchboard never waits for us, so this cannot lock up.
                        self.notes.send(Note::Message(self.id, message)).await.map_err(|_| "we ended it".to_string())
                    }
                    Err(error) => {
                        self.local.figures.link.rejected_messages.one();
                        tracing::warn!(%error, "a message of the far end was refused; do both portals run the same version?");
                        Ok(())
                    }
                }
            }
            Frame::Binary(_) => {
                self.local.figures.link.rejected_messages.one();
                let _ =
                    self.close(CloseCode::Unsupported.into(), "binary messages are not part of this protocol").await;
                Err("it sent a binary message".into())
            }
            Frame::Close(frame) => Err(frame
                .map_or("the far end ended the connection".into(), |frame| farewell(frame.code.into(), &frame.reason))),
            // tungstenite answers pings by itself.
            Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_) => Ok(()),
        }
    }

    /// A far end that does not read for so long is as good as silent.
    async fn send(&mut self, frame: Frame) -> Result<(), String> {
        let deadline = tokio::time::Instant::now() + self.socket.keep_alive().silence;
        match timeout_at(deadline, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(websocket_problem(&error)),
            Err(_) => Err("it does not read what we send".into()),
        }
    }

    async fn close(&mut self, code: u16, reason: &str) -> String {
        let frame = close_frame(code, reason.into());
        let _ = timeout(FAREWELL, self.socket.close(Some(frame))).await;
        format!("we ended the connection: {reason}")
    }
}

fn next_id() -> ConnectionId {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Relaxed)
}
