//! Direct signalling over real loopback sockets: who gets in, who does not, and how soon a lost far end is met again.

use futures_util::{SinkExt, StreamExt};
use screen_portal::ops::Figures;
use screen_portal::pairing::{Fingerprint, Identity};
use screen_portal::signaling::hello::{Handshake, Role};
use screen_portal::signaling::{self, Config, Event, Goodbye, Message, SessionId, Signaling};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;

struct Portal {
    signaling: Signaling,
    figures: Arc<Figures>,
}

fn portal(identity: &Identity, far_end: Fingerprint, listen: &str, dial: &str) -> Portal {
    let figures = Arc::new(Figures::default());
    let config = Config { listen: listen.into(), dial: dial.into(), ..Config::default() };
    config.check().unwrap();
    Portal { signaling: signaling::start(&config, identity, far_end, figures.clone()).unwrap(), figures }
}

impl Portal {
    fn address(&self) -> String {
        self.signaling.listening_on().unwrap().to_string()
    }

    async fn event(&mut self) -> Event {
        timeout(Duration::from_secs(8), self.signaling.events.recv()).await.expect("an event within 8 s").unwrap()
    }

    async fn up(&mut self) -> SessionId {
        loop {
            match self.event().await {
                Event::Up { session } => return session,
                Event::Unreachable { .. } => {}
                other => panic!("{other:?} instead of Up"),
            }
        }
    }

    async fn message(&mut self) -> Message {
        match self.event().await {
            Event::Message(message) => message,
            other => panic!("{other:?} instead of a message"),
        }
    }

    async fn quiet_for(&mut self, time: Duration) {
        if let Ok(event) = timeout(time, self.signaling.events.recv()).await {
            panic!("{event:?} where nothing should happen");
        }
    }
}

fn identities() -> (Identity, Identity) {
    let (a, b) = (Identity::make().unwrap(), Identity::make().unwrap());
    if a.fingerprint() < b.fingerprint() { (a, b) } else { (b, a) }
}

fn offer(attempt: u64) -> Message {
    Message::Offer { attempt, sdp: "v=0\r\n".repeat(600) }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn messages_pass_both_ways_and_a_goodbye_arrives() {
    let (smaller, larger) = identities();
    let mut listening = portal(&smaller, larger.fingerprint(), "127.0.0.1:0", "");
    let mut dialling = portal(&larger, smaller.fingerprint(), "", &listening.address());
    listening.up().await;
    dialling.up().await;
    for attempt in 1..=20 {
        listening.signaling.outgoing.send(offer(attempt)).await.unwrap();
        dialling.signaling.outgoing.send(offer(attempt + 100)).await.unwrap();
    }
    for attempt in 1..=20 {
        assert_eq!(dialling.message().await, offer(attempt));
        assert_eq!(listening.message().await, offer(attempt + 100));
    }
    let bye = Message::Bye { reason: Goodbye::Off };
    dialling.signaling.outgoing.send(bye.clone()).await.unwrap();
    let closing = Instant::now();
    dialling.signaling.close().await;
    assert!(closing.elapsed() < Duration::from_millis(200), "{:?}", closing.elapsed());
    assert_eq!(listening.message().await, bye);
    assert!(matches!(listening.event().await, Event::Down { .. }));
    assert_eq!(listening.figures.snapshot(Instant::now()).link.rejected_messages, 0);
}

#[tokio::test]
async fn both_dial_and_one_connection_is_used_without_flapping() {
    for _ in 0..5 {
        let (smaller, larger) = identities();
        let (north, south) = (free_port().to_string(), free_port().to_string());
        let mut portals = [
            portal(&smaller, larger.fingerprint(), &north, &south),
            portal(&larger, smaller.fingerprint(), &south, &north),
        ];
        for portal in &mut portals {
            portal.up().await;
        }
        for attempt in 0..30 {
            // While connections are retired: nothing is lost, and in this slow rhythm nothing changes its order.
            portals[0].signaling.outgoing.send(offer(attempt)).await.unwrap();
            assert_eq!(portals[1].message().await, offer(attempt));
            portals[1].signaling.outgoing.send(offer(attempt)).await.unwrap();
            assert_eq!(portals[0].message().await, offer(attempt));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for portal in &mut portals {
            portal.quiet_for(Duration::from_millis(100)).await;
        }
    }
}

/// Whoever of the two dials, a far end that is started again is met within a fraction of a second.
#[tokio::test]
async fn a_far_end_that_starts_again_is_met_at_once() {
    let (smaller, larger) = identities();
    for (survivor_dials, restarted_dials) in [(true, false), (false, true), (true, true)] {
        let (north, south) = (free_port().to_string(), free_port().to_string());
        let dial = |does: bool, whom: &str| if does { whom.to_string() } else { String::new() };
        let mut survivor = portal(&smaller, larger.fingerprint(), &north, &dial(survivor_dials, &south));
        let restarted = || portal(&larger, smaller.fingerprint(), &south, &dial(restarted_dials, &north));
        let mut killed = restarted();
        let session = survivor.up().await;
        killed.up().await;
        // As the kernel does it for a killed program: without a word of goodbye, sockets are closed.
        drop(killed);
        assert!(matches!(survivor.event().await, Event::Down { .. }));
        tokio::time::sleep(Duration::from_millis(300)).await;
        let started = Instant::now();
        let mut again = restarted();
        let new_session = survivor.up().await;
        let met = started.elapsed();
        println!("survivor dials {survivor_dials}, restarted dials {restarted_dials}: met after {met:?}");
        assert_ne!(new_session, session);
        assert!(met < Duration::from_millis(400), "{met:?}");
        again.up().await;
    }
}

/// Power cut: nobody closes the old connection. The new run is met at once all the same.
#[tokio::test]
async fn a_new_run_replaces_a_connection_that_nobody_closed() {
    let (smaller, larger) = identities();
    let mut survivor = portal(&smaller, larger.fingerprint(), "127.0.0.1:0", "");
    let address = survivor.address();
    let (_never_closed, _) = handshake(&address, &larger, smaller.fingerprint()).await;
    let first = survivor.up().await;
    let started = Instant::now();
    let mut again = portal(&larger, smaller.fingerprint(), "", &address);
    assert!(matches!(survivor.event().await, Event::Down { .. }));
    assert_ne!(survivor.up().await, first);
    assert!(started.elapsed() < Duration::from_millis(400));
    again.up().await;
    survivor.quiet_for(Duration::from_millis(500)).await;
}

/// A copied memory card: the one that came last is kept, and the other does not get in again while that one lives.
#[tokio::test]
async fn two_portals_with_one_identity_do_not_take_turns() {
    let (smaller, larger) = identities();
    let mut listening = portal(&smaller, larger.fingerprint(), "127.0.0.1:0", "");
    let address = listening.address();
    let _original = portal(&larger, smaller.fingerprint(), "", &address);
    let first = listening.up().await;
    let copy = portal(&larger, smaller.fingerprint(), "", &address);
    assert!(matches!(listening.event().await, Event::Down { .. }));
    assert_ne!(listening.up().await, first);
    listening.quiet_for(Duration::from_secs(2)).await;
    drop(copy);
    assert!(matches!(listening.event().await, Event::Down { .. }));
    assert_eq!(listening.up().await, first);
}

#[tokio::test]
async fn silence_is_noticed() {
    let (smaller, larger) = identities();
    let mut survivor = portal(&smaller, larger.fingerprint(), "127.0.0.1:0", "");
    // It keeps the connection open, but answers no pings, for nobody reads.
    let (_silent, _) = handshake(&survivor.address(), &larger, smaller.fingerprint()).await;
    survivor.up().await;
    let since = Instant::now();
    assert!(matches!(survivor.event().await, Event::Down { reason } if reason.contains("silent")));
    let noticed = since.elapsed();
    assert!((Duration::from_millis(4500)..Duration::from_millis(6000)).contains(&noticed), "{noticed:?}");
}

type Socket = tokio_tungstenite::WebSocketStream<TcpStream>;

async fn websocket(address: &str) -> Socket {
    let stream = TcpStream::connect(address).await.unwrap();
    tokio_tungstenite::client_async(format!("ws://{address}/signal"), stream).await.unwrap().0
}

async fn text(socket: &mut Socket) -> String {
    match timeout(Duration::from_secs(4), socket.next()).await.expect("a frame within 4 s").unwrap().unwrap() {
        Frame::Text(text) => text.as_str().to_owned(),
        other => panic!("{other:?} instead of text"),
    }
}

/// A far end by hand, through the handshake.
async fn handshake(address: &str, identity: &Identity, far_end: Fingerprint) -> (Socket, SessionId) {
    let mut socket = websocket(address).await;
    let handshake = Handshake::new(identity, far_end, SessionId::random(), Role::Dialler);
    socket.send(Frame::text(handshake.hello())).await.unwrap();
    let (proving, proof) = handshake.receive_hello(&text(&mut socket).await).unwrap();
    socket.send(Frame::text(proof)).await.unwrap();
    let session = proving.receive_proof(&text(&mut socket).await).unwrap().session;
    (socket, session)
}

/// Ends with the close code, if the other side gives one.
async fn closed(mut socket: Socket) -> Option<u16> {
    loop {
        match timeout(Duration::from_secs(4), socket.next()).await.expect("closed within 4 s") {
            Some(Ok(Frame::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn strangers_are_counted_and_disturb_nobody() {
    let (smaller, larger) = identities();
    let mut listening = portal(&smaller, larger.fingerprint(), "127.0.0.1:0", "");
    let address = listening.address();
    let mut dialling = portal(&larger, smaller.fingerprint(), "", &address);
    listening.up().await;
    dialling.up().await;

    let stranger = Identity::make().unwrap();
    for n in 1..=3 {
        let mut socket = websocket(&address).await;
        let handshake = Handshake::new(&stranger, smaller.fingerprint(), SessionId::random(), Role::Dialler);
        socket.send(Frame::text(handshake.hello())).await.unwrap();
        assert_eq!(closed(socket).await, Some(4002));
        assert_eq!(listening.figures.link.rejected_identities.get(), n);
    }
    // The far end's certificate, which everybody may know, with somebody else's signature.
    let mut socket = websocket(&address).await;
    let theirs = Handshake::new(&larger, smaller.fingerprint(), SessionId::random(), Role::Dialler);
    socket.send(Frame::text(theirs.hello())).await.unwrap();
    let forged = data_encoding::HEXLOWER.encode(&stranger.sign(b"whatever").unwrap());
    socket.send(Frame::text(format!(r#"{{"type":"proof","signature":"{forged}"}}"#))).await.unwrap();
    assert_eq!(closed(socket).await, Some(4004));
    assert_eq!(listening.figures.link.rejected_identities.get(), 4);

    // A message before the handshake, something too large, something binary, and no WebSocket at all.
    for frame in [Frame::text(offer(1).to_json()), Frame::text("x".repeat(70_000)), Frame::binary(vec![0; 10])] {
        let mut socket = websocket(&address).await;
        let _ = socket.send(frame).await;
        closed(socket).await;
    }
    let mut plain = TcpStream::connect(&address).await.unwrap();
    plain.write_all(b"GET /etc/passwd HTTP/1.0\r\n\r\n").await.unwrap();
    let _ = timeout(Duration::from_secs(4), plain.read_to_end(&mut Vec::new())).await.expect("closed within 4 s");
    assert_eq!(listening.figures.link.rejected_messages.get(), 4);

    dialling.signaling.outgoing.send(offer(7)).await.unwrap();
    assert_eq!(listening.message().await, offer(7));
    dialling.quiet_for(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn open_connections_that_say_nothing_keep_nobody_out() {
    let (smaller, larger) = identities();
    let mut listening = portal(&smaller, larger.fingerprint(), "127.0.0.1:0", "");
    let address = listening.address();
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    let mut half = Vec::new();
    for _ in 0..8 {
        half.push(websocket(&address).await);
    }
    let started = Instant::now();
    let mut dialling = portal(&larger, smaller.fingerprint(), "", &address);
    listening.up().await;
    dialling.up().await;
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    // And each of them is sent away in the end.
    let mut byte = [0];
    for mut stream in idle {
        let read = timeout(Duration::from_secs(4), stream.read(&mut byte)).await.expect("closed within 4 s");
        assert!(matches!(read, Ok(0) | Err(_)));
    }
    for socket in half {
        closed(socket).await;
    }
    listening.quiet_for(Duration::from_millis(50)).await;
}

#[tokio::test]
async fn a_far_end_that_talks_too_much_is_cut_off() {
    let (smaller, larger) = identities();
    let mut listening = portal(&smaller, larger.fingerprint(), "127.0.0.1:0", "");
    let (mut socket, _) = handshake(&listening.address(), &larger, smaller.fingerprint()).await;
    listening.up().await;
    for n in 0..500 {
        if socket.send(Frame::text(Message::Answer { attempt: n, sdp: "v=0".into() }.to_json())).await.is_err() {
            break;
        }
    }
    let mut messages = 0;
    let reason = loop {
        match listening.event().await {
            Event::Message(_) => messages += 1,
            Event::Down { reason } => break reason,
            other => panic!("{other:?}"),
        }
    };
    assert!((32..=80).contains(&messages), "{messages}");
    assert!(reason.contains("too many"), "{reason}");
    assert_eq!(listening.figures.link.rejected_messages.get(), 1);
}

#[tokio::test]
async fn what_goes_wrong_is_said() {
    let (smaller, larger) = identities();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let config = Config { listen: address.clone(), ..Config::default() };
    let error = signaling::start(&config, &smaller, larger.fingerprint(), Arc::default()).unwrap_err().to_string();
    assert!(error.contains(&address) && error.contains("--listen"), "{error}");
    let error = signaling::start(&config, &smaller, smaller.fingerprint(), Arc::default()).unwrap_err().to_string();
    assert!(error.contains("own"), "{error}");
    drop(taken);

    let mut lonely = portal(&smaller, larger.fingerprint(), "", &address);
    let Event::Unreachable { reason } = lonely.event().await else { panic!() };
    assert!(reason.contains(&address) && reason.contains("refused"), "{reason}");
    // Told once, not once for each attempt.
    lonely.quiet_for(Duration::from_millis(700)).await;

    // Paired on one side only.
    let someone_else = Identity::make().unwrap();
    let listening = portal(&larger, someone_else.fingerprint(), "127.0.0.1:0", "");
    let mut unwanted = portal(&smaller, larger.fingerprint(), "", &listening.address());
    let Event::Unreachable { reason } = unwanted.event().await else { panic!() };
    assert!(reason.contains("not paired with this portal"), "{reason}");
    let mut listening = listening;
    let Event::Unreachable { reason } = listening.event().await else { panic!() };
    assert!(reason.contains(&smaller.fingerprint().to_string()) && reason.contains("pairing.far_end"), "{reason}");
    assert!(listening.figures.link.rejected_identities.get() > 0);
}

/// Addresses that others announce, or that are not true any more, keep nobody from the far end: nobody answers, somebody else does, nobody portal-like does.
#[tokio::test]
async fn of_several_addresses_the_far_end_s_is_used() {
    let (smaller, larger) = identities();
    let liar = portal(&Identity::make().unwrap(), smaller.fingerprint(), "127.0.0.1:0", "");
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let far_end = portal(&larger, smaller.fingerprint(), "127.0.0.1:0", "");
    let wrong = [free_port().to_string(), liar.address(), mute.local_addr().unwrap().to_string()];
    let (tell, addresses) = tokio::sync::watch::channel(wrong.to_vec());
    let config = Config { listen: String::new(), dial: wrong[0].clone(), ..Config::default() };
    let figures = Arc::new(Figures::default());
    let signaling =
        signaling::start_dialling(&config, &smaller, larger.fingerprint(), figures.clone(), addresses).unwrap();
    let mut dialling = Portal { signaling, figures };
    let Event::Unreachable { reason } = dialling.event().await else { panic!() };
    assert!(reason.contains(&liar.address()) && reason.contains("not the pinned far end's"), "{reason}");
    // It is found.
    let told = Instant::now();
    tell.send_modify(|addresses| addresses.push(far_end.address()));
    dialling.up().await;
    // A round with somebody who says nothing takes 3 s.
    assert!(told.elapsed() < Duration::from_secs(5), "{:?}", told.elapsed());
    assert!(dialling.figures.link.rejected_identities.get() > 0);
}

/// Every example of the documentation is what it says it is.
#[test]
fn the_documented_examples_are_real() {
    let text = std::fs::read_to_string("docs/signaling.md").unwrap();
    // What follows is read by tests/relay and tests/pairing.
    let text = text.split("\n# Through a hub").next().unwrap();
    let examples: Vec<_> = text.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let types = ["hello", "proof", "offer", "answer", "candidate", "bye"];
    assert_eq!(examples.len(), types.len());
    let (smaller, larger) = identities();
    for (example, wanted) in examples.iter().zip(types) {
        let value: serde_json::Value = serde_json::from_str(example).unwrap();
        assert_eq!(value["type"], wanted);
        let listener = || Handshake::new(&smaller, larger.fingerprint(), SessionId::random(), Role::Listener);
        let dialler = Handshake::new(&larger, smaller.fingerprint(), SessionId::random(), Role::Dialler);
        match wanted {
            // Well-formed, but of somebody else, and without substance.
            "hello" => {
                let refused = listener().receive_hello(example).unwrap_err();
                assert!(refused.is_identity(), "{refused}");
            }
            "proof" => {
                let (proving, _) = listener().receive_hello(&dialler.hello()).unwrap();
                let refused = proving.receive_proof(example).unwrap_err();
                assert!(refused.is_identity(), "{refused}");
            }
            _ => {
                let message = Message::parse(example).unwrap();
                assert_eq!(serde_json::from_str::<serde_json::Value>(&message.to_json()).unwrap(), value);
            }
        }
    }
}
