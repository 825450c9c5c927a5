//! Where the status pages are.

use crate::config::Invalid;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};

/// Section `[status]`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether there are status pages at all. Default: true.
    pub enabled: bool,
    /// Address and port, `IP:PORT`. Default: `127.0.0.1:7414`.
    pub listen: SocketAddr,
    /// Whether `listen` may be an address that other machines reach: the pages are for everybody who asks. Default: false.
    pub allow_remote: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { enabled: true, listen: (Ipv4Addr::LOCALHOST, 7414).into(), allow_remote: false }
    }
}

impl Config {
    /// Refuses to open the pages to other machines by mistake.
    pub fn check(&self) -> Result<(), Invalid> {
        if self.enabled && !self.allow_remote && !self.listen.ip().is_loopback() {
            let problem = format!(
                "{} can be reached from other machines: use 127.0.0.1:{}, or set allow_remote = true",
                self.listen,
                self.listen.port()
            );
            return Err(Invalid { key: "listen", problem });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_only_on_purpose() {
        let config =
            |listen: &str, allow_remote| Config { listen: listen.parse().unwrap(), allow_remote, enabled: true };
        assert_eq!(Config::default().check(), Ok(()));
        assert_eq!(config("[::1]:80", false).check(), Ok(()));
        assert_eq!(config("0.0.0.0:80", true).check(), Ok(()));
        let refused = config("0.0.0.0:80", false).check().unwrap_err();
        assert!(refused.problem.contains("allow_remote"), "{refused}");
    }
}
