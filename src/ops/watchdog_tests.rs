//! What the watchdog does, played second by second.

use super::*;
use Remedy::*;

/// What stage `stage` shows in each half second; all others are idle. Returns what was found, with the half second.
fn play(stage: Stage, signs: impl IntoIterator<Item = Sign>) -> Vec<(f64, Finding)> {
    let signs = signs.into_iter().map(|sign| (LOOK_EVERY, sign));
    play_timed(stage, signs).0
}

fn play_timed(stage: Stage, signs: impl IntoIterator<Item = (Duration, Sign)>) -> (Vec<(f64, Finding)>, Watchdog) {
    let (mut watchdog, mut found) = (Watchdog::default(), vec![]);
    let start = Instant::now();
    let mut now = start;
    for (later, sign) in signs {
        let mut all = [Sign::Idle; STAGES];
        all[stage as usize] = sign;
        let findings = watchdog.look(&all, now);
        found.extend(findings.into_iter().map(|finding| ((now - start).as_secs_f64(), finding)));
        now += later;
    }
    (found, watchdog)
}

/// So many half seconds that it turns, beginning at `from`.
fn turning(from: u64, looks: u64) -> impl Iterator<Item = Sign> {
    (from..from + looks).map(Sign::Turns)
}

fn hanging(at: u64, looks: usize) -> impl Iterator<Item = Sign> {
    std::iter::repeat_n(Sign::Turns(at), looks)
}

fn remedies(found: &[(f64, Finding)]) -> Vec<(f64, Remedy)> {
    let remedy = |(at, finding): &(f64, Finding)| match finding {
        Finding::Mend { remedy, .. } => Some((*at, *remedy)),
        Finding::Healed { .. } => None,
    };
    found.iter().filter_map(remedy).collect()
}

#[test]
fn ladders_stand_in_the_order_of_the_stages_and_end_with_a_new_start() {
    for (at, ladder) in LADDERS.iter().enumerate() {
        assert_eq!(ladder.stage as usize, at);
        let remedies: Vec<_> = ladder.rungs.iter().map(|(_, remedy)| *remedy).collect();
        assert_eq!(remedies.last(), Some(&GiveUp), "{:?}", ladder.stage);
        assert!(!remedies[..remedies.len() - 1].contains(&GiveUp), "{:?}", ladder.stage);
        assert!(ladder.rungs.iter().all(|(wait, _)| *wait >= s(3)), "shorter than a starved machine's hiccup");
    }
}

#[test]
fn what_is_well_is_left_alone() {
    for stage in Stage::all() {
        assert_eq!(play(stage, turning(0, 2000)), []);
        assert_eq!(play(stage, std::iter::repeat_n(Sign::Idle, 2000)), []);
        // Five pictures a second; nothing given, nothing made; given in one look, made in the next.
        let flow = |given, made| Sign::Flows { given, made };
        assert_eq!(play(stage, (0..2000).map(|n| flow(5 * n, 5 * n))), []);
        assert_eq!(play(stage, std::iter::repeat_n(flow(7, 3), 2000)), []);
        assert_eq!(play(stage, (0..2000_u64).map(|n| flow(n.div_ceil(4), n / 4))), []);
    }
}

#[test]
fn each_ladder_is_climbed_to_its_end_and_no_further() {
    for ladder in LADDERS {
        let (mut at, mut expected) = (0.0, vec![]);
        for (wait, remedy) in ladder.rungs {
            at += wait.as_secs_f64();
            expected.push((at, *remedy));
        }
        let found = play(ladder.stage, hanging(9, 5000));
        assert_eq!(remedies(&found), expected, "{:?}", ladder.stage);
        // What is given is not dealt with: the same.
        let found = play(ladder.stage, (0..5000).map(|given| Sign::Flows { given, made: 3 }));
        assert_eq!(remedies(&found), expected, "{:?}", ladder.stage);
    }
}

#[test]
fn a_remedy_that_helps_is_told_and_the_ladder_begins_anew_after_a_good_minute() {
    // Hangs for 6 s, goes on for two minutes, hangs again.
    let signs = turning(0, 10).chain(hanging(9, 12)).chain(turning(10, 240)).chain(hanging(249, 12));
    let found = play(Stage::Encoder, signs);
    let mend = |stood, remedy| Finding::Mend { stage: Stage::Encoder, stood: s(stood), remedy };
    assert_eq!(
        found,
        [
            (9.5, mend(5, NewEncoder)),
            (11.0, Finding::Healed { stage: Stage::Encoder, stood: s(6) }),
            (135.5, mend(5, NewEncoder)),
        ]
    );
}

#[test]
fn one_that_falls_over_again_and_again_climbs() {
    // Each new encoder makes two turns and hangs until the next comes.
    let signs = (0..).zip([11, 11, 40]);
    let signs = signs.flat_map(|(n, looks)| turning(100 * n, 2).chain(hanging(100 * n + 1, looks)));
    let found = remedies(&play(Stage::Encoder, signs));
    let remedies: Vec<_> = found.iter().map(|(_, remedy)| *remedy).collect();
    assert_eq!(remedies, [NewEncoder, NewEncoder, GiveUp]);
    assert!(found[2].0 < 60.0, "{found:?}");
}

#[test]
fn time_that_nobody_saw_does_not_count() {
    let half = LOOK_EVERY;
    // Stopped, or suspended, for an hour: what was on its way then goes on.
    let stopped = [(half, Sign::Turns(1)), (s(3600), Sign::Turns(2)), (half, Sign::Turns(2)), (half, Sign::Turns(3))];
    for stage in Stage::all() {
        assert_eq!(play_timed(stage, stopped).0, [], "{stage:?}");
    }
    // Starved: everything moves once in four seconds, for minutes.
    let starved = (0..100).map(|n| (s(4), Sign::Turns(n / 2)));
    for stage in Stage::all() {
        assert_eq!(play_timed(stage, starved.clone()).0, [], "{stage:?}");
    }
    // But a hang among hiccups is found.
    let hanging = (0..100).map(|_| (s(4), Sign::Turns(7)));
    assert_eq!(remedies(&play_timed(Stage::Display, hanging).0).len(), 1);
}

#[test]
fn systemd_hears_nothing_while_a_stage_stands_still_that_only_we_can_mend() {
    for ladder in LADDERS {
        let (_, watchdog) = play_timed(ladder.stage, hanging(1, 50).map(|sign| (LOOK_EVERY, sign)));
        let forgiven = matches!(ladder.stage, Stage::Capture | Stage::Encoding | Stage::Receiving | Stage::Decoding);
        assert_eq!(watchdog.is_well(), forgiven, "{:?}", ladder.stage);
        assert_eq!(watchdog.standing().map(|(stage, _)| stage).collect::<Vec<_>>(), [ladder.stage]);
        let signs = hanging(1, 50).chain(turning(2, 1)).map(|sign| (LOOK_EVERY, sign));
        let (_, watchdog) = play_timed(ladder.stage, signs);
        assert!(watchdog.is_well() && watchdog.standing().next().is_none());
    }
}

/// For each stage: until when systemd hears of us, in seconds after the stage has stood still, and when it is given up.
#[test]
fn when_systemd_hears_no_more() {
    for (stage, silent, given_up) in [
        (Stage::Capture, 600.0, 600.0),
        (Stage::Encoder, 5.0, 20.0),
        (Stage::Encoding, 600.0, 600.0),
        (Stage::Network, 10.0, 10.0),
        (Stage::Link, 10.0, 10.0),
        (Stage::Receiving, 300.0, 300.0),
        (Stage::Decoder, 5.0, 20.0),
        (Stage::Decoding, 300.0, 300.0),
        (Stage::Presenting, 5.0, 20.0),
        (Stage::Display, 15.0, 15.0),
        (Stage::Commands, 20.0, 20.0),
    ] {
        let (mut watchdog, start) = (Watchdog::default(), Instant::now());
        let mut found = [None; 2];
        for look in 0..2000 {
            let mut signs = [Sign::Idle; STAGES];
            // Given as many as ever, none made; or turned no more.
            signs[stage as usize] = match stage {
                Stage::Encoding | Stage::Receiving | Stage::Decoding | Stage::Presenting => {
                    Sign::Flows { given: 7 * look, made: 3 }
                }
                _ => Sign::Turns(3),
            };
            let findings = watchdog.look(&signs, start + LOOK_EVERY * look as u32);
            let at = look as f64 * LOOK_EVERY.as_secs_f64();
            if !watchdog.is_well() {
                found[0].get_or_insert(at);
            }
            if findings.iter().any(|it| matches!(it, Finding::Mend { remedy: GiveUp, .. })) {
                found[1].get_or_insert(at);
            }
        }
        assert_eq!(found, [Some(silent), Some(given_up)], "{stage:?}");
    }
}

#[test]
fn one_picture_that_reaches_the_glass_is_enough_for_systemd() {
    let (mut watchdog, start) = (Watchdog::default(), Instant::now());
    let mut look = |number: u32, made| {
        let mut signs = [Sign::Idle; STAGES];
        signs[Stage::Presenting as usize] = Sign::Flows { given: u64::from(number), made };
        watchdog.look(&signs, start + LOOK_EVERY * number);
        watchdog.is_well()
    };
    assert!((0..10).all(|number| look(number, 0)), "less than the bound");
    assert!((10..20).all(|number| !look(number, 0)), "decoded, not presented");
    assert!(look(20, 1));
}

#[test]
fn a_bystander_is_told_of_once_and_again_when_it_goes_on() {
    let start = Instant::now();
    let mut bystander = Bystander::default();
    // Turns for 10 s, hangs for 30 s, turns; then the machine sleeps for an hour.
    let turns = (1..=20).chain(std::iter::repeat_n(20, 60)).chain(21..=30);
    let mut told = vec![];
    let mut now = start;
    for turns in turns {
        told.extend(bystander.look(turns, now).map(|standing| ((now - start).as_secs_f64(), standing)));
        now += LOOK_EVERY;
    }
    assert_eq!(told, [(29.5, Standing::Still(s(20))), (40.0, Standing::Over(s(30)))]);
    assert_eq!(bystander.look(30, now + s(3600)), None, "time that nobody saw does not count");
}
