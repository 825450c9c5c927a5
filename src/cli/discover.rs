//! `screen-portal discover`: the portals in the local network.

use super::pair::act_as_owner;
use super::{Exit, Failure};
use crate::config::Loaded;
use crate::discovery::{Discovery, Neighbour};
use crate::ops::say;
use crate::pairing::Identity;
use clap::Args;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Who is found first may not be the only one: so long more are waited for.
const OTHERS: Duration = Duration::from_millis(700);

/// `screen-portal discover`.
#[derive(Clone, Debug, Args)]
pub struct Discover {
    /// How long to listen
    #[arg(long, value_name = "SECONDS", default_value_t = 3)]
    seconds: u64,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Runs the command. Whoever is found is no problem, nor is nobody.
pub fn run(discover: &Discover, loaded: &Loaded) -> Result<Exit, Failure> {
    act_as_owner(&loaded.config.data.folder)?;
    let identity = Identity::load_or_create(&loaded.config.data.folder);
    let identity = identity.map_err(|error| (Exit::Identity, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| (Exit::Failed, error.to_string()))?;
    let limit = Duration::from_secs(discover.seconds.min(86_400));
    let found = runtime.block_on(look(&identity, limit, |_| false))?;
    for neighbour in &found {
        match discover.json {
            true => say(serde_json::to_string(neighbour).unwrap_or_default()),
            false => say(format_args!("{neighbour}  {}", if neighbour.waits { "waits for pairing" } else { "paired" })),
        }
    }
    if found.is_empty() && !discover.json {
        say("No portal found in this network. A network may keep multicast from passing; addresses work all the same.");
    }
    Ok(Exit::Success)
}

/// Looks for so long, or a moment longer than until somebody is found who is `wanted`.
pub(super) async fn look(
    identity: &Identity,
    limit: Duration,
    wanted: impl Fn(&Neighbour) -> bool,
) -> Result<Vec<Neighbour>, Failure> {
    let failed = |error: crate::discovery::Error| (Exit::Failed, error.to_string());
    let discovery = Discovery::start().map_err(failed)?;
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
        looked = discovery.look(identity.fingerprint().into(), &found_in) => looked.map_err(failed)?,
        () = until_enough => {}
    }
    Ok(found_in.borrow().clone())
}
