//! Asks the portal that runs on this machine for one of its status pages.

use crate::web;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// How long a portal that hangs may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More is no page of ours.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// The text of a page: `status`, `metrics`, `health`. What is not well is answered with 503, and as interesting.
///
/// # Errors
/// One line: why there is none.
pub fn ask(config: &web::Config, page: &str) -> Result<String, String> {
    if !config.enabled {
        return Err("the status pages are switched off".into());
    }
    let mut address = config.listen;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    let settings = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false).build();
    let answer = settings.new_agent().get(format!("http://{address}/{page}")).call();
    answer
        .and_then(|mut answer| answer.body_mut().with_config().limit(MOST_BYTES).read_to_string())
        .map_err(|error| format!("no portal answers at {address}: {error}"))
}
