//! Configuration: one type per concept, one strict way from text to values.
//!
//! Each room has its own section, with its defaults and its checks; [`Config`] puts them together. Values come, each
//! overriding the one before, from the built-in defaults, `portal.toml`, what was set at the kiosk ([`settings`]),
//! environment variables `SCREEN_PORTAL_<SECTION>_<KEY>`, and flags of the command line; see [`Config::load`]. With whom
//! it was paired by a code is kept apart ([`paired`]). Nothing is guessed and nothing passed over: what is unknown or
//! out of range is an error that names the key, where it stands, and what is allowed. `config/portal.toml` is the
//! reference of every key.

mod changes;
mod error;
mod fields;
mod file;
mod load;
pub mod paired;
mod secrets;
mod sections;
pub mod settings;

pub use changes::{Change, Effect, announcements, changes};
pub use error::{Error, Origin};
pub use load::{ENVIRONMENT_PREFIX, Flag, Loaded, Origins, Sources};
pub use secrets::Secrets;
pub use sections::{Data, Log, LogFormat, Privacy, Site};

use crate::{capture, codec::encode, discovery, display, guests, hours, hub, link, operator, pairing, signaling, web};
use serde::{Deserialize, Serialize};

/// A value that the configuration cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Invalid {
    /// The key inside its section, `width` for instance.
    pub key: &'static str,
    /// What is wrong with the value, and what is allowed.
    pub problem: String,
}

/// One section: what the loader needs to know of it.
struct Section {
    name: &'static str,
    keys: fn() -> &'static [&'static str],
    /// Whether the section can be made of these values.
    accepts: fn(toml::Table) -> Result<(), toml::de::Error>,
}

macro_rules! sections {
    ($($(#[$doc:meta])* $name:ident: $type:ty,)*) => {
        /// The whole configuration of one portal.
        #[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Config { $($(#[$doc])* pub $name: $type,)* }

        const SECTIONS: &[Section] = &[$(Section {
            name: stringify!($name),
            keys: fields::names::<$type>,
            accepts: |table| table.try_into::<$type>().map(drop),
        },)*];

        impl Config {
            /// Checks every section; names the first value that cannot be, with its section.
            pub fn check(&self) -> Result<(), (&'static str, Invalid)> {
                $(self.$name.check().map_err(|invalid| (stringify!($name), invalid))?;)*
                Ok(())
            }
        }
    };
}

sections! {
    /// The place.
    site: Site,
    /// Where outgoing pictures come from.
    source: capture::Config,
    /// The encoder.
    encode: encode::Config,
    /// The connection to the far end.
    link: link::Config,
    /// How the two portals find each other.
    signaling: signaling::Config,
    /// Being found, and finding others, in the local network.
    discovery: discovery::Config,
    /// Whom this portal is paired with.
    pairing: pairing::Config,
    /// What is not to be seen.
    privacy: Privacy,
    /// The window.
    display: display::Config,
    /// When this place is open.
    hours: hours::Config,
    /// Who may use the keys.
    operator: operator::Config,
    /// The status pages.
    status: web::Config,
    /// Others who may look at the camera.
    guests: guests::Config,
    /// The signalling server, where this program is one.
    hub: hub::Config,
    /// What is logged, and how.
    log: Log,
    /// Where the identity is kept.
    data: Data,
}

#[cfg(test)]
mod tests;
