//! Configuration.

/// A value that the configuration cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Invalid {
    /// The key inside its section, `width` for instance.
    pub key: &'static str,
    /// What is wrong with the value, and what is allowed.
    pub problem: String,
}
