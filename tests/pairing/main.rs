//! Two portals that do not know each other are paired: by the real program, from the command line to a live picture; and what strangers try.

mod cable;
#[allow(dead_code, reason = "tests/relay uses all of it")]
#[path = "../relay/mosquitto.rs"]
mod mosquitto;
mod network;
mod program;
mod relays;
mod strangers;

use program::{ALONE, Place, pair};
use screen_portal::pairing::{Frame, Sealed};
use std::time::{Duration, Instant};

/// Both run and wait, unpaired; one code is entered; both show each other. Then they forget each other, and are paired again the other way round.
#[test]
fn two_running_portals_are_paired_by_one_code_and_again_after_unpairing() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    let places = [Place::new("North"), Place::new("South")];
    let running = [places[0].start(), places[1].start()];
    for (n, shows, enters) in [(1, 0, 1), (2, 1, 0)] {
        // The command asks the portal that runs for its code.
        let code = places[shows].shown_code(n);
        let entered = Instant::now();
        let output = places[enters].command(&["pair", &code, "--address", &places[shows].listen]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
        let words = said.rsplit_once("same words: ").unwrap().1.trim().to_owned();
        assert_eq!(words.split(' ').count(), 3);
        program::within(Duration::from_secs(20), || running.iter().all(|it| it.is_live()));
        println!("from the code to both pictures: {:.1} s", entered.elapsed().as_secs_f64());
        assert!(places[shows].log().contains(&words), "both ends say the same words");
        // Far ends know each other's name, and nobody can pair with either any more.
        let refused = places[enters].command(&["pair", &code, "--address", &places[shows].listen]);
        assert_eq!(refused.status.code(), Some(9));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("paired already"), "{refused:?}");
        let third = Place::new("Third");
        let refused = third.command(&["pair", &code, "--address", &places[shows].listen]);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("is paired already"), "{refused:?}");
        assert!(running.iter().all(|it| it.is_live()));
        for place in &places {
            assert!(place.command(&["unpair"]).status.success());
        }
        program::within(Duration::from_secs(10), || running.iter().all(|it| it.is_unpaired()));
    }
}

/// Nothing runs yet: the two commands pair, and portals that start afterwards find each other.
#[test]
fn commands_pair_before_anything_runs() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    let places = [Place::new("North"), Place::new("South")];
    let mut shows = pair(&places[0], &["pair", "--json", "--seconds", "30"]);
    let code = shows.next("code")["code"].as_str().unwrap().to_owned();
    let entered =
        places[1].command(&["pair", "--json", &code.to_uppercase().replace('-', " "), "--address", &places[0].listen]);
    let there: serde_json::Value = serde_json::from_slice(&entered.stdout).unwrap();
    let here = shows.next("paired");
    assert_eq!((&here["site"], &there["site"]), (&"South".into(), &"North".into()));
    assert_eq!(here["words"], there["words"]);
    assert!(shows.end().success());
    let running = [places[0].start(), places[1].start()];
    program::within(Duration::from_secs(20), || running.iter().all(|it| it.is_live()));
}

#[test]
fn what_cannot_be_says_why_and_ends_with_a_code() {
    let place = Place::new("North");
    for (arguments, exit, words) in [
        (&["pair", "47-latin-orbti", "--address", "127.0.0.1:1"][..], 2, "is `orbit` meant?"),
        (&["pair", "47-latin-orbit", "--address", "127.0.0.1:1"], 9, "refused"),
        (&["pair", "--seconds", "1"], 9, "nobody came within 1 s"),
        (&["pair", "--address", "127.0.0.1:1"], 2, "CODE"),
        (&["unpair", "--far-end", &"AB".repeat(32)], 9, "take pairing.far_end out"),
    ] {
        let output = place.command(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
    assert!(place.command(&["unpair"]).status.success(), "who is not paired is unpaired");
}

/// Every example of the documentation is what it says it is.
#[test]
fn the_documented_examples_are_real() {
    let text = std::fs::read_to_string("docs/signaling.md").unwrap();
    let chapter = text.split("\n# Pairing\n").nth(1).unwrap().split("\n# ").next().unwrap();
    let examples: Vec<_> = chapter.split("```json\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let types = ["start", "reply", "proof", "sealed", "card", "done"];
    assert_eq!(examples.len(), types.len());
    for (example, wanted) in examples.iter().zip(types) {
        let value: serde_json::Value = serde_json::from_str(example).unwrap();
        assert_eq!(value["type"], wanted);
        let again = match wanted {
            "card" | "done" => Sealed::parse(example.as_bytes()).unwrap().to_json(),
            _ => Frame::parse(example).unwrap().to_json(),
        };
        assert_eq!(serde_json::from_str::<serde_json::Value>(&again).unwrap(), value);
    }
}
