//! How long a connection takes on a path that loses packets.

use super::bad_network::Network;
use super::namespaces::ALONE;
use super::portal::{long, settle};
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_made_in_time_whatever_is_lost() {
    let _alone = ALONE.lock().await;
    let mut network = match Network::start() {
        Ok(network) => network,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let (a, b) = network.portals().await;
    let (connects, cases): (usize, &[(u64, u64)]) = if long() {
        (20, &[(0, 0), (5, 0), (20, 0), (0, 100), (5, 100), (20, 100)])
    } else {
        (6, &[(0, 0), (20, 100)])
    };
    for &(loss, round_trip_ms) in cases {
        network.set(&format!("both delay={} loss={loss}", round_trip_ms / 2));
        settle(1000).await;
        let mut times = vec![];
        for _ in 0..connects {
            let before = [&a, &b].map(|portal| portal.figures.link.connects.get());
            let start = Instant::now();
            let mut asked = None;
            while [&a, &b].map(|portal| portal.figures.link.connects.get()) == before
                || a.figures.link.connects.get() == before[0]
                || b.figures.link.connects.get() == before[1]
            {
                assert!(start.elapsed() < Duration::from_secs(30), "no connection");
                if asked.is_none_or(|asked: Instant| asked.elapsed() > Duration::from_secs(5)) {
                    // Beside the one in use, whose pictures compete with it.
                    a.link().reconnect();
                    asked = Some(Instant::now());
                }
                settle(5).await;
            }
            times.push(start.elapsed());
            settle(700).await;
        }
        times.sort();
        let (median, most, longest) = (times[times.len() / 2], times[times.len() * 3 / 4], times[times.len() - 1]);
        println!(
            "{loss:2} % loss, round trip {round_trip_ms} ms: connected after {median:?}, {longest:?} at the longest of {connects}"
        );
        // A handshake that loses the same datagram four times stalls: the link gives it up after 4 s and tries again.
        assert!(median < Duration::from_secs(1) && most < Duration::from_secs(3), "{times:?}");
    }
    network.set("both delay=0 loss=0");
}
