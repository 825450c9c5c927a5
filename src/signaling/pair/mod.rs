//! Pairing: [`crate::pairing::Exchange`] on a WebSocket, path `/pair`, on the port of signalling; or on a line through a hub or a broker, in a room
//! that is named by the code's number.
//!
//! Who shows a code listens ([`Host`]), who entered it dials ([`dial`], [`dial_through`]). Nobody listens so who is paired.

mod dialler;
mod host;
mod turn;

pub use dialler::{dial, dial_through};
pub use host::{Host, Listening};
pub use turn::Turn;

use super::connection::{self, close_frame, next_text};
use super::socket::Socket;
use crate::pairing::attempts::Refusal;
use crate::pairing::{self, Way, direct_addresses};
use crate::pairing::{Exchange, LIMIT, Paired};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::time::timeout_at;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::http::StatusCode;

/// The path of pairing; signalling's is `/signal`.
pub(super) const PATH: &str = "/pair";
/// How a portal that is not paired answers whoever wants to signal.
pub(super) const NOT_PAIRED: StatusCode = StatusCode::CONFLICT;
/// How long saying why may take.
const FAREWELL: Duration = Duration::from_millis(250);

/// Why two portals are not paired.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// What the other end says or shows cannot be accepted.
    #[error(transparent)]
    Exchange(#[from] pairing::Failure),
    /// It cannot be begun now.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The network, or what answers there; or the other end's refusal.
    #[error("{0}")]
    Connection(String),
    /// Nobody shows a code with this number.
    #[error(
        "no portal shows a code that begins with {0} at that hub or broker; are both set to the same one, and is the code still shown?"
    )]
    NobodyThere(u8),
    /// No hub or broker has let us in.
    #[error("{0}; check its address, and that this machine reaches it")]
    Away(String),
    /// Who is meant cannot be told.
    #[error(
        "two others use this code's number at this moment; try again with a new code, which the other one shows after at most ten minutes"
    )]
    Crowd,
    /// The other end did not accept our code.
    #[error(
        "the code is not the one that is shown there, and does not count any more; enter the one that is shown now"
    )]
    WrongCode,
    /// The other end is paired already, so it does not pair.
    #[error("it is paired already; run `screen-portal unpair` there first, if it is to be paired anew")]
    PairedAlready,
    /// What was agreed on cannot be stored.
    #[error(
        "the pairing cannot be stored: {0}; check that the data folder exists and is yours, and that the disk is not full"
    )]
    Store(io::Error),
    /// The other end has stored us, and we do not know it: half of a pairing.
    #[error(
        "the connection ended in the last moment, and it may take us for its far end: run `screen-portal unpair` there, and pair again"
    )]
    HalfDone,
}

impl From<connection::Failure> for Failure {
    fn from(failure: connection::Failure) -> Self {
        match failure {
            connection::Failure::RefusedByOther { code: 4010, .. } => Self::WrongCode,
            connection::Failure::RefusedByOther { code: 4013, .. } => Refusal::Busy.into(),
            connection::Failure::RefusedByOther { code: 4014, .. } => Refusal::Paused.into(),
            connection::Failure::Socket(tokio_tungstenite::tungstenite::Error::Http(answer))
                if answer.status() == PAIRED_ALREADY =>
            {
                Self::PairedAlready
            }
            other => Self::Connection(other.to_string()),
        }
    }
}

/// What a portal that is paired answers to whoever asks for [`PATH`].
pub(super) const PAIRED_ALREADY: u16 = 409;

/// Stores what two portals agreed on, before the other end is told so.
pub type Store = dyn Fn(&Paired, Option<IpAddr>) -> io::Result<()> + Send + Sync;

/// The addresses to dial from now on: where the other end was met, and what it says of itself.
pub fn addresses(paired: &Paired, met_at: Option<IpAddr>) -> Vec<SocketAddr> {
    let port = paired.ways.iter().find_map(|way| match way {
        Way::Direct { port, .. } => Some(*port),
        Way::Hub { .. } | Way::Broker { .. } | Way::Other => None,
    });
    let met = met_at.zip(port).map(|(ip, port)| Way::Direct { addresses: vec![ip.to_canonical()], port });
    let ways: Vec<Way> = met.into_iter().chain(paired.ways.iter().cloned()).collect();
    direct_addresses(&ways, pairing::MOST_ADDRESSES)
}

/// Carries messages until the exchange is over. `first` has been received already.
async fn carry(
    socket: &mut Socket,
    exchange: &mut Exchange,
    mut first: Option<String>,
    store: &(dyn Fn(&Paired) -> io::Result<()> + Send + Sync),
) -> Result<Paired, Failure> {
    let carried = timeout_at(exchange.until().into(), async {
        loop {
            let text = match first.take() {
                Some(text) => text,
                None => match next_text(socket).await {
                    Ok(text) => text,
                    // Our card is there; whether it was stored is not known.
                    Err(_) if exchange.awaits_done() => return Err(Failure::HalfDone),
                    Err(failure) => return Err(failure.into()),
                },
            };
            let step = exchange.receive(&text, Instant::now())?;
            if let Some(paired) = &step.paired {
                store(paired).map_err(Failure::Store)?;
            }
            for text in step.send {
                let sent = send(socket, text).await;
                // Stored is stored, whether the other end hears of it or not.
                if step.paired.is_none() {
                    sent?;
                }
            }
            if let Some(paired) = step.paired {
                return Ok(paired);
            }
        }
    });
    carried.await.unwrap_or(Err(pairing::Failure::Late.into()))
}

/// Ends a connection, and says why.
async fn close(socket: &mut Socket, result: &Result<Paired, Failure>) {
    let frame = match result {
        Ok(_) => close_frame(1000, "in order".into()),
        Err(Failure::Exchange(failure)) => close_frame(failure.close_code(), failure.to_string()),
        Err(Failure::Refused(refusal)) => close_frame(refusal.close_code(), refusal.to_string()),
        Err(failure) => close_frame(1011, failure.to_string()),
    };
    let _ = tokio::time::timeout(FAREWELL, socket.close(Some(frame))).await;
}

const _: () = assert!(LIMIT.as_secs() == 30, "the words of `pairing::Failure::Late` say so");

async fn send(socket: &mut Socket, text: String) -> Result<(), Failure> {
    Ok(socket.send(Frame::text(text)).await.map_err(connection::Failure::from)?)
}
