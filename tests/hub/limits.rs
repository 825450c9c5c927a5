//! Each limit, met by one client, and what the others notice of it: nothing.

use crate::client::{Client, SOON, hub_with, metric};
use futures_util::{SinkExt, StreamExt};
use screen_portal::hub::Hub;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, client_async_with_config};

#[tokio::test]
async fn who_reads_slowly_is_cut_off_and_hurts_nobody() {
    let (hub, _folder) = hub_with(|config| (config.messages_per_s, config.burst_messages) = (100_000, 100_000));
    let mut writer = Client::join(&hub, "hall", None).await;
    let slow = Client::join(&hub, "hall", None).await;
    let mut other = Client::join(&hub, "hall", None).await;
    let text = "x".repeat(30_000);
    for turn in 0..600 {
        writer.say(json!({ "type": "sealed", "target": slow.id, "data": text })).await;
        writer.say(json!({ "type": "sealed", "target": other.id, "data": turn.to_string() })).await;
        let (start, turn) = (Instant::now(), turn.to_string());
        // It hears of the slow one's end as well.
        while other.next().await["data"] != turn {}
        assert!(start.elapsed() < Duration::from_millis(500), "{turn}: {:?}", start.elapsed());
    }
    // What is on its way to it is given up; then it is gone, for everybody.
    let start = Instant::now();
    while metric(&hub, "clients").await > 2.0 {
        assert!(start.elapsed() < SOON);
        sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(metric(&hub, "too_slow_total").await, 1.0);
    drop(slow);
}

#[tokio::test]
async fn who_speaks_too_fast_is_read_more_slowly_and_hurts_nobody() {
    let (hub, _folder) = hub_with(|config| (config.messages_per_s, config.burst_messages) = (50, 100));
    let mut flooder = Client::join(&hub, "hall", None).await;
    let mut one = Client::join(&hub, "other", None).await;
    let mut two = Client::join(&hub, "other", None).await;
    one.next().await;
    let flood = tokio::spawn(async move {
        let until = Instant::now() + Duration::from_secs(3);
        let mut sent = 0;
        while Instant::now() < until {
            let message = Frame::text(r#"{"type":"requestStream","cameraId":"none"}"#);
            if timeout(Duration::from_secs(1), flooder.socket.send(message)).await.is_ok() {
                sent += 1;
            }
        }
        // What the network holds of the flood comes to nothing with the connection.
        sent
    });
    for turn in 0..20 {
        let start = Instant::now();
        one.say(json!({ "type": "sealed", "target": two.id, "data": turn.to_string() })).await;
        assert_eq!(two.next().await["data"], turn.to_string());
        assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
        sleep(Duration::from_millis(100)).await;
    }
    let sent = timeout(Duration::from_secs(20), flood).await.unwrap().unwrap();
    let taken = metric(&hub, "messages_received_total").await;
    assert!(sent > 1000 && (200.0..400.0).contains(&taken), "100 and 50 a second: {taken} of {sent}");
    assert_eq!(metric(&hub, "refused_total{reason=\"rateLimited\"}").await, 1.0, "told once");
}

#[tokio::test]
async fn bad_frames_end_their_senders_connection_and_nobody_elses() {
    let (hub, _folder) = hub_with(|config| (config.max_message_bytes, config.idle_s) = (2048, 1));
    let mut good = Client::join(&hub, "hall", None).await;
    let mut long = Client::join(&hub, "hall", None).await;
    good.next().await;
    long.say(json!({ "type": "join", "room": "x".repeat(5000) })).await;
    assert_eq!(long.end().await, Some(1009), "too long");
    let mut binary = Client::connect(&hub).await;
    binary.socket.send(Frame::binary(vec![1, 2, 3])).await.unwrap();
    assert_eq!(binary.next().await["code"], "malformed");
    let mut idle = Client::connect(&hub).await;
    assert_eq!(idle.end().await, Some(1008), "said nothing");
    // Not WebSocket at all, after the handshake.
    let stream = TcpStream::connect(hub.address()).await.unwrap();
    let (mut socket, _) = client_async_with_config(format!("ws://{}/", hub.address()), stream, None).await.unwrap();
    socket.get_mut().write_all(&[0xff; 64]).await.unwrap();
    while let Some(Ok(_)) = timeout(SOON, socket.next()).await.unwrap() {}
    good.say(json!({ "type": "leave" })).await;
    good.say(json!({ "type": "join", "room": "hall" })).await;
    while good.next().await["type"] != "joined" {}
    assert_eq!((metric(&hub, "broken_total").await, metric(&hub, "idle_total").await), (2.0, 1.0));
}

#[tokio::test]
async fn places_are_limited_and_given_back() {
    let (hub, _folder) = hub_with(|config| (config.max_clients, config.max_clients_per_address) = (3, 2));
    let url = format!("ws://{}/", hub.address());
    let (one, two) = (Client::connect(&hub).await, Client::connect(&hub).await);
    match Client::connect_to(&url).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 429),
        other => panic!("{:?}", other.map(|client| client.id)),
    }
    drop(one);
    let start = Instant::now();
    while Client::connect_to(&url).await.is_err() {
        assert!(start.elapsed() < SOON);
        sleep(Duration::from_millis(10)).await;
    }
    drop(two);
}

#[tokio::test]
async fn who_is_silent_is_gone() {
    let (hub, _folder) = hub_with(|config| config.silence_s = 5);
    let mut watcher = Client::join(&hub, "hall", None).await;
    // Speaks once and then answers nothing more, not even pings: nobody polls its socket.
    let silent = Client::join(&hub, "hall", None).await;
    watcher.next().await;
    let start = Instant::now();
    let gone = loop {
        if let Ok(Some(Ok(Frame::Text(text)))) = timeout(Duration::from_secs(10), watcher.socket.next()).await {
            break serde_json::from_str::<Value>(&text).unwrap();
        }
        assert!(start.elapsed() < Duration::from_secs(9));
    };
    assert_eq!(gone, json!({ "type": "clientDisconnected", "clientId": silent.id }));
    assert!((4..8).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

/// Says 30 KB to each of these, who do not read, again and again until this is counted. Another client gets its own messages meanwhile. Returns
/// what waited for all, after each turn.
async fn flood(hub: &Hub, slow: &[Client], counted: &str) -> Vec<f64> {
    let mut writer = Client::join(hub, "hall", None).await;
    let mut other = Client::join(hub, "hall", None).await;
    let (text, mut queued) = ("x".repeat(30_000), Vec::new());
    for turn in (0..600).map(|turn| turn.to_string()) {
        for slow in slow {
            writer.say(json!({ "type": "sealed", "target": slow.id, "data": text })).await;
        }
        writer.say(json!({ "type": "sealed", "target": other.id, "data": turn })).await;
        while other.next().await["data"] != turn {}
        queued.push(metric(hub, "queued_bytes").await);
        if metric(hub, counted).await > 0.0 {
            return queued;
        }
    }
    panic!("{counted} is 0 after 600 messages for each: {queued:?}");
}

#[tokio::test]
async fn what_waits_for_one_is_bounded_in_bytes() {
    let (hub, _folder) = hub_with(|config| {
        (config.messages_per_s, config.burst_messages) = (100_000, 100_000);
        (config.queue_messages, config.queue_bytes) = (10_000, 200_000);
    });
    let slow = Client::join(&hub, "hall", None).await;
    let queued = flood(&hub, std::slice::from_ref(&slow), "too_slow_total").await;
    assert!(queued.iter().any(|bytes| *bytes > 100_000.0), "{queued:?}");
    assert!(queued.iter().all(|bytes| *bytes <= 210_000.0), "{queued:?}");
    assert_eq!(metric(&hub, "queues_full_total").await, 0.0);
    // What was on its way to it is not held for any longer.
    let start = Instant::now();
    while (metric(&hub, "queued_bytes").await, metric(&hub, "clients").await) != (0.0, 0.0) {
        assert!(start.elapsed() < SOON);
        sleep(Duration::from_millis(20)).await;
    }
    drop(slow);
}

#[tokio::test]
async fn what_waits_for_all_is_bounded_in_bytes() {
    let (hub, _folder) = hub_with(|config| {
        (config.messages_per_s, config.burst_messages) = (100_000, 100_000);
        (config.queue_messages, config.queue_bytes, config.all_queues_bytes) = (10_000, 1_000_000, 1_500_000);
    });
    let mut slow = Vec::new();
    for _ in 0..3 {
        slow.push(Client::join(&hub, "hall", None).await);
    }
    let queued = flood(&hub, &slow, "queues_full_total").await;
    assert!(queued.iter().any(|bytes| *bytes > 1_000_000.0), "{queued:?}");
    assert!(queued.iter().all(|bytes| *bytes <= 1_500_000.0), "{queued:?}");
    let cut = metric(&hub, "too_slow_total").await;
    assert!((1.0..=2.0).contains(&cut), "{cut}: those for whom most waits, until a quarter is free");
}

#[tokio::test]
async fn text_that_is_none_ends_with_1007_and_who_vanishes_breaks_nothing() {
    let (hub, _folder) = hub_with(|_| {});
    let mut client = Client::connect(&hub).await;
    // A masked frame of text with the bytes ff fe; the mask is 0.
    let MaybeTlsStream::Plain(stream) = client.socket.get_mut() else { panic!() };
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, 0xff, 0xfe]).await.unwrap();
    assert_eq!(client.end().await, Some(1007), "RFC 6455, section 8.1");
    drop(Client::connect(&hub).await);
    let start = Instant::now();
    while metric(&hub, "clients").await > 0.0 {
        assert!(start.elapsed() < SOON);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(metric(&hub, "broken_total").await, 1.0);
}
