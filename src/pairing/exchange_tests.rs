//! Two portals pair; and everything that somebody else might try.

use super::*;
use proptest::prelude::*;

const CODE: &str = "47-latin-orbit";
const OTHER: &str = "47-latin-orchard";

fn own(site: &str) -> Own {
    let ways = vec![Way::Direct { addresses: vec![[192, 0, 2, 1].into()], port: 7413 }];
    Own { identity: Identity::make().unwrap(), site: site.into(), ways }
}

fn code(text: &str) -> Code {
    text.parse().unwrap()
}

/// Both ends of an exchange, and all that was said.
struct Two {
    enters: Exchange,
    shows: Exchange,
    /// Who said it, and what.
    said: Vec<(Role, String)>,
    pinned: [Option<Paired>; 2],
    failed: [Option<Failure>; 2],
}

/// Carries messages between the two ends; `tamper` may change each on its way, or swallow it.
fn carry(
    (enters, first): (Exchange, String),
    shows: Exchange,
    now: Instant,
    mut tamper: impl FnMut(Role, usize, String) -> Option<String>,
) -> Two {
    let mut two = Two { enters, shows, said: Vec::new(), pinned: [None, None], failed: [None, None] };
    let mut waiting = std::collections::VecDeque::from([(Role::Enters, first)]);
    while let Some((from, text)) = waiting.pop_front() {
        two.said.push((from, text.clone()));
        let Some(text) = tamper(from, two.said.len() - 1, text) else { continue };
        let to = from.other();
        let (end, at) = match to {
            Role::Enters => (&mut two.enters, 0),
            Role::Shows => (&mut two.shows, 1),
        };
        match end.receive(&text, now) {
            Ok(step) => {
                two.pinned[at] = step.paired.or(two.pinned[at].take());
                waiting.extend(step.send.into_iter().map(|text| (to, text)));
            }
            Err(failure) => two.failed[at] = two.failed[at].take().or(Some(failure)),
        }
    }
    two
}

fn untouched(_: Role, _: usize, text: String) -> Option<String> {
    Some(text)
}

fn begin(there: &str, here: &str) -> ((Exchange, String), Exchange, Instant) {
    let now = Instant::now();
    (Exchange::enter(&code(there), own("There"), now), Exchange::show(&code(here), own("Here"), now), now)
}

#[test]
fn two_portals_pin_each_other() {
    let (north, south, now) = (own("North"), own("South"), Instant::now());
    let two = carry(
        Exchange::enter(&code("47 LATI ORBI"), north.clone(), now),
        Exchange::show(&code(CODE), south.clone(), now),
        now,
        untouched,
    );
    assert_eq!(two.failed, [None, None]);
    let [Some(at_north), Some(at_south)] = two.pinned else { panic!() };
    assert_eq!((at_north.far_end, at_north.site.as_str()), (south.identity.fingerprint(), "South"));
    assert_eq!((at_south.far_end, at_south.site.as_str()), (north.identity.fingerprint(), "North"));
    assert_eq!((at_north.ways, &at_north.words), (south.ways, &at_south.words));
    assert_eq!(two.said.iter().map(|(from, _)| from.letter()).collect::<Vec<_>>(), *b"ESESSES");
    assert!(two.said.iter().all(|(_, text)| text.len() < 4096), "well below the limit");
    assert!(two.shows.is_spent());
    // Nothing of who they are passes in the open.
    let all: String = two.said.iter().map(|(_, text)| text.as_str()).collect();
    let certificate = data_encoding::HEXLOWER.encode(north.identity.certificate_der());
    assert!(!all.contains("North") && !all.contains("192.0.2") && !all.contains(&certificate[..32]));
}

#[test]
fn a_wrong_code_pins_nobody_and_is_spent_and_tells_nothing() {
    let (enters, shows, now) = begin(OTHER, CODE);
    let two = carry(enters, shows, now, untouched);
    assert_eq!((&two.pinned, &two.failed), (&[None, None], &[None, Some(Failure::WrongCode)]));
    assert!(two.shows.is_spent());
    // Who shows the code said nothing but its element: no proof to try other codes on.
    assert_eq!(two.said.len(), 3);
    assert_eq!(two.said.iter().filter(|(from, _)| *from == Role::Shows).count(), 1);
}

#[test]
fn whoever_leaves_before_a_guess_has_not_spent_the_code() {
    let (enters, shows, now) = begin(OTHER, CODE);
    let two = carry(enters, shows, now, |_, number, text| (number < 2).then_some(text));
    assert!(!two.shows.is_spent());
}

/// What somebody recorded is of no use with the same code, at either end.
#[test]
fn a_recorded_exchange_replayed_pins_nobody() {
    let (enters, shows, now) = begin(CODE, CODE);
    let recorded = carry(enters, shows, now, untouched).said;
    let by = |role| recorded.iter().filter(move |(from, _)| *from == role).map(|(_, text)| text);

    let mut shows = Exchange::show(&code(CODE), own("Here"), now);
    let results: Vec<_> = by(Role::Enters).map(|text| shows.receive(text, now)).collect();
    assert!(results[0].is_ok() && matches!(results[1], Err(Failure::WrongCode)), "{results:?}");
    assert!(results[2..].iter().all(Result::is_err) && shows.is_spent());

    let (mut enters, _) = Exchange::enter(&code(CODE), own("There"), now);
    let results: Vec<_> = by(Role::Shows).map(|text| enters.receive(text, now)).collect();
    assert!(results[0].is_ok() && matches!(results[1], Err(Failure::WrongCode)), "{results:?}");
    assert!(results[2..].iter().all(Result::is_err));
}

/// Each message changed in each of its bytes' places, dropped, doubled, or sent back to its sender.
#[test]
fn a_man_in_the_middle_who_changes_messages_pins_nobody_wrongly() {
    for number in 0..7 {
        for flip in [0usize, 7, 40, 90] {
            let (enters, shows, now) = begin(CODE, CODE);
            let two = carry(enters, shows, now, |_, at, text| {
                if at != number {
                    return Some(text);
                }
                // A hexadecimal digit of the payload becomes another one.
                let start = text.rfind(":\"").map_or(0, |at| at + 2);
                let place = start + flip % (text.len() - start - 2);
                let with = if text.as_bytes()[place] == b'0' { "1" } else { "0" };
                Some(format!("{}{with}{}", &text[..place], &text[place + 1..]))
            });
            // The last message's loss leaves one end pinned: to the right one.
            assert!(two.pinned[0].is_none(), "{number} {flip}");
            assert!(number == 6 || two.pinned[1].is_none(), "{number} {flip}");
            assert!(two.failed.iter().any(Option::is_some), "{number} {flip}");
        }
        let (enters, shows, now) = begin(CODE, CODE);
        let two = carry(enters, shows, now, |_, at, text| (at != number).then_some(text));
        assert!(two.pinned[0].is_none() && (number == 6 || two.pinned[1].is_none()), "{number}");
    }
    let (enters, shows, now) = begin(CODE, CODE);
    let (mut mirror, first) = enters;
    assert_eq!(mirror.receive(&first, now).unwrap_err(), Failure::OutOfTurn);
    drop(shows);
}

/// Somebody in between who plays each end against himself, with a guess of his own, and his own certificate.
#[test]
fn a_man_in_the_middle_with_his_own_exchanges_has_one_guess() {
    let now = Instant::now();
    let two = carry(
        Exchange::enter(&code(CODE), own("There"), now),
        Exchange::show(&code(OTHER), own("Mallory"), now),
        now,
        untouched,
    );
    assert_eq!(two.pinned, [None, None]);
    let two = carry(
        Exchange::enter(&code(OTHER), own("Mallory"), now),
        Exchange::show(&code(CODE), own("Here"), now),
        now,
        untouched,
    );
    assert_eq!(two.pinned, [None, None]);
}

/// Who knows the code (it was read over somebody's shoulder) cannot show a certificate whose key he has not.
#[test]
fn a_certificate_without_its_key_is_not_pinned() {
    let (victim, thief) = (own("Victim"), own("Thief"));
    let now = Instant::now();
    let mut shows = Exchange::show(&code(CODE), own("Here"), now);
    let half = Half::new(&code(CODE), Role::Enters);
    let start = Frame::Start { version: VERSION, element: half.element() }.to_json();
    let reply = shows.receive(&start, now).unwrap().send.remove(0);
    let Ok(Frame::Reply { element, .. }) = Frame::parse(&reply) else { panic!() };
    let mut keys = half.finish(&element).unwrap();
    shows.receive(&Frame::Proof { mac: keys.proof() }.to_json(), now).unwrap();
    let message = to_be_signed(Role::Enters, keys.binding(), victim.identity.fingerprint());
    let card = Card {
        certificate: victim.identity.certificate_der().to_vec(),
        signature: thief.identity.sign(&message).unwrap(),
        site: "Victim".into(),
        ways: vec![],
    };
    let sealed = seal(&mut keys, &Sealed::Card(card)).unwrap().to_json();
    assert!(matches!(shows.receive(&sealed, now), Err(Failure::Certificate(_))));
}

#[test]
fn nobody_pairs_with_himself() {
    let (own, now) = (own("One"), Instant::now());
    let two =
        carry(Exchange::enter(&code(CODE), own.clone(), now), Exchange::show(&code(CODE), own, now), now, untouched);
    assert_eq!((&two.pinned, &two.failed[0]), (&[None, None], &Some(Failure::Ourselves)));
}

#[test]
fn what_takes_too_long_is_over() {
    let (enters, mut shows, now) = begin(CODE, CODE);
    assert_eq!(shows.receive(&enters.1, now + LIMIT).unwrap_err(), Failure::Late);
    assert_eq!(shows.receive(&enters.1, now).unwrap_err(), Failure::OutOfTurn, "for good");
}

#[test]
fn order_and_version_are_kept() {
    let (enters, mut shows, now) = begin(CODE, CODE);
    let later = enters.1.replace("\"version\":1", "\"version\":2");
    assert_eq!(shows.receive(&later, now).unwrap_err(), Failure::Version(2));
    for frame in [Frame::Proof { mac: [0; 32] }, Frame::Sealed { text: vec![] }] {
        let mut shows = Exchange::show(&code(CODE), own("Here"), now);
        assert_eq!(shows.receive(&frame.to_json(), now).unwrap_err(), Failure::OutOfTurn);
        assert!(!shows.is_spent());
    }
    // A `done` where a card is due.
    let half = Half::new(&code(CODE), Role::Enters);
    let mut shows = Exchange::show(&code(CODE), own("Here"), now);
    let start = Frame::Start { version: VERSION, element: half.element() };
    let reply = shows.receive(&start.to_json(), now).unwrap().send.remove(0);
    let Ok(Frame::Reply { element, .. }) = Frame::parse(&reply) else { panic!() };
    let mut keys = half.finish(&element).unwrap();
    shows.receive(&Frame::Proof { mac: keys.proof() }.to_json(), now).unwrap();
    let done = seal(&mut keys, &Sealed::Done).unwrap().to_json();
    assert_eq!(shows.receive(&done, now).unwrap_err(), Failure::OutOfTurn);
}

proptest! {
    /// Whatever somebody says who does not know the code: nobody is pinned, and nothing panics.
    #[test]
    fn nothing_said_without_the_code_pairs(seed: Vec<Vec<u8>>, shown: bool) {
        prop_assert!(!strangers_pair(shown, &seed.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    }
}
