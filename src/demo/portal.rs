//! One portal as a process of its own, with a folder for its configuration, identity and log.

use super::Error;
use super::child::Child;
use super::status::{Client, Status};
use crate::config::Config;
use crate::pairing::Identity;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

/// How a portal's process is to be started.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program.
    pub executable: PathBuf,
    /// Put before the program's own command line: `ip netns exec a`, for instance.
    pub wrapper: Vec<String>,
    /// Its configuration, written to `portal.toml` in the data folder that the configuration names.
    pub config: Config,
    /// Without a window.
    pub headless: bool,
    /// Environment variables to set: `DISPLAY`, for instance.
    pub environment: Vec<(String, String)>,
}

/// A running portal. It ends when this value is dropped.
#[derive(Debug)]
pub struct Portal {
    /// Its process.
    pub child: Child,
    site: String,
    status: SocketAddr,
    client: Client,
}

impl Portal {
    /// Starts it.
    pub fn start(plan: &Plan) -> Result<Self, Error> {
        let folder = &plan.config.data.folder;
        let file = folder.join("portal.toml");
        let failed = |problem: String| Error::Write { path: file.clone(), problem };
        std::fs::create_dir_all(folder).map_err(|error| failed(error.to_string()))?;
        let text = toml::to_string(&plan.config).map_err(|error| failed(error.to_string()))?;
        std::fs::write(&file, text).map_err(|error| failed(error.to_string()))?;

        let mut words = plan.wrapper.iter().map(std::ffi::OsString::from).chain([plan.executable.clone().into()]);
        // The program is the last word, so there is always a first one.
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).arg("run").arg("--config").arg(&file);
        if plan.headless {
            command.arg("--headless");
        }
        // The file says all; what is meant for a portal that the caller runs himself is not for this one.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("SCREEN_PORTAL_")) {
                command.env_remove(name);
            }
        }
        command.envs(plan.environment.iter().map(|(name, value)| (name, value)));
        let log = std::fs::File::create(folder.join("output.log")).map_err(|error| failed(error.to_string()))?;
        command.stdout(log);
        let child = Child::start(&plan.config.site.name, command, &folder.join("portal.log"), libc::SIGKILL)?;
        let (site, status) = (plan.config.site.name.clone(), plan.config.status.listen);
        Ok(Self { child, site, status, client: Client::default() })
    }

    /// The name of its place.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// What it says of itself; `None` while it does not answer.
    pub fn status(&self) -> Option<Status> {
        self.client.status(self.status)
    }
}

/// Two configurations made of `base`, paired with each other over loopback: the first listens, the second dials. Their data folders
/// are made inside `folder` and hold their identities afterwards.
pub fn pair(base: &Config, sites: [&str; 2], folder: &Path) -> Result<[Config; 2], Error> {
    let [first_signaling, second_signaling, first_status, second_status] = free_ports()?;
    let mut configs = sites.map(|site| {
        let mut config = base.clone();
        config.site.name = site.into();
        config.data.folder = folder.join(site.to_lowercase());
        config.status.enabled = true;
        // Real sockets, but nothing leaves the machine, whatever networks it has.
        config.link.addresses = vec![Ipv4Addr::LOCALHOST.into()];
        config
    });
    let fingerprints = [
        Identity::load_or_create(&configs[0].data.folder)?.fingerprint(),
        Identity::load_or_create(&configs[1].data.folder)?.fingerprint(),
    ];
    let [first, second] = &mut configs;
    first.pairing.far_end = Some(fingerprints[1]);
    second.pairing.far_end = Some(fingerprints[0]);
    first.signaling.listen = first_signaling.to_string();
    first.signaling.dial = String::new();
    second.signaling.listen = second_signaling.to_string();
    second.signaling.dial = first_signaling.to_string();
    first.status.listen = first_status;
    second.status.listen = second_status;
    Ok(configs)
}

/// Addresses of this machine whose ports nobody uses at the moment. Somebody could take one before the portal does; then the portal
/// says so and ends.
fn free_ports<const N: usize>() -> Result<[SocketAddr; N], Error> {
    let mut listeners = Vec::with_capacity(N);
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::Ports)?;
        *address = listener.local_addr().map_err(Error::Ports)?;
        // Kept until all are found, so that all differ.
        listeners.push(listener);
    }
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_pins_each_other_and_one_dials() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = pair(&Config::default(), ["Here", "There"], folder.path()).unwrap();
        let identity = |config: &Config| Identity::load_or_create(&config.data.folder).unwrap().fingerprint();
        assert_eq!(first.pairing.far_end, Some(identity(&second)));
        assert_eq!(second.pairing.far_end, Some(identity(&first)));
        assert_ne!(first.pairing.far_end, second.pairing.far_end);
        assert_eq!(second.signaling.dial, first.signaling.listen.to_string());
        assert_ne!(first.status.listen, second.status.listen);
        // It survives the file that the portal reads it from.
        assert_eq!(toml::from_str::<Config>(&toml::to_string(&first).unwrap()).unwrap(), first);
    }
}
