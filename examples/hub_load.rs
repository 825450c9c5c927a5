//! Puts a hub under load, and says what became of it. `tests/measure/hub` starts hubs and calls this.
//!
//! ```text
//! hub_load idle URL PID CLIENTS ROOMS      memory of process PID for each client that only sits in a room
//! hub_load relay URL PER_S SECONDS PAIRS   delay of messages between pairs
//! hub_load flood URL SECONDS               one who floods, and one who is flooded and does not read
//! hub_load churn URL PID CONNECTS          memory after many have come and gone
//! hub_load wait URL CLIENTS                clients that come back whenever the hub does; says how soon
//! ```

use futures_util::{SinkExt, StreamExt};
use hdrhistogram::Histogram;
use screen_portal::hub::client::{Client, Event, Options};
use screen_portal::hub::message::{FromHub, Join};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| arguments.get(at).and_then(|text| text.parse::<u64>().ok()).ok_or("a number is missing");
    let url = arguments.get(1).ok_or("which hub?")?.clone();
    match arguments[0].as_str() {
        "idle" => idle(&url, number(2)?, number(3)?, number(4)?).await,
        "relay" => relay(&url, number(2)?, number(3)?, number(4)?).await,
        "flood" => flood(&url, number(2)?).await,
        "churn" => churn(&url, number(2)?, number(3)?).await,
        "wait" => wait(&url, number(2)?).await,
        other => Err(format!("{other}?").into()),
    }
}

/// Connects and enters a room; gives the socket and its own name.
async fn enter(url: &str, room: &str) -> Result<(Socket, String), Failure> {
    // As small as can be: thousands of these are in this process.
    let config = WebSocketConfig::default().read_buffer_size(1024).write_buffer_size(0);
    let (mut socket, _) = connect_async_with_config(url, Some(config), true).await?;
    let mut own = String::new();
    loop {
        let Some(frame) = timeout(Duration::from_secs(20), socket.next()).await? else { return Err("hung up".into()) };
        let Frame::Text(text) = frame? else { continue };
        let message: Value = serde_json::from_str(&text)?;
        match message["type"].as_str() {
            Some("welcome") => {
                own = message["clientId"].as_str().unwrap_or_default().to_owned();
                socket.send(Frame::text(json!({ "type": "join", "room": room }).to_string())).await?;
            }
            Some("joined") => return Ok((socket, own)),
            _ => {}
        }
    }
}

fn resident_kib(pid: u64) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

async fn idle(url: &str, pid: u64, clients: u64, rooms: u64) -> Result<(), Failure> {
    let before = resident_kib(pid)?;
    let (begin, at_once) = (Instant::now(), Arc::new(Semaphore::new(64)));
    let mut entering = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (url, permit) = (url.to_owned(), Arc::clone(&at_once).acquire_owned().await?);
        entering.spawn(async move {
            let entered = enter(&url, &format!("room-{}", client % rooms)).await;
            drop(permit);
            entered
        });
    }
    let mut sockets = Vec::new();
    while let Some(entered) = entering.join_next().await {
        sockets.push(entered??.0);
    }
    let took = begin.elapsed();
    // Somebody has to answer the hub's pings, and to read who else has come.
    for mut socket in sockets {
        tokio::spawn(async move { while let Some(Ok(_)) = socket.next().await {} });
    }
    sleep(Duration::from_secs(3)).await;
    let after = resident_kib(pid)?;
    println!(
        "idle: {clients} clients in {rooms} rooms after {:.1} s; {before} -> {after} KiB, {:.1} KiB a client",
        took.as_secs_f64(),
        (after - before) as f64 / clients as f64
    );
    if std::env::var_os("STAY").is_some() {
        println!("staying");
        std::future::pending::<()>().await;
    }
    Ok(())
}

async fn relay(url: &str, per_s: u64, seconds: u64, pairs: u64) -> Result<(), Failure> {
    let epoch = Instant::now();
    let (told, mut delays) = mpsc::unbounded_channel();
    let mut senders = Vec::new();
    for pair in 0..pairs {
        let room = format!("pair-{pair}");
        let (mut receiver, target) = enter(url, &room).await?;
        let (sender, _) = enter(url, &room).await?;
        let told = told.clone();
        tokio::spawn(async move {
            while let Some(Ok(frame)) = receiver.next().await {
                let Frame::Text(text) = frame else { continue };
                let Ok(message) = serde_json::from_str::<Value>(&text) else { continue };
                let sent = message["data"].as_str().and_then(|data| data.split(' ').next()?.parse::<u64>().ok());
                if let Some(sent) = sent {
                    let _ = told.send(epoch.elapsed().as_micros() as u64 - sent);
                }
            }
        });
        senders.push((sender, target));
    }
    drop(told);
    let every = Duration::from_secs_f64(pairs as f64 / per_s as f64);
    let begin = Instant::now() + Duration::from_millis(500);
    // As long as a description of a browser's.
    let filling = "x".repeat(1000);
    let mut sending = tokio::task::JoinSet::new();
    for (number, (sender, target)) in senders.into_iter().enumerate() {
        let (first, filling) = (begin + every.mul_f64(number as f64 / pairs as f64), filling.clone());
        sending.spawn(async move {
            let (mut sink, mut stream) = sender.split();
            tokio::spawn(async move { while let Some(Ok(_)) = stream.next().await {} });
            let (mut ticks, mut sent) = (tokio::time::interval_at(first.into(), every), 0u64);
            while begin.elapsed() < Duration::from_secs(seconds) {
                ticks.tick().await;
                let data = format!("{} {filling}", epoch.elapsed().as_micros());
                let message = json!({ "type": "sealed", "target": target, "data": data });
                if sink.send(Frame::text(message.to_string())).await.is_err() {
                    break;
                }
                sent += 1;
            }
            sleep(Duration::from_secs(2)).await;
            sent
        });
    }
    let counting = tokio::spawn(async move {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
        while let Ok(Some(delay)) = timeout(Duration::from_secs(3), delays.recv()).await {
            histogram.saturating_record(delay.max(1));
        }
        Ok::<_, hdrhistogram::CreationError>(histogram)
    });
    let mut sent = 0;
    while let Some(one) = sending.join_next().await {
        sent += one?;
    }
    let histogram = counting.await??;
    let ms = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
    println!(
        "relay: {sent} sent in {seconds} s between {pairs} pairs, {} arrived; p50 {:.2} ms, p99 {:.2} ms, worst {:.1} ms",
        histogram.len(),
        ms(0.5),
        ms(0.99),
        histogram.max() as f64 / 1000.0
    );
    Ok(())
}

/// Sends as fast as the hub takes it, long messages to one who reads none of them, and messages that nobody understands.
async fn flood(url: &str, seconds: u64) -> Result<(), Failure> {
    let (slow, target) = enter(url, "flood").await?;
    let (mut flooder, _) = enter(url, "flood").await?;
    let until = Instant::now() + Duration::from_secs(seconds);
    let long = json!({ "type": "sealed", "target": target, "data": "x".repeat(60_000) }).to_string();
    let mut sent = 0;
    while Instant::now() < until {
        for text in [long.as_str(), "{", r#"{"type":"requestStream","cameraId":"none"}"#] {
            match timeout(Duration::from_secs(1), flooder.send(Frame::text(text))).await {
                Ok(Ok(())) => sent += 1,
                Ok(Err(error)) => {
                    println!("flood: {sent} messages until cut off: {error}");
                    return Ok(());
                }
                Err(_) => {}
            }
        }
    }
    println!("flood: {sent} messages got into the network in {seconds} s");
    drop(slow);
    Ok(())
}

async fn churn(url: &str, pid: u64, connects: u64) -> Result<(), Failure> {
    let at_once = Arc::new(Semaphore::new(32));
    let begin = Instant::now();
    for turn in 0..=connects {
        if turn % (connects / 10) == 0 {
            // All who are still there are gone first.
            let all = at_once.acquire_many(32).await?;
            sleep(Duration::from_millis(300)).await;
            println!("churn: after {turn} connects {} KiB", resident_kib(pid)?);
            drop(all);
        }
        let (url, permit) = (url.to_owned(), Arc::clone(&at_once).acquire_owned().await?);
        tokio::spawn(async move {
            match enter(&url, &format!("room-{}", turn % 100)).await {
                Ok((socket, _)) => drop(socket),
                Err(error) => println!("churn: {error}"),
            }
            drop(permit);
        });
    }
    println!("churn: {connects} connects in {:.0} s", begin.elapsed().as_secs_f64());
    Ok(())
}

async fn wait(url: &str, clients: u64) -> Result<(), Failure> {
    let (told, mut news) = mpsc::unbounded_channel();
    for number in 0..clients as usize {
        let join = Join { room: format!("room-{}", number / 4), ..Join::default() };
        let mut client = Client::start(Options { url: url.to_owned(), join: Some(join), ..Options::default() })?;
        let told = told.clone();
        tokio::spawn(async move {
            loop {
                let is_there = match client.next().await {
                    Event::Message(FromHub::Joined { .. }) => true,
                    Event::Lost { .. } => false,
                    Event::Message(_) => continue,
                };
                let _ = told.send((number, is_there, Instant::now()));
            }
        });
    }
    let (mut there, mut lost, mut back) = (vec![false; clients as usize], None, Vec::new());
    while let Some((number, is_there, at)) = news.recv().await {
        if !is_there {
            if std::mem::take(&mut there[number]) {
                lost.get_or_insert(at);
            }
            continue;
        }
        there[number] = true;
        back.push(at);
        if there.iter().all(|there| *there) {
            let begin = lost.take().unwrap_or(back[0]);
            let tenth = |at: &Instant| at.duration_since(begin).as_millis() / 100;
            let busiest = (0..400).map(|one| back.iter().filter(|at| tenth(at) == one).count()).max();
            println!(
                "wait: all {clients} are there {:.1} s after the first was lost; at most {} in a tenth of a second",
                at.duration_since(begin).as_secs_f64(),
                busiest.unwrap_or(0)
            );
            back.clear();
        }
    }
    Ok(())
}
