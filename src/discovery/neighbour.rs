//! What portals announce of themselves in the local network: plain data, with limits for what others claim.

use crate::pairing::Fingerprint;
use crate::signaling::for_people;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// The version of what is announced, in the TXT record's key `v`. Another one is passed over.
pub const VERSION: &str = "1";
/// More portals in one network are not listed.
pub const MOST: usize = 64;
/// More addresses of one portal are not read.
const MOST_ADDRESSES: usize = 8;
/// The longest name of a place: in characters, and in bytes, of which a TXT string has 255 with its key.
const LONGEST_SITE: (usize, usize) = (64, 200);

/// The first half of a fingerprint's first half: 16 hexadecimal digits. Enough to tell portals apart; who a portal is, its handshake proves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShortId([u8; 8]);

impl From<Fingerprint> for ShortId {
    fn from(fingerprint: Fingerprint) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&fingerprint.bytes()[..8]);
        Self(id)
    }
}

impl fmt::Display for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ShortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ShortId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a portal says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The name of its place.
    pub site: String,
    /// Which one it is.
    pub id: ShortId,
    /// Whether it shows a code now.
    pub waits: bool,
    /// Where it listens for signalling and pairing.
    pub port: u16,
}

impl Announcement {
    /// The TXT record (RFC 6763, section 6).
    pub fn properties(&self) -> [(&'static str, String); 4] {
        let mut site = for_people(&self.site, LONGEST_SITE.0);
        while site.len() > LONGEST_SITE.1 {
            site.pop();
        }
        let waits = if self.waits { "1" } else { "0" };
        [("v", VERSION.into()), ("id", self.id.to_string()), ("site", site), ("pair", waits.into())]
    }
}

/// A portal that was found. Its own words: anybody in the network may claim anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Neighbour {
    /// The name of its place: at most 64 characters, none of them a control character. May be empty.
    pub site: String,
    /// Which one it is.
    pub id: ShortId,
    /// Whether it shows a code now.
    pub waits: bool,
    /// Where it listens, sorted; at least one.
    pub addresses: Vec<SocketAddr>,
}

impl Neighbour {
    /// Reads what somebody announces; total. `None`: not a portal of this version, or one that cannot be dialled.
    pub fn read<'a>(
        property: impl Fn(&str) -> Option<&'a str>,
        port: u16,
        ips: impl IntoIterator<Item = IpAddr>,
    ) -> Option<Self> {
        if property("v")? != VERSION || port == 0 {
            return None;
        }
        let id =
            data_encoding::HEXLOWER_PERMISSIVE.decode(property("id").filter(|id| id.len() == 16)?.as_bytes()).ok()?;
        let mut addresses: Vec<_> =
            ips.into_iter().filter(is_useful).take(MOST_ADDRESSES).map(|ip| SocketAddr::new(ip, port)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        (!addresses.is_empty()).then_some(())?;
        let site = for_people(property("site").unwrap_or_default(), LONGEST_SITE.0).trim().to_owned();
        Some(Self { site, id: ShortId(id.try_into().ok()?), waits: property("pair") == Some("1"), addresses })
    }
}

impl fmt::Display for Neighbour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let site = if self.site.is_empty() { "(no name)" } else { &self.site };
        let address = self.addresses.first().map(ToString::to_string).unwrap_or_default();
        write!(f, "{site}  {}  {address}", self.id)
    }
}

/// Whether an address can be dialled from another machine. Link-local IPv6 ones need a zone, which a socket address as text has not.
fn is_useful(ip: &IpAddr) -> bool {
    let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    !(ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() || link_local)
}

/// Those who were found, by the names of their announcements. Bounded: whoever fills it keeps others out, and nothing else.
#[derive(Debug, Default)]
pub struct Neighbours(BTreeMap<String, Neighbour>);

impl Neighbours {
    /// Somebody announces himself, or says something else now. Whether that is news.
    pub fn found(&mut self, name: &str, neighbour: Option<Neighbour>) -> bool {
        let Some(neighbour) = neighbour else { return self.gone(name) };
        if !self.0.contains_key(name) && self.0.len() >= MOST {
            return false;
        }
        self.0.insert(name.to_owned(), neighbour.clone()) != Some(neighbour)
    }

    /// Somebody says goodbye, or has not been heard for long. Whether that is news.
    pub fn gone(&mut self, name: &str) -> bool {
        self.0.remove(name).is_some()
    }

    /// All but ourselves, by name.
    pub fn list(&self, own: ShortId) -> Vec<Neighbour> {
        let mut list: Vec<_> = self.0.values().filter(|neighbour| neighbour.id != own).cloned().collect();
        list.sort_by(|a, b| (&a.site, a.id).cmp(&(&b.site, b.id)));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn announcement(site: &str) -> Announcement {
        Announcement { site: site.into(), id: Fingerprint::of(b"x").into(), waits: true, port: 7413 }
    }

    fn read(properties: &[(&str, String)], port: u16, ips: &[&str]) -> Option<Neighbour> {
        let property = |name: &str| properties.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());
        Neighbour::read(property, port, ips.iter().map(|ip| ip.parse().unwrap()))
    }

    #[test]
    fn what_is_announced_is_found() {
        let properties = announcement("Harbour").properties();
        let found = read(&properties, 7413, &["192.0.2.7", "fe80::1", "127.0.0.1", "192.0.2.1"]).unwrap();
        assert_eq!((found.site.as_str(), found.waits), ("Harbour", true));
        assert_eq!(found.id, Fingerprint::of(b"x").into());
        assert_eq!(found.addresses, ["192.0.2.1:7413", "192.0.2.7:7413"].map(|it| it.parse::<SocketAddr>().unwrap()));
        assert_eq!(found.to_string(), format!("Harbour  {}  192.0.2.1:7413", found.id));
    }

    #[test]
    fn what_is_no_portal_is_passed_over() {
        let good = announcement("Harbour").properties();
        let with = |key: &str, value: &str| {
            let mut properties = good.clone();
            properties.iter_mut().filter(|(name, _)| *name == key).for_each(|(_, it)| *it = value.into());
            properties
        };
        let some = ["192.0.2.1"];
        assert!(read(&good, 0, &some).is_none() && read(&good, 1, &["fe80::1"]).is_none());
        for (key, value) in [
            ("v", "2"),
            ("id", ""),
            ("id", "00"),
            ("id", "zzzzzzzzzzzzzzzz"),
            ("id", "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"),
        ] {
            assert!(read(&with(key, value), 1, &some).is_none(), "{key} {value}");
        }
        assert!(read(&[], 1, &some).is_none());
    }

    #[test]
    fn limits() {
        let long = announcement(&"\u{1f3e0}".repeat(70));
        assert!(long.properties().iter().all(|(key, value)| key.len() + value.len() < 255));
        let mut properties = announcement("").properties().to_vec();
        properties[2].1 = "a\u{1b}[31m".repeat(100);
        let ips: Vec<_> = (1..100).map(|n| format!("192.0.2.{n}")).collect();
        let found = read(&properties, 1, &ips.iter().map(String::as_str).collect::<Vec<_>>()).unwrap();
        assert!(found.addresses.len() == MOST_ADDRESSES && found.site.chars().count() == 64);
        assert!(!found.site.contains(char::is_control));
        let mut neighbours = Neighbours::default();
        for n in 0..1000 {
            neighbours.found(&n.to_string(), Some(found.clone()));
        }
        assert_eq!(neighbours.list(Fingerprint::of(b"own").into()).len(), MOST);
        assert!(neighbours.list(found.id).is_empty(), "not ourselves");
        assert!(!neighbours.found("0", Some(found.clone())) && neighbours.found("0", None) && !neighbours.gone("0"));
        assert!(neighbours.found("new", Some(found)), "there is room again");
    }

    proptest! {
        #[test]
        fn total_on_any_announcement(v in ".?", id in ".{0,20}", site: String, pair in ".?", port: u16, ips: Vec<IpAddr>) {
            let property = |name: &str| match name {
                "v" => Some(v.as_str()),
                "id" => Some(id.as_str()),
                "site" => Some(site.as_str()),
                _ => Some(pair.as_str()),
            };
            if let Some(found) = Neighbour::read(property, port, ips) {
                prop_assert!(!found.addresses.is_empty() && found.site.chars().count() <= 64);
            }
        }
    }
}
