//! This portal as a device without its broker, for the fuzz target `ocamera`: a story of lines, each something that happens.

use super::machine::{Action, Machine};
use super::message::{Body, DEVICES, DeviceId, Message};
use crate::guests::message::{Candidate, ToGuest};
use std::time::{Duration, Instant};

/// Tells the story: the first byte of each line is what happens, the rest what is said.
///
/// # Panics
/// If something is published that others cannot read, or in another's name, or that the broker would keep, or if an answer that is owed is forgotten.
pub fn story(bytes: &[u8]) {
    let own = DeviceId::new("harbour").expect("a name");
    let topic = own.topic();
    let mut machine = Machine::new(own.clone(), "Harbour".into());
    let mut now = Instant::now();
    let mut guests = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some((what, said)) = line.split_first() else { continue };
        let words = || String::from_utf8_lossy(said).into_owned();
        let actions = match what % 8 {
            0 => machine.heard(DEVICES, said, what & 8 > 0, now),
            1 | 2 => machine.heard(&topic, said, what & 8 > 0, now),
            3 => {
                let Some(guest) = guests.get(usize::from(what >> 3) % guests.len().max(1)) else { continue };
                let message = match said.first().map_or(0, |byte| byte % 5) {
                    0 => ToGuest::Offer(words()),
                    1 => ToGuest::Answer(words()),
                    2 => ToGuest::Candidate(Candidate { candidate: words(), ..Candidate::default() }),
                    3 => ToGuest::Refused(words()),
                    _ => ToGuest::HangUp(words()),
                };
                machine.tell(guest, message)
            }
            4 => machine.watching(said.len(), now),
            5 => machine.connected(now),
            6 => machine.rename(words(), now),
            _ => {
                now += Duration::from_millis(u64::from(*what) * 10);
                machine.turn(now)
            }
        };
        assert!(machine.due().is_none_or(|due| due > now), "an answer that is owed is late");
        assert!(actions.len() <= 2, "much is done for one message: {actions:?}");
        for action in actions {
            match action {
                Action::Publish(publish) => {
                    assert!(!publish.retain, "the broker would keep {:?}", publish.message);
                    assert!(
                        publish.topic.starts_with('/') && publish.topic != topic && !publish.topic.contains(['+', '#'])
                    );
                    assert_eq!(publish.message.source, own);
                    // Words are shortened as they are read.
                    if !matches!(publish.message.body, Body::Error(_) | Body::Device(_)) {
                        assert_eq!(Message::read(&publish.message.to_json()).as_ref(), Ok(&publish.message));
                    }
                }
                Action::Pass(guest, _) => {
                    guests.push(guest);
                    guests.truncate(64);
                }
                Action::Reject(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_story_ends_badly(told in "([\\x00-\\x1f](\\{\"source\":\"[ab]\",\"type\":\"(query|hangup|error|sdp)\",\"data\":\\{\"type\":\"offer\",\"sdp\":\"v\"\\}\\}|[a-z]{0,4})?\n){0,40}") {
            super::story(told.as_bytes());
        }
    }
}
