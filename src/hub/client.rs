//! A client of a hub: a camera, a viewer, or whatever else speaks the messages of [`super::message`]. It stays connected for as long as it
//! lives: when the hub goes away it is called again, not by all at once, and the room is entered again.
//!
//! `examples/hub_camera.rs` and `examples/hub_viewer.rs` show both ends of a meeting.

use super::message::{FromHub, Join, ToHub};
use crate::files;
use futures_util::{SinkExt, StreamExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Request, header};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

/// Everything up to the connection, and then up to the welcome and into the room.
const CONNECT: Duration = Duration::from_secs(10);
/// Without a word from the hub for so long it is asked for a sign of life, and after twice as long given up.
const QUIET: Duration = Duration::from_secs(30);
/// The first call after a loss comes within this; each one that fails doubles it up to the second.
const FIRST_WITHIN: Duration = Duration::from_secs(2);
const LONGEST_WITHIN: Duration = Duration::from_secs(6);
/// Never sooner, so that a hub that hangs up at once is not called in a hot loop.
const SOONEST: Duration = Duration::from_millis(100);
/// Events that wait for whoever owns the client, and messages that wait for the hub. With more, the client waits.
const QUEUE: usize = 64;

/// Which hub, and as what.
#[derive(Clone, Default)]
pub struct Options {
    /// `ws://HOST:PORT/` or `wss://HOST:PORT/`.
    pub url: String,
    /// Entered after each welcome; without it the client stays in no room.
    pub join: Option<Join>,
    /// Shown with the request, for hubs that ask for a token.
    pub token: Option<String>,
    /// A PEM file of what to trust instead of the system's certificates: the hub's own `hub.pem`, for instance.
    pub trust: Option<PathBuf>,
}

/// Never shows a token.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options").field("url", &self.url).field("trust", &self.trust).finish_non_exhaustive()
    }
}

impl Options {
    /// Whether a client can be made of them, as far as that is known without its certificates.
    ///
    /// # Errors
    /// What is wrong with the address or the token.
    pub fn check(&self) -> Result<(), Error> {
        address(self).map(drop)
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The hub says something; its welcome is the first thing after each connection.
    Message(FromHub),
    /// The hub is gone, or not there. It is called again by itself.
    Lost {
        /// Why, for people.
        reason: String,
    },
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No address of a hub.
    #[error("`{url}` is no address of a hub: {problem}; write ws://HOST:PORT/ or wss://HOST:PORT/")]
    Url {
        /// As given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No certificates to trust.
    #[error("certificates to trust: {0}")]
    Trust(String),
}

/// A running client. Dropping it ends the connection.
#[derive(Debug)]
pub struct Client {
    orders: mpsc::Sender<ToHub>,
    events: mpsc::Receiver<Event>,
    task: JoinHandle<()>,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How long an orderly end may take.
const CLOSING: Duration = Duration::from_millis(300);

impl Client {
    /// Says what was still to be said, and ends; takes 300 ms at most.
    pub async fn close(mut self) {
        // Without anybody who could say more, the task ends when it has said all.
        self.orders = mpsc::channel(1).0;
        self.events.close();
        if timeout(CLOSING, &mut self.task).await.is_err() {
            tracing::debug!("the client of the hub did not end in order in time");
        }
    }

    /// Starts to call the hub. To be called inside a tokio runtime; returns at once.
    ///
    /// # Errors
    /// Options that can never work.
    pub fn start(options: Options) -> Result<Self, Error> {
        let target = Target::new(&options)?;
        let (orders, to_do) = mpsc::channel(QUEUE);
        let (events_in, events) = mpsc::channel(QUEUE);
        let task = tokio::spawn(stay(target, options.join, to_do, events_in));
        Ok(Self { orders, events, task })
    }

    /// What happens next.
    pub async fn next(&mut self) -> Event {
        let ended = || Event::Lost { reason: "the client has ended".into() };
        self.events.recv().await.unwrap_or_else(ended)
    }

    /// Says something to the hub. While it is not there, nothing is kept: what one would say belongs to people who have left.
    pub async fn say(&self, message: ToHub) {
        // The task lives as long as we do.
        let _ = self.orders.send(message).await;
    }
}

/// Whom to call, and how.
struct Target {
    request: Request<()>,
    authority: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Target {
    fn new(options: &Options) -> Result<Self, Error> {
        let (request, authority, name) = address(options)?;
        let tls = name.map(|name| {
            let config = trusting(options.trust.as_deref())?;
            Ok((TlsConnector::from(Arc::new(config)), name))
        });
        let tls = tls.transpose()?;
        Ok(Self { authority, request, tls })
    }
}

/// The request, whom to connect with (`HOST:PORT`), and what it is called if it is to prove that.
fn address(options: &Options) -> Result<(Request<()>, String, Option<ServerName<'static>>), Error> {
    let wrong = |problem: String| Error::Url { url: options.url.clone(), problem };
    let mut request = options.url.as_str().into_client_request().map_err(|error| wrong(error.to_string()))?;
    if let Some(token) = &options.token {
        let bearer = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|error| wrong(error.to_string()))?;
        request.headers_mut().insert(header::AUTHORIZATION, bearer);
    }
    let host = request.uri().host().unwrap_or_default().to_owned();
    let is_encrypted = match request.uri().scheme_str() {
        Some("ws") => false,
        Some("wss") => true,
        _ => return Err(wrong("it begins with neither ws:// nor wss://".into())),
    };
    let port = request.uri().port_u16().unwrap_or(if is_encrypted { 443 } else { 80 });
    let bare = || host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = is_encrypted.then(|| ServerName::try_from(bare())).transpose();
    let name = name.map_err(|error| wrong(error.to_string()))?;
    Ok((request, format!("{host}:{port}"), name))
}

/// What makes encrypted connections with others: trusts this PEM file's certificates, or the system's.
pub(crate) fn trusting(trust: Option<&Path>) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    match trust {
        Some(file) => {
            let failed = |problem: String| Error::Trust(format!("{}: {problem}", file.display()));
            let pem = files::read(file, files::LARGEST_PEM).map_err(|error| failed(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(Error::Trust(
            "there are none; install ca-certificates, or name the server's own certificate".into(),
        ));
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Trust(error.to_string()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// When to call again: at a random moment within a span that grows with each failure, so that a thousand clients of a hub that begins again do
/// not come in one wave, and all are back within ten seconds.
#[derive(Debug)]
struct Backoff {
    within: Duration,
}

impl Backoff {
    fn new() -> Self {
        Self { within: FIRST_WITHIN }
    }

    /// `random` is from 0 to 1.
    fn next(&mut self, random: f64) -> Duration {
        let delay = self.within.mul_f64(random.clamp(0.0, 1.0));
        self.within = (self.within * 2).min(LONGEST_WITHIN);
        delay.max(SOONEST)
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type Socket = WebSocketStream<Box<dyn Stream>>;

async fn stay(target: Target, join: Option<Join>, mut to_do: mpsc::Receiver<ToHub>, events: mpsc::Sender<Event>) {
    let mut backoff = Backoff::new();
    loop {
        let reason = match timeout(CONNECT, call(&target)).await {
            Ok(Ok(socket)) => {
                let since = Instant::now();
                let reason = converse(socket, join.as_ref(), &mut to_do, &events).await;
                if since.elapsed() > LONGEST_WITHIN {
                    backoff = Backoff::new();
                }
                reason
            }
            Ok(Err(problem)) => problem,
            Err(_) => "it did not answer within 10 s".into(),
        };
        if events.send(Event::Lost { reason }).await.is_err() {
            return;
        }
        let pause = sleep(backoff.next(rand::random()));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                () = &mut pause => break,
                // Dropped: it is for people who are not there any more.
                order = to_do.recv() => if order.is_none() { return },
            }
        }
    }
}

async fn call(target: &Target) -> Result<Socket, String> {
    let stream = TcpStream::connect(&target.authority).await.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let stream: Box<dyn Stream> = match &target.tls {
        None => Box::new(stream),
        Some((connector, name)) => {
            Box::new(connector.connect(name.clone(), stream).await.map_err(|error| error.to_string())?)
        }
    };
    let limits = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    let called = client_async_with_config(target.request.clone(), stream, Some(limits)).await;
    called.map(|(socket, _)| socket).map_err(|error| error.to_string())
}

/// Until the connection ends; says why.
async fn converse(
    mut socket: Socket,
    join: Option<&Join>,
    to_do: &mut mpsc::Receiver<ToHub>,
    events: &mpsc::Sender<Event>,
) -> String {
    let mut asked = false;
    // Until then it has to show that it is a hub: what only answers pings is none.
    let mut due = Some(Instant::now() + CONNECT);
    loop {
        let frame = tokio::select! {
            frame = timeout(QUIET, socket.next()) => frame,
            () = sleep_until(due.unwrap_or_else(Instant::now).into()), if due.is_some() => {
                return "it does not answer as a hub: no welcome, or nobody is let in, within 10 s".into();
            }
            order = to_do.recv() => {
                let Some(order) = order else {
                    let _ = timeout(Duration::from_millis(300), socket.close(None)).await;
                    return "ended here".into();
                };
                if let Err(error) = socket.send(Frame::text(order.to_json())).await {
                    return error.to_string();
                }
                continue;
            }
        };
        match frame {
            Err(_) if asked => return "nothing was heard of it for a minute".into(),
            Err(_) => {
                asked = true;
                if let Err(error) = socket.send(Frame::Ping(Bytes::new())).await {
                    return error.to_string();
                }
                continue;
            }
            Ok(None) => return "it hung up".into(),
            Ok(Some(Err(error))) => return error.to_string(),
            Ok(Some(Ok(Frame::Text(text)))) => match FromHub::read(&text) {
                Ok(message) => {
                    let enters = matches!(message, FromHub::Welcome { .. });
                    let answers = match &message {
                        FromHub::Welcome { .. } => join.is_none(),
                        FromHub::Joined { .. } | FromHub::Error { .. } => true,
                        _ => false,
                    };
                    due = due.filter(|_| !answers);
                    if events.send(Event::Message(message)).await.is_err() {
                        return "ended here".into();
                    }
                    if let Some(join) = join.filter(|_| enters)
                        && let Err(error) = socket.send(Frame::text(ToHub::Join(join.clone()).to_json())).await
                    {
                        return error.to_string();
                    }
                }
                Err(problem) => tracing::debug!(problem, "the hub says something that is not understood"),
            },
            Ok(Some(Ok(Frame::Close(frame)))) => {
                return frame.map_or_else(
                    || "it ended the connection".into(),
                    |it| format!("it ended the connection: {}", it.reason),
                );
            }
            Ok(Some(Ok(_))) => {}
        }
        asked = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_back_within_ten_seconds_and_never_in_one_wave() {
        // The hub is away for a second: each client's calls until one falls after that.
        let mut times: Vec<f64> = (0..1000)
            .map(|_| {
                let (mut backoff, mut at) = (Backoff::new(), 0.0);
                while at < 1.0 {
                    at += backoff.next(rand::random()).as_secs_f64();
                }
                at
            })
            .collect();
        times.sort_by(f64::total_cmp);
        assert!(times[999] < 10.0, "{}", times[999]);
        let most = (0..95).map(|tenth| times.iter().filter(|it| (**it * 10.0) as i32 == tenth).count()).max().unwrap();
        assert!(most < 150, "{most} of 1000 in a tenth of a second");
    }

    #[test]
    fn addresses() {
        let target = |url: &str| {
            let options = Options { url: url.into(), trust: None, ..Options::default() };
            Target::new(&options).map(|target| (target.authority, target.tls.is_some()))
        };
        assert_eq!(target("ws://hub.example/").unwrap(), ("hub.example:80".into(), false));
        assert_eq!(target("ws://[::1]:7415").unwrap(), ("[::1]:7415".into(), false));
        for bad in ["", "hub.example", "http://hub.example/", "ws://"] {
            assert!(target(bad).is_err(), "{bad}");
        }
    }
}
