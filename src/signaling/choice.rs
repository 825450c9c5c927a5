//! Which connection to use when there are several.
//!
//! Two portals that dial each other at the same moment have two connections, and must use the same one. A far end that was
//! started again, or that lost a connection without our noticing, dials while we still believe in the old connection.

use super::message::SessionId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

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

/// Which run of the far end may take over from the one in use.
///
/// A far end that was started again takes over at once. Two portals with one identity (a copied memory card) would take over
/// from each other for ever: one of them is kept, whichever it is.
#[derive(Debug, Default)]
pub struct Succession {
    used: Option<SessionId>,
    /// Those that `used` and its forerunners took over from: their runs are over, or are not the far end's only one.
    taken_over: VecDeque<SessionId>,
    takeovers: VecDeque<Instant>,
    kept_until: Option<Instant>,
}

impl Succession {
    /// A far end that is started again does so once; one that falls over and over is looked at by somebody.
    const TAKEOVERS: usize = 2;
    const WITHIN: Duration = Duration::from_secs(10);
    /// After more takeovers than that nobody takes over for so long.
    const KEPT: Duration = Duration::from_secs(30);
    /// Runs that are remembered, so that nobody can make us remember without end.
    const REMEMBERED: usize = 16;

    /// A run has proved at `now` that it is the far end: whether it may be used.
    pub fn admits(&mut self, session: SessionId, now: Instant) -> bool {
        let Some(used) = self.used.filter(|used| *used != session) else {
            self.used = Some(session);
            return true;
        };
        self.takeovers.retain(|at| now.saturating_duration_since(*at) < Self::WITHIN);
        if self.taken_over.contains(&session) || self.kept_until.is_some_and(|until| now < until) {
            return false;
        }
        if self.takeovers.len() >= Self::TAKEOVERS {
            self.kept_until = Some(now + Self::KEPT);
            return false;
        }
        if self.taken_over.len() >= Self::REMEMBERED {
            self.taken_over.pop_front();
        }
        self.taken_over.push_back(used);
        self.takeovers.push_back(now);
        self.used = Some(session);
        true
    }

    /// The run in use has lost its last connection: whoever comes now is welcome.
    pub fn ended(&mut self) {
        (self.used, self.kept_until) = (None, None);
        self.taken_over.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs by number; 0 is the end of the connection in use.
    #[test]
    fn who_may_take_over() {
        type Scenario<'a> = (&'a str, &'a [(f64, usize, bool)]);
        let scenarios: &[Scenario] = &[
            ("a restart that nobody noticed", &[(0.0, 1, true), (9.0, 2, true), (9.0, 2, true)]),
            (
                "restarts in a row, each noticed",
                &[
                    (0.0, 1, true),
                    (1.0, 0, true),
                    (1.1, 2, true),
                    (2.0, 0, true),
                    (2.1, 3, true),
                    (3.0, 0, true),
                    (3.1, 4, true),
                ],
            ),
            (
                "two with one identity: the one that came last is kept",
                &[(0.0, 1, true), (5.0, 2, true), (5.1, 1, false), (5.2, 1, false), (3600.0, 1, false)],
            ),
            ("until it ends", &[(0.0, 1, true), (5.0, 2, true), (5.1, 1, false), (6.0, 0, true), (6.1, 1, true)]),
            (
                "ever new runs",
                &[
                    (0.0, 1, true),
                    (1.0, 2, true),
                    (2.0, 3, true),
                    (3.0, 4, false),
                    (4.0, 5, false),
                    (32.9, 6, false),
                    (33.1, 7, true),
                ],
            ),
            (
                "ever new runs beside one that comes back",
                &[
                    (0.0, 1, true),
                    (1.0, 2, true),
                    (2.0, 0, true),
                    (2.1, 1, true),
                    (3.0, 3, true),
                    (4.0, 0, true),
                    (4.1, 1, true),
                    (5.0, 4, false),
                    (5.1, 0, true),
                    (5.2, 4, true),
                ],
            ),
        ];
        let runs: Vec<_> = (0..8).map(|_| SessionId::random()).collect();
        for (what, steps) in scenarios {
            let (start, mut succession) = (Instant::now(), Succession::default());
            for (at, run, admitted) in *steps {
                if *run == 0 {
                    succession.ended();
                } else {
                    let now = start + Duration::from_secs_f64(*at);
                    assert_eq!(succession.admits(runs[*run], now), *admitted, "{what}: {run} at {at} s");
                }
            }
        }
    }

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
