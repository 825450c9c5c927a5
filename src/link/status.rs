//! What the link tells the rest of the portal.

use crate::hours::Announced;
use crate::ops::{FarCamera, LinkState, Path, Slate};

/// The link, for the display and the operator. Told whenever it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The state.
    pub state: LinkState,
    /// What to show instead of the far end's picture, if anything.
    pub slate: Slate,
    /// What the far end says of its camera.
    pub far_camera: FarCamera,
    /// The far end's name for its place, once it told us: at most 64 characters, none of them control characters.
    pub far_site: Option<String>,
    /// One line for the operator about the last thing that went wrong, while the link is not live.
    pub trouble: Option<String>,
    /// The far end's opening hours, once it told us. Untrusted: see [`Announced::read`].
    pub far_hours: Option<Vec<Announced>>,
    /// The way that packets take, while there is a connection and it is known.
    pub path: Option<Path>,
}
