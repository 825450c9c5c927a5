//! Being asked to end, in every state; and what the next start knows.

use super::hold::{Held, hold};
use super::program::{ALONE, Place, Program, cause, places, until, until_live};
use screen_portal::ops::Slate;
use screen_portal::ops::ending::Cause;
use std::sync::PoisonError;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What is wrong when the first portal is asked to end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Live,
    Connecting,
    FarEndKilled,
    FarEndStopped,
    Hangs(&'static str),
}

#[test]
fn sigterm_ends_within_a_second_in_every_state() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let hangs = ["capture", "encode", "decode", "commands", "watch", "network"].map(State::Hangs);
    for state in [State::Live, State::Connecting, State::FarEndKilled, State::FarEndStopped].into_iter().chain(hangs) {
        let places = places();
        let Some((mut program, far, held)) = arrange(&places, state) else { continue };
        let (took, exit) = program.end();
        println!("{:6} ms  SIGTERM, {state:?}", took.as_millis());
        assert!(took < SECOND, "{state:?}: {took:?}");
        assert_eq!(exit.code(), Some(0), "{state:?}: {}", places[0].log());
        // Where the network works, the far end hears the goodbye, whatever else hangs.
        if let (Some(far), State::Live | State::Hangs("capture" | "encode" | "decode" | "commands")) = (&far, state) {
            until(&format!("goodbye heard, {state:?}"), [far, far], SECOND, |now| {
                now[0].as_ref().is_some_and(|status| status.view.slate == Slate::FarOff)
            });
        }
        drop(held);
        // And the next start knows that it was asked to.
        let next = places[0].start();
        until("started again", [&next, &next], 5 * SECOND, |now| now[0].is_some());
        assert_eq!(cause(&next.status().unwrap()), Some(Cause::Asked), "{state:?}: {}", places[0].log());
    }
}

fn arrange(places: &[Place; 2], state: State) -> Option<(Program, Option<Program>, Option<Held>)> {
    let program = places[0].start();
    if state == State::Connecting {
        until("alone", [&program, &program], 10 * SECOND, |now| now[0].is_some());
        std::thread::sleep(SECOND);
        return Some((program, None, None));
    }
    let mut far = places[1].start();
    until_live("both started", [&program, &far], 15 * SECOND);
    match state {
        State::FarEndKilled => {
            far.process.kill().unwrap();
            far.process.wait().unwrap();
            std::thread::sleep(SECOND);
            return Some((program, None, None));
        }
        State::FarEndStopped => {
            far.signal(libc::SIGSTOP);
            std::thread::sleep(3 * SECOND);
        }
        State::Hangs(name) => match hold(program.id(), name) {
            Ok(held) => {
                std::thread::sleep(2 * SECOND);
                return Some((program, Some(far), Some(held)));
            }
            Err(reason) => {
                println!("skipped: {reason}");
                return None;
            }
        },
        State::Live | State::Connecting => {}
    }
    Some((program, Some(far), None))
}

#[test]
fn a_killed_program_is_known_as_killed() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    let mut program = places[0].start();
    until("started", [&program, &program], 10 * SECOND, |now| now[0].is_some());
    assert_eq!(cause(&program.status().unwrap()), None);
    program.process.kill().unwrap();
    program.process.wait().unwrap();
    let program = places[0].start();
    until("started again", [&program, &program], 10 * SECOND, |now| now[0].is_some());
    assert_eq!(cause(&program.status().unwrap()), Some(Cause::Killed));
    assert!(places[0].log().contains("killed or crashed"), "{}", places[0].log());
}
