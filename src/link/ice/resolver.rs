//! The servers' addresses, remembered from attempt to attempt.
//!
//! The library looks names up in the loop that moves every packet of a connection, and waits. So all names are looked
//! up before, and the library gets what is known. An address that was good once is used until a look-up tells another
//! one: DNS that is down is no reason to lose the servers.

use super::Server;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;

/// An attempt waits so long for names that were never looked up with success. What comes later is good for the next
/// attempt.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Resolver {
    known: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    /// Names whose look-up failed last: that is told once, and not with each attempt to connect.
    failing: Arc<Mutex<HashSet<String>>>,
}

impl Resolver {
    /// Looks all names up, at the same time.
    pub async fn look_up(&self, servers: &[Server]) {
        let (mut unknown, mut known) = (JoinSet::new(), JoinSet::new());
        for server in servers.iter().filter(|server| server.host.parse::<IpAddr>().is_err()) {
            let (host, port, found, failing) =
                (server.host.clone(), server.port, self.known.clone(), self.failing.clone());
            let look_up = async move {
                let answer = tokio::net::lookup_host((host.as_str(), port)).await;
                match answer.map(|addresses| addresses.map(|address| address.ip()).collect()) {
                    Ok(addresses) => {
                        if failing.lock().unwrap_or_else(PoisonError::into_inner).remove(&host) {
                            tracing::info!("the address of the STUN or TURN server {host} is found again");
                        }
                        found.lock().unwrap_or_else(PoisonError::into_inner).insert(host, addresses);
                    }
                    Err(error) => {
                        if failing.lock().unwrap_or_else(PoisonError::into_inner).insert(host.clone()) {
                            tracing::warn!(
                                "the address of the STUN or TURN server {host} cannot be found ({error}): see that its name in [link] \
                                 ice_servers is right and that this site's network has a name server"
                            );
                        }
                    }
                }
            };
            if self.known(&server.host, server.port).is_empty() {
                unknown.spawn(look_up)
            } else {
                known.spawn(look_up)
            };
        }
        known.detach_all();
        let waiting = async { while unknown.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(PATIENCE, waiting).await;
        unknown.detach_all();
    }

    /// What is known of a name. An address is its own.
    pub fn known(&self, host: &str, port: u16) -> Vec<SocketAddr> {
        if let Ok(ip) = host.parse::<IpAddr>() {
            return vec![SocketAddr::new(ip, port)];
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(host).into_iter().flatten().map(|&ip| SocketAddr::new(ip, port)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_addresses() {
        let resolver = Resolver::default();
        let servers: Vec<_> = ["stun:localhost:3478", "stun:nowhere.invalid:3478", "stun:192.0.2.1:1"]
            .iter()
            .map(|url| Server::parse(url, "", "").unwrap())
            .collect();
        assert!(resolver.known("localhost", 3478).is_empty());
        resolver.look_up(&servers).await;
        assert!(resolver.known("localhost", 7).iter().all(|address| address.ip().is_loopback() && address.port() == 7));
        assert!(!resolver.known("localhost", 7).is_empty());
        assert!(resolver.known("nowhere.invalid", 3478).is_empty());
        assert!(resolver.failing.lock().unwrap().contains("nowhere.invalid"), "told of, once");
        assert_eq!(resolver.known("2001:db8::1", 5), ["[2001:db8::1]:5".parse::<SocketAddr>().unwrap()]);
    }
}
