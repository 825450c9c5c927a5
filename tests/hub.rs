//! The hub over real sockets, with clients that know only WebSocket and JSON.

use futures_util::{SinkExt, StreamExt};
use screen_portal::hub::message::{Code, FromHub, ToHub};
use screen_portal::hub::{self, Config, Hub, Role, Tls, Token};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_with_config, connect_async};

const SOON: Duration = Duration::from_secs(5);

fn hub_with(change: impl FnOnce(&mut Config)) -> (Hub, tempfile::TempDir) {
    let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    change(&mut config);
    config.check().unwrap();
    let folder = tempfile::tempdir().unwrap();
    (hub::start(&config, folder.path()).unwrap(), folder)
}

struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    id: String,
}

impl Client {
    async fn connect(hub: &Hub) -> Self {
        Self::connect_to(&format!("ws://{}/", hub.address())).await.unwrap()
    }

    async fn connect_to(url: impl IntoClientRequest + Unpin) -> Result<Self, Error> {
        let (socket, _) = connect_async(url).await?;
        let mut client = Self { socket, id: String::new() };
        let welcome = client.next().await;
        assert_eq!(welcome["type"], "welcome");
        client.id = welcome["clientId"].as_str().unwrap().into();
        Ok(client)
    }

    async fn join(hub: &Hub, room: &str, camera: Option<&str>) -> Self {
        let mut client = Self::connect(hub).await;
        client.say(json!({ "type": "join", "room": room, "cameraId": camera })).await;
        assert_eq!(client.next().await["type"], "joined");
        client
    }

    async fn say(&mut self, message: Value) {
        self.socket.send(Frame::text(message.to_string())).await.unwrap();
    }

    /// The next message; `Null` if the hub ends the connection.
    async fn next(&mut self) -> Value {
        loop {
            match timeout(SOON, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Frame::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                _ => return Value::Null,
            }
        }
    }

    /// The close code that the hub ends the connection with.
    async fn end(&mut self) -> Option<u16> {
        loop {
            match timeout(SOON, self.socket.next()).await.expect("an end in time") {
                Some(Ok(Frame::Close(frame))) => return frame.map(|frame| frame.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

/// One request on a connection of its own: the answer's first line, and its body.
async fn request(hub: &Hub, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(hub.address()).await.unwrap();
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().into(), body.into())
}

async fn metric(hub: &Hub, name: &str) -> f64 {
    let (_, text) = request(hub, "GET /metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("screen_portal_hub_{name} ")));
    line.map_or(0.0, |value| value.parse().unwrap())
}

#[tokio::test]
async fn camera_and_viewer_meet_by_the_room_messages_alone() {
    let (hub, _folder) = hub_with(|_| {});
    let mut camera = Client::join(&hub, "hall", Some("door")).await;
    let mut viewer = Client::join(&hub, "hall", None).await;
    assert_eq!(camera.next().await, json!({ "type": "clientJoined", "clientId": viewer.id }));
    assert_eq!(viewer.next().await, json!({ "type": "cameraAvailable", "cameraId": "door", "clientId": camera.id }));
    viewer.say(json!({ "type": "requestStream", "cameraId": "door" })).await;
    let request = camera.next().await;
    assert_eq!((&request["type"], &request["viewerId"]), (&json!("viewerRequest"), &json!(viewer.id)));
    let sdp = json!({ "type": "offer", "sdp": "v=0\r\n" });
    camera.say(json!({ "type": "offer", "target": viewer.id, "sdp": sdp })).await;
    assert_eq!(viewer.next().await, json!({ "type": "offer", "sender": camera.id, "sdp": sdp }));
    // It vanishes without a word.
    drop(camera);
    assert_eq!(viewer.next().await, json!({ "type": "cameraUnavailable", "cameraId": "door" }));
    assert_eq!(viewer.next().await["type"], "clientDisconnected");
    viewer.say(json!({ "type": "what" })).await;
    assert_eq!(viewer.next().await["code"], "unknownType");
    assert_eq!(
        (metric(&hub, "clients").await, metric(&hub, "refused_total{reason=\"unknownType\"}").await),
        (1.0, 1.0)
    );
}

#[tokio::test]
async fn pages_beside_the_endpoint() {
    let (hub, _folder) = hub_with(|_| {});
    let (status, page) = request(&hub, "GET /").await;
    assert!(status.contains("200") && page.contains("<title>Screen Portal hub"));
    let (status, health) = request(&hub, "GET /health").await;
    assert!(status.contains("200") && health.contains(r#""status":"ok""#), "{health}");
    let (status, room) = request(&hub, "POST /rooms").await;
    let room: Value = serde_json::from_str(&room).unwrap();
    assert!(status.contains("201") && room["room"].as_str().unwrap().split('-').count() == 4, "{room}");
    assert!(request(&hub, "GET /else").await.0.contains("404"));
    assert!(request(&hub, "GET /rooms").await.0.contains("405"));
}

#[tokio::test]
async fn tokens_and_origins() {
    let token = Token { token: "0123456789abcdef".into(), rooms: vec!["hall".into()], roles: vec![Role::Viewer] };
    let (hub, _folder) = hub_with(|config| config.tokens = vec![token]);
    let mut client = Client::connect(&hub).await;
    client.say(json!({ "type": "join", "room": "hall" })).await;
    assert_eq!(client.next().await["code"], "notAllowed");
    client.say(json!({ "type": "join", "room": "hall", "token": "0123456789abcdef" })).await;
    assert_eq!(client.next().await["type"], "joined");
    let url = format!("ws://{}/?token=0123456789abcdef", hub.address());
    let mut client = Client::connect_to(&url).await.unwrap();
    client.say(json!({ "type": "join", "room": "hall", "cameraId": "x" })).await;
    assert_eq!(client.next().await["code"], "notAllowed", "a camera");
    client.say(json!({ "type": "join", "room": "hall" })).await;
    assert_eq!(client.next().await["type"], "joined");

    let of = |origin: &str| {
        let mut request = format!("ws://{}/", hub.address()).into_client_request().unwrap();
        request.headers_mut().insert("Origin", origin.parse().unwrap());
        request
    };
    assert!(Client::connect_to(of("http://127.0.0.1:8000")).await.is_ok(), "a neighbour's page");
    match Client::connect_to(of("https://evil.example")).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 403),
        other => panic!("{:?}", other.map(|client| client.id)),
    }
    assert_eq!(metric(&hub, "turned_away_total{reason=\"origin\"}").await, 1.0);
}

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
        let start = Instant::now();
        assert_eq!(other.next().await["data"], turn.to_string());
        assert!(start.elapsed() < Duration::from_millis(500), "{turn}: {:?}", start.elapsed());
    }
    assert_eq!(metric(&hub, "too_slow_total").await, 1.0);
    // What is on its way to it is given up after ten seconds; then it is gone, for everybody.
    let start = Instant::now();
    while metric(&hub, "clients").await > 2.0 {
        assert!(start.elapsed() < Duration::from_secs(15));
        sleep(Duration::from_millis(100)).await;
    }
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

#[tokio::test]
async fn an_end_is_told() {
    let (hub, _folder) = hub_with(|_| {});
    let mut client = Client::join(&hub, "hall", None).await;
    let end = tokio::spawn(async move { client.end().await });
    hub.close().await;
    assert_eq!(end.await.unwrap(), Some(1001), "going away: come back later");
}

#[tokio::test]
async fn with_a_certificate_of_its_own() {
    let (hub, folder) = hub_with(|config| config.tls = Tls::Own);
    let pem = std::fs::read(folder.path().join("hub.pem")).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    let certificate = rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(hub.address()).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    let url = format!("ws://localhost:{}/", hub.address().port());
    let (mut socket, _) = client_async_with_config(url, stream, Some(WebSocketConfig::default())).await.unwrap();
    let Some(Ok(Frame::Text(text))) = timeout(SOON, socket.next()).await.unwrap() else { panic!("no welcome") };
    assert!(text.contains("welcome"));
    drop(socket);
    let address = hub.address();
    drop(hub);
    // The same one at the next start.
    let config = Config { listen: address, tls: Tls::Own, ..Config::default() };
    let start = Instant::now();
    while hub::start(&config, folder.path()).is_err() {
        assert!(start.elapsed() < SOON);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(std::fs::read(folder.path().join("hub.pem")).unwrap(), pem);
}

/// Every message of the documentation's tables is one, and none is missing.
#[test]
fn the_documented_messages_are_real() {
    let text = std::fs::read_to_string("docs/signaling.md").unwrap();
    let hub = text.split("# The hub").nth(1).unwrap();
    let (clients, rest) = hub.split_once("What the hub says:").unwrap();
    let examples = |part: &str| -> Vec<Value> {
        let rows = part.lines().filter_map(|line| line.strip_prefix("| `{")?.split_once("` |"));
        rows.map(|(json, _)| serde_json::from_str(&format!("{{{json}")).unwrap()).collect()
    };
    let mut said = Vec::new();
    for example in examples(clients) {
        let message = ToHub::read(&example.to_string()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&message.to_json()).unwrap(), example);
        said.push(std::mem::discriminant(&message));
    }
    said.dedup();
    assert_eq!(
        (examples(clients).len(), said.len()),
        (12, 7),
        "join, leave, members', requests, sealed and refused, register, media"
    );
    let types: Vec<_> = examples(clients).iter().map(|it| it["type"].as_str().unwrap().to_owned()).collect();
    let known = [
        "join",
        "leave",
        "offer",
        "answer",
        "iceCandidate",
        "requestStream",
        "sealed",
        "refused",
        "register_media_server",
    ];
    assert_eq!(types[..9], known);
    let mut told: Vec<_> = Vec::new();
    for example in examples(rest) {
        let message: FromHub = serde_json::from_value(example.clone()).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&message.to_json()).unwrap(), example);
        told.push(example["type"].as_str().unwrap().to_owned());
    }
    let known = [
        "welcome",
        "joined",
        "clientJoined",
        "clientDisconnected",
        "viewerRequest",
        "cameraAvailable",
        "cameraUnavailable",
        "cameraNotFound",
        "offer",
        "media_server_registered",
        "offer",
        "answer",
        "error",
    ];
    assert_eq!(told, known);
    for code in Code::ALL {
        assert!(rest.contains(&format!("`{}`", code.word())), "{code:?}");
        assert_eq!(serde_json::to_value(code).unwrap(), code.word());
    }
}
