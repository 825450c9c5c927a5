//! The link on a bad network: loss, delay, outages, between two network namespaces.
//!
//! Needs root, `/dev/net/tun`, `ip` and a C compiler for `tests/tools/netsim.c`; without them it says that it is skipped.

use super::namespaces::{Namespaces, run, runtime_in};
use super::portal::{Portal, identities, long, meet, portal_at, settle};
use screen_portal::ops::{LinkState, Slate};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Namespaces of the two portals, and one that netsim wants besides.
const NAMES: [&str; 3] = ["link-a", "link-b", "link-r"];

pub struct Network {
    switch: Child,
    commands: Option<ChildStdin>,
    runtimes: [Option<Runtime>; 2],
    _program: tempfile::TempDir,
    _namespaces: Namespaces,
}

impl Network {
    pub fn start() -> Result<Self, String> {
        let program = tempfile::tempdir().map_err(|error| error.to_string())?;
        let path = program.path().join("netsim");
        let source = "tests/tools/netsim.c";
        run(Command::new("cc").args(["-O2", "-o"]).arg(&path).arg(source))?;
        let namespaces = Namespaces::make(&NAMES)?;
        let switch = Command::new(path).args(NAMES).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut switch = switch.map_err(|error| format!("netsim: {error}"))?;
        let mut output = BufReader::new(switch.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).map_err(|error| error.to_string())?;
        // It answers each command; nobody listens, but it must not block.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let commands = switch.stdin.take();
        let mut network = Self { switch, commands, runtimes: [None, None], _program: program, _namespaces: namespaces };
        if ready.trim() != "ready" {
            return Err("netsim cannot make its interfaces here".into());
        }
        for (n, name) in NAMES.iter().enumerate() {
            let address = format!("10.99.0.{}/24", [2, 3, 1][n]);
            run(Command::new("ip").args(["-n", name, "addr", "add", &address, "dev", "pb0"]))?;
            run(Command::new("ip").args(["-n", name, "link", "set", "pb0", "up"]))?;
        }
        network.runtimes = [Some(runtime_in(NAMES[0])?), Some(runtime_in(NAMES[1])?)];
        Ok(network)
    }

    pub fn set(&mut self, command: &str) {
        let commands = self.commands.as_mut().unwrap();
        writeln!(commands, "{command}").unwrap();
        commands.flush().unwrap();
    }

    /// Two portals, one in each namespace, that see each other.
    pub async fn portals(&mut self) -> (Portal, Portal) {
        let (one, two) = identities();
        let [a, b] = self.runtimes.each_ref().map(|runtime| runtime.as_ref().unwrap().handle().clone());
        let (first, second) = (one.fingerprint(), two.fingerprint());
        let a = a.spawn(async move { portal_at([10, 99, 0, 2].into(), &one, Some(second), "Oslo") });
        let b = b.spawn(async move { portal_at([10, 99, 0, 3].into(), &two, Some(first), "Turin") });
        let (mut a, mut b) = (a.await.unwrap(), b.await.unwrap());
        let start = Instant::now();
        meet(&a, &b);
        a.until_live().await;
        b.until_live().await;
        println!("live {:?} after signalling was up", start.elapsed());
        (a, b)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // The end of its standard input is the switch's end.
        self.commands = None;
        let _ = self.switch.wait();
        for runtime in &mut self.runtimes {
            // In a test's own runtime, another may not be waited for.
            if let Some(runtime) = runtime.take() {
                runtime.shutdown_background();
            }
        }
    }
}

/// The share of the pictures sent that came whole. Not of those that should have been sent: a busy machine sends fewer, and that is
/// not what is tested.
async fn watch(from: &Portal, portal: &Portal, seconds: u64) -> f64 {
    let sent_before = from.figures.outgoing.sent.get();
    let before = portal.figures.snapshot(Instant::now()).incoming;
    settle(1000 * seconds).await;
    let sent = from.figures.outgoing.sent.get() - sent_before;
    let after = portal.figures.snapshot(Instant::now());
    let received = after.incoming.received - before.received;
    let fps = received as f64 / seconds as f64;
    let damaged = after.incoming.damaged - before.damaged;
    println!(
        "{fps:.1} pictures a second, {damaged} damaged, {} lost, {} recovered, {} keyframes, round trip {} us, latency {:?}",
        after.incoming.lost_packets - before.lost_packets,
        after.incoming.recovered_packets - before.recovered_packets,
        after.incoming.keyframes - before.keyframes,
        after.link.round_trip_us,
        after.latency,
    );
    received as f64 / sent.max(1) as f64
}

// One test, because there is one network: the cases follow each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_networks() {
    let _alone = super::namespaces::ALONE.lock().await;
    let mut network = match Network::start() {
        Ok(network) => network,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let (mut a, mut b) = network.portals().await;
    outages(&mut network, &mut a, &mut b).await;
    losses(&mut network, &a, &b).await;
}

async fn outages(network: &mut Network, a: &mut Portal, b: &mut Portal) {
    let cases: &[(u64, bool)] =
        if long() { &[(2, true), (5, true), (5, false), (30, true), (35, false)] } else { &[(2, true), (5, false)] };
    for &(seconds, signaling) in cases {
        settle(1500).await;
        println!("no UDP for {seconds} s, signalling {}", if signaling { "up" } else { "silent" });
        network.set("both block=1");
        let far = [&*a, &*b].map(|portal| portal.wire.lock().unwrap().far.clone());
        if !signaling {
            for portal in [&*a, &*b] {
                portal.wire.lock().unwrap().far = None;
            }
        }
        let start = Instant::now();
        a.until("paused", |status| status.slate != Slate::Hidden).await;
        assert!(start.elapsed() < Duration::from_millis(1300), "{:?}", start.elapsed());
        settle(1000 * seconds - start.elapsed().as_millis() as u64).await;
        network.set("both block=0");
        let back = Instant::now();
        for portal in [&mut *a, &mut *b] {
            portal.until_live().await;
            println!("picture back after {:?}", back.elapsed());
            assert!(back.elapsed() < Duration::from_secs(1));
        }
        for (portal, far) in [&*a, &*b].into_iter().zip(far) {
            portal.wire.lock().unwrap().far = far;
        }
        println!("attempts so far: {}, {}", a.figures.link.attempts.get(), b.figures.link.attempts.get());
        settle(1500).await;
        assert_eq!((a.status.borrow().state, b.status.borrow().state), (LinkState::Live, LinkState::Live));
    }
}

async fn losses(network: &mut Network, a: &Portal, b: &Portal) {
    for (loss, least) in [(0, 0.97), (5, 0.97), (10, 0.9), (20, 0.7)] {
        println!("{loss} % loss at a round trip of 100 ms");
        network.set(&format!("both delay=50 loss={loss}"));
        // Until the round trip is known: after a long outage the data channel is replaced first.
        settle(if loss == 0 { 7000 } else { 2000 }).await;
        let share = watch(a, b, if long() { 20 } else { 10 }).await;
        assert!(share > least, "{share} of the pictures came, {loss} % loss");
    }
    network.set("both delay=0 loss=0");
}
