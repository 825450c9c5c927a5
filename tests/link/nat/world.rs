//! An internet in network namespaces: two sites behind routers with address translation, and a coturn between them.
//!
//! ```text
//! nat-a 10.1.0.2 ── nat-ra ── 203.0.113.11 ┐                    ┌ 203.0.113.12 ── nat-rb ── 10.2.0.2 nat-b
//!      2001:db8:a::2 ── (no NAT) ──────────┤ nat-i: 203.0.113.1 ├──────── (no NAT) ── 2001:db8:b::2
//!                                          └ 2001:db8::1, coturn ┘
//! ```

use crate::namespaces::{Namespaces, inside, ip};
use std::fs::File;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The internet with its TURN server, the routers, the hosts.
pub const NAMES: [&str; 5] = ["nat-i", "nat-ra", "nat-rb", "nat-a", "nat-b"];
pub const SERVER: &str = "203.0.113.1";
/// Answers questions, nothing else: a second STUN server.
pub const SERVER_2: &str = "203.0.113.2";
pub const SERVER_V6: &str = "2001:db8::1";
pub const USER: &str = "portal";
pub const PASSWORD: &str = "secret";

/// What a site's router does to its packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// No translation, everything passes.
    Open,
    /// One public address and port for each local one, and anybody may answer: full cone.
    FullCone,
    /// The same mapping, but only who was written to may answer: port-restricted cone.
    Restricted,
    /// Another public port for each far address, and only that may answer: symmetric.
    Symmetric,
    /// Symmetric, and no UDP at all.
    NoUdp,
    /// Symmetric, and nothing but TCP to port 443.
    OnlyTls,
}

impl Router {
    fn rules(self, host: &str) -> String {
        let (wan, lan) = ("oifname \"wan\"", "iifname \"wan\"");
        let forward = match self {
            Self::Open | Self::FullCone => String::new(),
            Self::Restricted | Self::Symmetric => format!("{lan} ct state new drop"),
            Self::NoUdp => format!("{lan} ct state new drop\nmeta l4proto udp drop"),
            Self::OnlyTls => format!("{lan} ct state new drop\n{wan} tcp dport != 443 drop\nmeta l4proto udp drop"),
        };
        let (before, after) = match self {
            Self::Open => (String::new(), String::new()),
            Self::FullCone => {
                (format!("{lan} meta l4proto {{ tcp, udp }} dnat ip to {host}"), format!("{wan} masquerade"))
            }
            Self::Restricted => (String::new(), format!("{wan} masquerade")),
            _ => (String::new(), format!("{wan} masquerade fully-random")),
        };
        // What comes unasked must not leave a trace in the router: Linux would give the answer another port, and be symmetric.
        let input = if self == Self::Open { "" } else { "iifname \"wan\" meta l4proto { tcp, udp } ct state new drop" };
        // A host on IPv6 has no translation, but a router that lets nobody in unasked.
        format!(
            "flush ruleset
            table inet site {{
                chain forward {{ type filter hook forward priority 0; policy accept;
                    {forward}
                }}
                chain input {{ type filter hook input priority 0; policy accept;
                    {input}
                }}
            }}
            table ip nat {{
                chain before {{ type nat hook prerouting priority -100;
                    {before}
                }}
                chain after {{ type nat hook postrouting priority 100;
                    {after}
                }}
            }}"
        )
    }
}

pub struct World {
    turn: Option<Child>,
    pub folder: tempfile::TempDir,
    _namespaces: Namespaces,
}

impl World {
    /// Builds everything; the error says what this machine lacks.
    pub fn start() -> Result<Self, String> {
        for program in ["ip", "nft", "turnserver"] {
            Command::new(program).arg("--version").output().map_err(|error| format!("{program}: {error}"))?;
        }
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let mut world = Self { turn: None, folder, _namespaces: Namespaces::make(&NAMES)? };
        for name in NAMES {
            ip(&format!("-n {name} link set lo up"))?;
        }
        ip("-n nat-i link add br0 type bridge")?;
        for (router, host, n) in [("nat-ra", "nat-a", 1), ("nat-rb", "nat-b", 2)] {
            let letter = ["a", "b"][n - 1];
            ip(&format!("-n nat-i link add to-{letter} type veth peer name wan netns {router}"))?;
            ip(&format!("-n nat-i link set to-{letter} master br0 up"))?;
            ip(&format!("-n {router} link add lan type veth peer name eth0 netns {host}"))?;
            ip(&format!("-n {router} addr add 203.0.113.1{n}/24 dev wan"))?;
            ip(&format!("-n {router} addr add 2001:db8::1{n}/64 dev wan nodad"))?;
            ip(&format!("-n {router} addr add 10.{n}.0.1/24 dev lan"))?;
            ip(&format!("-n {router} addr add 2001:db8:{letter}::1/64 dev lan nodad"))?;
            ip(&format!("-n {host} addr add 10.{n}.0.2/24 dev eth0"))?;
            ip(&format!("-n {host} addr add 2001:db8:{letter}::2/64 dev eth0 nodad"))?;
            for (namespace, link) in [(router, "wan"), (router, "lan"), (host, "eth0")] {
                ip(&format!("-n {namespace} link set {link} up"))?;
            }
            ip(&format!("-n {host} route add default via 10.{n}.0.1"))?;
            ip(&format!("-n {host} -6 route add default via 2001:db8:{letter}::1"))?;
            inside(router, "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")?;
        }
        for address in ["203.0.113.1/24", "203.0.113.2/24", "2001:db8::1/64"] {
            let nodad = if address.contains("::") { "nodad" } else { "" };
            ip(&format!("-n nat-i addr add {address} dev br0 {nodad}"))?;
        }
        ip("-n nat-i link set br0 up")?;
        for (n, letter) in [(1, "a"), (2, "b")] {
            ip(&format!("-n nat-i -6 route replace 2001:db8:{letter}::/64 via 2001:db8::1{n}"))?;
            // Without translation, hosts are reached by their own addresses.
            ip(&format!("-n nat-i route add 10.{n}.0.0/24 via 203.0.113.1{n}"))?;
            let (other, far) = (3 - n, ["b", "a"][n - 1]);
            ip(&format!("-n nat-r{letter} route add 10.{other}.0.0/24 via 203.0.113.1{other}"))?;
            ip(&format!("-n nat-r{letter} -6 route add 2001:db8:{far}::/64 via 2001:db8::1{other}"))?;
        }
        world.certificates()?;
        world.coturn()?;
        Ok(world)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An authority of the site's own, and the server's certificate signed by it.
    fn certificates(&self) -> Result<(), String> {
        use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
        let make = || -> Result<(), Box<dyn std::error::Error>> {
            let mut authority = CertificateParams::new(vec![])?;
            authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            authority.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
            let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
            let key = KeyPair::generate()?;
            let server = CertificateParams::new(vec![SERVER.into(), SERVER_V6.into()])?.signed_by(&key, &authority)?;
            std::fs::write(self.file("ca.pem"), authority.pem())?;
            let another = CertificateParams::new(vec!["another".into()])?.self_signed(&KeyPair::generate()?)?;
            std::fs::write(self.file("another.pem"), another.pem())?;
            std::fs::write(self.file("server.pem"), server.pem())?;
            std::fs::write(self.file("server.key"), key.serialize_pem())?;
            Ok(())
        };
        make().map_err(|error| error.to_string())
    }

    fn coturn(&mut self) -> Result<(), String> {
        let folder = self.folder.path().display();
        let config = format!(
            "listening-ip={SERVER}\nlistening-ip={SERVER_2}\nlistening-ip={SERVER_V6}\nrelay-ip={SERVER}\nrelay-ip={SERVER_V6}\n\
             listening-port=3478\ntls-listening-port=443\ncert={folder}/server.pem\npkey={folder}/server.key\n\
             lt-cred-mech\nuser={USER}:{PASSWORD}\nrealm=example.org\nno-cli\nno-rfc5780\nlog-file=stdout\npidfile={folder}/pid\n\
             userdb={folder}/users\nmin-port=49160\nmax-port=49400\n"
        );
        std::fs::write(self.file("turn.conf"), config).map_err(|error| error.to_string())?;
        let log = File::create(self.file("turn.log")).map_err(|error| error.to_string())?;
        let turn = Command::new("ip")
            .args(["netns", "exec", "nat-i", "turnserver", "-v", "-c"])
            .arg(self.file("turn.conf"))
            .stdin(Stdio::null())
            .stderr(log.try_clone().map_err(|error| error.to_string())?)
            .stdout(log)
            .spawn();
        self.turn = Some(turn.map_err(|error| format!("turnserver: {error}"))?);
        // It listens on TLS last.
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            let listening = inside("nat-i", "ss -Hltn sport = :443").unwrap_or_default();
            if listening.contains(SERVER) && listening.contains(SERVER_V6) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mut log = String::new();
        let _ = File::open(self.file("turn.log")).and_then(|mut file| file.read_to_string(&mut log));
        Err(format!("turnserver does not listen: {log}"))
    }

    pub fn routers(&self, a: Router, b: Router) {
        for (name, router, host) in [("nat-ra", a, "10.1.0.2"), ("nat-rb", b, "10.2.0.2")] {
            nft(name, &router.rules(host)).unwrap();
        }
    }

    /// From now on each router drops what is sent to the internet faster than this, without a queue; until the rules change.
    pub fn police(&self, kbytes_per_s: u32) {
        let rule = format!(
            "nft add rule inet site forward oifname wan limit rate over {kbytes_per_s} kbytes/second burst 40 kbytes drop"
        );
        for router in ["nat-ra", "nat-rb"] {
            inside(router, &rule).unwrap();
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut turn) = self.turn.take() {
            let _ = turn.kill();
            let _ = turn.wait();
        }
    }
}

fn nft(name: &str, rules: &str) -> Result<(), String> {
    let mut child = Command::new("ip")
        .args(["netns", "exec", name, "nft", "-f", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    child.stdin.take().unwrap().write_all(rules.as_bytes()).map_err(|error| error.to_string())?;
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    let problem = || format!("nft: {}\n{rules}", String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(problem()) }
}

/// A host's address.
pub fn address(site: usize, v6: bool) -> IpAddr {
    [["10.1.0.2", "2001:db8:a::2"], ["10.2.0.2", "2001:db8:b::2"]][site][usize::from(v6)].parse().unwrap()
}
