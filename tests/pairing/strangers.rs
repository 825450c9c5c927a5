//! What somebody without the code can do to a portal that waits for pairing: nothing, five times an hour.

use crate::program::{ALONE, Place, pair};
use futures_util::{SinkExt, StreamExt};
use screen_portal::ops::Figures;
use screen_portal::pairing::attempts::Refusal;
use screen_portal::pairing::{Code, Exchange, Identity, Own};
use screen_portal::signaling::Config;
use screen_portal::signaling::pair::{Failure, Host, Listening, Turn, dial};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message as Frame;

fn own(site: &str) -> Own {
    Own { identity: Identity::make().unwrap(), site: site.into(), ways: Vec::new() }
}

struct Waiting {
    address: SocketAddr,
    figures: Arc<Figures>,
    shown: watch::Receiver<Option<screen_portal::pairing::attempts::Showing>>,
    paired: tokio::task::JoinHandle<screen_portal::pairing::Paired>,
}

async fn waiting() -> Waiting {
    let (listening, address) = Listening::bind("127.0.0.1:0").unwrap();
    let (figures, (showing, mut shown)) = (Arc::new(Figures::default()), watch::channel(None));
    let host = Host {
        own: own("Here"),
        store: Box::new(|_, _| Ok(())),
        figures: figures.clone(),
        showing,
        signaling: Config::default(),
        turn: Turn::default(),
    };
    let paired = tokio::spawn(listening.run(host));
    shown.changed().await.unwrap();
    Waiting { address, figures, shown, paired }
}

impl Waiting {
    fn code(&self) -> Option<Code> {
        match *self.shown.borrow() {
            Some(screen_portal::pairing::attempts::Showing::Code(code, _)) => Some(code),
            _ => None,
        }
    }

    async fn try_code(&self, code: &Code) -> Result<screen_portal::pairing::Paired, Failure> {
        dial(&self.address.to_string(), code, own("There"), &|_, _| Ok(())).await
    }

    fn counted(&self) -> screen_portal::ops::PairingValues {
        self.figures.snapshot(Instant::now()).pairing
    }

    async fn raw(&self) -> tokio_tungstenite::WebSocketStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        tokio_tungstenite::client_async(format!("ws://{}/pair", self.address), stream).await.unwrap().0
    }
}

/// Another code than this one.
fn wrong(right: Option<Code>) -> Code {
    loop {
        let code = Code::random();
        if Some(code) != right {
            return code;
        }
    }
}

#[tokio::test]
async fn each_wrong_code_burns_one_and_after_five_there_is_none() {
    let waiting = waiting().await;
    for tried in 1..=5 {
        let shown = waiting.code().unwrap();
        let refused = waiting.try_code(&wrong(Some(shown))).await.unwrap_err();
        assert!(matches!(refused, Failure::WrongCode), "{refused}");
        assert_ne!(waiting.code(), Some(shown), "burnt");
        assert_eq!(waiting.counted().burnt_codes, tried);
        if tried < 5 {
            // The burnt one is worth nothing, although it was right.
            assert!(waiting.code().is_some());
        }
    }
    let refused = waiting.try_code(&wrong(None)).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused(Refusal::Paused)), "{refused}");
    assert_eq!((waiting.code(), waiting.counted().paused, waiting.counted().completed), (None, 1, 0));
}

#[tokio::test]
async fn a_third_one_that_comes_while_two_pair_is_sent_away_and_disturbs_nobody() {
    let waiting = waiting().await;
    let code = waiting.code().unwrap();
    let mut first = waiting.raw().await;
    let (mut exchange, start) = Exchange::enter(&code, own("First"), Instant::now());
    first.send(Frame::text(start)).await.unwrap();
    let Some(Ok(Frame::Text(reply))) = first.next().await else { panic!() };
    let refused = waiting.try_code(&code).await.unwrap_err();
    assert!(matches!(refused, Failure::Refused(Refusal::Busy)), "{refused}");
    // The first one goes on.
    let mut texts = vec![reply.to_string()];
    loop {
        let step = exchange.receive(&texts.remove(0), Instant::now()).unwrap();
        for text in step.send {
            first.send(Frame::text(text)).await.unwrap();
        }
        if step.paired.is_some() {
            break;
        }
        if let Some(Ok(Frame::Text(text))) = first.next().await {
            texts.push(text.to_string());
        }
    }
    let far = waiting.paired.await.unwrap();
    assert_eq!((far.site.as_str(), waiting.figures.snapshot(Instant::now()).pairing.completed), ("First", 1));
}

#[tokio::test]
async fn noise_burns_no_code_and_is_counted() {
    let waiting = waiting().await;
    let code = waiting.code().unwrap();
    for noise in [
        "",
        "{}",
        "{\"type\":\"proof\",\"mac\":\"00\"}",
        &"[".repeat(5000),
        &format!("{{\"type\":\"proof\",\"mac\":\"{}\"}}", "00".repeat(32)),
    ] {
        let mut socket = waiting.raw().await;
        socket.send(Frame::text(noise)).await.unwrap();
        let Some(Ok(Frame::Close(Some(frame)))) = socket.next().await else { panic!("{noise}") };
        assert_eq!(u16::from(frame.code), 4000, "{noise}");
    }
    // Another path, and somebody who says nothing.
    let stream = TcpStream::connect(waiting.address).await.unwrap();
    assert!(tokio_tungstenite::client_async(format!("ws://{}/signal", waiting.address), stream).await.is_err());
    let silent = TcpStream::connect(waiting.address).await.unwrap();
    assert_eq!(waiting.code(), Some(code));
    assert!(waiting.counted().refused >= 6, "{:?}", waiting.counted());
    assert_eq!(waiting.counted().burnt_codes, 0);
    assert_eq!(waiting.try_code(&code).await.unwrap().site, "Here");
    drop(silent);
}

#[tokio::test]
async fn a_crowd_is_sent_away_and_the_right_one_gets_in_afterwards() {
    let waiting = waiting().await;
    let mut crowd = Vec::new();
    for _ in 0..40 {
        crowd.push(TcpStream::connect(waiting.address).await.unwrap());
    }
    // Three seconds to the first word.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert!(waiting.counted().refused >= 40, "{:?}", waiting.counted());
    waiting.try_code(&waiting.code().unwrap()).await.unwrap();
    drop(crowd);
}

/// The real program says so where people and machines look.
#[test]
fn a_running_portal_counts_and_logs_wrong_codes() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    let (here, there) = (Place::new("Here"), Place::new("There"));
    let running = here.start();
    here.shown_code(1);
    let mut shows = pair(&here, &["pair", "--json"]);
    let code: Code = shows.next("code")["code"].as_str().unwrap().parse().unwrap();
    let wrong = wrong(Some(code)).to_string();
    let refused = there.command(&["pair", &wrong, "--address", &here.listen]);
    assert_eq!(refused.status.code(), Some(9));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("does not count any more"), "{refused:?}");
    let figures = running.status().unwrap().figures.pairing;
    assert_eq!((figures.burnt_codes, figures.completed, figures.codes), (1, 0, 2));
    assert!(here.log().contains("a code was tried and is burnt"), "{}", here.log());
    assert!(!here.log().contains(&code.to_string()) && !here.log().contains(&wrong), "no code is logged");
    // The command that follows tells the new one.
    assert_ne!(shows.next("code")["code"].as_str().unwrap(), code.to_string());
}
