//! The end where a code is entered, on the command line or at the kiosk: whoever shows it is looked for, and the code is tried there.

use super::super::discovery;
use super::{own, store};
use crate::config::Config;
use crate::discovery::Neighbour;
use crate::ops::Figures;
use crate::pairing::attempts::Refusal;
use crate::pairing::{Code, Identity, Paired};
use crate::signaling::pair::{self, Turn};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long somebody who shows a code is looked for in the local network.
const FIND: Duration = Duration::from_secs(5);
/// The same where he may as well be at a hub or a broker.
const FIND_FIRST: Duration = Duration::from_secs(2);
/// Where two portals enter each other's code in the same moment, each is busy for the other: they try again, after times that differ.
const TRIES: u32 = 6;
const AGAIN_MS: std::ops::Range<u64> = 200..1500;

/// The portal where the code is entered.
pub(crate) struct Entry<'a> {
    /// Its configuration.
    pub config: &'a Config,
    /// Who it is.
    pub identity: &'a Identity,
    /// Where it listens for the other one afterwards, if it does.
    pub listening: Option<SocketAddr>,
    /// Where it counts.
    pub figures: &'a Arc<Figures>,
    /// Shared with whoever shows a code here meanwhile.
    pub turn: &'a Turn,
}

/// Where the other portal is.
pub(crate) enum Whereabouts {
    /// Listening there: `HOST:PORT`.
    At(String),
    /// To be looked for in the local network, then at hub and broker where they are configured.
    Unknown,
    /// The same; who is in the local network is known already, or will soon be, and perhaps which of them it is, by its short identity.
    Among(watch::Receiver<Vec<Neighbour>>, Option<String>),
}

/// What is done at a moment, for whoever waits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Step {
    #[error("Looking for the other portal in this network …")]
    Looks,
    #[error("Pairing with the portal at {0} …")]
    Dials(String),
    #[error("Looking for the other portal through {0} …")]
    Asks(&'static str),
    #[error("The two are busy with each other; trying again …")]
    Waits,
}

/// Why two portals are not paired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Search(#[from] crate::discovery::Error),
    #[error(
        "no portal in this network shows a code; is the other one on, and in this network? Elsewhere it is found by \
         `screen-portal pair CODE --address HOST:PORT`, or by a hub ([signaling] hub)"
    )]
    Nobody,
    #[error(
        "portals are not looked for in this network ([discovery] enabled is false): use `screen-portal pair CODE --address HOST:PORT`"
    )]
    NotLookedFor,
    #[error(
        "several portals in this network show a code: say which one by `screen-portal pair CODE --address HOST:PORT`\n  {0}"
    )]
    Several(String),
    #[error("{address}: {failure}")]
    Direct { address: String, failure: pair::Failure },
    #[error(transparent)]
    Relayed(pair::Failure),
    /// The other way round: who came with this portal's code was first. No failure of the two.
    #[error("somebody has paired with this portal's own code meanwhile")]
    Meanwhile,
}

impl Failure {
    fn is_busy(&self) -> bool {
        let (Self::Direct { failure, .. } | Self::Relayed(failure)) = self else { return false };
        matches!(failure, pair::Failure::Refused(Refusal::Busy))
    }
}

/// Finds who shows this code and pairs with it; what is agreed on is stored then.
///
/// # Errors
/// See [`Failure`]. After most of them the code is burnt at the other end.
pub(crate) async fn enter(
    code: &Code,
    whereabouts: Whereabouts,
    entry: &Entry<'_>,
    tell: &(dyn Fn(Step) + Send + Sync),
) -> Result<Paired, Failure> {
    let relays = entry.config.signaling.has_relays();
    let address = match whereabouts {
        Whereabouts::At(address) => Some(address),
        _ if relays && !entry.config.discovery.enabled => None,
        other => {
            tell(Step::Looks);
            match find(entry, other, if relays { FIND_FIRST } else { FIND }).await {
                Ok(address) => Some(address),
                Err(_) if relays => None,
                Err(failure) => return Err(failure),
            }
        }
    };
    let mut tries = 0;
    loop {
        tries += 1;
        let tried = attempt(code, address.as_deref(), entry, tell).await;
        if tries == TRIES || !tried.as_ref().is_err_and(Failure::is_busy) {
            return tried;
        }
        tell(Step::Waits);
        tokio::time::sleep(Duration::from_millis(rand::random_range(AGAIN_MS))).await;
    }
}

/// Where a portal with this configuration listens, if that is known: not which port the system gives it.
pub(crate) fn configured(config: &Config) -> Option<SocketAddr> {
    let listen = config.signaling.listen_address()?.parse().ok();
    listen.filter(|address: &SocketAddr| address.port() > 0)
}

async fn attempt(
    code: &Code,
    address: Option<&str>,
    entry: &Entry<'_>,
    tell: &(dyn Fn(Step) + Send + Sync),
) -> Result<Paired, Failure> {
    let Entry { config, identity, listening, figures, turn } = *entry;
    let own = own(config, identity, listening);
    let store = store(&config.data.folder, address.map(Into::into));
    let _ours = turn.wait().await.ok_or(Failure::Meanwhile)?;
    let tried = match address {
        Some(address) => {
            tell(Step::Dials(address.into()));
            let failed = |failure| Failure::Direct { address: address.into(), failure };
            pair::dial(address, code, own, &*store).await.map_err(failed)
        }
        None => {
            tell(Step::Asks(ways(config)));
            pair::dial_through(&config.signaling, code, own, &*store, figures).await.map_err(Failure::Relayed)
        }
    };
    if tried.is_ok() {
        turn.end();
    }
    tried
}

fn ways(config: &Config) -> &'static str {
    match (config.signaling.hub_options().is_some(), config.signaling.broker_options().is_some()) {
        (true, true) => "hub and broker",
        (true, false) => "the hub",
        _ => "the broker",
    }
}

/// Where somebody waits in this network, if it is one. A code is not tried on several: each would have a guess.
async fn find(entry: &Entry<'_>, whereabouts: Whereabouts, limit: Duration) -> Result<String, Failure> {
    if !entry.config.discovery.enabled {
        return Err(Failure::NotLookedFor);
    }
    let found = match whereabouts {
        Whereabouts::Among(mut found, shown_by) => {
            let is_meant = |it: &Neighbour| it.waits && shown_by.as_ref().is_none_or(|id| *id == it.id.to_string());
            let waits = |found: &Vec<Neighbour>| found.iter().any(is_meant);
            let found =
                timeout(limit, found.wait_for(waits)).await.ok().and_then(Result::ok).map(|found| found.clone());
            found.map(|found| found.into_iter().filter(is_meant).collect())
        }
        _ => Some(discovery::look(entry.identity.fingerprint(), limit, |neighbour| neighbour.waits).await?),
    };
    choose(&found.unwrap_or_default())
}

fn choose(found: &[Neighbour]) -> Result<String, Failure> {
    let waiting: Vec<_> = found.iter().filter(|neighbour| neighbour.waits).collect();
    match waiting[..] {
        [one] => one.addresses.first().map(ToString::to_string).ok_or(Failure::Nobody),
        [] => Err(Failure::Nobody),
        [..] => {
            let list: Vec<_> = waiting.iter().map(ToString::to_string).collect();
            Err(Failure::Several(list.join("\n  ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::ShortId;
    use crate::pairing::Fingerprint;

    fn neighbour(site: &str, waits: bool, last: u8) -> Neighbour {
        let id = ShortId::from(Fingerprint::of(site.as_bytes()));
        Neighbour { site: site.into(), id, waits, addresses: vec![([192, 0, 2, last], 7413).into()] }
    }

    #[test]
    fn a_code_is_tried_on_one_portal_only() {
        let (paired, one, other) = (neighbour("A", false, 1), neighbour("B", true, 2), neighbour("C", true, 3));
        assert!(matches!(choose(&[]), Err(Failure::Nobody)));
        assert!(matches!(choose(std::slice::from_ref(&paired)), Err(Failure::Nobody)));
        assert_eq!(choose(&[paired.clone(), one.clone()]).unwrap(), "192.0.2.2:7413");
        let several = choose(&[paired, one, other]).unwrap_err().to_string();
        assert!(several.contains("192.0.2.2") && several.contains("192.0.2.3") && !several.contains("192.0.2.1:"));
    }

    /// Two people at two portals, each with the other one's code: one of the two pairings comes to be, and both portals have it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn codes_that_are_entered_at_both_ends_at_once_pair_once() {
        use crate::config::paired;
        use crate::pairing::attempts::Showing;
        use crate::signaling::pair::{Host, Listening};
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let mut ends = Vec::new();
        for folder in &folders {
            let mut config = Config::default();
            config.data.folder = folder.path().into();
            let (listening, address) = Listening::bind("127.0.0.1:0").unwrap();
            config.signaling.listen = address.to_string();
            config.link.loopback = true;
            let identity = Identity::load_or_create(folder.path()).unwrap();
            let (showing, mut shown) = watch::channel(None);
            let turn = Turn::default();
            let host = Host {
                own: own(&config, &identity, Some(address)),
                store: store(folder.path(), None),
                figures: Arc::default(),
                showing,
                signaling: config.signaling.clone(),
                turn: turn.clone(),
            };
            let waits = tokio::spawn(listening.run(host));
            let Showing::Code(code, _) = shown.wait_for(Option::is_some).await.unwrap().unwrap() else { panic!() };
            ends.push((config, identity, turn, address, code, waits));
        }
        let codes: Vec<_> = ends.iter().map(|end| (end.3.to_string(), end.4)).rev().collect();
        let entering = ends.into_iter().zip(codes).map(|((config, identity, turn, .., waits), (address, code))| {
            tokio::spawn(async move {
                let listening = configured(&config);
                let entry =
                    Entry { config: &config, identity: &identity, listening, figures: &Arc::default(), turn: &turn };
                let entered = enter(&code, Whereabouts::At(address), &entry, &|_| {}).await;
                match entered {
                    // Who enters shows nothing any more, as in a portal.
                    Ok(_) => waits.abort(),
                    Err(Failure::Meanwhile) => drop(waits.await.unwrap()),
                    Err(failure) => panic!("{failure}"),
                }
                turn.take().is_none()
            })
        });
        let entering: Vec<_> = entering.collect();
        for entered in entering {
            assert!(entered.await.unwrap(), "nobody else can pair");
        }
        let pinned = folders.each_ref().map(|folder| {
            let text = std::fs::read_to_string(paired::path(folder.path())).unwrap();
            let own = Identity::load_or_create(folder.path()).unwrap().fingerprint().to_string();
            let table: toml::Table = text.parse().unwrap();
            let of = |key: &str| table["pairing"][key].as_str().unwrap().to_owned();
            (own, of("far_end"), of("words"))
        });
        assert_eq!((&pinned[0].0, &pinned[0].1), (&pinned[1].1, &pinned[1].0));
        assert_eq!(pinned[0].2, pinned[1].2);
    }
}
