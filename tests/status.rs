//! The status pages over real loopback sockets.

use screen_portal::ops::{CameraState, Figures, LinkState, Slate, View};
use screen_portal::pairing::Fingerprint;
use screen_portal::web::{self, Config};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::timeout;

struct Served {
    address: SocketAddr,
    figures: Arc<Figures>,
    view: watch::Sender<View>,
}

fn serve() -> Served {
    let figures = Arc::new(Figures::default());
    let (view, seen) = watch::channel(View::default());
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let address = web::serve(&config, figures.clone(), seen, Fingerprint::of(b"x")).unwrap().unwrap();
    Served { address, figures, view }
}

/// Head and body of the answer; empty if the connection is closed without one.
async fn ask(address: SocketAddr, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = timeout(Duration::from_secs(8), stream.read_to_string(&mut answer)).await.expect("an answer within 8 s");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    (head.to_owned(), body.to_owned())
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: portal\r\nConnection: close\r\n\r\n")).await
}

#[tokio::test]
async fn status_is_json_with_everything() {
    let served = serve();
    served.figures.outgoing.captured.add(42);
    served.view.send_modify(|view| view.far_site = Some("Hilltop \"south\"".into()));
    let (head, body) = get(served.address, "/status").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/json"), "{head}");
    let status: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status["figures"]["outgoing"]["captured"], 42);
    assert_eq!(status["view"]["far_site"], "Hilltop \"south\"");
    assert_eq!(status["view"]["link"], "idle");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["fingerprint"], Fingerprint::of(b"x").to_string());
    assert_eq!(status["health"]["ok"], false);
    assert_eq!((&status["privacy"]["state"], &status["privacy"]["captured"]), (&"open".into(), &42.into()));
    assert_eq!(status["privacy"]["devices_open"], serde_json::json!([]));
    for group in ["from_there", "to_there", "link"] {
        assert!(status["in_words"][group].as_array().is_some_and(|lines| !lines.is_empty()), "{status}");
    }
}

#[tokio::test]
async fn health_follows_the_view() {
    let served = serve();
    let (head, body) = get(served.address, "/health").await;
    assert!(head.starts_with("HTTP/1.1 503 ") && body.starts_with("not ok: "), "{head} {body}");
    let camera = CameraState::Running { description: "camera".into() };
    let live = View { link: LinkState::Live, slate: Slate::Hidden, camera, ..View::default() };
    served.view.send_replace(live);
    let (head, body) = get(served.address, "/health").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && body == "ok: live\n", "{head} {body}");
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    let served = serve();
    served.figures.presented(None, Instant::now());
    let (head, body) = get(served.address, "/metrics").await;
    assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("application/openmetrics-text"), "{head}");
    assert!(body.contains("\nscreen_portal_incoming_presented_total 1\n"), "{body}");
    assert!(body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn nothing_else_is_there() {
    let served = serve();
    assert!(get(served.address, "/").await.0.starts_with("HTTP/1.1 404 "));
    let post = "POST /status HTTP/1.1\r\nHost: portal\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert!(ask(served.address, post).await.0.starts_with("HTTP/1.1 405 "));
    let (head, _) = ask(served.address, &format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000))).await;
    assert!(!head.starts_with("HTTP/1.1 200 "), "{head}");
}

#[tokio::test]
async fn idle_connections_end_and_too_many_are_refused() {
    let served = serve();
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(served.address).await.unwrap());
    }
    // Those beyond the limit are closed at once, the others when no request comes.
    let started = Instant::now();
    let mut closed_at = Vec::new();
    for mut stream in idle {
        let _ = timeout(Duration::from_secs(8), stream.read(&mut [0])).await.expect("closed within 8 s");
        closed_at.push(started.elapsed());
    }
    assert!(closed_at[0] > Duration::from_secs(2), "{closed_at:?}");
    assert!(started.elapsed() < Duration::from_secs(6), "{closed_at:?}");
    assert!(get(served.address, "/health").await.0.starts_with("HTTP/1.1 503 "));
}

/// Requests that are never finished, many more than there are places: whoever means it is answered all the same, from the same address too.
#[tokio::test]
async fn half_open_requests_keep_nobody_out() {
    let served = serve();
    let mut half_open = Vec::new();
    for n in 0..300 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /status HTTP/1.1\r\nHost: por").await.unwrap();
        half_open.push(stream);
        if n % 50 == 49 {
            let started = Instant::now();
            assert!(get(served.address, "/health").await.0.starts_with("HTTP/1.1 503 "), "after {n}");
            assert!(started.elapsed() < Duration::from_secs(1), "{:?} after {n}", started.elapsed());
        }
    }
    let started = Instant::now();
    assert!(get(served.address, "/status").await.0.starts_with("HTTP/1.1 200 "));
    println!("{:?} with {} half-open requests", started.elapsed(), half_open.len());
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    // And none of them is held for long.
    let waited = Instant::now();
    for mut stream in half_open {
        let _ = timeout(Duration::from_secs(8), stream.read_to_end(&mut Vec::new())).await.expect("closed within 8 s");
    }
    assert!(waited.elapsed() < Duration::from_secs(6), "{:?}", waited.elapsed());
}

#[tokio::test]
async fn a_taken_port_is_one_clear_line() {
    let served = serve();
    let config = Config { listen: served.address, ..Config::default() };
    let view = watch::channel(View::default()).1;
    let error = web::serve(&config, Arc::default(), view.clone(), Fingerprint::of(b"x")).unwrap_err().to_string();
    assert!(error.contains(&served.address.to_string()) && error.contains("--status"), "{error}");
    let off = Config { enabled: false, ..config };
    assert_eq!(web::serve(&off, Arc::default(), view, Fingerprint::of(b"x")).unwrap(), None);
}
