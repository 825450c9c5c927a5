//! Who may be connected to the status pages at once: so many that whoever opens connections and says nothing keeps nobody out, and so few that they
//! cost little.
//!
//! A connection that comes when there is no place takes the oldest one's: a request that is meant is answered within milliseconds, so the
//! oldest is the last that somebody waits for.

use std::net::IpAddr;
use tokio::task::AbortHandle;

/// Connections at once: a quarter of the descriptors that a process mostly has (1024), and 5 MB at most.
pub const CONNECTIONS: usize = 256;
/// Of these from one address.
pub const OF_ONE: usize = 64;

/// The connections, oldest first.
#[derive(Debug, Default)]
pub struct Places(Vec<(IpAddr, AbortHandle)>);

impl Places {
    /// Makes room for one more from this address.
    pub fn make_room(&mut self, address: IpAddr) {
        self.0.retain(|(_, connection)| !connection.is_finished());
        let addresses: Vec<_> = self.0.iter().map(|(address, _)| *address).collect();
        if let Some(at) = in_the_way(&addresses, address) {
            let (_, connection) = self.0.remove(at);
            connection.abort();
        }
    }

    /// Takes a place, for which there is room.
    pub fn take(&mut self, address: IpAddr, connection: AbortHandle) {
        self.0.push((address, connection));
    }
}

/// Which one ends for a newcomer, if there is no place for it: the oldest of its own address if that has its share, else the oldest of all.
fn in_the_way(oldest_first: &[IpAddr], newcomer: IpAddr) -> Option<usize> {
    let own = oldest_first.iter().filter(|address| **address == newcomer).count();
    if own >= OF_ONE {
        return oldest_first.iter().position(|address| *address == newcomer);
    }
    (oldest_first.len() >= CONNECTIONS).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room_and_nobody_has_more_than_his_share() {
        let address = |n: u8| IpAddr::from([192, 0, 2, n]);
        let of = |n: u8, times: usize| vec![address(n); times];
        for (oldest_first, newcomer, expected) in [
            (vec![], 1, None),
            (of(1, OF_ONE - 1), 1, None),
            (of(1, OF_ONE), 1, Some(0)),
            (of(1, OF_ONE), 2, None),
            ([of(2, 3), of(1, OF_ONE)].concat(), 1, Some(3)),
            ([of(1, OF_ONE), of(2, OF_ONE), of(3, OF_ONE), of(4, OF_ONE - 1)].concat(), 5, None),
            ([of(1, OF_ONE), of(2, OF_ONE), of(3, OF_ONE), of(4, OF_ONE)].concat(), 5, Some(0)),
            ([of(1, OF_ONE), of(2, OF_ONE), of(3, OF_ONE), of(4, OF_ONE)].concat(), 4, Some(3 * OF_ONE)),
        ] {
            assert_eq!(
                in_the_way(&oldest_first, address(newcomer)),
                expected,
                "{} from {newcomer}",
                oldest_first.len()
            );
        }
    }
}
