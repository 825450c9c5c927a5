//! signaling: to be written.
