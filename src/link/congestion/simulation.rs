//! Tests of the controller, to come.
