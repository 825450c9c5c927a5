//! Which local ports are used, where a firewall lets only some through.
//!
//! Each connection has a port of its own: a new one is made beside the old one before that ends, and one that was just closed still
//! holds its port for a moment. So one port is not enough, and four are.

use super::Error;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewer ports cannot hold the connection in use, the next one, and those that are being closed.
const FEWEST: u16 = 4;

/// A range of ports, with both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl fmt::Display for PortRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.first, self.last)
    }
}

impl PortRange {
    /// Reads "50000-50010"; nothing means any port. The error is for people.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        if text.is_empty() {
            return Ok(None);
        }
        let ends = text
            .split_once('-')
            .and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
        let Some((first, last)) = ends.filter(|&(first, last): &(u16, u16)| first > 0 && first <= last) else {
            return Err(format!("`{text}` is no range of ports like \"50000-50010\""));
        };
        if last - first < FEWEST - 1 {
            return Err(format!(
                "`{text}` has fewer than {FEWEST} ports: a new connection is made beside the old one, and each has a port of its own"
            ));
        }
        Ok(Some(Self { first, last }))
    }

    fn len(self) -> usize {
        usize::from(self.last - self.first) + 1
    }
}

/// Hands out the ports of a range in turn: a TURN server may still hold on to what came from the one used last.
#[derive(Debug)]
pub(super) struct Ports {
    range: PortRange,
    turn: AtomicUsize,
}

impl Ports {
    pub fn new(range: PortRange) -> Self {
        Self { range, turn: AtomicUsize::new(rand::random_range(0..range.len())) }
    }

    /// A port that is free on all these addresses. (Another program may take it before it is bound; then the attempt fails and the next
    /// one gets another.)
    pub fn free(&self, local: &[IpAddr], tcp: bool) -> Result<u16, Error> {
        for _ in 0..self.range.len() {
            let offset = self.turn.fetch_add(1, Ordering::Relaxed) % self.range.len();
            // Within the range, so within u16.
            let port = self.range.first + u16::try_from(offset).unwrap_or(0);
            let taken = |&ip: &IpAddr| {
                let address = SocketAddr::new(ip, port);
                in_use(&UdpSocket::bind(address).map(drop)) || tcp && in_use(&TcpListener::bind(address).map(drop))
            };
            if !local.iter().any(taken) {
                return Ok(port);
            }
        }
        Err(Error::Ports(self.range))
    }
}

/// An address that has just gone away is not in use; whoever binds finds out.
fn in_use(bound: &std::io::Result<()>) -> bool {
    bound.as_ref().is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(PortRange::parse(""), Ok(None));
        assert_eq!(PortRange::parse("50000-50010"), Ok(Some(PortRange { first: 50000, last: 50010 })));
        assert_eq!(PortRange::parse("65532 - 65535").unwrap().unwrap().len(), 4);
        for bad in ["50000", "0-10", "50010-50000", "1-70000", "a-b", "-"] {
            assert!(PortRange::parse(bad).unwrap_err().contains("range"), "{bad}");
        }
        for narrow in ["50000-50000", "50000-50002"] {
            assert!(PortRange::parse(narrow).unwrap_err().contains("fewer than 4"), "{narrow}");
        }
    }

    #[test]
    fn only_free_ports_are_handed_out_and_each_in_its_turn() {
        let here = IpAddr::from([127, 0, 0, 1]);
        let ports = Ports::new(PortRange { first: 47_310, last: 47_313 });
        let taken: Vec<_> = [47_310, 47_312].map(|port| UdpSocket::bind((here, port)).unwrap()).into();
        let mut found: Vec<_> = (0..2).map(|_| ports.free(&[here], false).unwrap()).collect();
        found.sort_unstable();
        assert_eq!(found, [47_311, 47_313]);
        let listener = TcpListener::bind((here, 47_311)).unwrap();
        assert_eq!(ports.free(&[here], true).unwrap(), 47_313);
        let more: Vec<_> = [47_311, 47_313].map(|port| UdpSocket::bind((here, port)).unwrap()).into();
        let error = ports.free(&[here], false).unwrap_err().to_string();
        assert!(error.contains("47310-47313") && error.contains("[link] ports"), "{error}");
        drop((taken, more, listener));
    }
}
