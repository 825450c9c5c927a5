//! `screen-portal pair`, `unpair`: two portals come to know each other, or forget each other, from the command line.

use super::{Exit, Failure};
use crate::config::{Config, Loaded, Sources, paired};
use crate::ops::{Figures, alone, say};
use crate::pairing::attempts::Showing;
use crate::pairing::{Code, Fingerprint, Identity, Paired};
use crate::portal::discovery::announce;
use crate::portal::pairing::enter::{self, Entry, Whereabouts};
use crate::portal::pairing::{Shown, own, store};
use crate::signaling::PORT;
use crate::signaling::pair::{Host, Listening, Turn};
use clap::Args;
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How often it is looked whether the portal that runs here has been paired.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A portal that runs here shows a code within this time, if it does at all. It may have just been started.
const SHOWN_WITHIN: Duration = Duration::from_secs(15);

/// `screen-portal pair`.
#[derive(Clone, Debug, Args)]
pub struct Pair {
    /// The code that the other portal shows, such as 47-harbor-orbit. Without: show one here, and wait
    #[arg(value_name = "CODE")]
    code: Option<String>,
    /// Where the other portal listens, on port 7413 if no other is said. Without: it is looked for in the local network
    #[arg(long, value_name = "HOST[:PORT]", requires = "code")]
    address: Option<String>,
    /// Give up after so long
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Say what happens as JSON, one object a line
    #[arg(long)]
    json: bool,
}

fn failed(problem: impl ToString) -> Failure {
    (Exit::Pairing, problem.to_string())
}

/// Runs the command.
pub fn run(pair: &Pair, loaded: &Loaded) -> Result<Exit, Failure> {
    if let Some(far_end) = loaded.config.pairing.far_end {
        let remedy = match loaded.is_paired_here() {
            true => "run `screen-portal unpair` first, if it is to be paired anew",
            false => "its configuration says so (pairing.far_end): take it out there first, if it is to be paired anew",
        };
        return Err(failed(format!(
            "this portal is paired already, with {}; {remedy}",
            name(&loaded.config.pairing.site, far_end)
        )));
    }
    if let Some(damaged) = &loaded.damaged_pairing {
        say(format_args!("An earlier pairing is replaced, for it cannot be read: {damaged}"));
    }
    act_as_owner(&loaded.config.data.folder)?;
    let identity = Identity::load_or_create(&loaded.config.data.folder);
    let identity = identity.map_err(|error| (Exit::Identity, error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| failed(format!("no thread for the network: {error}")))?;
    let limit = Duration::from_secs(pair.seconds.unwrap_or(86_400 * 365));
    let pairing = async {
        match &pair.code {
            Some(code) => enter(pair, code, &loaded.config, &identity).await,
            None => show(pair, loaded, &identity).await,
        }
    };
    let late = || failed(format!("nobody came within {} s", limit.as_secs()));
    let done = runtime.block_on(async { tokio::time::timeout(limit, pairing).await.unwrap_or_else(|_| Err(late())) });
    end(runtime);
    done.map(|()| Exit::Success)
}

/// What still waits for a slow name server is left behind.
fn end(runtime: Runtime) {
    runtime.shutdown_background();
}

/// The other end shows the code.
async fn enter(pair: &Pair, code: &str, config: &Config, identity: &Identity) -> Result<(), Failure> {
    let code: Code = code.parse().map_err(|error: crate::pairing::NotACode| (Exit::Usage, error.to_string()))?;
    let shown = Shown::look(&config.data.folder);
    if shown.is_some_and(|shown| shown.code == code) {
        return Err((
            Exit::Usage,
            "this is the code of the portal that runs here; enter the one that the other portal shows".into(),
        ));
    }
    let whereabouts = pair.address.as_deref().map(with_port).map_or(Whereabouts::Unknown, Whereabouts::At);
    let (figures, turn) = (Arc::new(Figures::default()), Turn::default());
    let listening = shown.map_or_else(|| enter::configured(config), |shown| shown.listening);
    let entry = Entry { config, identity, listening, figures: &figures, turn: &turn };
    let far = enter::enter(&code, whereabouts, &entry, &|_| {}).await.map_err(failed)?;
    tell_paired(pair.json, &far);
    Ok(())
}

/// With the port that portals listen on, where none is said.
fn with_port(address: &str) -> String {
    match address.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, PORT).to_string(),
        Err(_) if !address.contains(':') => format!("{address}:{PORT}"),
        Err(_) => address.into(),
    }
}

/// The code is shown here: by this command, or by the portal that runs here.
async fn show(pair: &Pair, loaded: &Loaded, identity: &Identity) -> Result<(), Failure> {
    let config = &loaded.config;
    let listen = config.signaling.listen_address();
    if listen.is_none() && !config.signaling.has_relays() {
        return Err((
            Exit::Configuration,
            "this portal does not listen ([signaling] listen is empty): enter the other one's code here".into(),
        ));
    }
    let folder = &config.data.folder;
    if alone::is_taken(folder) {
        return follow(pair, &loaded.sources, folder).await;
    }
    let (listening, address) = match listen.map(Listening::bind).transpose() {
        Ok(Some((listening, address))) => (listening, Some(address)),
        Ok(None) => (Listening::nowhere(), None),
        Err(error) => return Err((Exit::Port, error.to_string())),
    };
    let _announced = address.and_then(|address| announce(config, identity.fingerprint(), address));
    let (showing, mut shown) = watch::channel(None);
    let host = Host {
        own: own(config, identity, address),
        store: store(folder, None),
        figures: Arc::new(Figures::default()),
        showing,
        signaling: config.signaling.clone(),
        turn: Turn::default(),
    };
    let (json, site) = (pair.json, config.site.name.clone());
    let words = tokio::spawn(async move {
        while shown.changed().await.is_ok() {
            match *shown.borrow_and_update() {
                Some(Showing::Code(code, until)) => {
                    let left = until.saturating_duration_since(Instant::now()).as_secs();
                    tell_code(json, &site, &code, left, address.map_or(0, |address| address.port()));
                }
                Some(Showing::Paused(until)) => {
                    let left = until.saturating_duration_since(Instant::now()).as_secs();
                    match json {
                        true => say(json!({ "event": "paused", "seconds": left })),
                        false => say(format_args!("Too many wrong codes were tried. The next code comes in {left} s.")),
                    }
                }
                None => {}
            }
        }
    });
    let far = listening.run(host).await;
    let _ = words.await;
    tell_paired(pair.json, &far);
    Ok(())
}

/// A portal that runs here, with the same data, shows the code itself.
async fn follow(pair: &Pair, sources: &Sources, folder: &Path) -> Result<(), Failure> {
    let (mut told, began) = (None, Instant::now());
    loop {
        if let Ok(loaded) = Config::load(sources)
            && let Some(far_end) = loaded.config.pairing.far_end
        {
            match pair.json {
                true => say(json!({ "event": "paired", "far_end": far_end, "site": loaded.config.pairing.site })),
                false => say(format_args!("Paired with {}", name(&loaded.config.pairing.site, far_end))),
            }
            return Ok(());
        }
        if let Some(Shown { code, left_s, listening }) = Shown::look(folder)
            && told != Some(code)
        {
            let port = listening.map_or(0, |address| address.port());
            tell_code(pair.json, "The portal that runs here", &code, left_s, port);
            told = Some(code);
        }
        if told.is_none() && began.elapsed() > SHOWN_WITHIN {
            return Err(failed(
                "the portal that runs here shows no code: it cannot be reached in any way, or too many wrong codes were tried; its log says which",
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn tell_code(json: bool, site: &str, code: &Code, left_s: u64, port: u16) {
    if json {
        return say(json!({ "event": "code", "code": code.to_string(), "seconds": left_s, "port": port }));
    }
    say(format_args!("{site} shows the code  {code}"));
    say(format_args!("At the other portal: screen-portal pair {code}"));
    say(format_args!("It counts for {} minutes and one try. Waiting.", left_s.div_ceil(60)));
}

fn tell_paired(json: bool, far: &Paired) {
    if json {
        return say(json!({ "event": "paired", "far_end": far.far_end, "site": far.site, "words": far.words }));
    }
    say(format_args!("Paired with {}", name(&far.site, far.far_end)));
    say(format_args!("The other one must say the same words: {}", far.words));
}

fn name(site: &str, far_end: Fingerprint) -> String {
    if site.is_empty() { far_end.to_string() } else { format!("{site} ({far_end})") }
}

/// `screen-portal unpair`: whoever is not paired is unpaired, so that scripts need not ask first.
pub fn unpair(loaded: &Loaded) -> Result<Exit, Failure> {
    let folder = &loaded.config.data.folder;
    act_as_owner(folder)?;
    let removed =
        paired::remove(folder).map_err(|error| failed(format!("{}: {error}", paired::path(folder).display())))?;
    match (loaded.config.pairing.far_end, loaded.is_paired_here()) {
        (Some(far_end), false) => Err(failed(format!(
            "the configuration itself pairs this portal, with {far_end}: take pairing.far_end out of it"
        ))),
        (Some(far_end), true) => {
            say(format_args!("Not paired any more with {}", name(&loaded.config.pairing.site, far_end)));
            Ok(Exit::Success)
        }
        (None, _) => {
            say(if removed { "What was left of a pairing is gone" } else { "This portal is not paired" });
            Ok(Exit::Success)
        }
    }
}

/// Who is root on a machine whose portal runs as another user becomes that user: what is stored must be his, or the portal could not read it.
pub(super) fn act_as_owner(folder: &Path) -> Result<(), Failure> {
    // SAFETY: asks for a number.
    let is_root = unsafe { libc::geteuid() } == 0;
    let Some(owner) = std::fs::metadata(folder).ok().filter(|folder| is_root && folder.uid() != 0) else {
        return Ok(());
    };
    // SAFETY: no pointers but an empty list; there are no other threads yet that would keep their rights.
    let done = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(owner.gid()) == 0 && libc::setuid(owner.uid()) == 0
    };
    let problem = || format!("cannot act for the user of {}: {}", folder.display(), std::io::Error::last_os_error());
    if done { Ok(()) } else { Err(failed(problem())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_not_said_is_the_usual_one() {
        for (said, meant) in [
            ("192.0.2.1", "192.0.2.1:7413"),
            ("2001:db8::1", "[2001:db8::1]:7413"),
            ("kiosk.local", "kiosk.local:7413"),
            ("kiosk.local:80", "kiosk.local:80"),
            ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ] {
            assert_eq!(with_port(said), meant);
        }
    }
}
