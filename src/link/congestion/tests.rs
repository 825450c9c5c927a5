//! Tests of the controller and its parts alone; how it does on networks is told by `link::simulation`.

use super::competition::Competition;
use super::loss::{Loss, Verdict};
use super::queue::Queue;
use super::trains::Trains;
use super::*;
use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;

const MS: Duration = Duration::from_millis(1);

fn report(id: u64, departure: Instant, arrival: Option<Duration>) -> PacketReport {
    PacketReport {
        ssrc: 1,
        id,
        rtp_sequence_number: 0,
        is_twcc: true,
        twcc_sequence_number: id as u16,
        size: 1000,
        arrived: arrival.is_some(),
        departure,
        arrival,
        ecn: Ecn::NotEct,
    }
}

#[test]
fn a_still_picture_does_not_inflate_the_estimate() {
    let limits = Limits { floor_bps: 2e5, start_bps: 5e5, ceiling_bps: 20e6 };
    let (mut controller, start) = (Controller::new(limits), Instant::now());
    // 300 kb/s through a path without a queue: one packet now and then, so no trains.
    for n in 0..2000 {
        let at = 27 * MS * n;
        controller.on_reports(start + at + 40 * MS, &[report(n.into(), start + at, Some(at + 20 * MS))]);
    }
    let target = controller.target_bitrate();
    assert!((4e5..1.1e6).contains(&target), "{target}");
}

#[test]
fn reports_that_make_no_sense_do_no_harm() {
    let limits = Limits { floor_bps: 2e5, start_bps: 2e6, ceiling_bps: 2.5e6 };
    let (mut controller, now) = (Controller::new(limits), Instant::now());
    let mad = [
        report(1, now, Some(Duration::MAX / 4)),
        report(u64::MAX - 1, now - Duration::from_secs(1), Some(Duration::ZERO)),
        report(0, now + Duration::from_secs(9), None),
        PacketReport { size: usize::MAX / 1024, arrived: false, ..report(1, now, Some(Duration::ZERO)) },
        PacketReport { size: usize::MAX / 1024, ..report(2, now, Some(Duration::MAX / 4)) },
    ];
    for _ in 0..50 {
        controller.on_reports(now, &mad);
        controller.on_reports(now, &[]);
        let Allowance { rate_bps, window_bytes } = controller.allowance();
        assert!(rate_bps.is_finite() && rate_bps > 0.0 && window_bytes.is_finite() && window_bytes > 0.0);
        assert!((2e5..=2.5e6).contains(&controller.target_bitrate()));
    }
}

/// Nothing is sent while a portal is private. Its clock meanwhile parts from the far end's, by 40 parts in a million here.
#[test]
fn clocks_that_have_parted_in_a_pause_are_no_queue() {
    let (mut queue, start) = (Queue::default(), Instant::now());
    let mut standing_ms = |pause_s: u32, n: u32| {
        let sent = Duration::from_secs(1) * pause_s + 33 * MS * n;
        queue.add(start + sent, sent + 20 * MS + 40 * sent / 1_000_000);
        queue.end_of_report(start + sent + 40 * MS);
        queue.standing_ms()
    };
    for pause_s in [0, 3600, 12 * 3600] {
        let longest_ms = (0..300).map(|n| standing_ms(pause_s, n)).fold(0.0, f64::max);
        assert!(longest_ms < 1.0, "{longest_ms} ms after {pause_s} s");
    }
}

#[test]
fn trains_tell_what_the_bottleneck_carries() {
    // Pictures of 5 packets, 33 ms apart, through 1 Mb/s, then 3 Mb/s: a packet takes 8 ms, then 2.7.
    let (mut trains, start) = (Trains::default(), Instant::now());
    let mut id = 0;
    let mut picture = |trains: &mut Trains, n: u32, packet_us: u64, lost: u64| {
        for packet in (0..5).filter(|packet| *packet != lost) {
            let at = 33 * MS * n;
            trains.add(&report(id + packet, start + at, Some(at + Duration::from_micros(packet_us * packet))));
        }
        id += 5;
        start + 33 * MS * n
    };
    let near = |found: Option<f64>, mbps: f64| found.is_some_and(|bps| (bps / 1e6 / mbps - 1.0).abs() < 0.02);
    let mut now = start;
    (0..8).for_each(|n| now = picture(&mut trains, n, 8000, 9));
    assert!(near(trains.agreed_bps(now), 1.0) && near(trains.hint_bps(), 1.0), "{trains:?}");
    now = picture(&mut trains, 8, 2667, 9);
    assert!(near(trains.hint_bps(), 3.0) && near(trains.median_bps(now), 1.0), "the newest one is a hint: {trains:?}");
    (9..15).for_each(|n| now = picture(&mut trains, n, 2667, 9));
    assert!(near(trains.agreed_bps(now), 3.0), "{trains:?}");
    (15..18).for_each(|n| now = picture(&mut trains, n, 2667, 2));
    assert!(near(trains.median_bps(now), 3.0), "a loss ends a train and does not spoil it: {trains:?}");
    assert_eq!(trains.median_bps(now + Duration::from_secs(3)), None, "old ones do not count");
    // Delay that varies from picture to picture: no agreement, no hints.
    (18..80).for_each(|n| now = picture(&mut trains, n, 1000 + 7919 * u64::from(n) % 9000, 9));
    assert_eq!((trains.agreed_bps(now), trains.hint_bps()), (None, None), "{trains:?}");
}

/// Plays 100 packets a second, of which `lost(estimate)` percent are lost, for some seconds; the verdicts.
fn verdicts(lost: impl Fn(f64) -> u32, seconds: u32) -> (Vec<Verdict>, f64) {
    let (mut loss, start) = (Loss::default(), Instant::now());
    let (mut estimate, mut found) = (2e6, vec![]);
    for n in 0..100 * seconds {
        loss.add(n * 37 % 100 >= lost(estimate));
        let verdict = loss.judge(start + 10 * MS * n, 50 * MS, estimate, Some(estimate * 0.8));
        match verdict {
            Verdict::Fine => continue,
            Verdict::Try => estimate *= 0.7,
            Verdict::Random { before_bps } => estimate = before_bps,
            Verdict::Ours { .. } => {}
        }
        found.push(verdict);
    }
    (found, estimate)
}

#[test]
fn loss_is_tried_before_it_is_believed() {
    assert_eq!(verdicts(|_| 8, 20), (vec![], 2e6), "repairs cope");
    let random = Verdict::Random { before_bps: 2e6 };
    assert_eq!(verdicts(|_| 20, 20), (vec![Verdict::Try, random], 2e6), "sending less does not help: back, once");
    let policer = |estimate: f64| if estimate > 1.6e6 { 20 } else { 0 };
    let ours = Verdict::Ours { limit_bps: 2e6 * 0.8 };
    assert_eq!(verdicts(policer, 20), (vec![Verdict::Try, ours], 1.4e6), "sending less helps");
    let (found, estimate) = verdicts(|_| 50, 20);
    assert!(found.len() == 2 && (0.9e6..1.1e6).contains(&estimate), "hopeless: {found:?} {estimate}");
}

#[test]
fn a_queue_that_does_not_yield_is_anothers() {
    // (what, queue in ms and share of the rate that still arrives, 2 s after we yielded; whether another flow is there)
    type Path = fn(u32) -> (f64, f64);
    let table: [(&str, Path, bool); 3] = [
        ("ours: it drains", |ms| ((200.0 - 0.4 * f64::from(ms)).max(0.0), 1.0), false),
        ("a download: it stays, and takes what we leave", |_| (200.0, 0.6), true),
        ("ours, on a path that narrowed: everything that waits arrives", |_| (200.0, 1.0), false),
    ];
    for (what, path, expected) in table {
        let (mut competition, start) = (Competition::default(), Instant::now());
        competition.yielded(200.0, 2e6, 2.2e6);
        let mut back = None;
        for n in 0..40 {
            let (queue_ms, share) = path(50 * n);
            back = back.or(competition.observe(start + 50 * MS * n, queue_ms, 30.0, Some(2e6 * share)));
        }
        assert_eq!((competition.is_active(), back), (expected, expected.then_some(2.2e6)), "{what}");
        if expected {
            (40..50).for_each(|n| _ = competition.observe(start + 50 * MS * n, 5.0, 30.0, Some(2e6)));
            assert!(!competition.is_active(), "the queue is empty");
        }
    }
}
