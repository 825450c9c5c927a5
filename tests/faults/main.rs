//! Faults of the whole program and of its threads, each brought about from outside in the program that is shipped.

mod alone;
mod configuration;
mod disks;
mod ends;
mod hold;
mod network;
mod output;
mod power;
mod program;
mod threads;
