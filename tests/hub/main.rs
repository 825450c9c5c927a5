//! The hub over real sockets, with clients that know only WebSocket and JSON.

mod client;
mod documented;
mod limits;
mod operators;

use client::{Client, SOON, hub_with, metric, request};
use futures_util::StreamExt;
use screen_portal::hub::{self, Config, Role, Tls, Token};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

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
async fn who_is_in_no_room_needs_a_token_for_the_media_server() {
    let token = |token: &str, rooms: &[&str], role| {
        let rooms = rooms.iter().map(|room| (*room).into()).collect();
        Token { token: token.into(), rooms, roles: vec![role] }
    };
    let (hub, _folder) = hub_with(|config| {
        config.tokens = vec![
            token("a-media-server's", &[], Role::MediaServer),
            token("a-viewer's-token", &[], Role::Viewer),
            token("of-one-room-only", &["hall"], Role::Viewer),
            token("a-camera's-token", &[], Role::Camera),
        ];
    });
    let mut server = Client::connect(&hub).await;
    server.say(json!({ "type": "register_media_server", "token": "a-media-server's" })).await;
    assert_eq!(server.next().await["type"], "media_server_registered");

    let mut stranger = Client::connect(&hub).await;
    let mut refused = 0.0;
    for token in
        [None, Some("not-the-hub's-own"), Some("of-one-room-only"), Some("a-camera's-token"), Some("a-media-server's")]
    {
        for message in [
            json!({ "type": "offer", "sdp": "no" }),
            json!({ "type": "answer", "sdp": "no" }),
            json!({ "type": "ice", "candidate": "no" }),
        ] {
            let mut message = message;
            message["token"] = json!(token);
            stranger.say(message).await;
            assert_eq!(stranger.next().await["code"], "notAllowed", "{token:?}");
            refused += 1.0;
        }
    }
    assert_eq!(metric(&hub, "refused_total{reason=\"notAllowed\"}").await, refused);

    // The three ways to show one.
    let shown = |path: &str| format!("ws://{}/{path}", hub.address()).into_client_request().unwrap();
    let mut header = shown("");
    header.headers_mut().insert("Authorization", "Bearer a-viewer's-token".parse().unwrap());
    for (way, request, said) in [
        ("message", shown(""), Some("a-viewer's-token")),
        ("header", header, None),
        ("address", shown("?token=a-viewer's-token"), None),
    ] {
        let mut viewer = Client::connect_to(request).await.unwrap();
        viewer.say(json!({ "type": "offer", "sdp": way, "token": said })).await;
        assert_eq!(
            server.next().await,
            json!({ "type": "offer", "client_id": viewer.id, "sdp": way }),
            "without the token"
        );
        viewer.say(json!({ "type": "ice", "candidate": "once is enough" })).await;
        assert_eq!(server.next().await["type"], "ice");
        server.say(json!({ "type": "answer", "client_id": viewer.id, "sdp": "v=0" })).await;
        assert_eq!(viewer.next().await["type"], "answer");
        drop(viewer);
        assert_eq!(server.next().await["type"], "clientDisconnected");
    }
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
