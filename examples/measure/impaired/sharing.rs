//! A bottleneck that others use too.

use super::call::{Call, Scene, rows, timeline};
use crate::network::{HOSTS, inside};
use crate::{Rows, Tools, Trouble, row};
use socket2::SockRef;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

const PATH: &str = "both delay=25 rate=4000 q=250";

pub fn with_tcp(tools: &Tools) -> Result<Rows, Trouble> {
    let mut all = vec![];
    // What most systems use, and what video services do.
    for control in ["cubic", "bbr"] {
        let mut scene = Scene::start(tools, PATH)?;
        scene.run(10.0)?;
        let flow = Bulk::start(control);
        let whole = scene.watch(10.0 + tools.seconds as f64)?;
        let span = (whole.0 + 10e3, whole.1);
        flow.end()?;
        let (udp, tcp) = scene.passed_bps(1, span.0, span.1);
        all.extend(rows(&scene.calls[0], &format!("beside TCP ({control}) towards B"), span, "", ""));
        all.push(row(
            format!("portal towards B / TCP ({control}), Mb/s, share"),
            format!("{:.2} / {:.2}, {:.0} %", udp / 1e6, tcp / 1e6, 100.0 * udp / (udp + tcp).max(1.0)),
            "≥ 25 %",
        ));
        all.push(row(
            format!("queue at most, ms ({control})"),
            format!("{:.0}", scene.queue_peak_ms(1, span.0, span.1)),
            "",
        ));
        all.push(scene.load());
        println!(
            "From A to B, {control} from 0 s:\n\n```\n{}```\n",
            timeline(&scene, 0, whole.0, whole.1.min(whole.0 + 40e3))
        );
    }
    Ok(all)
}

pub fn with_a_portal(tools: &Tools) -> Result<Rows, Trouble> {
    let mut scene = Scene::start(tools, PATH)?;
    scene.run(10.0)?;
    let second = Call::start(tools, 7414)?;
    second.both_show()?;
    scene.calls.push(second);
    let whole = scene.watch(10.0 + tools.seconds as f64)?;
    let span = (whole.0 + 10e3, whole.1);
    let mut all = rows(&scene.calls[0], "first pair", span, "", "");
    all.extend(rows(&scene.calls[1], "second pair, 10 s later", span, "", ""));
    let received = |call: &Call, n: usize| {
        let shown = super::call::Shown::of(&call.watches[n], span.0, span.1);
        8.0 * shown.grown(|look| look.figures.incoming.bytes) as f64 / ((span.1 - span.0) / 1e3)
    };
    for n in 0..2 {
        let (first, second) = (received(&scene.calls[0], n), received(&scene.calls[1], n));
        all.push(row(
            format!("received by {}: first / second pair, Mb/s, share of the first", ["A", "B"][n]),
            format!("{:.2} / {:.2}, {:.0} %", first / 1e6, second / 1e6, 100.0 * first / (first + second).max(1.0)),
            "35 to 65 %",
        ));
        all.push(row(
            format!("queue towards {} at most, ms", ["A", "B"][n]),
            format!("{:.0}", scene.queue_peak_ms(n, span.0, span.1)),
            "",
        ));
    }
    all.push(scene.load());
    for call in 0..2 {
        let name = ["First", "Second"][call];
        println!(
            "{name} pair, A to B (passed: both pairs together):\n\n```\n{}```\n",
            timeline(&scene, call, whole.0, whole.1.min(whole.0 + 30e3))
        );
    }
    Ok(all)
}

/// A TCP connection that sends from A to B as much as it can; until dropped.
struct Bulk {
    ended: Arc<AtomicBool>,
    sender: Option<JoinHandle<Option<std::io::Result<()>>>>,
}

impl Bulk {
    fn start(control: &'static str) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let address = (HOSTS[1], 5001);
        inside(1, move || {
            let listener = TcpListener::bind(address)?;
            let (mut stream, _) = listener.accept()?;
            let mut data = vec![0; 65_536];
            while stream.read(&mut data)? > 0 {}
            std::io::Result::Ok(())
        });
        let over = ended.clone();
        let sender = inside(0, move || {
            std::thread::sleep(Duration::from_millis(100));
            let mut stream = TcpStream::connect(address)?;
            SockRef::from(&stream).set_tcp_congestion(control.as_bytes())?;
            let data = vec![0; 16_384];
            while !over.load(Relaxed) {
                stream.write_all(&data)?;
            }
            std::io::Result::Ok(())
        });
        Self { ended, sender: Some(sender) }
    }

    /// Ends it, and says whether it was there all the time: a kernel may lack what it was to be controlled by.
    fn end(mut self) -> Result<(), Trouble> {
        self.ended.store(true, Relaxed);
        let sent = self.sender.take().and_then(|sender| sender.join().ok()).flatten();
        Ok(sent.ok_or_else(|| Trouble::Failed("the TCP flow could not be started".into()))??)
    }
}

impl Drop for Bulk {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
    }
}
