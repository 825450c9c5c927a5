//! pairing: to be written.
