//! Whether the test network does what it is told: packets of UDP at a fixed pace through it, and when they came.

use crate::network::{HOSTS, Network, inside};
use crate::{Rows, Tools, Trouble, row};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

/// A packet's bytes with IP and UDP headers; without them, 28 less.
const BYTES: usize = 1250;

/// What came of a stream of packets: number and time on the way in ms, in order of arrival.
struct Flow {
    sent: usize,
    came: Vec<(usize, f64)>,
}

impl Flow {
    /// `sent` packets from A to B, one each `every`.
    fn through(sent: usize, every: Duration) -> Result<Self, Trouble> {
        let failed = || Trouble::Failed("UDP sockets in the namespaces".into());
        let start = Instant::now();
        let receiver = inside(1, move || {
            let socket = UdpSocket::bind((HOSTS[1], 5002))?;
            socket.set_read_timeout(Some(Duration::from_millis(1500)))?;
            let (mut data, mut came) = ([0; 2048], vec![]);
            while let Ok(length) = socket.recv(&mut data) {
                let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|n| data[at + n]));
                if length >= 16 {
                    came.push((number(0) as usize, start.elapsed().as_secs_f64() * 1e3 - number(8) as f64 / 1e6));
                }
            }
            std::io::Result::Ok(came)
        });
        let sender = inside(0, move || {
            let socket = UdpSocket::bind((HOSTS[0], 0))?;
            let mut data = [0; BYTES - 28];
            std::thread::sleep(Duration::from_millis(100));
            let begin = Instant::now();
            for number in 0..sent {
                std::thread::sleep((begin + every * number as u32).saturating_duration_since(Instant::now()));
                data[..8].copy_from_slice(&(number as u64).to_le_bytes());
                data[8..16].copy_from_slice(&(start.elapsed().as_nanos() as u64).to_le_bytes());
                socket.send_to(&data, (HOSTS[1], 5002))?;
            }
            std::io::Result::Ok(())
        });
        sender.join().ok().flatten().ok_or_else(failed)??;
        Ok(Self { sent, came: receiver.join().ok().flatten().ok_or_else(failed)?? })
    }

    fn delay(&self, share: f64) -> f64 {
        let mut delays: Vec<f64> = self.came.iter().map(|&(_, ms)| ms).collect();
        delays.sort_by(f64::total_cmp);
        delays.get(((delays.len().max(1) - 1) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    }

    fn lost_percent(&self) -> f64 {
        100.0 * (1.0 - self.came.len() as f64 / self.sent as f64)
    }

    /// How many packets followed one that was sent later.
    fn overtaken(&self) -> usize {
        self.came.windows(2).filter(|pair| pair[1].0 < pair[0].0).count()
    }

    /// Mean length of runs of lost packets.
    fn mean_burst(&self) -> f64 {
        let mut lost = vec![true; self.sent];
        self.came.iter().for_each(|&(number, _)| lost[number] = false);
        let bursts = (0..self.sent).filter(|&n| lost[n] && (n == 0 || !lost[n - 1])).count();
        lost.iter().filter(|&&lost| lost).count() as f64 / bursts.max(1) as f64
    }
}

pub fn check(tools: &Tools) -> Result<Rows, Trouble> {
    let mut network = Network::start(tools)?;
    let mut all = vec![];
    let delays = |flow: &Flow| format!("{:.2} / {:.2} / {:.2}", flow.delay(0.0), flow.delay(0.5), flow.delay(1.0));
    let ms = Duration::from_millis(1);

    let flow = Flow::through(1000, 2 * ms)?;
    all.push(row("nothing set: time on the way least / p50 / most, ms", delays(&flow), "< 1"));

    network.set("both delay=50")?;
    let flow = Flow::through(1000, 2 * ms)?;
    all.push(row("delay=50: the same", delays(&flow), "50"));

    // 5 Mb/s into 1 Mb/s: 100 packets a second come through, and each waits for the 25 packets that 250 ms hold.
    network.set("both delay=0 rate=1000 q=250")?;
    let flow = Flow::through(2500, 2 * ms)?;
    all.push(row("5 into 1 Mb/s, q=250: the same", delays(&flow), "10 / 260 / 260"));
    let span_s = (flow.sent as f64 * 2.0 + flow.delay(1.0)) / 1e3;
    let mbps = flow.came.len() as f64 * BYTES as f64 * 8e-6 / span_s;
    all.push(row(
        "5 into 1 Mb/s, q=250: came, Mb/s; lost, %",
        format!("{mbps:.3}; {:.1}", flow.lost_percent()),
        "1.000; 79",
    ));

    // 0.8 Mb/s into 1 Mb/s: no queue.
    let flow = Flow::through(300, Duration::from_micros(12_500))?;
    all.push(row("0.8 into 1 Mb/s: time on the way, ms", delays(&flow), "10"));

    network.set("both rate=0 delay=40 jitter=30")?;
    let flow = Flow::through(4000, ms)?;
    let figure = format!("{}; {} overtaken", delays(&flow), flow.overtaken());
    all.push(row("delay=40 jitter=30: the same", figure, "10 / - / 70; 0"));
    network.set("both reorder=1")?;
    let flow = Flow::through(4000, ms)?;
    let figure = format!("{}; {} overtaken", delays(&flow), flow.overtaken());
    all.push(row("delay=40 jitter=30 reorder=1: the same", figure, "10 / 40 / 70; many"));

    network.set("both delay=0 jitter=0 reorder=0 loss=5")?;
    let flow = Flow::through(20_000, ms / 5)?;
    all.push(row(
        "loss=5: lost, %; mean run",
        format!("{:.2}; {:.2}", flow.lost_percent(), flow.mean_burst()),
        "5; 1.05",
    ));
    network.set("both burst=8")?;
    let flow = Flow::through(40_000, ms / 5)?;
    all.push(row("loss=5 burst=8: the same", format!("{:.2}; {:.2}", flow.lost_percent(), flow.mean_burst()), "5; 8"));
    Ok(all)
}
