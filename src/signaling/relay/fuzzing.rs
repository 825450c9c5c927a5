//! What a carrier may tell, for `fuzz/fuzz_targets/signaling.rs`.

use super::carrier::{Carrier, Heard, Peer, QUEUE};
use super::envelope::Envelope;
use super::{broker, lines};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Lets a room be told this, line by line: `+name`, `-name`, `name text`, or a topic and what stands there. Nothing may panic, and as many
/// lines are open in the end as there may be.
pub fn carried(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let (heard_in, heard) = mpsc::channel(QUEUE);
    let (say, _said) = mpsc::channel(QUEUE);
    let carrier = Carrier { name: "the fuzzer".into(), heard, say };
    let (mut lines, work) = lines::relay(carrier, Arc::default());
    runtime.block_on(async {
        let tell = async {
            for line in text.lines().take(QUEUE) {
                let heard = match line.split_once(' ') {
                    _ if line.starts_with('+') => Heard::Arrived(Peer::new(&line[1..])),
                    _ if line.starts_with('-') => Heard::Left(Peer::new(&line[1..])),
                    Some((from, text)) => {
                        if let Ok(envelope) = Envelope::parse(text) {
                            assert_eq!(Envelope::parse(&envelope.to_json()), Ok(envelope));
                        }
                        broker::read_any(from, text.as_bytes());
                        Heard::Said { from: Peer::new(from), text: text.into() }
                    }
                    None => Heard::Entered,
                };
                heard_in.send(heard).await.expect("the work goes on");
            }
            let dialled = lines.relay.dial().await;
            let mut accepted = Vec::new();
            while let Ok(line) = lines.accepted.try_recv() {
                accepted.push(line);
            }
            assert!(dialled.len() + accepted.len() <= lines::LINES);
        };
        tokio::select! {
            () = work.run() => {}
            () = tell => {}
        }
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_that_is_carried_panics(told in "([+-]?[ab]{1,2}( \\PC{0,60})?\n){0,30}") {
            super::carried(told.as_bytes());
        }
    }
}
