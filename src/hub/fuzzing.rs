//! The hub without its sockets, for the fuzz target `hub`: a story of lines, each said by one of sixteen clients.

use super::access::Rights;
use super::directory::{Directory, Limits};
use super::message::{ClientId, FromHub, ToHub};
use std::sync::Arc;

/// Tells the story: the first byte of each line is who says it (its lower four bits), the rest what is said; an empty rest is a client that vanishes.
///
/// # Panics
/// If a message is not the same after writing and reading it again, or if anything is kept of clients who are gone.
pub fn story(bytes: &[u8]) {
    let mut directory = Directory::new(Limits { rooms: 4, members: 6 });
    let rights = Rights::new(Arc::new([]), None);
    let client = |number: u8| ClientId::from(u64::from(number & 15));
    for number in 0..16 {
        directory.enter(client(number));
    }
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((number, said)) = line.split_first() else { continue };
        let from = client(*number);
        if said.is_empty() {
            directory.vanish(from);
            directory.enter(from);
            continue;
        }
        let Ok(text) = std::str::from_utf8(said) else { continue };
        let Ok(message) = ToHub::read(text) else { continue };
        assert_eq!(ToHub::read(&message.to_json()).as_ref(), Ok(&message));
        for delivery in directory.carry_out(from, message, &rights).into_iter().flatten() {
            assert!(!delivery.to.is_empty(), "said to nobody: {:?}", delivery.message);
            let read = FromHub::read(&delivery.message.to_json()).expect("clients read what the hub says");
            assert_eq!(read, delivery.message);
        }
    }
    for number in 0..16 {
        directory.vanish(client(number));
    }
    assert_eq!((directory.clients(), directory.rooms()), (0, 0));
}
