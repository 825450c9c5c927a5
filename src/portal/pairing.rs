//! A portal that is not paired waits for somebody with its code, and takes the code of another one at its keys; what both agree on is stored, and the
//! portal begins again with it.

pub(crate) mod enter;
mod kiosk;

use super::board::Board;
use super::discovery;
use super::keeper::Order;
use crate::config::{Config, Loaded, paired};
use crate::discovery::Neighbour;
use crate::ops::{EnteredCode, Figures, Invitation, Typed, Waiting};
use crate::pairing::attempts::Showing;
use crate::pairing::{self, Code, Identity, Own, Way};
use crate::signaling::pair::{self, Host, Listening, Store, Turn};
use crate::{files, link};
use crossbeam_channel::Sender;
use kiosk::Kiosk;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// A port that is taken is tried again so often: who has it may be a command that pairs.
const BIND_AGAIN: Duration = Duration::from_secs(10);

/// How often it is looked whether this machine's addresses are others now: a code is shown before there is a network at boot.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The words of a pairing are shown for so long.
const CONFIRMED_FOR: Duration = Duration::from_secs(60);

/// In the data folder, for this user's eyes only: the code that is shown, for `screen-portal pair` on a machine whose portal has no screen.
const CODE_FILE: &str = "pairing-code";

/// What the other end is to know of this portal, which listens for signalling at `listening`, if it does.
pub(crate) fn own(config: &Config, identity: &Identity, listening: Option<SocketAddr>) -> Own {
    let ways = listening.map(|address| {
        let addresses = match address.ip() {
            ip if ip.is_unspecified() => link::own_addresses(&config.link),
            ip => vec![ip],
        };
        Way::Direct { addresses, port: address.port() }
    });
    let signaling = &config.signaling;
    let hub = signaling.hub_options().map(|hub| Way::Hub { url: hub.url });
    let topic = signaling.broker_topic.trim().to_owned();
    let broker = signaling.broker_options().map(|broker| Way::Broker { url: broker.url, topic });
    let ways = ways.into_iter().chain(hub).chain(broker).collect();
    Own { identity: identity.clone(), site: config.site.name.clone(), ways }
}

/// Stores what was agreed on. `address`: where the other end was dialled, in the words of whoever did.
pub(crate) fn store(folder: &Path, address: Option<String>) -> Box<Store> {
    let folder = folder.to_owned();
    Box::new(move |far, met_at| {
        let mut addresses: Vec<String> = address.iter().cloned().collect();
        for found in pair::addresses(far, met_at) {
            let found = found.to_string();
            if !addresses.contains(&found) && addresses.len() < pairing::MOST_ADDRESSES {
                addresses.push(found);
            }
        }
        let (site, words) = (far.site.clone(), far.words.clone());
        let mut pairing =
            pairing::Config { far_end: Some(far.far_end), site, words, addresses, ..pairing::Config::default() };
        for way in &far.ways {
            let mut with = pairing.clone();
            match way {
                Way::Hub { url } => with.hub.clone_from(url),
                Way::Broker { url, topic } => {
                    with.broker.clone_from(url);
                    with.broker_topic.clone_from(topic);
                }
                Way::Direct { .. } | Way::Other => {}
            }
            // What cannot be is left out: the file must be read again.
            if with.check().is_ok() {
                pairing = with;
            }
        }
        paired::save(&folder, &pairing)
    })
}

/// Where the far end may be, as far as the configuration knows.
pub(super) fn known_addresses(config: &Config) -> Vec<String> {
    let mut addresses: Vec<String> = config.signaling.dial_address().into_iter().collect();
    addresses.extend(
        config.pairing.addresses.iter().filter(|it| Some(*it) != config.signaling.dial_address().as_ref()).cloned(),
    );
    addresses
}

/// Both screens say the same words, for a while after they were paired: the program has begun again since.
pub(super) async fn confirm(loaded: Loaded, board: Arc<Board>) {
    // Whoever was paired by a command beside it had no time to take its code away.
    let folder = loaded.config.data.folder.clone();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || remove_code(&folder)).await {
        tracing::debug!(%error, "the last pairing code stays in the data folder; it does not count any more");
    }
    let words = &loaded.config.pairing.words;
    let written = std::fs::metadata(paired::path(&loaded.config.data.folder)).and_then(|file| file.modified());
    let age = written.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
    let Some(left) = age.and_then(|age| CONFIRMED_FOR.checked_sub(age)) else { return };
    if loaded.is_paired_here() && !words.is_empty() {
        board.confirmation(Some(words.clone()));
        tokio::time::sleep(left).await;
        board.confirmation(None);
    }
}

/// Waits for somebody with the code, and tries those that are entered here (`codes`), until one of them has paired. `orders`: whoever sees that the
/// configuration has changed.
pub(super) async fn wait(
    config: Config,
    identity: Identity,
    figures: Arc<Figures>,
    board: Arc<Board>,
    orders: Sender<Order>,
    codes: mpsc::Receiver<Typed>,
) {
    let (showing, shown) = watch::channel(None);
    let (found_in, found) = watch::channel(Vec::new());
    let turn = Turn::default();
    tokio::spawn(tell_others(found.clone(), Arc::clone(&board)));
    let kiosk = Kiosk {
        config: config.clone(),
        identity: identity.clone(),
        figures: Arc::clone(&figures),
        board: Arc::clone(&board),
        turn: turn.clone(),
        shown: shown.clone(),
        found,
    };
    let waiting = async {
        let Some((listening, address)) = listen(&config).await else {
            tracing::info!("nobody can pair with this portal, for it does not listen: enter the other one's code here");
            match discovery::gather(&config, identity.fingerprint(), None, &found_in).await {}
        };
        tokio::spawn(tell(shown, Arc::clone(&board), config.clone(), address));
        let (own, store, signaling) =
            (own(&config, &identity, address), store(&config.data.folder, None), config.signaling.clone());
        let host = Host { own, store, figures, showing, signaling, turn };
        tracing::info!(?address, "not paired: waiting for another portal with the code that is shown here");
        tokio::select! {
            paired = listening.run(host) => paired,
            never = discovery::gather(&config, identity.fingerprint(), address, &found_in) => match never {},
        }
    };
    let paired = tokio::select! {
        paired = waiting => paired,
        paired = kiosk.take(codes) => paired,
    };
    board.entered(EnteredCode::Paired(paired.words));
    // Full: the file is looked at twice a second anyway.
    let _ = orders.try_send(Order::Reload);
}

/// Waits until there is a port to listen on, if there is to be one; `None` where nobody could come, by no way.
async fn listen(config: &Config) -> Option<(Listening, Option<SocketAddr>)> {
    let listen = config.signaling.listen_address();
    if listen.is_none() && !config.signaling.has_relays() {
        return None;
    }
    let mut said = false;
    loop {
        match listen.map(Listening::bind).transpose() {
            Ok(Some((listening, address))) => return Some((listening, Some(address))),
            Ok(None) => return Some((Listening::nowhere(), None)),
            Err(error) if !said => tracing::warn!("no pairing code is shown: {error}"),
            Err(_) => {}
        }
        said = true;
        tokio::time::sleep(BIND_AGAIN).await;
    }
}

/// Shows each code, and puts it where `screen-portal pair` finds it.
async fn tell(
    mut shown: watch::Receiver<Option<Showing>>,
    board: Arc<Board>,
    config: Config,
    listening: Option<SocketAddr>,
) {
    let folder = config.data.folder.clone();
    loop {
        let ended = shown.has_changed().is_err();
        let showing = *shown.borrow_and_update();
        let showing = showing.filter(|_| !ended);
        let write_to = folder.clone();
        let write = tokio::task::spawn_blocking(move || match showing {
            Some(Showing::Code(code, until)) => write_code(&write_to, &code, until, listening),
            _ => remove_code(&write_to),
        });
        if let Ok(Err(error)) = write.await {
            tracing::warn!("the pairing code cannot be kept for `screen-portal pair` on this machine: {error}");
        }
        loop {
            board.invitation(showing.map(|showing| match showing {
                Showing::Code(code, _) => {
                    Invitation::Code { code: code.to_string(), command: command(&code, reachable(&config, listening)) }
                }
                Showing::Paused(_) => Invitation::Paused,
            }));
            if ended {
                return;
            }
            if timeout(LOOK_EVERY, shown.changed()).await.is_ok() {
                break;
            }
        }
    }
}

/// What is run at the other end.
fn command(code: &Code, address: Option<SocketAddr>) -> String {
    let address = address.map(|address| format!(" --address {address}"));
    format!("screen-portal pair {code}{}", address.unwrap_or_default())
}

/// Where somebody elsewhere reaches this portal, as far as it knows: a public address before a private one. None where a hub or a broker is the way,
/// which an address would only lead past.
fn reachable(config: &Config, listening: Option<SocketAddr>) -> Option<SocketAddr> {
    let listening = listening.filter(|_| !config.signaling.has_relays())?;
    let addresses = match listening.ip() {
        ip if ip.is_unspecified() => link::own_addresses(&config.link),
        ip => vec![ip],
    };
    let others = addresses.into_iter().filter(|ip| !ip.is_loopback());
    others.min_by_key(|ip| (is_private(ip), ip.is_ipv6())).map(|ip| SocketAddr::new(ip, listening.port()))
}

/// RFC 1918, 6598 (behind a provider's translation) and 4193.
fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// Says who else in the local network waits to be paired, for as long as somebody looks.
async fn tell_others(mut found: watch::Receiver<Vec<Neighbour>>, board: Arc<Board>) {
    while found.changed().await.is_ok() {
        let found = found.borrow_and_update().clone();
        let waiting = found.into_iter().filter(|neighbour| neighbour.waits);
        board.waiting(waiting.map(|it| Waiting { site: it.site, id: it.id.to_string() }).collect());
    }
}

fn write_code(folder: &Path, code: &Code, until: Instant, listening: Option<SocketAddr>) -> std::io::Result<()> {
    let left = until.saturating_duration_since(Instant::now());
    let until = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + left;
    let listening = listening.map_or_else(String::new, |address| address.to_string());
    files::replace(&folder.join(CODE_FILE), format!("{code}\n{}\n{listening}\n", until.as_secs()).as_bytes(), 0o600)
}

fn remove_code(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(folder.join(CODE_FILE)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// What a portal that runs here shows, for commands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The code.
    pub code: Code,
    /// For so many seconds more.
    pub left_s: u64,
    /// Where the portal listens, which may be by a flag that only it was given; `None` if it does not.
    pub listening: Option<SocketAddr>,
}

impl Shown {
    /// By the portal that has this data folder, if one shows a code now.
    pub(crate) fn look(folder: &Path) -> Option<Self> {
        let text = files::read_text(&folder.join(CODE_FILE), 1024).ok()?;
        let mut lines = text.lines();
        let (code, until) = (lines.next()?.parse().ok()?, lines.next()?.parse::<u64>().ok()?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let left_s = until.checked_sub(now).filter(|left| (1..=3600).contains(left))?;
        Some(Self { code, left_s, listening: lines.next().and_then(|address| address.parse().ok()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pairing::{Fingerprint, Paired};

    #[test]
    fn the_code_is_found_by_this_user_while_it_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Shown::look(folder.path()).is_none());
        let code = Code::random();
        for listening in [None, Some(([192, 0, 2, 1], 7000).into())] {
            write_code(folder.path(), &code, Instant::now() + Duration::from_secs(100), listening).unwrap();
            let shown = Shown::look(folder.path()).unwrap();
            assert_eq!((shown.code, shown.listening), (code, listening));
            assert!((98..=100).contains(&shown.left_s));
        }
        write_code(folder.path(), &code, Instant::now(), None).unwrap();
        assert!(Shown::look(folder.path()).is_none());
        remove_code(folder.path()).unwrap();
        remove_code(folder.path()).unwrap();
    }

    #[test]
    fn hubs_and_brokers_are_stored_if_they_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let broker = |url: &str, topic: &str| Way::Broker { url: url.into(), topic: topic.into() };
        let hub = |url: &str| Way::Hub { url: url.into() };
        let ways = vec![
            hub("nonsense"),
            hub("wss://hub.example/"),
            broker("mqtts://broker.example", "a/#"),
            broker("mqtts://broker.example", "town"),
        ];
        let far = Paired { far_end: Fingerprint::of(b"x"), site: "There".into(), ways, words: "a b c".into() };
        store(folder.path(), None)(&far, None).unwrap();
        let text = std::fs::read_to_string(paired::path(folder.path())).unwrap();
        let stored: pairing::Config =
            toml::from_str::<toml::Table>(&text).unwrap()["pairing"].clone().try_into().unwrap();
        assert_eq!(
            (&*stored.hub, &*stored.broker, &*stored.broker_topic),
            ("wss://hub.example/", "mqtts://broker.example", "town")
        );
    }

    #[test]
    fn the_command_has_an_address_where_one_leads_here() {
        let code: Code = "47-harbor-orbit".parse().unwrap();
        for (listening, own, hub, wanted) in [
            ("0.0.0.0:7413", &["192.168.1.20", "203.0.113.5", "2001:db8::1"][..], "", " --address 203.0.113.5:7413"),
            ("0.0.0.0:7413", &["100.64.0.9", "fd00::1", "2001:db8::1"], "", " --address [2001:db8::1]:7413"),
            ("0.0.0.0:7413", &["fd00::1", "192.168.1.20"], "", " --address 192.168.1.20:7413"),
            ("192.168.1.20:7000", &["203.0.113.5"], "", " --address 192.168.1.20:7000"),
            ("0.0.0.0:7413", &["127.0.0.1"], "", ""),
            ("127.0.0.1:7413", &["203.0.113.5"], "", ""),
            ("0.0.0.0:7413", &["203.0.113.5"], "wss://hub.example.org/", ""),
        ] {
            let mut config = Config::default();
            config.link.addresses = own.iter().map(|ip| ip.parse().unwrap()).collect();
            config.signaling.hub = hub.into();
            let address = reachable(&config, Some(listening.parse().unwrap()));
            assert_eq!(command(&code, address), format!("screen-portal pair 47-harbor-orbit{wanted}"), "{listening}");
        }
        assert_eq!(reachable(&Config::default(), None), None);
    }

    #[test]
    fn what_is_stored_begins_with_where_it_was_met() {
        let folder = tempfile::tempdir().unwrap();
        let ways =
            vec![Way::Other, Way::Direct { addresses: vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()], port: 7413 }];
        let far = Paired { far_end: Fingerprint::of(b"x"), site: "There".into(), ways, words: "a b c".into() };
        let stored = |address: Option<&str>, met: Option<[u8; 4]>| {
            store(folder.path(), address.map(Into::into))(&far, met.map(Into::into)).unwrap();
            let text = std::fs::read_to_string(paired::path(folder.path())).unwrap();
            toml::from_str::<toml::Table>(&text).unwrap()["pairing"]["addresses"].as_array().unwrap().len()
        };
        assert_eq!(stored(None, None), 2);
        assert_eq!(stored(None, Some([192, 0, 2, 2])), 2);
        assert_eq!(stored(Some("there.local:7413"), Some([198, 51, 100, 3])), 4);
        let text = std::fs::read_to_string(paired::path(folder.path())).unwrap();
        assert!(text.contains("[\"there.local:7413\", \"198.51.100.3:7413\", \"192.0.2.1:7413\""), "{text}");
    }
}
