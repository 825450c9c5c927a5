//! Everything that happens, in the order of virtual time: portals and downloads at two sites with one path between them.

use super::connection::Setup;
use super::portal::Portal;
use super::random::Random;
use super::screen::Seen;
use super::signalling::Signalling;
use super::tcp::Download;
use super::tube::{Conditions, Felt, Loss, Tube};
use crate::link::state::Event;
use crate::ops::LinkState;
use rtc::interceptor::Packet;
use std::time::{Duration, Instant};

/// What travels.
#[derive(Clone, Debug)]
pub enum What {
    /// RTP or RTCP.
    Media(Packet),
    /// Of ICE.
    Check,
    CheckAnswer,
    /// Of DTLS: the number of the flight, and of the record.
    Flight(u8, u32),
    Close,
    /// On the data channel; pings with the time when they were sent.
    Ping(Instant),
    Pong(Instant),
    Presence,
    /// Of a download, with its number.
    Segment(u64),
    Ack(u64),
}

/// Something on its way: of which flow, to which end of a connection.
#[derive(Clone, Debug)]
pub struct Parcel {
    flow: usize,
    to: u64,
    what: What,
}

/// What is being sent: to whom, what, and its size in bytes on the wire.
#[derive(Default)]
pub struct Outbox(Vec<(u64, What, usize)>);

impl Outbox {
    pub fn send(&mut self, to: u64, what: What, bytes: usize) {
        self.0.push((to, what, bytes));
    }
}

/// Flows of one direction: portals of the two pairs, downloads.
pub const FLOWS: usize = 3;
const DOWNLOAD: usize = 2;
const ACK_BYTES: usize = 52;

/// What one direction felt during some time.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By the far end's screen.
    pub seen: Seen,
    pub felt: Felt,
    /// Bytes of all flows that left the bottleneck.
    pub all_bytes: u64,
    /// Keyframes that the far end asked for, and those that were made.
    pub keyframe_requests: u64,
    pub keyframes: u64,
    /// Pictures made that refer to a long-term reference.
    pub recoveries: u64,
    /// Connections that were begun at the far end.
    pub attempts: u64,
    /// The sender's target in Mb/s: mean and now.
    pub mean_target_mbps: f64,
    pub target_mbps: f64,
    /// Of the far end's link.
    pub state: LinkState,
}

/// A place for a portal.
struct Place {
    portal: Portal,
    wake: Instant,
    on: bool,
    asleep: Option<Instant>,
    /// How much of virtual time its clock has slept through.
    slept: Duration,
    targets: (f64, u64),
    counted: (u64, u64, u64, u64),
}

pub struct World {
    base: Instant,
    pub now: Instant,
    /// Pair by pair; those at even places are at the first site.
    places: Vec<Place>,
    pub signalling: Vec<Signalling>,
    download: Option<Download>,
    /// From the first site to the second, and back.
    pub tubes: [Tube<Parcel>; 2],
    outbox: Outbox,
    next_sample: Instant,
    random: Random,
    setup: Setup,
}

/// How often targets and signalling are looked at.
const SAMPLE: Duration = Duration::from_millis(20);

impl World {
    pub fn new(setup: Setup, seed: u64) -> Self {
        // Earlier times must be possible: a machine's clock may be days behind, when it has slept.
        let base = Instant::now() + Duration::from_secs(30 * 86_400);
        let mut random = Random::new(seed);
        let tubes = [(); 2].map(|()| Tube::new(random.fork(), FLOWS, base));
        let mut world = Self {
            base,
            now: base,
            places: vec![],
            signalling: vec![],
            download: None,
            tubes,
            outbox: Outbox::default(),
            next_sample: base,
            random,
            setup,
        };
        world.add_pair();
        world
    }

    /// Two more portals.
    pub fn add_pair(&mut self) {
        for offers in [true, false] {
            let portal = Portal::new(&self.setup, offers, &mut self.random, self.base, self.now);
            self.places.push(Place {
                portal,
                wake: self.now,
                on: true,
                asleep: None,
                slept: Duration::ZERO,
                targets: (0.0, 0),
                counted: (0, 0, 0, 0),
            });
        }
        self.signalling.push(Signalling::new(self.random.fork()));
    }

    /// A download from the first site to the second begins or ends.
    pub fn set_download(&mut self, on: bool) {
        self.download = on.then(|| Download::new(self.now));
    }

    pub fn set(&mut self, direction: usize, conditions: Conditions) {
        self.tubes[direction].set(conditions, self.now);
    }

    /// The power of a portal goes; or comes back, and its program starts anew.
    pub fn power(&mut self, place: usize, on: bool) {
        let at = &mut self.places[place];
        at.on = on;
        if on {
            if let Some(since) = at.asleep.take() {
                at.slept += self.now - since;
                at.portal.slept(self.now - since);
            }
            // Its clock goes on where it was.
            let (base, now) = (self.base - at.slept, self.now - at.slept);
            let portal = Portal::new(&self.setup, place.is_multiple_of(2), &mut self.random, base, now);
            let before = std::mem::replace(&mut at.portal, portal);
            at.portal.screen = before.screen.restarted();
            (at.wake, at.counted) = (self.now, (0, 0, 0, 0));
        }
    }

    /// A portal's machine sleeps, or wakes up again.
    pub fn sleep(&mut self, place: usize, asleep: bool) {
        let at = &mut self.places[place];
        match (at.asleep, asleep) {
            (None, true) => at.asleep = Some(self.now),
            (Some(since), false) => {
                at.asleep = None;
                at.slept += self.now - since;
                at.portal.slept(self.now - since);
                at.wake = self.now;
            }
            _ => {}
        }
    }

    /// A portal's addresses change.
    pub fn move_away(&mut self, place: usize, noticed: bool) {
        self.places[place].portal.move_away(noticed);
        self.signalling[place / 2].cut();
    }

    pub fn portal(&self, place: usize) -> &Portal {
        &self.places[place].portal
    }

    pub fn state(&self, place: usize) -> LinkState {
        let at = &self.places[place];
        at.portal.state(self.now - at.slept).0
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let at = self.next();
            if at > end {
                break;
            }
            self.now = at;
            self.step();
        }
        self.now = end;
    }

    fn next(&self) -> Instant {
        let tubes = self.tubes.iter().filter_map(Tube::next);
        let wakes = self.places.iter().filter(|at| at.on && at.asleep.is_none()).map(|at| at.wake);
        let download = self.download.as_ref().and_then(Download::next);
        tubes.chain(wakes).chain(download).fold(self.next_sample, Instant::min).max(self.now)
    }

    fn step(&mut self) {
        let now = self.now;
        for direction in 0..2 {
            while let Some(Parcel { flow, to, what }) = self.tubes[direction].arrival(now) {
                if flow == DOWNLOAD {
                    self.download_receives(direction, what);
                } else {
                    let place = 2 * flow + 1 - direction;
                    self.at(place, |portal, now, out| portal.receive(to, what, now, out));
                }
            }
        }
        for place in 0..self.places.len() {
            if self.places[place].wake <= now {
                self.at(place, Portal::wake);
            }
        }
        if let Some(download) = &mut self.download {
            download.wake(now, &mut self.outbox);
            self.send(DOWNLOAD, 0);
        }
        if now >= self.next_sample {
            self.next_sample = now + SAMPLE;
            self.sample();
        }
    }

    /// Something happens at a place, by its own clock. Nothing does where the power is off or the machine asleep.
    fn at(&mut self, place: usize, happens: impl FnOnce(&mut Portal, Instant, &mut Outbox)) {
        let at = &mut self.places[place];
        if !at.on || at.asleep.is_some() {
            return;
        }
        let now = self.now - at.slept;
        happens(&mut at.portal, now, &mut self.outbox);
        at.wake = at.portal.next(now) + at.slept;
        let said = std::mem::take(&mut at.portal.said);
        if std::mem::take(&mut at.portal.doubts) {
            self.signalling[place / 2].doubt();
        }
        self.send(place / 2, place % 2);
        let tube = self.tubes[place % 2].conditions();
        let (delay, loss) = (Duration::from_secs_f64(tube.delay_ms / 1e3), share(&tube.loss));
        for message in said {
            self.signalling[place / 2].say(1 - place % 2, message, delay, loss, self.now);
        }
    }

    fn send(&mut self, flow: usize, direction: usize) {
        for (to, what, bytes) in self.outbox.0.drain(..) {
            self.tubes[direction].enter(flow, bytes, Parcel { flow, to, what }, self.now);
        }
    }

    fn download_receives(&mut self, direction: usize, what: What) {
        let Some(download) = &mut self.download else { return };
        match what {
            // The far end acknowledges each segment.
            What::Segment(number) => self.outbox.send(0, What::Ack(number), ACK_BYTES),
            What::Ack(number) => download.acknowledged(number, self.now, &mut self.outbox),
            _ => {}
        }
        self.send(DOWNLOAD, 1 - direction);
    }

    fn sample(&mut self) {
        for at in &mut self.places {
            at.targets.0 += at.portal.target_mbps();
            at.targets.1 += 1;
        }
        let passes = self.tubes.iter().all(|tube| tube.conditions().open && tube.conditions().mbps > 0.0);
        for pair in 0..self.signalling.len() {
            let sessions = [0, 1].map(|end| {
                let at = &self.places[2 * pair + end];
                (at.on && at.asleep.is_none()).then_some(at.portal.session)
            });
            let mut events = vec![];
            self.signalling[pair].wake(sessions, passes, self.now, &mut events);
            for (end, event) in events {
                self.signal(2 * pair + end, event);
            }
        }
    }

    fn signal(&mut self, place: usize, event: Event) {
        self.at(place, |portal, now, out| portal.signal(event, now, out));
    }

    /// Whether signalling can be used; when it ends so, both ends know at once.
    pub fn set_signalling(&mut self, available: bool) {
        for pair in 0..self.signalling.len() {
            self.signalling[pair].available = available;
            let mut events = vec![];
            if !available {
                self.signalling[pair].hang_up(&mut events);
            }
            for (end, event) in events {
                self.signal(2 * pair + end, event);
            }
        }
    }

    /// What happened to the pictures of each portal since the last call.
    pub fn reports(&mut self) -> Vec<Report> {
        let mut reports = vec![];
        let others: Vec<u64> = self.tubes.iter_mut().map(|tube| tube.take_felt(DOWNLOAD).bytes).collect();
        for sender in 0..self.places.len() {
            let state = self.state(sender ^ 1);
            let felt = self.tubes[sender % 2].take_felt(sender / 2);
            let at = &mut self.places[sender];
            let (sum, count) = std::mem::take(&mut at.targets);
            let target_mbps = at.portal.target_mbps();
            let keyframes = at.portal.encoder.keyframes;
            let keyframes_before = std::mem::replace(&mut at.counted.0, keyframes);
            let recoveries = at.portal.encoder.recoveries;
            let recoveries_before = std::mem::replace(&mut at.counted.3, recoveries);
            let far = &mut self.places[sender ^ 1];
            let (requests, attempts) = (far.portal.figures.incoming.keyframe_requests.get(), far.portal.attempts);
            let (requests_before, attempts_before) = (far.counted.1, far.counted.2);
            (far.counted.1, far.counted.2) = (requests, attempts);
            reports.push(Report {
                seen: far.portal.screen.take_seen(self.now - far.slept),
                all_bytes: felt.bytes + others[sender % 2],
                felt,
                keyframe_requests: requests - requests_before,
                keyframes: keyframes - keyframes_before,
                recoveries: recoveries - recoveries_before,
                attempts: attempts - attempts_before,
                mean_target_mbps: sum / count.max(1) as f64,
                target_mbps,
                state,
            });
        }
        for portal in 2..reports.len() {
            let bytes = reports[portal].felt.bytes;
            reports[portal % 2].all_bytes += bytes;
        }
        reports
    }
}

fn share(loss: &Loss) -> f64 {
    match *loss {
        Loss::Random(share) | Loss::Bursts { share, .. } => share,
    }
}
