//! Which of this machine's addresses are offered to the far end.
//!
//! `webrtc` has no interface filter, so the addresses are given to it one by one.

use std::net::IpAddr;

/// More addresses are not offered: each costs a socket, and checks with each address of the far end.
const MAX: usize = 12;

/// The addresses to bind, sorted. Configured ones are taken as they are. Otherwise all of this machine's except link-local ones,
/// which are of no use without a zone; loopback only when asked for or when there is nothing else.
pub(super) fn local(configured: &[IpAddr], loopback: bool) -> Vec<IpAddr> {
    if !configured.is_empty() {
        return configured.to_vec();
    }
    let found = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the network interfaces cannot be listed; only this machine itself can be reached");
        Vec::new()
    });
    choose(found.iter().map(if_addrs::Interface::ip), loopback)
}

fn choose(found: impl Iterator<Item = IpAddr>, loopback: bool) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = found.filter(|ip| !ip.is_loopback() && !is_link_local(ip)).collect();
    chosen.sort_unstable();
    chosen.dedup();
    chosen.truncate(MAX);
    if loopback || chosen.is_empty() {
        chosen.push(IpAddr::from([127, 0, 0, 1]));
    }
    chosen
}

fn is_link_local(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(found: &[&str], loopback: bool) -> Vec<String> {
        choose(found.iter().map(|ip| ip.parse().unwrap()), loopback).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_useful_addresses_and_no_others() {
        let found = ["127.0.0.1", "192.0.2.7", "::1", "fe80::1", "2001:db8::1", "169.254.3.4", "192.0.2.7"];
        assert_eq!(chosen(&found, false), ["192.0.2.7", "2001:db8::1"]);
        assert_eq!(chosen(&found, true), ["192.0.2.7", "2001:db8::1", "127.0.0.1"]);
    }

    #[test]
    fn loopback_when_there_is_nothing_else() {
        assert_eq!(chosen(&["127.0.0.1", "fe80::1"], false), ["127.0.0.1"]);
        assert_eq!(chosen(&[], false), ["127.0.0.1"]);
    }

    #[test]
    fn looking_four_times_a_second_costs_next_to_nothing() {
        let start = std::time::Instant::now();
        for _ in 0..100 {
            local(&[], false);
        }
        let each = start.elapsed() / 100;
        println!("{each:?} for {} addresses", local(&[], true).len());
        assert!(each < std::time::Duration::from_millis(5), "{each:?}");
    }

    #[test]
    fn configured_addresses_are_taken_as_they_are() {
        let configured = [IpAddr::from([10, 0, 0, 1])];
        assert_eq!(local(&configured, true), configured);
    }
}
