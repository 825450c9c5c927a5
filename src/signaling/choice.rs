//! Which connection to use when there are several.
//!
//! Two portals that dial each other at the same moment have two connections, and must use the same one. A far end that was
//! started again, or that lost a connection without our noticing, dials while we still believe in the old connection.

use super::message::SessionId;

/// Names a connection of this process, in the order in which they were authenticated.
pub type ConnectionId = u64;

/// An authenticated connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Grows: of two connections the one with the greater number was authenticated later.
    pub id: ConnectionId,
    /// The far end's run.
    pub session: SessionId,
    /// Whether we made it.
    pub dialled: bool,
}

/// The connection to use, of those that there are:
///
/// 1. The newest one's session counts. A handshake needs the living far end, so the session seen last is the one that runs;
///    all others are remains.
/// 2. Within the session, what the portal with the smaller fingerprint dialled is used, at both ends, whatever came first.
/// 3. Of several that the same end dialled the newest: nobody dials who is connected, so the older one is lost at that end.
pub fn choose(candidates: &[Candidate], prefers_own_dial: bool) -> Option<Candidate> {
    let newest = candidates.iter().max_by_key(|candidate| candidate.id)?;
    let of_this_run = candidates.iter().filter(|candidate| candidate.session == newest.session);
    of_this_run.max_by_key(|candidate| (candidate.dialled == prefers_own_dial, candidate.id)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: ConnectionId, session: SessionId, dialled: bool) -> Candidate {
        Candidate { id, session, dialled }
    }

    #[test]
    fn scenarios() {
        let (old, new) = (SessionId::random(), SessionId::random());
        let (ours, theirs) = (true, false);
        // What there is (in the order of authentication), whether our own dial is preferred, and which one is used.
        type Scenario<'a> = (&'a str, &'a [(ConnectionId, SessionId, bool)], bool, Option<ConnectionId>);
        let scenarios: &[Scenario] = &[
            ("nothing", &[], true, None),
            ("only the less preferred one", &[(1, new, theirs)], true, Some(1)),
            ("both dialled at once, ours first", &[(1, new, ours), (2, new, theirs)], true, Some(1)),
            ("both dialled at once, theirs first", &[(1, new, theirs), (2, new, ours)], true, Some(2)),
            ("the same at the other end", &[(1, new, ours), (2, new, theirs)], false, Some(2)),
            ("the far end was started again", &[(1, old, ours), (2, new, theirs)], true, Some(2)),
            ("and then we dial it too", &[(1, old, ours), (2, new, theirs), (3, new, ours)], true, Some(3)),
            ("the far end lost one unnoticed", &[(1, new, theirs), (2, new, theirs)], true, Some(2)),
            ("remains of a run never win", &[(1, old, ours), (2, old, ours), (3, new, theirs)], true, Some(3)),
        ];
        for (what, connections, prefers_own_dial, used) in scenarios {
            let candidates: Vec<_> =
                connections.iter().map(|(id, session, by)| candidate(*id, *session, *by)).collect();
            let chosen = choose(&candidates, *prefers_own_dial).map(|candidate| candidate.id);
            assert_eq!(chosen, *used, "{what}");
        }
    }

    /// Both ends see the same two connections, each in its own order, and choose the same one.
    #[test]
    fn both_ends_agree_in_every_order() {
        let (north, south) = (SessionId::random(), SessionId::random());
        for north_sees in [[true, false], [false, true]] {
            for south_sees in [[true, false], [false, true]] {
                // `true`: dialled by north, who has the smaller fingerprint.
                let at_north: Vec<_> = (1..).zip(north_sees).map(|(id, by)| candidate(id, south, by)).collect();
                let at_south: Vec<_> = (1..).zip(south_sees).map(|(id, by)| candidate(id, north, !by)).collect();
                let north_uses = choose(&at_north, true).unwrap();
                let south_uses = choose(&at_south, false).unwrap();
                assert!(north_uses.dialled && !south_uses.dialled);
            }
        }
    }
}
