//! From a socket to a connection: TLS, HTTP, and the few pages beside the endpoint.

use super::access::{Rights, admits_origin};
use super::connection;
use super::names;
use super::shared::{Full, Shared};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;

/// For TLS and the head of a request.
const HEAD: Duration = Duration::from_secs(5);
/// For everything before a connection becomes a WebSocket, requests that follow each other on it included.
const PAGES: Duration = Duration::from_secs(30);
/// Bytes of a request's head, at most.
const HEAD_BYTES: usize = 16 * 1024;
/// Characters of an origin that the log shows.
const ORIGIN_SHOWN: usize = 100;
/// Connections that have not become WebSockets yet; more wait in the system's queue.
const UNDECIDED: usize = 1024;

const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");
/// The test page; it talks to nobody but its own hub.
const PAGE: &str = include_str!("../../assets/hub.html");
const PAGE_POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:; media-src blob:",
);

/// Accepts connections for ever.
pub async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let undecided = Arc::new(Semaphore::new(UNDECIDED));
    let pages = Router::new()
        .route("/", get(root))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .route("/rooms", post(make_room))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /, /health, /metrics and POST /rooms\n") })
        .with_state(Arc::clone(&shared));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&undecided).acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of a connection that is gone already (harmless), or no more file descriptors (passes).
                tracing::debug!(%error, "a connection to the hub could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Small messages that somebody waits for.
        let _ = stream.set_nodelay(true);
        let (tls, pages, shared) = (tls.clone(), pages.clone().layer(Extension(address)), Arc::clone(&shared));
        tokio::spawn(async move {
            let answered = async {
                match tls {
                    None => answer(stream, pages).await,
                    Some(tls) => match timeout(HEAD, tls.accept(stream)).await {
                        Ok(Ok(stream)) => answer(stream, pages).await,
                        Ok(Err(error)) => Err(error.to_string()),
                        Err(_) => Err("TLS took too long".to_owned()),
                    },
                }
            };
            if let Err(problem) = answered.await {
                shared.counters.failed.inc();
                tracing::debug!(%address, problem, "a connection to the hub came to nothing");
            }
            drop(permit);
        });
    }
}

/// Until the client has gone or speaks WebSocket, which is another task's.
async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, pages: Router) -> Result<(), String> {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages))
        .with_upgrades();
    match timeout(PAGES, connection).await {
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(())) | Err(_) => Ok(()),
    }
}

async fn root(
    State(shared): State<Arc<Shared>>,
    Extension(address): Extension<SocketAddr>,
    request: Request,
) -> Response {
    if !request.headers().contains_key(header::UPGRADE) {
        return ([PAGE_POLICY], Html(PAGE)).into_response();
    }
    let header = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    if !admits_origin(&shared.config, header(header::ORIGIN), header(header::HOST)) {
        shared.counters.foreign_origin();
        let origin: String = header(header::ORIGIN).unwrap_or_default().chars().take(ORIGIN_SHOWN).collect();
        let address = client_address(address);
        tracing::warn!(%address, origin, "a web page is not let in: [hub] origins names those that may connect");
        return (StatusCode::FORBIDDEN, "pages of this origin may not connect: [hub] origins names those that may\n")
            .into_response();
    }
    let place = match shared.place(client_address(address)) {
        Ok(place) => place,
        Err(Full::Hub) => {
            tracing::warn!(address = %client_address(address), "a client finds no place: [hub] max_clients are here");
            return (StatusCode::SERVICE_UNAVAILABLE, "this hub is full\n").into_response();
        }
        Err(Full::Address) => {
            let address = client_address(address);
            tracing::warn!(%address, "a client finds no place: [hub] max_clients_per_address are here from its address");
            return (StatusCode::TOO_MANY_REQUESTS, "too many clients from this address\n").into_response();
        }
    };
    let shown = token(request.headers(), request.uri().query());
    let (mut parts, _) = request.into_parts();
    let upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    let head = axum::http::Request::from_parts(parts, ());
    let Some(upgrade) = upgrade else {
        return (StatusCode::UPGRADE_REQUIRED, "this connection cannot become a WebSocket\n").into_response();
    };
    let response = match create_response_with_body(&head, axum::body::Body::empty) {
        Ok(response) => response,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("no WebSocket: {error}\n")).into_response(),
    };
    tokio::spawn(async move {
        let rights = Rights::new(Arc::clone(&shared.tokens), shown);
        match upgrade.await {
            Ok(upgraded) => connection::serve(TokioIo::new(upgraded), rights, place, shared).await,
            Err(error) => tracing::debug!(%error, "a connection ended before it became a WebSocket"),
        }
    });
    response
}

/// An IPv4 address that comes in IPv6 clothes is the same one.
fn client_address(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// The token that a client shows with its request: a header where it can set one, the address where it cannot (browsers).
fn token(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let asked = || query?.split('&').find_map(|pair| pair.strip_prefix("token="));
    bearer.or_else(asked).map(str::to_owned).filter(|token| token.len() <= 256)
}

async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let (clients, rooms) = shared.present();
    let body = json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION"), "clients": clients, "rooms": rooms });
    ([NO_STORE], Json(body)).into_response()
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.counters.text(shared.present(), shared.queued_bytes()) {
        Ok(text) => ([NO_STORE, (header::CONTENT_TYPE, crate::web::METRICS_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the hub's figures cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Keeps nothing: the room is there when somebody enters it.
async fn make_room() -> Response {
    (StatusCode::CREATED, [NO_STORE], Json(json!({ "room": names::room() }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_stand_in_a_header_or_in_the_address() {
        let none = HeaderMap::new();
        let mut bearer = HeaderMap::new();
        bearer.insert(header::AUTHORIZATION, "Bearer abc".parse().unwrap());
        assert_eq!(token(&none, None), None);
        assert_eq!(token(&none, Some("a=b&token=abc&c")), Some("abc".into()));
        assert_eq!(token(&bearer, Some("token=def")), Some("abc".into()));
        assert_eq!(token(&none, Some(&format!("token={}", "x".repeat(300)))), None);
    }
}
