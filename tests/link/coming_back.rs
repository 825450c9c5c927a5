//! Coming back between real machines, as near as one machine gets: two portals with real signalling in two network namespaces, and
//! a router between them that loses its mappings, blocks, or sees one of the two at another address.
//!
//! ```text
//!   back-a ── cable 10.71.1.0/24 ──┐
//!          ── Wi-Fi 10.71.2.0/24 ──┴ back-r ── 10.71.3.0/24 ── back-b
//! ```
//!
//! The first dials; the second is behind a forwarded port. Needs root, `ip` and `nft`; without them it says that it is skipped.

use super::namespaces::{ALONE, Namespaces, inside, ip, runtime_in};
use super::portal::{Portal, identities, long, portal_signaling, settle};
use screen_portal::ops::{LinkState, Slate};
use screen_portal::signaling::Config;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const NAMES: [&str; 3] = ["back-a", "back-b", "back-r"];
/// The router's own address, whose signalling port is forwarded to the second portal.
const DIAL: &str = "10.71.9.1:7413";

struct Network {
    runtimes: [Option<Runtime>; 2],
    _namespaces: Namespaces,
}

impl Network {
    fn start() -> Result<Self, String> {
        let namespaces = Namespaces::make(&NAMES)?;
        for (near, device, far) in [("back-a", "cable", "ra"), ("back-a", "wifi", "rw"), ("back-b", "eth", "rb")] {
            ip(&format!("-n {near} link add {device} type veth peer name {far} netns back-r"))?;
            ip(&format!("-n {near} link set {device} up"))?;
            ip(&format!("-n back-r link set {far} up"))?;
        }
        for (device, address) in
            [("ra", "10.71.1.1/24"), ("rw", "10.71.2.1/24"), ("rb", "10.71.3.1/24"), ("lo", "10.71.9.1/32")]
        {
            ip(&format!("-n back-r addr add {address} dev {device}"))?;
        }
        NAMES.iter().try_for_each(|name| ip(&format!("-n {name} link set lo up")).map(drop))?;
        inside("back-r", "sysctl -q -w net.ipv4.ip_forward=1")?;
        let network =
            Self { runtimes: [Some(runtime_in("back-a")?), Some(runtime_in("back-b")?)], _namespaces: namespaces };
        network.rules("")?;
        Ok(network)
    }

    /// The router's rules: the forwarded port and `more`, lines of table `ip back`.
    fn rules(&self, more: &str) -> Result<(), String> {
        let text = format!(
            "add table ip back\ndelete table ip back\ntable ip back {{\n\
             map second {{ type inet_service : ipv4_addr; }}\n\
             chain pre {{ type nat hook prerouting priority -100; ip daddr 10.71.9.1 dnat to tcp dport map @second; }}\n\
             chain forward {{ type filter hook forward priority 0; }}\n{more}}}\n"
        );
        let file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
        std::fs::write(file.path(), text).map_err(|error| error.to_string())?;
        inside("back-r", &format!("nft -f {}", file.path().display()))?;
        self.forward_to("10.71.3.2")
    }

    fn forward_to(&self, second: &str) -> Result<(), String> {
        inside("back-r", "nft flush map ip back second")?;
        inside("back-r", &format!("nft add element ip back second {{ 7413 : {second} }}")).map(drop)
    }

    fn block(&self, rule: &str) {
        inside("back-r", &format!("nft add rule ip back forward {rule} drop")).unwrap();
    }

    fn unblock(&self) {
        inside("back-r", "nft flush chain ip back forward").unwrap();
    }

    fn address(&self, name: &str, device: &str, address: &str) {
        let router = format!("{}.1", address.rsplit_once('.').unwrap().0);
        ip(&format!("-n {name} addr add {address}/24 dev {device}")).unwrap();
        let metric = if device == "cable" { 100 } else { 600 };
        // Taken away with the address or the interface.
        ip(&format!("-n {name} route replace default via {router} dev {device} metric {metric}")).unwrap();
    }

    fn no_address(&self, name: &str, device: &str) {
        ip(&format!("-n {name} addr flush dev {device}")).unwrap();
    }

    /// Two portals that see each other; the first offers, or the second.
    async fn portals(&self, first_offers: bool) -> [Portal; 2] {
        let (one, two) = identities();
        let (one, two) = if first_offers { (one, two) } else { (two, one) };
        let (first, second) = (one.fingerprint(), two.fingerprint());
        let [a, b] = self.runtimes.each_ref().map(|runtime| runtime.as_ref().unwrap().handle().clone());
        let dials = Config { listen: String::new(), dial: DIAL.into(), ..Config::default() };
        let a = a.spawn(async move { portal_signaling(dials, &one, second, "Oslo") });
        let b = b.spawn(async move { portal_signaling(Config::default(), &two, first, "Turin") });
        let mut portals = [a.await.unwrap(), b.await.unwrap()];
        let start = Instant::now();
        for portal in &mut portals {
            portal.until_live().await;
        }
        println!(
            "live {:?} after the start, the {} portal offers",
            start.elapsed(),
            if first_offers { "first" } else { "second" }
        );
        portals
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for runtime in self.runtimes.iter_mut().filter_map(Option::take) {
            // In a test's own runtime, another may not be waited for.
            runtime.shutdown_background();
        }
    }
}

/// Waits until both show pictures that were taken after now, and says when and what was shown meanwhile.
async fn back(what: &str, portals: &[Portal; 2], limit_ms: u64) -> Duration {
    let start = Instant::now();
    let mut shown = [vec![], vec![]];
    let mut back = [None; 2];
    let mut oldest = Duration::ZERO;
    while back.contains(&None) {
        if start.elapsed() > Duration::from_secs(20) {
            for portal in portals {
                println!("{:?} {:?}", portal.status.borrow(), portal.figures.snapshot(Instant::now()));
            }
            panic!("{what}: not back after 20 s");
        }
        for (at, portal) in portals.iter().enumerate() {
            let slate = portal.status.borrow().slate;
            if shown[at].last() != Some(&slate) {
                shown[at].push(slate);
            }
            let Some((captured, presented)) = *portal.newest.lock().unwrap() else { continue };
            oldest = oldest.max(presented.saturating_duration_since(captured));
            if back[at].is_none() && captured > start + Duration::from_millis(20) && slate == Slate::Hidden {
                back[at] = Some(start.elapsed());
            }
        }
        settle(5).await;
    }
    let took = back.iter().flatten().max().copied().unwrap();
    let attempts = portals.each_ref().map(|portal| portal.figures.link.attempts.get());
    println!("{:5} ms  {what} ({back:?}, shown {shown:?}, attempts so far {attempts:?})", took.as_millis());
    assert!(took < Duration::from_millis(limit_ms), "{what}: back after {took:?}, {limit_ms} ms at the most");
    assert!(oldest < Duration::from_secs(2), "{what}: a picture was shown that was {oldest:?} old");
    took
}

/// Nothing more happens after a change: no gap between pictures when another connection takes over, and then no attempt.
async fn calm(portals: &[Portal; 2]) {
    let (start, mut gap) = (Instant::now(), Duration::ZERO);
    while start.elapsed() < Duration::from_millis(1500) {
        for portal in portals {
            gap = gap.max(portal.newest.lock().unwrap().map_or(Duration::ZERO, |(_, presented)| presented.elapsed()));
        }
        settle(5).await;
    }
    println!("          then no picture for {} ms at the most", gap.as_millis());
    assert!(gap < Duration::from_millis(500), "{gap:?} without a picture");
    let attempts = portals.each_ref().map(|portal| portal.figures.link.attempts.get());
    settle(1000).await;
    assert_eq!(attempts, portals.each_ref().map(|portal| portal.figures.link.attempts.get()), "calm");
    for portal in portals {
        assert_eq!(portal.status.borrow().state, LinkState::Live);
    }
}

// One test, because there is one network: the cases follow each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_way_of_coming_back() {
    let _alone = ALONE.lock().await;
    let network = match Network::start() {
        Ok(network) => network,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let roles: &[bool] = if long() { &[true, false] } else { &[true] };
    for &first_offers in roles {
        network.address("back-a", "cable", "10.71.1.2");
        network.address("back-b", "eth", "10.71.3.2");
        network.rules("").unwrap();
        let portals = network.portals(first_offers).await;
        settle(1000).await;
        addresses(&network, &portals).await;
        blocks(&network, &portals).await;
        drop(portals);
        mappings(&network, first_offers).await;
        for (name, device) in [("back-a", "cable"), ("back-a", "wifi"), ("back-b", "eth")] {
            network.no_address(name, device);
        }
    }
}

async fn addresses(network: &Network, portals: &[Portal; 2]) {
    let attempts = portals[0].figures.link.attempts.get();
    network.address("back-a", "wifi", "10.71.2.2");
    settle(2000).await;
    assert_eq!(portals[0].figures.link.attempts.get(), attempts, "an address more (Wi-Fi, a VPN) changes nothing");

    network.no_address("back-a", "cable");
    back("cable to Wi-Fi: the cable's address is gone, the Wi-Fi's is there", portals, 2500).await;
    calm(portals).await;

    network.no_address("back-a", "wifi");
    network.address("back-a", "wifi", "10.71.2.77");
    back("another lease: the first portal's address is another", portals, 2500).await;
    calm(portals).await;

    network.no_address("back-b", "eth");
    network.address("back-b", "eth", "10.71.3.77");
    network.forward_to("10.71.3.77").unwrap();
    back("another lease: the second portal's address is another", portals, 3500).await;
    calm(portals).await;

    network.no_address("back-a", "wifi");
    settle(5000).await;
    assert_ne!(portals[0].status.borrow().slate, Slate::Hidden);
    network.address("back-a", "cable", "10.71.1.2");
    back("no address for 5 s, then another", portals, 2500).await;
    calm(portals).await;

    ip("-n back-a link set cable down").unwrap();
    settle(5000).await;
    ip("-n back-a link set cable up").unwrap();
    // Without the address, which stays, its route has gone.
    ip("-n back-a route replace default via 10.71.1.1 dev cable metric 100").unwrap();
    back("interface down for 5 s", portals, 2500).await;
    calm(portals).await;
}

async fn blocks(network: &Network, portals: &[Portal; 2]) {
    for (what, rule) in [
        ("UDP from the first blocked for 5 s", "iifname ra meta l4proto udp"),
        ("UDP from the second blocked for 5 s", "iifname rb meta l4proto udp"),
        ("everything from the first blocked for 5 s", "iifname ra"),
        ("everything from the second blocked for 5 s", "iifname rb"),
        ("everything blocked for 20 s", "counter"),
    ] {
        network.block(rule);
        settle(if what.contains("20 s") { 20_000 } else { 5_000 }).await;
        network.unblock();
        back(what, portals, 2000).await;
        calm(portals).await;
    }
}

/// The first portal behind a NAT that forgets its mappings: it takes others, at other ports, for what is sent next.
async fn mappings(network: &Network, first_offers: bool) {
    let nat = "chain post { type nat hook postrouting priority 100; oifname rb masquerade random; }\n";
    network.rules(nat).unwrap();
    network.block("iifname rb ct state new");
    // What the router remembers of connections without the NAT goes with the address.
    let forget = || {
        ip("-n back-r addr flush dev rb").unwrap();
        ip("-n back-r addr add 10.71.3.1/24 dev rb").unwrap();
    };
    forget();
    network.forward_to("10.71.3.77").unwrap();
    let portals = network.portals(first_offers).await;
    calm(&portals).await;
    for _ in 0..3 {
        forget();
        back("the NAT has forgotten its mappings, signalling's too", &portals, 3500).await;
        calm(&portals).await;
    }
}
