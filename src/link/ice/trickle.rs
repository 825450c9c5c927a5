//! Candidates that are found after the description was sent (RFC 8838): what STUN and TURN servers answer, a round trip or several
//! later. Without them a description would wait for the slowest server, three seconds where one does not answer.

use std::collections::HashMap;

/// Candidates of ours that are sent after the description, for each attempt. More are left out; there is one for each local address and
/// server.
pub(in crate::link) const MOST_SENT: usize = 16;
/// The far end's that are taken, for each attempt. More are ignored.
pub(in crate::link) const MOST_TAKEN: usize = 32;

/// Our candidates of one attempt.
#[derive(Debug, Default)]
pub(in crate::link) struct Gathered {
    /// Not told to the far end yet.
    waiting: Vec<String>,
    released: bool,
    sent: usize,
}

impl Gathered {
    /// A candidate was found. It is given back if it is to be sent at once.
    pub fn found(&mut self, candidate: String) -> Option<String> {
        if self.sent + self.waiting.len() >= MOST_SENT {
            return None;
        }
        if self.released {
            self.sent += 1;
            return Some(candidate);
        }
        self.waiting.push(candidate);
        None
    }

    /// This description is about to be sent: what it holds need not be sent again.
    pub fn described(&mut self, sdp: &str) {
        self.waiting.retain(|candidate| !sdp.contains(candidate.as_str()));
    }

    /// The description was sent: so can be what has been found since.
    pub fn release(&mut self) -> Vec<String> {
        self.released = true;
        self.sent += self.waiting.len();
        std::mem::take(&mut self.waiting)
    }
}

/// The far end's candidates that came before there was a connection to take them.
#[derive(Debug, Default)]
pub(in crate::link) struct Early {
    waiting: HashMap<u64, Vec<String>>,
}

impl Early {
    /// Keeps a candidate for the connection `id`.
    pub fn keep(&mut self, id: u64, candidate: String) {
        let waiting = self.waiting.entry(id).or_default();
        if waiting.len() < MOST_TAKEN {
            waiting.push(candidate);
        }
    }

    /// Those of a connection; also to be called for one that is not wanted any more.
    pub fn take(&mut self, id: u64) -> Vec<String> {
        self.waiting.remove(&id).unwrap_or_default()
    }
}

/// The candidates in a description, as attributes without `a=`.
pub(in crate::link) fn candidates(sdp: &str) -> impl Iterator<Item = &str> {
    sdp.lines()
        .filter_map(|line| line.strip_prefix("a="))
        .filter(|line| line.starts_with("candidate:"))
        .take(MOST_TAKEN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_sent_twice_or_too_early() {
        let mut gathered = Gathered::default();
        assert_eq!(gathered.found("candidate:1 host".into()), None);
        assert_eq!(gathered.found("candidate:2 srflx".into()), None);
        gathered.described("v=0\r\na=candidate:1 host\r\n");
        assert_eq!(gathered.found("candidate:3 relay".into()), None, "the description is not sent yet");
        assert_eq!(gathered.release(), ["candidate:2 srflx", "candidate:3 relay"]);
        assert_eq!(gathered.found("candidate:4 relay".into()).as_deref(), Some("candidate:4 relay"));
        let more = (0..100).filter_map(|_| gathered.found("candidate:5".into())).count();
        assert_eq!(more, MOST_SENT - 3);
    }

    proptest! {
        #[test]
        fn the_library_survives_any_candidate(at: prop::sample::Index, length in 0..8_usize, with in "[ -~]{0,12}") {
            let good = "842163049 1 tcp 1677729535 2001:db8::7 46154 typ srflx raddr 10.0.0.2 rport 46154 tcptype passive generation 0";
            let at = at.index(good.len());
            let damaged = [&good[..at], &with, &good[(at + length).min(good.len())..]].concat();
            let _ = rtc::ice::candidate::unmarshal_candidate(&damaged);
            let _ = rtc::ice::candidate::unmarshal_candidate(&with);
        }
    }

    #[test]
    fn early_ones_are_kept_and_bounded() {
        let mut early = Early::default();
        for _ in 0..100 {
            early.keep(7, "candidate:1".into());
        }
        assert_eq!(early.take(7).len(), MOST_TAKEN);
        assert!(early.take(7).is_empty());
    }

    #[test]
    fn candidates_of_a_description() {
        let sdp = "v=0\r\nm=video 9\r\na=candidate:1 1 tcp 5 10.0.0.1 9 typ host tcptype active\r\na=mid:0\r\na=candidate:2\r\n";
        let found: Vec<_> = candidates(sdp).collect();
        assert_eq!(found, ["candidate:1 1 tcp 5 10.0.0.1 9 typ host tcptype active", "candidate:2"]);
    }
}
