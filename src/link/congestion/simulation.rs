//! Tests of the controller: networks as data, hours as milliseconds.
//!
//! A sender whose encoder follows the target sends pictures through a bottleneck with a queue; the far end reports every 50 ms.

use super::{Controller, Limits};
use rtc::interceptor::{BandwidthEstimator, PacketReport};
use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const FPS: u64 = 30;
const PACKET: usize = 1100;
const MS: Duration = Duration::from_millis(1);

enum Step {
    /// From now on: the bottleneck's rate, its queue, the one-way delay, and the share of packets lost at random.
    Path {
        mbps: f64,
        queue_ms: f64,
        delay_ms: u64,
        loss: f64,
    },
    /// From now on the source offers no more than this, whatever the target.
    Source {
        mbps: f64,
    },
    Run {
        seconds: f64,
    },
    /// The target now, in Mb/s.
    Target {
        from: f64,
        to: f64,
    },
    /// What came during the last run: the longest queue in ms, and the greatest share of lost packets.
    Felt {
        queue_ms: f64,
        loss: f64,
    },
    /// The mean target of the last run, in Mb/s.
    Mean {
        from: f64,
        to: f64,
    },
}
use Step::{Felt, Mean, Path, Run, Source, Target};

struct Network {
    start: Instant,
    now: Instant,
    controller: Controller,
    mbps: f64,
    queue_ms: f64,
    delay: Duration,
    loss: f64,
    source_mbps: f64,
    /// When the bottleneck will have sent all that it holds.
    free: Instant,
    /// What will be reported, and when it reaches the far end.
    flying: VecDeque<(Instant, PacketReport)>,
    /// Reports on their way back.
    returning: VecDeque<(Instant, Vec<PacketReport>)>,
    random: u64,
    id: u64,
    worst_queue_ms: f64,
    sent: u64,
    lost: u64,
    targets: Vec<f64>,
}

impl Network {
    fn new(limits: Limits) -> Self {
        let start = Instant::now();
        Self {
            start,
            now: start,
            controller: Controller::new(limits),
            mbps: 1e3,
            queue_ms: 1e3,
            delay: 10 * MS,
            loss: 0.0,
            source_mbps: f64::INFINITY,
            free: start,
            flying: VecDeque::new(),
            returning: VecDeque::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            id: 0,
            worst_queue_ms: 0.0,
            sent: 0,
            lost: 0,
            targets: vec![],
        }
    }

    /// 0 to 1; xorshift, so that each run is the same.
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn picture(&mut self) {
        let bps = (self.controller.target_bitrate()).min(self.source_mbps * 1e6);
        // Pictures differ in size, as an encoder's do.
        let bytes = bps / 8.0 / FPS as f64 * (0.7 + 0.6 * self.random());
        for _ in 0..(bytes / PACKET as f64).ceil() as u64 {
            let waiting = self.free.saturating_duration_since(self.now).as_secs_f64() * 1e3;
            self.worst_queue_ms = self.worst_queue_ms.max(waiting);
            self.sent += 1;
            self.id += 1;
            let lost = waiting > self.queue_ms || self.random() < self.loss;
            if lost {
                self.lost += 1;
            } else {
                let takes = Duration::from_secs_f64(PACKET as f64 * 8.0 / (self.mbps * 1e6));
                self.free = self.free.max(self.now) + takes;
            }
            let arrives = self.free.max(self.now) + self.delay;
            let report = PacketReport {
                ssrc: 1,
                id: self.id,
                rtp_sequence_number: self.id as u16,
                is_twcc: true,
                twcc_sequence_number: self.id as u16,
                size: PACKET,
                arrived: !lost,
                departure: self.now,
                // TWCC's resolution is a quarter of a millisecond.
                arrival: (!lost).then(|| Duration::from_micros((arrives - self.start).as_micros() as u64 / 250 * 250)),
                ecn: Ecn::NotEct,
            };
            self.flying.push_back((arrives, report));
        }
    }

    fn run(&mut self, seconds: f64) {
        (self.worst_queue_ms, self.sent, self.lost) = (0.0, 0, 0);
        self.targets.clear();
        for _ in 0..(seconds * 1e3) as u64 {
            self.now += MS;
            let ms = (self.now - self.start).as_millis() as u64;
            if ms * FPS / 1000 != (ms - 1) * FPS / 1000 {
                self.picture();
                self.targets.push(self.controller.target_bitrate() / 1e6);
            }
            if ms.is_multiple_of(50) {
                let mut reports = vec![];
                while let Some((_, report)) = self.flying.pop_front_if(|(arrives, _)| *arrives <= self.now) {
                    reports.push(report);
                }
                if !reports.is_empty() {
                    self.returning.push_back((self.now + self.delay, reports));
                }
            }
            while let Some((at, reports)) = self.returning.pop_front_if(|(at, _)| *at <= self.now) {
                self.controller.on_reports(at, &reports);
            }
        }
    }

    fn play(&mut self, steps: &[Step]) {
        for (n, step) in steps.iter().enumerate() {
            let target = self.controller.target_bitrate() / 1e6;
            match *step {
                Path { mbps, queue_ms, delay_ms, loss } => {
                    (self.mbps, self.queue_ms, self.delay, self.loss) =
                        (mbps, queue_ms, Duration::from_millis(delay_ms), loss);
                }
                Source { mbps } => self.source_mbps = mbps,
                Run { seconds } => self.run(seconds),
                Target { from, to } => assert!((from..=to).contains(&target), "step {n}: target {target:.2}"),
                Felt { queue_ms, loss } => {
                    let share = self.lost as f64 / self.sent as f64;
                    println!("step {n}: queue {:.0} ms, loss {share:.3}, target {target:.2}", self.worst_queue_ms);
                    assert!(self.worst_queue_ms <= queue_ms, "step {n}: queue {:.0} ms", self.worst_queue_ms);
                    assert!(share <= loss, "step {n}: loss {share:.3}");
                }
                Mean { from, to } => {
                    let mean = self.targets.iter().sum::<f64>() / self.targets.len() as f64;
                    println!("step {n}: mean target {mean:.2}");
                    assert!((from..=to).contains(&mean), "step {n}: mean {mean:.2}");
                }
            }
        }
    }
}

fn limits(ceiling_mbps: f64) -> Limits {
    Limits { floor_bps: 200_000.0, start_bps: 0.8e6 * ceiling_mbps, ceiling_bps: 1e6 * ceiling_mbps }
}

fn path(mbps: f64, delay_ms: u64) -> Step {
    Path { mbps, queue_ms: 300.0, delay_ms, loss: 0.0 }
}

#[test]
fn a_clean_path_is_used_fully_within_two_seconds_and_for_hours() {
    for delay_ms in [0, 20, 100] {
        let mut network = Network::new(limits(2.5));
        network.play(&[
            path(100.0, delay_ms),
            Run { seconds: 2.0 },
            Target { from: 2.45, to: 2.5 },
            Run { seconds: 3600.0 },
            Mean { from: 2.499, to: 2.5 },
        ]);
    }
}

#[test]
fn three_megabits_for_a_ceiling_of_two_and_a_half() {
    let mut network = Network::new(limits(2.5));
    network.play(&[
        path(3.0, 10),
        Run { seconds: 60.0 },
        Mean { from: 2.2, to: 2.5 },
        Felt { queue_ms: 120.0, loss: 0.0 },
    ]);
}

#[test]
fn a_bottleneck_that_narrows_and_widens() {
    let mut network = Network::new(limits(5.0));
    network.play(&[
        path(3.0, 20),
        Run { seconds: 15.0 },
        Felt { queue_ms: 250.0, loss: 0.0 },
        Run { seconds: 15.0 },
        Felt { queue_ms: 130.0, loss: 0.01 },
        Mean { from: 2.1, to: 3.0 },
        path(1.0, 20),
        Run { seconds: 2.0 },
        Run { seconds: 15.0 },
        Felt { queue_ms: 150.0, loss: 0.02 },
        Mean { from: 0.65, to: 1.0 },
        path(3.0, 20),
        Run { seconds: 4.0 },
        Felt { queue_ms: 60.0, loss: 0.0 },
        Run { seconds: 3.0 },
        Felt { queue_ms: 100.0, loss: 0.0 },
        Target { from: 2.4, to: 3.2 },
        Run { seconds: 15.0 },
        Mean { from: 2.1, to: 3.0 },
    ]);
}

#[test]
fn random_loss_is_repaired_not_fled_from() {
    for (loss, from) in [(0.02, 2.4), (0.05, 2.4), (0.08, 2.0)] {
        let mut network = Network::new(limits(2.5));
        network.play(&[
            Path { mbps: 20.0, queue_ms: 300.0, delay_ms: 50, loss },
            Run { seconds: 60.0 },
            Mean { from, to: 2.5 },
        ]);
    }
}

#[test]
fn heavy_loss_is_congestion() {
    let mut network = Network::new(limits(2.5));
    network.play(&[
        Path { mbps: 20.0, queue_ms: 300.0, delay_ms: 50, loss: 0.4 },
        Run { seconds: 10.0 },
        Target { from: 0.2, to: 1.9 },
        Path { mbps: 20.0, queue_ms: 300.0, delay_ms: 50, loss: 0.0 },
        Run { seconds: 8.0 },
        Target { from: 2.4, to: 2.5 },
    ]);
}

#[test]
fn a_shallow_queue_is_not_hammered() {
    let mut network = Network::new(limits(5.0));
    network.play(&[
        Path { mbps: 2.0, queue_ms: 40.0, delay_ms: 20, loss: 0.0 },
        Run { seconds: 10.0 },
        Run { seconds: 60.0 },
        Felt { queue_ms: 50.0, loss: 0.10 },
        Mean { from: 1.0, to: 2.2 },
    ]);
}

#[test]
fn a_still_picture_does_not_inflate_the_estimate() {
    let mut network = Network::new(Limits { start_bps: 0.5e6, ..limits(20.0) });
    network.play(&[
        path(3.0, 20),
        Source { mbps: 0.3 },
        Run { seconds: 60.0 },
        Target { from: 0.3, to: 1.1 },
        Source { mbps: 100.0 },
        Run { seconds: 3.0 },
        Felt { queue_ms: 150.0, loss: 0.0 },
    ]);
}

#[test]
fn reports_that_make_no_sense_do_no_harm() {
    let mut network = Network::new(limits(2.5));
    network.play(&[path(10.0, 20), Run { seconds: 2.0 }]);
    let now = network.now;
    let report = |arrival, arrived, departure| PacketReport {
        ssrc: 1,
        id: 1,
        rtp_sequence_number: 1,
        is_twcc: true,
        twcc_sequence_number: 1,
        size: usize::MAX / 1024,
        arrived,
        departure,
        arrival,
        ecn: Ecn::NotEct,
    };
    let mad = [
        report(Some(Duration::MAX / 4), true, now),
        report(Some(Duration::ZERO), true, now - Duration::from_secs(1)),
        report(None, true, now + Duration::from_secs(9)),
        report(Some(Duration::ZERO), false, now),
    ];
    for _ in 0..50 {
        network.controller.on_reports(now, &mad);
        network.controller.on_reports(now, &[]);
    }
    assert!((200_000.0..=2_500_000.0).contains(&network.controller.target_bitrate()));
}
