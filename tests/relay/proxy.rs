//! A hub that lies: a proxy in front of an honest one, which may change, drop, repeat and invent messages.

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_async, connect_async};

/// Gets what a client says or hears as the hub sees it, and makes of it what is passed on.
pub type Lie = dyn Fn(Way, Value) -> Vec<Value> + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToHub,
    FromHub,
}

pub struct Proxy {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxy {
    pub async fn start(hub: String, lie: impl Fn(Way, Value) -> Vec<Value> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lie: Arc<Lie> = Arc::new(lie);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, hub.clone(), Arc::clone(&lie)));
            }
        });
        Self { address, task }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/", self.address)
    }
}

async fn serve(stream: TcpStream, hub: String, lie: Arc<Lie>) {
    let (Ok(client), Ok((hub, _))) = (accept_async(stream).await, connect_async(hub).await) else { return };
    let (to_client, from_client) = client.split();
    let (to_hub, from_hub) = hub.split();
    tokio::select! {
        () = pass(from_client, to_hub, Way::ToHub, &lie) => {}
        () = pass_back(from_hub, to_client, &lie) => {}
    }
}

type ToHub = SplitSink<WebSocketStream<MaybeTlsStream<TcpStream>>, Frame>;
type FromHub = SplitStream<WebSocketStream<MaybeTlsStream<TcpStream>>>;

async fn pass(mut from: SplitStream<WebSocketStream<TcpStream>>, mut to: ToHub, way: Way, lie: &Arc<Lie>) {
    while let Some(Ok(frame)) = from.next().await {
        let Frame::Text(text) = frame else { continue };
        for message in lie(way, serde_json::from_str(&text).unwrap()) {
            if to.send(Frame::text(message.to_string())).await.is_err() {
                return;
            }
        }
    }
}

async fn pass_back(mut from: FromHub, mut to: SplitSink<WebSocketStream<TcpStream>, Frame>, lie: &Arc<Lie>) {
    while let Some(Ok(frame)) = from.next().await {
        let Frame::Text(text) = frame else { continue };
        for message in lie(Way::FromHub, serde_json::from_str(&text).unwrap()) {
            if to.send(Frame::text(message.to_string())).await.is_err() {
                return;
            }
        }
    }
}

/// What is inside a message that one member passes to another; `None` if it is another message.
pub fn inside(message: &Value) -> Option<Value> {
    (message["type"] == "sealed").then(|| serde_json::from_str(message["data"].as_str()?).ok()).flatten()
}

/// The message with something else inside.
pub fn with(message: &Value, inside: &Value) -> Value {
    let mut message = message.clone();
    message["data"] = inside.to_string().into();
    message
}
