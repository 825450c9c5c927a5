//! Repair end to end: packetizer, [`Repairs`], a path that loses, [`Rtx`], [`Reception`]; minutes of network in a moment.
//!
//! The path has no bottleneck: how fast to send is decided elsewhere. Each row is a path and what must be presented on it. What is
//! printed (`--nocapture`) are the figures of `docs/measurements/network.md`.

use super::assembler::Packet as Received;
use super::capture_time;
use super::interceptors::Stage;
use super::interceptors::repairs::Repairs;
use super::interceptors::rtx::{Rtx, is_repair};
use super::packetizer::{Packetizer, Stream};
use super::reception::Reception;
use crate::ops::Figures;
use rtc::interceptor::{AttributedPacket, Interceptor, Packet, RTCPFeedback, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::sansio::Protocol;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time of a run, and of its beginning that is not counted.
const RUN: Duration = Duration::from_secs(45);
const WARM_UP: Duration = Duration::from_secs(5);
const PICTURE: Duration = Duration::from_micros(33_333);
const ENCODE: Duration = Duration::from_millis(4);
/// From one packet of a picture to the next as they leave: the pacer lets ordinary pictures pass, and spreads keyframes.
const SPACING: Duration = Duration::from_micros(100);
const PACED: Duration = Duration::from_micros(950);
const CAPTURE_TIME_ID: u8 = 3;

/// One direction of a path.
#[derive(Clone, Copy, Debug)]
struct Path {
    delay_ms: f64,
    /// Uniform, up and down; packets keep their order or not.
    jitter_ms: f64,
    reorders: bool,
    /// The share of lost packets, and how many are lost in a row in the mean (Gilbert's model: a bad state loses all).
    loss: f64,
    burst: f64,
}

const STILL: Path = Path { delay_ms: 0.5, jitter_ms: 0.0, reorders: false, loss: 0.0, burst: 1.0 };

/// Splitmix64: seeded, good enough for networks.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

struct Direction {
    path: Path,
    random: Random,
    bad: bool,
    last: Duration,
}

impl Direction {
    /// When a packet that leaves at `at` arrives, if it does.
    fn carry(&mut self, at: Duration) -> Option<Duration> {
        let Path { delay_ms, jitter_ms, reorders, loss, burst } = self.path;
        // Stays bad for `burst` packets in the mean; the share of bad ones is `loss`.
        let stays = if self.bad { 1.0 - 1.0 / burst } else { loss / (1.0 - loss) / burst };
        self.bad = self.random.next() < stays;
        let jitter = jitter_ms * (2.0 * self.random.next() - 1.0);
        let mut arrives = at + Duration::from_secs_f64((delay_ms + jitter).max(0.0) / 1e3);
        if !reorders {
            arrives = arrives.max(self.last);
        }
        self.last = arrives;
        (!self.bad).then_some(arrives)
    }
}

enum Event {
    Picture,
    Leaves(TaggedPacket),
    Arrives(TaggedPacket),
    Nack(Vec<u16>),
    Keyframe,
    Wake,
}

/// What was presented, per minute where it says so.
#[derive(Debug)]
struct Presented {
    fps: f64,
    freezes: f64,
    frozen_s: f64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
    hold_ms: f64,
    /// Repairs per packet sent first, in percent.
    repairs: f64,
    lost: f64,
    keyframes: f64,
    /// The shares of the packets sent first that the path lost, and that were found missing, in percent.
    swallowed: f64,
    missing: f64,
}

struct World {
    start: Instant,
    now: Duration,
    events: BTreeMap<Reverse<(Duration, u64)>, Event>,
    count: u64,
    /// When everybody will be woken.
    wake: Duration,
    there: Direction,
    back: Direction,
    figures: Arc<Figures>,
    packetizer: Packetizer,
    repairs: Repairs,
    rtx: Rtx,
    reception: Reception,
    wants_keyframe: bool,
    keyframe_made: Duration,
    sent: u64,
    /// Of these, what the path lost.
    swallowed: u64,
    repaired: u64,
    keyframes: u64,
    packets: usize,
    presented: Vec<(Duration, Duration)>,
}

impl World {
    fn new(path: Path, packets: usize, seed: u64) -> Self {
        let start = Instant::now();
        let figures = Arc::new(Figures::default());
        figures.link.round_trip_us.set((path.delay_ms * 2e3) as u64);
        figures.outgoing.target_bps.set(2_500_000);
        let stream = StreamInfo {
            ssrc: 2,
            ssrc_rtx: Some(3),
            payload_type: 125,
            payload_type_rtx: Some(107),
            rtcp_feedback: vec![RTCPFeedback { typ: "nack".into(), parameter: String::new() }],
            ..Default::default()
        };
        let mut repairs = Repairs::new(figures.clone());
        repairs.bind_local_stream(&stream);
        let mut rtx = Rtx::new(figures.clone());
        rtx.bind_remote(&stream);
        let direction = |seed| Direction { path, random: Random(seed), bad: false, last: Duration::ZERO };
        let stream = Stream { ssrc: 2, payload_type: 125, capture_time_id: Some(CAPTURE_TIME_ID) };
        let mut reception = Reception::new(start);
        reception.set_round_trip(Duration::from_secs_f64(path.delay_ms * 2.0 / 1e3));
        Self {
            start,
            now: Duration::ZERO,
            events: BTreeMap::new(),
            count: 0,
            wake: Duration::ZERO,
            there: direction(seed),
            back: direction(seed ^ 0xabcd),
            figures,
            packetizer: Packetizer::new(stream),
            repairs,
            rtx,
            reception,
            wants_keyframe: true,
            keyframe_made: Duration::ZERO,
            sent: 0,
            swallowed: 0,
            repaired: 0,
            keyframes: 0,
            packets,
            presented: vec![],
        }
    }

    fn at(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.events.insert(Reverse((at, self.count)), event);
    }

    fn run(&mut self) -> Presented {
        self.at(Duration::ZERO, Event::Picture);
        while let Some((Reverse((at, _)), event)) = self.events.pop_last() {
            if at > RUN {
                break;
            }
            self.now = at;
            self.happen(event);
            self.after();
        }
        self.result()
    }

    fn happen(&mut self, event: Event) {
        let now = self.start + self.now;
        match event {
            Event::Picture => {
                self.picture();
                self.at(self.now + PICTURE, Event::Picture);
            }
            Event::Leaves(mut packet) => {
                packet.now = now;
                self.repairs.handle_write(packet).unwrap();
            }
            Event::Arrives(packet) => {
                let Some(packet) = self.rtx.read(packet) else { return };
                let Packet::Rtp(rtp) = packet.message.packet else { return };
                let captured = rtp.header.get_extension(CAPTURE_TIME_ID);
                self.reception.push(Received {
                    sequence: rtp.header.sequence_number,
                    timestamp: rtp.header.timestamp,
                    marker: rtp.header.marker,
                    captured: captured.and_then(|bytes| capture_time::read(&bytes)),
                    dependency: None,
                    repair: is_repair(&rtp.header),
                    payload: rtp.payload,
                    arrived: now,
                });
            }
            Event::Nack(missing) => {
                let nacks = nack_pairs_from_sequence_numbers(&missing);
                let nack = TransportLayerNack { sender_ssrc: 0, media_ssrc: 2, nacks };
                let message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(nack)]));
                self.repairs.handle_read(TaggedPacket { now, transport: Default::default(), message }).unwrap();
            }
            Event::Keyframe => self.wants_keyframe |= self.now > self.keyframe_made + Duration::from_millis(150),
            Event::Wake => self.repairs.handle_timeout(now).unwrap(),
        }
    }

    fn picture(&mut self) {
        let keyframe =
            self.wants_keyframe && (self.sent == 0 || self.now > self.keyframe_made + Duration::from_millis(250));
        let mut data = vec![];
        if keyframe {
            (self.wants_keyframe, self.keyframe_made) = (false, self.now);
            self.keyframes += 1;
            data.extend([0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 0, 1, 0x68, 4, 5]);
        }
        data.extend([0, 0, 0, 1, if keyframe { 0x65 } else { 0x41 }, 0x88]);
        let packets = if keyframe { 5 * self.packets } else { self.packets };
        data.extend(std::iter::repeat_n(7, packets * 1150));
        let mut made = vec![];
        self.packetizer.packets(&data, self.now, &mut made);
        let spacing = if keyframe { PACED } else { SPACING };
        for (n, rtp) in made.into_iter().enumerate() {
            let message = AttributedPacket::new(Packet::Rtp(rtp));
            let packet = TaggedPacket { now: self.start, transport: Default::default(), message };
            self.at(self.now + ENCODE + n as u32 * spacing, Event::Leaves(packet));
        }
    }

    /// All that anybody wants to do now, until nobody wants anything.
    fn after(&mut self) {
        let now = self.start + self.now;
        while let Some(packet) = self.repairs.poll_write() {
            let Packet::Rtp(rtp) = &packet.message.packet else { continue };
            let first = rtp.header.ssrc == 2;
            *if first { &mut self.sent } else { &mut self.repaired } += 1;
            match self.there.carry(self.now) {
                Some(at) => self.at(at, Event::Arrives(packet)),
                None => self.swallowed += u64::from(first),
            }
        }
        while self.repairs.poll_read().is_some() {}
        let mut missing = vec![];
        self.reception.repairs_due(now, &mut missing);
        if !missing.is_empty()
            && let Some(at) = self.back.carry(self.now)
        {
            self.at(at, Event::Nack(missing));
        }
        if self.reception.keyframe_due(now)
            && let Some(at) = self.back.carry(self.now)
        {
            self.at(at, Event::Keyframe);
        }
        let (presented, at) = (&mut self.presented, self.now);
        self.reception.poll(now, &mut |unit| presented.push((at, unit.captured.expect("a capture time"))));
        let wakes = [self.repairs.poll_timeout(), self.reception.deadline()];
        if let Some(wake) = wakes.into_iter().flatten().min() {
            // The task's timers are as coarse as this.
            let wake = (wake - self.start).max(self.now + Duration::from_micros(500));
            if self.wake <= self.now || wake < self.wake {
                self.wake = wake;
                self.at(wake, Event::Wake);
            }
        }
    }

    fn result(&mut self) -> Presented {
        let minutes = (RUN - WARM_UP).as_secs_f64() / 60.0;
        let presented: Vec<_> = self.presented.iter().filter(|(at, _)| *at > WARM_UP).copied().collect();
        let mut ages: Vec<f64> = presented.iter().map(|(at, captured)| (*at - *captured).as_secs_f64() * 1e3).collect();
        ages.sort_by(f64::total_cmp);
        let quantile = |q: f64| ages[((ages.len() - 1) as f64 * q) as usize];
        // W3C's definition: a gap of more than three mean intervals, or 150 ms more than the mean.
        let gaps = presented.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_secs_f64());
        let mean = 1.0 / 30.0_f64;
        let frozen: Vec<f64> = gaps.filter(|gap| *gap > (3.0 * mean).max(mean + 0.15)).collect();
        // Two pictures within one refresh of the display: only one of them is seen.
        let seen = presented.windows(2).filter(|pair| pair[1].0 - pair[0].0 >= Duration::from_millis(12)).count();
        let losses = self.reception.take_losses();
        Presented {
            fps: seen as f64 / minutes / 60.0,
            freezes: frozen.len() as f64 / minutes,
            frozen_s: frozen.iter().sum::<f64>() / minutes,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
            max_ms: quantile(1.0),
            hold_ms: self.reception.playout().hold().as_secs_f64() * 1e3,
            repairs: 100.0 * self.repaired as f64 / self.sent as f64,
            lost: losses.packets as f64 / minutes,
            keyframes: self.keyframes as f64 / minutes,
            swallowed: 100.0 * self.swallowed as f64 / self.sent as f64,
            missing: 100.0 * (losses.packets + losses.repaired) as f64 / self.sent as f64,
        }
    }
}

fn path(round_trip_ms: f64, loss_percent: f64) -> Path {
    Path { delay_ms: round_trip_ms / 2.0, loss: loss_percent / 100.0, ..STILL }
}

#[test]
fn what_is_presented_over_paths_that_lose() {
    // fps at least, frozen seconds per minute at most, 95 % of latencies at most.
    let rows = [
        ("still", STILL, 29.9, 0.0, 10.0),
        ("RTT 50, 2 %", path(50.0, 2.0), 29.5, 0.2, 400.0),
        ("RTT 50, 5 %", path(50.0, 5.0), 29.0, 0.5, 400.0),
        ("RTT 50, 10 %", path(50.0, 10.0), 28.0, 1.0, 400.0),
        ("RTT 50, 20 %", path(50.0, 20.0), 24.0, 3.0, 400.0),
        ("RTT 100, 0.1 %", path(100.0, 0.1), 29.5, 0.2, 400.0),
        ("RTT 100, 0.5 %", path(100.0, 0.5), 29.5, 0.2, 400.0),
        ("RTT 100, 1 %", path(100.0, 1.0), 29.5, 0.2, 400.0),
        ("RTT 100, 2 %", path(100.0, 2.0), 29.5, 0.2, 400.0),
        ("RTT 100, 5 %", path(100.0, 5.0), 29.0, 0.5, 400.0),
        ("RTT 100, 10 %", path(100.0, 10.0), 27.0, 2.0, 400.0),
        ("RTT 100, 20 %", path(100.0, 20.0), 22.0, 6.0, 450.0),
        ("RTT 100, 30 %", path(100.0, 30.0), 1.0, 60.0, 900.0),
        ("RTT 200, 5 %", path(200.0, 5.0), 27.0, 4.0, 600.0),
        ("RTT 200, 10 %", path(200.0, 10.0), 24.0, 6.0, 600.0),
        ("RTT 300, 5 %", path(300.0, 5.0), 22.0, 8.0, 900.0),
        ("RTT 50, bursts 5 %", Path { burst: 8.0, ..path(50.0, 5.0) }, 28.0, 3.0, 600.0),
        ("RTT 100, bursts 5 %", Path { burst: 8.0, ..path(100.0, 5.0) }, 28.0, 3.0, 600.0),
        ("jitter 30", Path { jitter_ms: 30.0, reorders: false, ..path(80.0, 0.0) }, 29.5, 0.0, 170.0),
        ("jitter 30 reordering", Path { jitter_ms: 30.0, reorders: true, ..path(80.0, 0.0) }, 29.5, 0.0, 170.0),
        ("jitter 5", Path { jitter_ms: 5.0, reorders: false, ..path(40.0, 0.0) }, 29.5, 0.0, 60.0),
    ];
    let mut failed = vec![];
    println!(
        "{:22} fps  freezes frozen_s  p50  p95  p99  max  hold repairs% lost/min keyframes/min requests missing% (lost by the path)",
        ""
    );
    for (name, path, fps, frozen_s, p95_ms) in rows {
        let mut world = World::new(path, 9, 1);
        let it = world.run();
        println!(
            "{name:22} {:4.1} {:6.1} {:7.2} {:6.1} {:4.0} {:4.0} {:4.0} {:5.0} {:6.1} {:6.1} {:6.1}   late {} {:5.2} ({:.2})",
            it.fps,
            it.freezes,
            it.frozen_s,
            it.p50_ms,
            it.p95_ms,
            it.p99_ms,
            it.max_ms,
            it.hold_ms,
            it.repairs,
            it.lost,
            it.keyframes,
            world.reception.playout().take_late(),
            it.missing,
            it.swallowed
        );
        // Left over are what is under way at the end, what an outage hid, and repairs that overtook a late packet.
        let _ = &world.figures;
        let told = (it.missing - it.swallowed).abs() < 0.3 + 0.03 * it.swallowed;
        if !told || it.fps < fps || it.frozen_s > frozen_s || it.p95_ms > p95_ms {
            failed.push(name);
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
}
