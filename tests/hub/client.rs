//! A hub, and clients of it that know only WebSocket and JSON.

use futures_util::{SinkExt, StreamExt};
use screen_portal::hub::{self, Config, Hub};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub const SOON: Duration = Duration::from_secs(5);

pub fn hub_with(change: impl FnOnce(&mut Config)) -> (Hub, tempfile::TempDir) {
    let mut config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    change(&mut config);
    config.check().unwrap();
    let folder = tempfile::tempdir().unwrap();
    (hub::start(&config, folder.path()).unwrap(), folder)
}

pub struct Client {
    pub socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub id: String,
}

impl Client {
    pub async fn connect(hub: &Hub) -> Self {
        Self::connect_to(&format!("ws://{}/", hub.address())).await.unwrap()
    }

    pub async fn connect_to(url: impl IntoClientRequest + Unpin) -> Result<Self, Error> {
        let (socket, _) = connect_async(url).await?;
        let mut client = Self { socket, id: String::new() };
        let welcome = client.next().await;
        assert_eq!(welcome["type"], "welcome");
        client.id = welcome["clientId"].as_str().unwrap().into();
        Ok(client)
    }

    pub async fn join(hub: &Hub, room: &str, camera: Option<&str>) -> Self {
        let mut client = Self::connect(hub).await;
        client.say(json!({ "type": "join", "room": room, "cameraId": camera })).await;
        assert_eq!(client.next().await["type"], "joined");
        client
    }

    pub async fn say(&mut self, message: Value) {
        self.socket.send(Frame::text(message.to_string())).await.unwrap();
    }

    /// The next message; `Null` if the hub ends the connection.
    pub async fn next(&mut self) -> Value {
        loop {
            match timeout(SOON, self.socket.next()).await.expect("a message in time") {
                Some(Ok(Frame::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => {}
                _ => return Value::Null,
            }
        }
    }

    /// The close code that the hub ends the connection with.
    pub async fn end(&mut self) -> Option<u16> {
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
pub async fn request(hub: &Hub, head: &str) -> (String, String) {
    let mut stream = TcpStream::connect(hub.address()).await.unwrap();
    stream.write_all(format!("{head} HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().into(), body.into())
}

pub async fn metric(hub: &Hub, name: &str) -> f64 {
    let (_, text) = request(hub, "GET /metrics").await;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("screen_portal_hub_{name} ")));
    line.map_or(0.0, |value| value.parse().unwrap())
}
