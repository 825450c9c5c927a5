//! `screen-portal discover`: the portals in the local network.

use super::pair::act_as_owner;
use super::{Exit, Failure};
use crate::config::Loaded;
use crate::ops::say;
use crate::pairing::Identity;
use crate::portal::discovery::look;
use clap::Args;
use std::time::Duration;

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
    let found = runtime.block_on(look(identity.fingerprint(), limit, |_| false));
    let found = found.map_err(|error| (Exit::Failed, error.to_string()))?;
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
