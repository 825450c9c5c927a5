//! Two links that look for each other through address translation and firewalls, with the help of a real coturn.
//!
//! Needs root, `ip`, `nft` and `turnserver`; without them it says that it is skipped.

mod world;

use super::namespaces::runtime_in;
use super::portal::{Portal, identities, long, meet, portal_with, settle};
use screen_portal::link::{Config, IceServer, Mapping, Refusal, survey};
use screen_portal::ops::{CandidateKind, LinkState, Path, Slate, Transport};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use world::{PASSWORD, Router, SERVER, SERVER_2, SERVER_V6, USER, World, address};

/// What a case is about.
struct Case {
    routers: (Router, Router),
    /// What both sides have configured.
    with: &'static [With],
    /// Which end's packets go how: through a relay or not, and by what; `None` where there is no path.
    expected: Option<Way>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum With {
    Stun,
    TurnUdp,
    TurnTcp,
    TurnTls,
    /// A server that never answers.
    Dead,
    IceTcp,
    V6,
    Ports,
    RelayOnly,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Direct,
    DirectTcp,
    Relayed,
    /// By this on at least one side.
    RelayedBy(Transport),
}

use Router::{FullCone, NoUdp, OnlyTls, Open, Restricted, Symmetric};
use Way::{Direct, DirectTcp, Relayed, RelayedBy};
use With::{Dead, IceTcp, Ports, RelayOnly, Stun, TurnTcp, TurnTls, TurnUdp, V6};

const UDP: &[With] = &[Stun, TurnUdp];
const ALL: &[With] = &[Stun, TurnUdp, TurnTcp, TurnTls];

const CASES: &[Case] = &[
    Case { routers: (Open, Open), with: &[], expected: Some(Direct) },
    Case { routers: (Open, Open), with: &[Dead], expected: Some(Direct) },
    Case { routers: (Open, Open), with: &[Ports], expected: Some(Direct) },
    Case { routers: (FullCone, FullCone), with: &[Stun], expected: Some(Direct) },
    Case { routers: (Restricted, Restricted), with: &[Stun], expected: Some(Direct) },
    Case { routers: (FullCone, Symmetric), with: &[Stun], expected: Some(Direct) },
    Case { routers: (Symmetric, FullCone), with: UDP, expected: Some(Direct) },
    Case { routers: (Restricted, Symmetric), with: &[Stun], expected: None },
    Case { routers: (Restricted, Symmetric), with: UDP, expected: Some(Relayed) },
    Case { routers: (Symmetric, Symmetric), with: UDP, expected: Some(RelayedBy(Transport::Udp)) },
    Case { routers: (Symmetric, Symmetric), with: ALL, expected: Some(RelayedBy(Transport::Udp)) },
    Case { routers: (Symmetric, NoUdp), with: UDP, expected: None },
    Case { routers: (Symmetric, NoUdp), with: ALL, expected: Some(Relayed) },
    Case { routers: (NoUdp, FullCone), with: ALL, expected: Some(Relayed) },
    Case { routers: (NoUdp, NoUdp), with: &[TurnTcp], expected: Some(RelayedBy(Transport::Tcp)) },
    Case { routers: (NoUdp, NoUdp), with: ALL, expected: Some(Relayed) },
    Case { routers: (OnlyTls, OnlyTls), with: ALL, expected: Some(RelayedBy(Transport::Tls)) },
    Case { routers: (OnlyTls, Restricted), with: ALL, expected: Some(Relayed) },
    Case { routers: (Open, Open), with: &[TurnTls, RelayOnly], expected: Some(RelayedBy(Transport::Tls)) },
    Case { routers: (FullCone, NoUdp), with: &[IceTcp, Ports], expected: Some(DirectTcp) },
    Case { routers: (Open, NoUdp), with: &[IceTcp], expected: Some(DirectTcp) },
    Case { routers: (NoUdp, Open), with: &[IceTcp], expected: Some(DirectTcp) },
    Case { routers: (Open, Open), with: &[V6], expected: Some(Direct) },
    Case { routers: (Restricted, Restricted), with: &[V6, Stun], expected: Some(Direct) },
    Case { routers: (OnlyTls, OnlyTls), with: &[V6, TurnTls], expected: Some(RelayedBy(Transport::Tls)) },
];

/// Long enough for three attempts; none of the cases with a path needs a second one.
const HOPELESS: Duration = Duration::from_secs(5);

impl Case {
    fn has(&self, with: With) -> bool {
        self.with.contains(&with)
    }

    fn config(&self, world: &World, site: usize) -> Config {
        let server = if self.has(V6) { format!("[{SERVER_V6}]") } else { SERVER.into() };
        let url = |with: &With| match with {
            Stun => Some(format!("stun:{server}:3478")),
            TurnUdp => Some(format!("turn:{server}:3478")),
            TurnTcp => Some(format!("turn:{server}:3478?transport=tcp")),
            TurnTls => Some(format!("turns:{server}:443")),
            Dead => Some("turn:203.0.113.99:3478".into()),
            IceTcp | V6 | Ports | RelayOnly => None,
        };
        let mut urls: Vec<_> = self.with.iter().filter_map(url).collect();
        if self.has(Dead) {
            urls.push("stun:203.0.113.99:3478".into());
            urls.push("turns:203.0.113.99:443".into());
        }
        let server = IceServer { urls, username: USER.into(), credential: PASSWORD.into() };
        let config = Config {
            addresses: vec![address(site, self.has(V6))],
            ice_servers: if server.urls.is_empty() { vec![] } else { vec![server] },
            ice_ca_file: world.file("ca.pem"),
            ice_tcp: self.has(IceTcp),
            relay_only: self.has(RelayOnly),
            ports: if self.has(Ports) { "50000-50003".into() } else { String::new() },
            ..Config::default()
        };
        config.check().unwrap();
        config
    }

    /// Whether the paths of both sides are as expected.
    fn holds(&self, paths: Option<[Path; 2]>) -> bool {
        // One side may not know it: a full cone in Linux may show it the relay by a port of its own making.
        let relayed = |paths: [Path; 2]| paths.iter().any(Path::is_relayed);
        match (self.expected, paths) {
            (None, None) => true,
            (Some(Direct), Some(paths)) => {
                paths.iter().all(|path| !path.is_relayed() && path.transport == Transport::Udp)
            }
            (Some(DirectTcp), Some(paths)) => {
                paths.iter().all(|path| !path.is_relayed() && path.transport == Transport::Tcp)
            }
            (Some(Relayed), Some(paths)) => relayed(paths),
            (Some(RelayedBy(transport)), Some(paths)) => {
                let by = |path: &Path| path.local == CandidateKind::Relayed && path.transport == transport;
                relayed(paths) && paths.iter().any(by)
            }
            _ => false,
        }
    }
}

async fn portals(case: &Case, world: &World, runtimes: &[Runtime; 2]) -> (Portal, Portal) {
    let (one, two) = identities();
    let (first, second) = (one.fingerprint(), two.fingerprint());
    let (ours, theirs) = (case.config(world, 0), case.config(world, 1));
    let a = runtimes[0].spawn(async move { portal_with(ours, &one, Some(second), "Oslo") });
    let b = runtimes[1].spawn(async move { portal_with(theirs, &two, Some(first), "Turin") });
    (a.await.unwrap(), b.await.unwrap())
}

async fn live(portal: &mut Portal) -> bool {
    let shown = portal.status.wait_for(|status| status.state == LinkState::Live && status.slate == Slate::Hidden);
    tokio::time::timeout(HOPELESS, shown).await.is_ok_and(|found| found.is_ok())
}

/// From capture to delivery, in ms: 95 % of the pictures after the first ones.
fn age(portal: &Portal) -> u128 {
    let delivered = portal.delivered.lock().unwrap();
    let mut ages: Vec<_> = delivered.iter().skip(20).filter_map(|unit| unit.2).collect();
    ages.sort();
    ages.get(ages.len() * 95 / 100).map_or(0, Duration::as_millis)
}

/// Runs a case; answers its line of the table, and what is wrong with it.
async fn run(case: &Case, world: &World, runtimes: &[Runtime; 2]) -> (String, Option<String>) {
    world.routers(case.routers.0, case.routers.1);
    let (mut a, mut b) = portals(case, world, runtimes).await;
    let start = Instant::now();
    meet(&a, &b);
    let connected = live(&mut a).await & live(&mut b).await;
    let took = start.elapsed();
    let (mut paths, mut words) = (None, "no path".to_owned());
    if connected {
        settle(2000).await;
        let both = [&a, &b].map(|portal| portal.status.borrow().path);
        words = both.map(|path| path.map_or("?".into(), |path| path.to_string())).join(" / ");
        paths = both[0].zip(both[1]).map(<[Path; 2]>::from);
    }
    let attempts = a.figures.link.attempts.get().max(b.figures.link.attempts.get());
    let took = if connected { format!("{} ms", took.as_millis()) } else { "-".into() };
    let (routers, ages) = (case.routers, [&a, &b].map(age));
    let line = format!(
        "| {:?} | {:?} | {:?} | {words} | {took} | {} / {} ms | {attempts} |",
        routers.0, routers.1, case.with, ages[0], ages[1]
    );
    println!("{line}");
    let mut problem = (!case.holds(paths)).then(|| format!("{line}: expected {:?}", case.expected));
    if connected && matches!(case.expected, Some(RelayedBy(_))) && long() {
        problem = problem.or(held(&a, &b).await);
    }
    if connected && case.has(Ports) && case.expected.is_some() {
        problem = problem.or(many_replacements(&a, &mut b).await);
    }
    for portal in [a, b] {
        portal.link().close().await;
    }
    (line, problem)
}

/// What `check` finds out behind each router.
async fn surveys(world: &World, runtime: &Runtime) -> Vec<String> {
    let urls = [
        format!("stun:{SERVER}:3478"),
        format!("stun:{SERVER_2}:3478"),
        format!("turn:{SERVER}:3478"),
        format!("turn:{SERVER}:3478?transport=tcp"),
        format!("turns:{SERVER}:443"),
    ];
    let config = |credential: &str, authority: &str| Config {
        ice_servers: vec![IceServer { urls: urls.to_vec(), username: USER.into(), credential: credential.into() }],
        ice_ca_file: world.file(authority),
        ..Config::default()
    };
    let ask = async |config: Config| {
        let start = Instant::now();
        let found = runtime.spawn(async move { survey(&config).await }).await.unwrap().unwrap();
        (found, start.elapsed())
    };
    let mut problems = vec![];
    for (router, good) in [
        (Open, [true; 5]),
        (FullCone, [true; 5]),
        (Restricted, [true; 5]),
        (Symmetric, [true; 5]),
        (NoUdp, [false, false, false, true, true]),
        (OnlyTls, [false, false, false, false, true]),
    ] {
        world.routers(router, Open);
        let (found, took) = ask(config(PASSWORD, "ca.pem")).await;
        println!("check behind {router:?}: {:?}, after {took:?}", found.mapping);
        let mapping = match (router, found.mapping) {
            (Open, Mapping::None) | (Symmetric, Mapping::Varies) | (NoUdp | OnlyTls, Mapping::NoAnswer) => true,
            (FullCone | Restricted, Mapping::Same(address)) => address.ip().to_string() == "203.0.113.11",
            _ => false,
        };
        let answered: Vec<_> = found.servers.iter().map(|server| server.answer.is_ok()).collect();
        if answered != good || !mapping || took > Duration::from_secs(3) {
            problems.push(format!("check behind {router:?}: {found:?} after {took:?}"));
        }
    }
    world.routers(Open, Open);
    let (wrong, _) = ask(config("wrong", "ca.pem")).await;
    if wrong.servers[2..].iter().any(|server| server.answer != Err(Refusal::Credentials)) {
        problems.push(format!("with wrong credentials: {wrong:?}"));
    }
    let (another, _) = ask(config(PASSWORD, "another.pem")).await;
    if !matches!(&another.servers[4].answer, Err(Refusal::Unreachable(words)) if words.contains("certificate")) {
        problems.push(format!("with another authority: {another:?}"));
    }
    problems
}

/// Through a relay for longer than permissions (5 minutes), channels and allocations (10 minutes) last without being renewed.
async fn held(a: &Portal, b: &Portal) -> Option<String> {
    let count = |portal: &Portal| (portal.figures.link.attempts.get(), portal.figures.link.stalls.get());
    let (before, start) = ([a, b].map(count), Instant::now());
    while start.elapsed() < Duration::from_secs(640) {
        settle(1000).await;
        let after = [a, b].map(count);
        if after != before {
            return Some(format!("after {:?}: attempts and stalls {before:?}, then {after:?}", start.elapsed()));
        }
    }
    println!("held for {:?}: {} and {} ms of age, p95", start.elapsed(), age(a), age(b));
    None
}

/// What a narrow path leaves of a relay by TLS, where TCP repeats what congestion control should have seen lost. Measured, not judged.
async fn on_a_narrow_path(world: &World, runtimes: &[Runtime; 2]) {
    const KBYTES_PER_S: u32 = 190;
    let case = Case { routers: (OnlyTls, OnlyTls), with: ALL, expected: Some(RelayedBy(Transport::Tls)) };
    world.routers(case.routers.0, case.routers.1);
    let (mut a, mut b) = portals(&case, world, runtimes).await;
    meet(&a, &b);
    if !(live(&mut a).await & live(&mut b).await) {
        return println!("relays by TLS, policed: no path");
    }
    world.police(KBYTES_PER_S);
    settle(5000).await;
    let count = |portal: &Portal| portal.delivered.lock().unwrap().len();
    let begun = [&a, &b].map(count);
    let mut each_second = [vec![], vec![]];
    for _ in 0..30 {
        let last = [&a, &b].map(count);
        settle(1000).await;
        each_second.iter_mut().zip([&a, &b]).zip(last).for_each(|((all, portal), last)| all.push(count(portal) - last));
    }
    for (n, portal) in [&a, &b].into_iter().enumerate() {
        let delivered = portal.delivered.lock().unwrap();
        let mut ages: Vec<_> = delivered[begun[n]..].iter().filter_map(|unit| unit.2).collect();
        ages.sort();
        let at = |percent: usize| ages.get((ages.len() * percent / 100).min(ages.len().saturating_sub(1)));
        each_second[n].sort_unstable();
        let seconds = &each_second[n];
        println!(
            "relays by TLS, policed to {KBYTES_PER_S} kB/s, 30 s: {} to {}, median {} of 60 pictures a second, age p50 {:?}, p95 {:?}, \
             most {:?}; target {} kb/s",
            seconds[0],
            seconds[29],
            seconds[15],
            at(50),
            at(95),
            at(100),
            portal.target_bps.load(std::sync::atomic::Ordering::Relaxed) / 1000
        );
    }
    for portal in [a, b] {
        portal.link().close().await;
    }
}

/// In a range of four ports, connection after connection.
async fn many_replacements(a: &Portal, b: &mut Portal) -> Option<String> {
    let before = b.figures.link.connects.get();
    for _ in 0..6 {
        a.link().reconnect();
        settle(700).await;
    }
    let connects = b.figures.link.connects.get() - before;
    (connects != 6 || !live(b).await).then(|| format!("{connects} of 6 replacements within four ports"))
}

// One test, because there is one internet: the cases follow each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_through_nats_and_firewalls() {
    let world = match World::start() {
        Ok(world) => world,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let runtimes = ["nat-a", "nat-b"].map(|name| runtime_in(name).unwrap());
    let mut problems = vec![];
    println!("| router A | router B | configured | path of A / of B | first picture after | age, p95 | attempts |");
    println!("|---|---|---|---|---|---|---|");
    let only = std::env::var("NAT_CASE").ok().and_then(|only| only.parse::<usize>().ok());
    for (n, case) in CASES.iter().enumerate() {
        if only.is_none_or(|only| only == n) {
            problems.extend(run(case, &world, &runtimes).await.1);
        }
    }
    problems.extend(surveys(&world, &runtimes[0]).await);
    if long() {
        on_a_narrow_path(&world, &runtimes).await;
    }
    for runtime in runtimes {
        runtime.shutdown_background();
    }
    assert!(problems.is_empty(), "{problems:#?}");
}
