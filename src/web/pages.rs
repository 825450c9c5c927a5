//! What the pages say.

use super::health::{Health, health};
use super::metrics;
use crate::ops::ending::{self, Ending};
use crate::ops::{Figures, Privacy, Snapshot, View, Words};
use crate::pairing::Fingerprint;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::watch;

/// Where the pages read.
#[derive(Clone)]
pub struct Sight {
    /// The portal's figures.
    pub figures: Arc<Figures>,
    /// What it is doing.
    pub view: watch::Receiver<View>,
    /// Who it is.
    pub fingerprint: Fingerprint,
}

#[derive(Serialize)]
struct Status {
    program: &'static str,
    version: &'static str,
    fingerprint: Fingerprint,
    health: Health,
    /// What the overlay and the log say, for people who look.
    in_words: Words,
    view: View,
    /// What becomes of our pictures, with what proves it.
    privacy: Privacy,
    /// How the run before this one ended, if it is known.
    last_end: Option<&'static Ending>,
    figures: Snapshot,
}

/// What changes with every look is kept nowhere.
const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

/// All pages.
pub fn router(sight: Sight) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/health", get(healthy))
        .route("/metrics", get(measured))
        .fallback(|| async { (StatusCode::NOT_FOUND, "there are /status, /health and /metrics\n") })
        .with_state(sight)
}

async fn status(State(sight): State<Sight>) -> Response {
    let view = sight.view.borrow().clone();
    let now = Instant::now();
    let figures = sight.figures.snapshot(now);
    let privacy = sight.figures.privacy(&view, now);
    let status = Status {
        program: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        fingerprint: sight.fingerprint,
        health: health(&view, &privacy),
        in_words: Words::new(&figures, &view),
        view,
        privacy,
        last_end: ending::last(),
        figures,
    };
    ([NO_STORE], Json(status)).into_response()
}

async fn healthy(State(sight): State<Sight>) -> Response {
    let view = sight.view.borrow().clone();
    let health = health(&view, &sight.figures.privacy(&view, Instant::now()));
    let (code, word) = if health.ok { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ok") };
    (code, [NO_STORE], format!("{word}: {}\n", health.reason)).into_response()
}

async fn measured(State(sight): State<Sight>) -> Response {
    let view = sight.view.borrow().clone();
    match metrics::text(sight.figures.snapshot(Instant::now()), view, sight.fingerprint) {
        Ok(text) => ([NO_STORE, (header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        // A String takes everything, and our own types encode everything.
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
