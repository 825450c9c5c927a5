//! What whoever runs a hub can see of it, and what a hub has to be for clients to stay with it.

use crate::client::{Client, SOON, hub_with, metric};
use futures_util::{SinkExt, StreamExt};
use screen_portal::hub::client::{Client as Caller, Event, Options};
use screen_portal::hub::{Role, Token};
use serde_json::json;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Waits for a line with all of these words.
    async fn has(&self, words: &[&str]) {
        let start = Instant::now();
        loop {
            let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
            if text.lines().any(|line| words.iter().all(|word| line.contains(word))) {
                return;
            }
            assert!(start.elapsed() < SOON, "no line with {words:?} in\n{text}");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn the_log_says_who_does_not_get_in_and_who_is_cut_off() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // The test's runtime has this thread only.
    let _guard = tracing::subscriber::set_default(lines);
    let token = Token { token: "0123456789abcdef".into(), rooms: vec!["hall".into()], roles: vec![Role::Viewer] };
    let (hub, _folder) = hub_with(|config| {
        (config.tokens, config.max_clients_per_address, config.max_message_bytes) = (vec![token], 2, 2048);
        (config.messages_per_s, config.burst_messages, config.queue_messages) = (1, 4, 4);
    });
    let url = format!("ws://{}/", hub.address());
    let mut client = Client::connect(&hub).await;
    let id = client.id.clone();
    log.has(&["DEBUG", "has come", &id, "127.0.0.1"]).await;
    client.say(json!({ "type": "join", "room": "hall\u{202e}", "token": "a-wrong-secret-0000" })).await;
    assert_eq!(client.next().await["code"], "notAllowed");
    log.has(&["WARN", "not let in", &id, "127.0.0.1", "viewer", r"hall\\u{202e}"]).await;
    client.say(json!({ "type": "join", "room": "hall", "token": "0123456789abcdef" })).await;
    assert_eq!(client.next().await["type"], "joined");
    log.has(&["DEBUG", "enters the room", "hall", &id]).await;
    client.say(json!({ "type": "dance" })).await;
    log.has(&["DEBUG", "not carried out", "unknownType", &id]).await;
    for _ in 0..3 {
        client.say(json!({ "type": "dance" })).await;
    }
    log.has(&["INFO", "read more slowly", &id]).await;

    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert("Origin", format!("https://evil.example/{}", "x".repeat(4000)).parse().unwrap());
    assert!(Client::connect_to(request).await.is_err());
    log.has(&["WARN", "a web page is not let in", "https://evil.example/xxx", "[hub] origins"]).await;
    let mut second = Client::connect(&hub).await;
    assert!(Client::connect_to(url.as_str()).await.is_err());
    log.has(&["WARN", "finds no place", "max_clients_per_address", "127.0.0.1"]).await;
    second.say(json!({ "type": "join", "room": "x".repeat(3000) })).await;
    log.has(&["INFO", "cut off", "longer than", &second.id]).await;
    drop(client);
    log.has(&["DEBUG", "is gone", &id]).await;

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("secret-0000") && !text.contains("0123456789abcdef"), "no token, right or wrong");
    let longest = text.lines().filter(|line| line.contains(" screen_portal::hub")).map(str::len).max().unwrap();
    assert!(longest < 500, "{longest}: nothing of a stranger's is written at length");
}

#[tokio::test]
async fn the_log_says_who_reads_too_slowly() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(lines);
    let (hub, _folder) = hub_with(|config| (config.messages_per_s, config.burst_messages) = (100_000, 100_000));
    let mut writer = Client::join(&hub, "hall", None).await;
    let slow = Client::join(&hub, "hall", None).await;
    let text = "x".repeat(60_000);
    while metric(&hub, "too_slow_total").await < 1.0 {
        for _ in 0..20 {
            writer.say(json!({ "type": "sealed", "target": slow.id, "data": text })).await;
        }
    }
    log.has(&["WARN", "reads too slowly", &slow.id, "queue_bytes"]).await;
}

#[tokio::test]
async fn a_hub_that_says_nothing_is_called_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    // It speaks WebSocket and is alive, but is no hub.
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut socket = accept_async(stream).await.unwrap();
                while socket.send(Frame::Ping(Bytes::new())).await.is_ok() {
                    let _ = timeout(Duration::from_secs(1), socket.next()).await;
                }
            });
        }
    });
    let mut caller = Caller::start(Options { url, ..Options::default() }).unwrap();
    let Event::Lost { reason } = timeout(Duration::from_secs(15), caller.next()).await.unwrap() else { panic!() };
    assert!(reason.contains("does not answer as a hub"), "{reason}");
}
