//! One client's WebSocket, from its welcome to its end.

use super::access::Rights;
use super::limits::Allowance;
use super::message::{ClientId, Code};
use super::queues::TooSlow;
use super::shared::{Place, Seat, Shared};
use futures_util::{SinkExt, StreamExt};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message as Frame};

/// A frame that does not get into the network for so long is read by nobody.
const STUCK: Duration = Duration::from_secs(10);
/// How long saying goodbye may take.
const FAREWELL: Duration = Duration::from_millis(300);
/// Between two complaints about the same client's speed.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// The client vanished, or the network did.
const BROKEN: &str = "the connection broke";

/// Why a connection ends.
enum End {
    /// The client went, in whatever way; for the log.
    Gone(&'static str),
    /// It is told why, and cut off.
    Cut(CloseCode, &'static str),
    /// As well.
    TooSlow(TooSlow),
}

impl End {
    /// As far as operators can do something about it, it is a warning.
    fn log(&self, client: ClientId, address: IpAddr, since: Instant) {
        let seconds = since.elapsed().as_secs();
        match self {
            Self::Gone(reason) | Self::Cut(CloseCode::Away, reason) => {
                tracing::debug!(%client, %address, seconds, reason, "a client is gone");
            }
            Self::Cut(_, reason) => tracing::info!(%client, %address, seconds, reason, "a client is cut off"),
            Self::TooSlow(why) => {
                let reason = match why {
                    TooSlow::Own => "its queue is full: [hub] queue_messages, queue_bytes",
                    TooSlow::All => {
                        "all queues together are full, and its was one of the longest: [hub] all_queues_bytes"
                    }
                    TooSlow::Stuck => "its network took nothing for 10 s",
                };
                tracing::warn!(%client, %address, seconds, reason, "a client that reads too slowly is cut off");
            }
        }
    }

    fn farewell(self) -> Option<CloseFrame> {
        let (code, reason) = match self {
            Self::Gone(_) => return None,
            Self::Cut(code, reason) => (code, reason),
            Self::TooSlow(_) => (CloseCode::Policy, "reads too slowly"),
        };
        Some(CloseFrame { code, reason: reason.into() })
    }
}

/// Serves one client until it is gone.
pub async fn serve(io: impl AsyncRead + AsyncWrite + Unpin + Send, rights: Rights, place: Place, shared: Arc<Shared>) {
    let limits = WebSocketConfig::default()
        .max_message_size(Some(shared.config.max_message_bytes))
        .max_frame_size(Some(shared.config.max_message_bytes))
        // What most messages fit into; longer ones get a buffer of their own. Ten thousand clients have one each.
        .read_buffer_size(2048)
        .write_buffer_size(0)
        .max_write_buffer_size(2 * shared.config.max_message_bytes + 4096);
    let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(limits)).await;
    let seat = shared.enter(&place);
    let (client, address, since) = (seat.id, seat.address, Instant::now());
    tracing::debug!(%client, %address, "a client has come");
    let end = converse(&mut socket, &seat, &rights, &shared).await;
    // Others hear of it before the goodbye, which may take a moment.
    drop((seat, place));
    end.log(client, address, since);
    if let Some(frame) = end.farewell() {
        let _ = timeout(FAREWELL, socket.close(Some(frame))).await;
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send>(
    socket: &mut WebSocketStream<S>,
    seat: &Seat,
    rights: &Rights,
    shared: &Shared,
) -> End {
    let config = &shared.config;
    let (silence, idle) = (Duration::from_secs(config.silence_s), Duration::from_secs(config.idle_s));
    let start = Instant::now();
    let mut allowance = Allowance::new(config.burst_messages, config.messages_per_s, start);
    let (mut heard, mut asked, mut has_spoken, mut complained) = (start, false, false, None::<Instant>);
    // Not before is the next message read.
    let mut read_at = start;
    let mut stopped = shared.stopped.clone();
    if *stopped.borrow_and_update() {
        return End::Gone("the hub ends");
    }
    loop {
        let quiet_until = heard + if asked { silence } else { silence / 3 };
        let patience = if has_spoken { quiet_until } else { quiet_until.min(start + idle) };
        let may_read = read_at <= Instant::now();
        tokio::select! {
            text = seat.next() => {
                let text = match text {
                    Ok(text) => text,
                    Err(why) => return End::TooSlow(why),
                };
                let sent = tokio::select! {
                    sent = timeout(STUCK, socket.send(Frame::Text(text))) => sent,
                    // What is on its way to somebody who does not read takes memory as well.
                    why = seat.cut() => return End::TooSlow(why),
                };
                match sent {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return End::Gone(BROKEN),
                    Err(_) => {
                        shared.counters.too_slow.inc();
                        return End::TooSlow(TooSlow::Stuck);
                    }
                }
            }
            frame = socket.next(), if may_read => {
                let now = Instant::now();
                (heard, asked) = (now, false);
                match frame {
                    Some(Ok(Frame::Text(text))) => {
                        has_spoken = true;
                        let wait = allowance.take(now);
                        read_at = now + wait;
                        if !wait.is_zero() && complained.is_none_or(|at| now.duration_since(at) > COMPLAIN_EVERY) {
                            complained = Some(now);
                            let message = format!("more than {} messages a second: they are read more slowly", config.messages_per_s);
                            shared.complain(seat.id, Code::RateLimited, &message);
                            tracing::info!(client = %seat.id, address = %seat.address, "a client says {message}");
                        }
                        shared.take(seat, &text, rights);
                    }
                    // Answered by the library; they count, or they would be a way to flood.
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => read_at = now + allowance.take(now),
                    Some(Ok(Frame::Binary(_))) => {
                        has_spoken = true;
                        read_at = now + allowance.take(now);
                        shared.complain(seat.id, Code::Malformed, "binary messages are not understood: send JSON as text");
                    }
                    Some(Ok(Frame::Frame(_))) => {}
                    Some(Ok(Frame::Close(_))) | None => return End::Gone("it hung up"),
                    Some(Err(Error::Capacity(_))) => {
                        shared.counters.broken.inc();
                        return End::Cut(CloseCode::Size, "the message is longer than this hub takes");
                    }
                    // RFC 6455, section 8.1.
                    Some(Err(Error::Utf8(_))) => {
                        shared.counters.broken.inc();
                        return End::Cut(CloseCode::Invalid, "that was no UTF-8 text");
                    }
                    Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => return End::Gone(BROKEN),
                    Some(Err(Error::Protocol(_))) => {
                        shared.counters.broken.inc();
                        return End::Cut(CloseCode::Protocol, "that was no WebSocket frame");
                    }
                    Some(Err(_)) => return End::Gone(BROKEN),
                }
            }
            () = sleep_until(read_at.into()), if !may_read => {}
            () = sleep_until(patience.into()) => {
                if !has_spoken && start.elapsed() >= idle {
                    shared.counters.idle.inc();
                    return End::Cut(CloseCode::Policy, "connected and said nothing");
                }
                if asked {
                    shared.counters.silent.inc();
                    return End::Gone("nothing was heard of it");
                }
                asked = true;
                if !matches!(timeout(STUCK, socket.send(Frame::Ping(Bytes::new()))).await, Ok(Ok(()))) {
                    return End::Gone(BROKEN);
                }
            }
            // Dropped means ended as well.
            _ = stopped.changed() => return End::Cut(CloseCode::Away, "the hub ends or begins again"),
        }
    }
}
