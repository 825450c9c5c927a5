//! Wires one portal together; starts it, stops it, and says who owns which thread.
