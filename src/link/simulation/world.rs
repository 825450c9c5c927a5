//! Everything that happens, in the order of virtual time: portals and downloads at two sites with one path between them.

use super::connection::Setup;
use super::portal::Portal;
use super::random::Random;
use super::screen::Seen;
use super::tcp::Download;
use super::tube::{Conditions, Felt, Tube};
use rtc::interceptor::Packet;
use std::time::{Duration, Instant};

/// What travels.
#[derive(Clone, Debug)]
pub enum Parcel {
    /// RTP or RTCP.
    Media(Packet),
    /// On the data channel; when it was sent.
    Ping(Instant),
    Pong(Instant),
    /// Of a download.
    Segment(u64),
    Ack(u64),
}

/// What one of the flows sends, with its size in bytes on the wire.
#[derive(Default)]
pub struct Outbox(Vec<(Parcel, usize)>);

impl Outbox {
    pub fn send(&mut self, parcel: Parcel, bytes: usize) {
        self.0.push((parcel, bytes));
    }
}

/// Flows of one direction: portals of the two pairs, downloads.
pub const FLOWS: usize = 3;
const DOWNLOAD: usize = 2;

/// What one direction felt during some time.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By the far end's screen.
    pub seen: Seen,
    pub felt: Felt,
    /// Bytes of all flows that left the bottleneck.
    pub all_bytes: u64,
    /// Keyframes that the far end asked for.
    pub keyframe_requests: u64,
    /// The sender's target in Mb/s: mean and now.
    pub mean_target_mbps: f64,
    pub target_mbps: f64,
}

pub struct World {
    base: Instant,
    pub now: Instant,
    /// Pair by pair; those at even places are at the first site.
    pub portals: Vec<Portal>,
    wakes: Vec<Instant>,
    download: Option<Download>,
    /// From the first site to the second, and back.
    pub tubes: [Tube<(usize, Parcel)>; 2],
    outbox: Outbox,
    targets: Vec<(f64, u64)>,
    next_sample: Instant,
    requests: Vec<u64>,
    random: Random,
    setup: Setup,
}

/// How often targets are looked at.
const SAMPLE: Duration = Duration::from_millis(50);

impl World {
    pub fn new(setup: Setup, seed: u64) -> Self {
        let base = Instant::now();
        let mut random = Random::new(seed);
        let tubes = [(); 2].map(|()| Tube::new(random.fork(), FLOWS, base));
        let mut world = Self {
            base,
            now: base,
            portals: vec![],
            wakes: vec![],
            download: None,
            tubes,
            outbox: Outbox::default(),
            targets: vec![],
            next_sample: base,
            requests: vec![],
            random,
            setup,
        };
        world.add_pair();
        world
    }

    /// Two more portals.
    pub fn add_pair(&mut self) {
        for offers in [true, false] {
            self.portals.push(Portal::new(&self.setup, offers, &mut self.random, self.base, self.now));
            self.wakes.push(self.now);
            self.targets.push((0.0, 0));
            self.requests.push(0);
        }
    }

    /// A download from the first site to the second begins or ends.
    pub fn set_download(&mut self, on: bool) {
        self.download = on.then(|| Download::new(self.now));
    }

    pub fn set(&mut self, direction: usize, conditions: Conditions) {
        self.tubes[direction].set(conditions, self.now);
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.now = at;
            self.step();
        }
        self.now = end;
    }

    fn next(&self) -> Option<Instant> {
        let tubes = self.tubes.iter().filter_map(Tube::next);
        let download = self.download.as_ref().and_then(Download::next);
        let next = tubes.chain(self.wakes.iter().copied()).chain(download).chain([self.next_sample]).min();
        next.map(|next| next.max(self.now))
    }

    fn step(&mut self) {
        let now = self.now;
        for direction in 0..2 {
            while let Some((flow, parcel)) = self.tubes[direction].arrival(now) {
                if flow == DOWNLOAD {
                    self.download_receives(direction, parcel);
                    continue;
                }
                let to = 2 * flow + 1 - direction;
                self.portals[to].receive(parcel, now, &mut self.outbox);
                self.after(to);
            }
        }
        for portal in 0..self.portals.len() {
            if self.wakes[portal] <= now {
                self.portals[portal].wake(now, &mut self.outbox);
                self.after(portal);
            }
        }
        if let Some(download) = &mut self.download {
            download.wake(now, &mut self.outbox);
            self.send(DOWNLOAD, 0);
        }
        if now >= self.next_sample {
            self.next_sample = now + SAMPLE;
            for (portal, (sum, count)) in self.portals.iter().zip(&mut self.targets) {
                *sum += portal.target_mbps();
                *count += 1;
            }
        }
    }

    fn download_receives(&mut self, direction: usize, parcel: Parcel) {
        let Some(download) = &mut self.download else { return };
        match parcel {
            // The far end acknowledges each segment.
            Parcel::Segment(number) => self.outbox.send(Parcel::Ack(number), 52),
            Parcel::Ack(number) => download.acknowledged(number, self.now, &mut self.outbox),
            _ => {}
        }
        self.send(DOWNLOAD, 1 - direction);
    }

    fn after(&mut self, portal: usize) {
        self.send(portal / 2, portal % 2);
        self.wakes[portal] = self.portals[portal].next(self.now);
    }

    fn send(&mut self, flow: usize, direction: usize) {
        for (parcel, bytes) in self.outbox.0.drain(..) {
            self.tubes[direction].enter(flow, bytes, (flow, parcel), self.now);
        }
    }

    /// What happened to the pictures of each portal since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        let mut reports = vec![];
        let others: Vec<u64> = self.tubes.iter_mut().map(|tube| tube.take_felt(DOWNLOAD).bytes).collect();
        for sender in 0..self.portals.len() {
            let receiver = sender ^ 1;
            let felt = self.tubes[sender % 2].take_felt(sender / 2);
            let requests = self.portals[receiver].connection.keyframe_requests;
            let (sum, count) = std::mem::take(&mut self.targets[sender]);
            reports.push(Report {
                seen: self.portals[receiver].screen.take_seen(self.now),
                all_bytes: felt.bytes + others[sender % 2],
                felt,
                keyframe_requests: requests - std::mem::replace(&mut self.requests[receiver], requests),
                mean_target_mbps: sum / count.max(1) as f64,
                target_mbps: self.portals[sender].target_mbps(),
            });
        }
        for portal in 2..reports.len() {
            let bytes = reports[portal].felt.bytes;
            reports[portal % 2].all_bytes += bytes;
        }
        reports
    }
}
