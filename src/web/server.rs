//! Serves the pages, within limits.

use super::Config;
use super::pages::{Sight, router};
use super::places::Places;
use crate::ops::{Figures, View};
use crate::pairing::Fingerprint;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

/// For the head of a request, from the connection or the request before it on.
const HEAD: Duration = Duration::from_secs(3);
/// For a connection as a whole, requests that follow each other on it included: nobody holds one for ever.
const CONNECTION: Duration = Duration::from_secs(60);
/// Bytes of a request's head, at most.
const HEAD_BYTES: usize = 16 * 1024;

/// Why there are no status pages.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be had.
    #[error(
        "the status pages cannot listen on {listen}: {source}; if another portal runs here, stop it, or choose another port \
         with --status or [status] listen, or set enabled = false there"
    )]
    Bind {
        /// The configured address.
        listen: SocketAddr,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// Starts the status pages, if they are enabled; they live as long as the tokio runtime inside which this is called. Tells where
/// they are.
pub fn serve(
    config: &Config,
    figures: Arc<Figures>,
    view: watch::Receiver<View>,
    fingerprint: Fingerprint,
) -> Result<Option<SocketAddr>, Error> {
    if !config.enabled {
        return Ok(None);
    }
    let bound = TcpListener::bind(config.listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((tokio::net::TcpListener::from_std(listener)?, address))
    });
    let (listener, address) = bound.map_err(|source| Error::Bind { listen: config.listen, source })?;
    tracing::info!("status pages are at http://{address}/status, /health and /metrics");
    tokio::spawn(accept(listener, router(Sight { figures, view, fingerprint })));
    Ok(Some(address))
}

async fn accept(listener: tokio::net::TcpListener, pages: Router) {
    let mut places = Places::default();
    loop {
        let (stream, address) = match listener.accept().await {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) => {
                // Of a connection that is gone already (harmless), or no more file descriptors (passes, or is seen elsewhere).
                tracing::debug!(%error, "a connection to the status pages could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        places.make_room(address);
        let connection = tokio::spawn(answer(stream, pages.clone()));
        places.take(address, connection.abort_handle());
    }
}

async fn answer(stream: TcpStream, pages: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(pages));
    match timeout(CONNECTION, connection).await {
        Ok(Ok(())) | Err(_) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the status pages ended"),
    }
}
