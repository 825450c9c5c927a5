//! `screen-portal hub`: runs the signalling server until it is told to stop.

use super::{Exit, Failure, start_log};
use crate::config::Config;
use crate::hub;
use crate::ops::systemd;
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Builder;

/// Variables that servers of this kind are usually configured by.
const PORT: &str = "PORT";
const LOG_LEVEL: &str = "LOG_LEVEL";

/// `screen-portal hub`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "The variable PORT sets the port, and LOG_LEVEL how much is logged, where they are set. All else is in the section [hub] \
                        of the configuration: tokens, certificate, limits."
)]
pub struct Hub {
    /// Address to listen on [default: hub.listen of the configuration]
    #[arg(long, value_name = "IP:PORT")]
    listen: Option<SocketAddr>,
}

/// Runs it. `variable` gives the environment's.
pub fn run(hub: &Hub, config: &Config, variable: impl Fn(&str) -> Option<String>) -> Result<Exit, Failure> {
    let mut config = with_variables(config.clone(), variable).map_err(|problem| (Exit::Configuration, problem))?;
    if let Some(listen) = hub.listen {
        config.hub.listen = listen;
    }
    start_log(&config)?;
    let failed = |error: std::io::Error| (Exit::Failed, format!("the hub's threads cannot be started: {error}"));
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let runtime = Builder::new_multi_thread().thread_name("hub").enable_all().build().map_err(failed)?;
    let hub = {
        let _inside = runtime.enter();
        hub::start(&config.hub, &config.data.folder).map_err(|error| match error {
            hub::Error::Bind { .. } => (Exit::Port, error.to_string()),
            hub::Error::Certificate(_) => (Exit::Configuration, error.to_string()),
        })?
    };
    let scheme = if config.hub.tls == hub::Tls::Off { "ws" } else { "wss" };
    tracing::info!("the hub is at {scheme}://{}/", hub.address());
    if config.hub.tokens.is_empty() {
        tracing::info!("everybody who reaches the hub may use it: [hub] tokens says who may");
    }
    systemd::ready();
    if let Some(every) = systemd::watchdog_interval() {
        runtime.spawn(async move {
            loop {
                systemd::feed();
                tokio::time::sleep(every.min(Duration::from_secs(10))).await;
            }
        });
    }
    let by = signals.forever().next();
    systemd::stopping();
    tracing::info!("{}: ending", if by == Some(SIGINT) { "SIGINT" } else { "SIGTERM" });
    runtime.block_on(hub.close());
    runtime.shutdown_timeout(Duration::from_millis(200));
    Ok(Exit::Success)
}

/// What `PORT` and `LOG_LEVEL` say, where they say something.
fn with_variables(mut config: Config, variable: impl Fn(&str) -> Option<String>) -> Result<Config, String> {
    let said = |name| variable(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Some(port) = said(PORT) {
        let port = port.parse().map_err(|_| format!("the variable {PORT} is `{port}`: must be from 0 to 65535"))?;
        config.hub.listen.set_port(port);
    }
    if let Some(level) = said(LOG_LEVEL) {
        config.log.level = level.to_ascii_lowercase();
        config.log.check().map_err(|invalid| format!("the variable {LOG_LEVEL}: {}", invalid.problem))?;
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_variables_count() {
        let with = |name: &'static str, value: &'static str| {
            with_variables(Config::default(), move |asked| (asked == name).then(|| value.to_owned()))
        };
        assert_eq!(with("PORT", "8080").unwrap().hub.listen.port(), 8080);
        assert_eq!(with("PORT", " ").unwrap().hub.listen.port(), 7415);
        assert!(with("PORT", "80800").unwrap_err().contains("PORT"));
        assert_eq!(with("LOG_LEVEL", "DEBUG").unwrap().log.level, "debug");
        assert!(with("LOG_LEVEL", "loud").unwrap_err().contains("LOG_LEVEL"));
    }
}
