//! A portal in its local network: it is announced there, looks for its far end as long as that is not connected, and for others to pair with as long as
//! it has none.

use super::pairing::known_addresses;
use crate::config::Config;
use crate::discovery::{Announcement, Discovery, Neighbour, ShortId};
use crate::ops::{LinkState, View};
use crate::pairing::Fingerprint;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Without a network there is nothing to be announced in; it is tried again so often.
const AGAIN: Duration = Duration::from_secs(30);
/// Who is found first may not be the only one: so long more are waited for.
const OTHERS: Duration = Duration::from_millis(700);
/// More addresses are not dialled, whoever announces them.
const MOST_ADDRESSES: usize = 16;

/// Announces this portal, which waits for pairing at `listening`, if it may be and another machine can reach it. What
/// is returned ends it when it is dropped.
pub(crate) fn announce(config: &Config, own: Fingerprint, listening: SocketAddr) -> Option<Discovery> {
    if !config.discovery.enabled || listening.ip().is_loopback() {
        return None;
    }
    let (site, port) = (config.site.name.clone(), listening.port());
    let announcement = Announcement { site, id: own.into(), waits: true, port };
    let announced = Discovery::start().and_then(|discovery| {
        discovery.announce(&announcement)?;
        Ok(discovery)
    });
    match announced {
        Ok(discovery) => Some(discovery),
        Err(error) => {
            tracing::warn!("this portal is not announced: {error}");
            None
        }
    }
}

/// Looks for so long, or a moment longer than until somebody is found who is `wanted`.
///
/// # Errors
/// As of [`Discovery::look`].
pub(crate) async fn look(
    own: Fingerprint,
    limit: Duration,
    wanted: impl Fn(&Neighbour) -> bool,
) -> Result<Vec<Neighbour>, crate::discovery::Error> {
    let discovery = Discovery::start()?;
    let (found_in, mut found) = watch::channel(Vec::<Neighbour>::new());
    let mut until = Instant::now() + limit;
    let until_enough = async {
        while let Ok(Ok(())) = timeout_at(until, found.changed()).await {
            if found.borrow_and_update().iter().any(&wanted) {
                until = until.min(Instant::now() + OTHERS);
            }
        }
    };
    tokio::select! {
        looked = discovery.look(own.into(), &found_in) => looked?,
        () = until_enough => {}
    }
    Ok(found_in.borrow().clone())
}

/// Announces a portal that waits for pairing at `listening`, and tells who else is in the network, for as long as it is polled.
pub(super) async fn gather(
    config: &Config,
    own: Fingerprint,
    listening: Option<SocketAddr>,
    found: &watch::Sender<Vec<Neighbour>>,
) -> Infallible {
    // As in [`attend`].
    let alone = listening.is_some_and(|address| address.ip().is_loopback());
    if !config.discovery.enabled || alone {
        return std::future::pending().await;
    }
    let mut said = false;
    loop {
        let port = listening.map(|address| address.port());
        let looked = match start(config, own, port, true) {
            Ok(discovery) => discovery.look(own.into(), found).await,
            Err(error) => Err(error),
        };
        if let Err(error) = looked
            && !said
        {
            tracing::warn!("{error}");
            said = true;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Announces a paired portal and puts the addresses where its far end is found behind those that are configured, for as long as the runtime lives.
pub(super) async fn attend(
    config: Config,
    own: Fingerprint,
    far_end: Fingerprint,
    listening: Option<SocketAddr>,
    mut view: watch::Receiver<View>,
    addresses: watch::Sender<Vec<String>>,
) {
    // Who listens for this machine only has a far end on it, or a tunnel to it.
    if !config.discovery.enabled || listening.is_some_and(|address| address.ip().is_loopback()) {
        return;
    }
    let port = listening.map(|address| address.port());
    let known = known_addresses(&config);
    let mut said = false;
    loop {
        let discovery = match start(&config, own, port, false) {
            Ok(discovery) => discovery,
            Err(error) => {
                if !said {
                    tracing::warn!("{error}");
                }
                said = true;
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        // Until the crate has to be begun anew.
        loop {
            if view.wait_for(|view| view.link == LinkState::Signalling).await.is_err() {
                return;
            }
            let (found_in, mut found) = watch::channel(Vec::new());
            let follow = async {
                while found.changed().await.is_ok() {
                    let all = with_found(&known, far_end.into(), &found.borrow_and_update());
                    addresses.send_if_modified(|before| {
                        let news = *before != all;
                        if news && all.len() > known.len() {
                            tracing::info!(
                                addresses = all[known.len()..].join(", "),
                                "the far end may be in this network"
                            );
                        }
                        *before = all;
                        news
                    });
                }
            };
            tokio::select! {
                looked = discovery.look(own.into(), &found_in) => {
                    if let Err(error) = looked {
                        tracing::warn!("{error}; searching anew");
                    }
                    break;
                }
                () = follow => {}
                connected = view.wait_for(|view| view.link != LinkState::Signalling) => if connected.is_err() {
                    return;
                },
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn start(
    config: &Config,
    own: Fingerprint,
    port: Option<u16>,
    waits: bool,
) -> Result<Discovery, crate::discovery::Error> {
    let discovery = Discovery::start()?;
    if let Some(port) = port {
        discovery.announce(&Announcement { site: config.site.name.clone(), id: own.into(), waits, port })?;
    }
    Ok(discovery)
}

/// What is known, and behind it where somebody claims to be the far end.
fn with_found(known: &[String], far_end: ShortId, found: &[Neighbour]) -> Vec<String> {
    let mut all = known.to_vec();
    let claimed = found.iter().filter(|neighbour| neighbour.id == far_end).flat_map(|neighbour| &neighbour.addresses);
    for address in claimed.map(ToString::to_string) {
        if all.len() < MOST_ADDRESSES && !all.contains(&address) {
            all.push(address);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_claims_to_be_the_far_end_is_dialled_behind_what_is_known() {
        let (far, other) = (ShortId::from(Fingerprint::of(b"far")), ShortId::from(Fingerprint::of(b"other")));
        let neighbour = |id, last: u8| Neighbour {
            site: "There".into(),
            id,
            waits: false,
            addresses: vec![([192, 0, 2, last], 7413).into()],
        };
        let known = ["there:7413".to_owned(), "192.0.2.1:7413".to_owned()];
        let found = [neighbour(far, 1), neighbour(other, 2), neighbour(far, 3)];
        assert_eq!(with_found(&known, far, &found), ["there:7413", "192.0.2.1:7413", "192.0.2.3:7413"]);
        let crowd: Vec<_> = (0..100).map(|last| neighbour(far, last)).collect();
        assert_eq!(with_found(&known, far, &crowd).len(), MOST_ADDRESSES);
    }
}
