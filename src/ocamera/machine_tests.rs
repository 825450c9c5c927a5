//! Scenarios: what is heard, and what is said to it.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn machine() -> Machine {
    Machine::new(DeviceId::new("harbour").unwrap(), "Harbour".into())
}

/// What is done, in short: topic and message, or what is passed on.
fn told(actions: Vec<Action>) -> Vec<String> {
    let tell = |action| match action {
        Action::Publish(Publish { topic, message, retain }) => {
            let value: Value = serde_json::from_slice(&message.to_json()).unwrap();
            assert_eq!(value["source"], "harbour");
            let kept = if retain { " retained" } else { "" };
            match &message.body {
                Body::Device(it) => format!("{topic} device online={} streaming={}{kept}", it.online, it.streaming),
                Body::Sdp { kind, sdp } => format!("{topic} {kind:?} {sdp}{kept}"),
                Body::Ice { candidate, .. } => format!("{topic} ice {candidate}{kept}"),
                Body::Error(why) => format!("{topic} error {why}{kept}"),
                body => format!("{topic} {body:?}{kept}"),
            }
        }
        Action::Pass(guest, said) => format!("{guest}: {said:?}"),
        Action::Reject(why) => format!("rejected: {why}"),
    };
    actions.into_iter().map(tell).collect()
}

fn message(source: &str, kind: &str, data: Value) -> Vec<u8> {
    json!({ "source": source, "type": kind, "data": data }).to_string().into_bytes()
}

fn offer(source: &str) -> Vec<u8> {
    message(source, "sdp", json!({ "type": "offer", "sdp": "v=0" }))
}

const HERE: &str = "/devices device online=true streaming=false";

#[test]
fn a_phone_finds_the_portal_watches_and_leaves() {
    let (mut machine, now) = (machine(), Instant::now());
    assert_eq!(machine.subscriptions(), ["/devices", "/harbour"]);
    assert_eq!(told(vec![Action::Publish(machine.gone())]), ["/devices device online=false streaming=false retained"]);
    assert_eq!(told(machine.connected(now)), [HERE]);
    let ice = |source: &str, candidate: &str| {
        message(source, "ice", json!({ "candidate": candidate, "sdpMid": "0", "sdpMLineIndex": 0 }))
    };
    let later = now + Duration::from_secs(5);
    for (what, topic, payload, retained, done) in [
        ("asks who is there", "/devices", message("phone", "query", Value::Null), false, vec![HERE]),
        (
            "another sender",
            "/devices",
            message("other", "device", json!({ "id": "other", "online": true })),
            false,
            vec![],
        ),
        ("our own echo", "/devices", message("harbour", "query", Value::Null), false, vec![]),
        ("our own echo at our own topic", "/harbour", offer("harbour"), false, vec![]),
        ("an offer to all", "/devices", offer("phone"), false, vec![]),
        ("an offer of yesterday", "/harbour", offer("phone"), true, vec![]),
        ("a candidate before all", "/harbour", ice("phone", "c"), false, vec!["rejected: no session"]),
        ("an offer", "/harbour", offer("phone"), false, vec!["ocamera phone: Offer(\"v=0\")"]),
        ("a candidate", "/harbour", ice("phone", "c"), false, vec!["ocamera phone: Candidate(\"c\")"]),
        ("the end of candidates", "/harbour", ice("phone", ""), false, vec![]),
        ("somebody else's candidate", "/harbour", ice("thief", "c"), false, vec!["rejected: no session"]),
        (
            "somebody else hangs up",
            "/harbour",
            message("thief", "hangup", Value::Null),
            false,
            vec!["rejected: no session"],
        ),
        (
            "an answer",
            "/harbour",
            message("phone", "sdp", json!({ "type": "answer", "sdp": "" })),
            false,
            vec!["rejected: an answer to nothing"],
        ),
        ("nonsense", "/harbour", b"{".to_vec(), false, vec!["rejected: malformed"]),
        ("anew", "/harbour", offer("phone"), false, vec!["ocamera phone: Offer(\"v=0\")"]),
        ("hangs up", "/harbour", message("phone", "hangup", Value::Null), false, vec!["ocamera phone: Gone"]),
        ("twice", "/harbour", message("phone", "hangup", Value::Null), false, vec!["rejected: no session"]),
    ] {
        assert_eq!(told(machine.heard(topic, &payload, retained, later)), done, "{what}");
    }
}

#[test]
fn guests_are_told_and_refused() {
    let (mut machine, now) = (machine(), Instant::now());
    let guest = GuestId::new(WAY, "phone");
    assert_eq!(told(machine.tell(&guest, ToGuest::Answer("v=0".into()))), [] as [&str; 0], "nobody asked");
    machine.heard("/harbour", &offer("phone"), false, now);
    let candidate = crate::guests::message::Candidate { candidate: "c".into(), mid: Some("0".into()), line: 0 };
    assert_eq!(told(machine.tell(&guest, ToGuest::Answer("v=0".into()))), ["/phone Answer v=0"]);
    assert_eq!(told(machine.tell(&guest, ToGuest::Candidate(candidate))), ["/phone ice c"]);
    assert_eq!(told(machine.tell(&guest, ToGuest::Refused("full".into()))), ["/phone error full", "/phone HangUp"]);
    assert_eq!(told(machine.tell(&guest, ToGuest::HangUp(String::new()))), [] as [&str; 0], "the session is over");
    machine.heard("/harbour", &offer("phone"), false, now);
    assert_eq!(told(machine.tell(&guest, ToGuest::HangUp(String::new()))), ["/phone HangUp"]);
}

#[test]
fn a_crowd_that_asks_at_once_gets_one_answer_and_one_a_second() {
    let (mut machine, start) = (machine(), Instant::now());
    machine.connected(start);
    let at = |ms| start + Duration::from_millis(ms);
    let query = message("phone", "query", Value::Null);
    let mut answers = 0;
    for ms in 0..10_000 {
        answers += machine.heard("/devices", &query, false, at(ms)).len() + machine.turn(at(ms)).len();
    }
    assert_eq!(answers, 9, "the first second has the one that it said itself");
    // Who was the last to ask is answered, too.
    assert_eq!(machine.due(), Some(at(10_000)));
    assert_eq!(told(machine.turn(at(10_000))), [HERE]);
    assert_eq!((machine.due(), machine.turn(at(20_000))), (None, vec![]));
}

#[test]
fn changes_are_said_and_nothing_else() {
    let (mut machine, now) = (machine(), Instant::now());
    machine.connected(now);
    let streaming = "/devices device online=true streaming=true";
    assert_eq!(told(machine.watching(1, now)), [streaming]);
    assert_eq!(told(machine.watching(2, now)), [] as [&str; 0]);
    assert_eq!(told(machine.rename("Harbour".into(), now)), [] as [&str; 0]);
    assert_eq!(told(machine.rename("Port".into(), now)), [streaming]);
    assert_eq!(told(machine.watching(0, now)), [HERE]);
    assert_eq!(told(vec![Action::Publish(machine.gone())]), ["/devices device online=false streaming=false retained"]);
}

#[test]
fn under_ever_new_names_nobody_fills_the_memory() {
    let (mut machine, now) = (machine(), Instant::now());
    for n in 0..1000 {
        machine.heard("/harbour", &offer(&format!("phone-{n}")), false, now);
    }
    assert_eq!(machine.guests.len(), MOST_KNOWN);
    machine.connected(now);
    assert!(machine.guests.is_empty());
}

proptest! {
    /// Whatever a broker or anybody at it says: answers go to whom made an offer, or to all, and only presence of our end is retained.
    #[test]
    fn nobody_else_is_ever_told_anything(story in proptest::collection::vec(("(/devices|/harbour|/x)", "(phone|thief|harbour|devices|a/b)", 0..6u8, any::<bool>()), 0..60)) {
        let (mut machine, now) = (machine(), Instant::now());
        let mut asked = std::collections::HashSet::new();
        for (topic, source, what, retained) in story {
            let payload = match what {
                0 => offer(&source),
                1 => message(&source, "hangup", Value::Null),
                2 => message(&source, "query", Value::Null),
                3 => message(&source, "ice", json!({ "candidate": "c" })),
                4 => message(&source, "error", Value::Null),
                _ => source.clone().into_bytes(),
            };
            let mut actions = machine.heard(&topic, &payload, retained, now);
            for guest in ["phone", "thief"] {
                actions.extend(machine.tell(&GuestId::new(WAY, guest), ToGuest::Answer(String::new())));
            }
            if what == 0 && topic == "/harbour" && !retained {
                asked.insert(format!("/{source}"));
            }
            for action in actions {
                if let Action::Publish(Publish { topic, retain, .. }) = action {
                    prop_assert!(!retain && (topic == "/devices" || asked.contains(&topic)), "{topic}");
                }
            }
        }
    }
}
