//! What the owner of a hub, or whoever gets into a portal's room, can try. None of it gets anybody in; the link that runs never notices.

use crate::portal::{Place, Portal, Stranger, at_hub, identities, offer, talk, two_at};
use crate::proxy::{Proxy, Way, inside, with};
use screen_portal::pairing::Identity;
use screen_portal::signaling::Event;
use screen_portal::signaling::relay::room_of;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;

const A_WHILE: Duration = Duration::from_secs(4);

/// The frame of a handshake in this message, if there is one.
fn hello(message: &Value) -> Option<Value> {
    serde_json::from_str(inside(message)?["text"].as_str()?).ok()
}

fn with_hello(message: &Value, hello: &Value) -> Value {
    let mut line = inside(message).unwrap();
    line["text"] = hello.to_string().into();
    with(message, &line)
}

/// The hub shows each of the two a certificate of its own instead of the other's: it would sit in between.
#[tokio::test]
async fn swapped_fingerprints_let_nobody_in_and_are_counted() {
    let (place, own) = (Place::new(), Identity::make().unwrap());
    let certificate: String = own.certificate_der().iter().map(|byte| format!("{byte:02x}")).collect();
    let proxy = Proxy::start(place.url(), move |way, message| {
        let swapped = hello(&message).filter(|it| way == Way::FromHub && it["type"] == "hello").map(|mut hello| {
            hello["certificate"] = certificate.clone().into();
            with_hello(&message, &hello)
        });
        vec![swapped.unwrap_or(message)]
    });
    let proxy = proxy.await;
    let url = proxy.url();
    let (a, b) = identities();
    let mut north = Portal::start(&at_hub(&url), &a, b.fingerprint());
    let mut south = Portal::start(&at_hub(&url), &b, a.fingerprint());
    tokio::join!(north.never_up_for(A_WHILE), south.never_up_for(A_WHILE));
    for portal in [&north, &south] {
        assert!(portal.figures().rejected_identities > 0);
    }
}

/// The hub puts its own halves of the secret into the hellos: it would read along.
#[tokio::test]
async fn swapped_keys_let_nobody_in() {
    let place = Place::new();
    let proxy = Proxy::start(place.url(), |way, message| {
        let swapped = hello(&message).filter(|it| way == Way::FromHub && it["type"] == "hello").map(|mut hello| {
            hello["key"] = format!("{:064x}", 9).into();
            with_hello(&message, &hello)
        });
        vec![swapped.unwrap_or(message)]
    });
    let proxy = proxy.await;
    let url = proxy.url();
    let (a, b) = identities();
    let mut north = Portal::start(&at_hub(&url), &a, b.fingerprint());
    let mut south = Portal::start(&at_hub(&url), &b, a.fingerprint());
    tokio::join!(north.never_up_for(A_WHILE), south.never_up_for(A_WHILE));
    assert!(north.figures().rejected_identities + south.figures().rejected_identities > 0);
}

/// The hub says everything twice, and all of an earlier connection again in a later one. Each offer is heard once.
#[tokio::test]
async fn what_is_repeated_is_heard_once() {
    let (place, earlier) = (Place::new(), Arc::new(Mutex::new(Vec::<Value>::new())));
    let kept = Arc::clone(&earlier);
    let proxy = Proxy::start(place.url(), move |way, message| {
        let is_sealed = way == Way::FromHub && inside(&message).is_some_and(|it| it["type"] == "sealed");
        if !is_sealed {
            return vec![message];
        }
        let mut kept = kept.lock().unwrap();
        kept.push(message.clone());
        // And under the name of the line that is used now.
        let line = inside(&message).unwrap()["line"].clone();
        let old = kept.iter().map(|old| {
            let mut words = inside(old).unwrap();
            words["line"] = line.clone();
            with(&message, &words)
        });
        [message.clone()].into_iter().chain(old).collect()
    });
    let proxy = proxy.await;
    let url = proxy.url();
    let names = identities();
    let mut portals = two_at(&url, &names).await;
    for attempt in 2..6 {
        talk(&mut portals, attempt).await;
    }
    for portal in &mut portals {
        let more = timeout(Duration::from_millis(500), portal.signaling.events.recv()).await;
        assert!(more.is_err(), "{more:?}");
        assert!(portal.figures().rejected_messages > 0);
    }
    drop(portals);
    let mut portals = two_at(&url, &names).await;
    talk(&mut portals, 9).await;
    assert!(!earlier.lock().unwrap().is_empty());
}

/// The hub writes into a line: goodbyes, hellos, nonsense, texts of its own, changed ones. The two go on talking.
#[tokio::test]
async fn what_is_invented_changes_nothing() {
    let place = Place::new();
    let proxy = Proxy::start(place.url(), |way, message| {
        let Some(line) = inside(&message).filter(|it| way == Way::FromHub && it["type"] == "sealed") else {
            return vec![message];
        };
        let as_line = |change: &dyn Fn(&mut Value)| {
            let mut line = line.clone();
            change(&mut line);
            with(&message, &line)
        };
        let text = json!({ "type": "bye", "reason": "off" }).to_string();
        let mut invented = vec![
            with(&message, &json!("nonsense")),
            as_line(&|line| line["by"] = "nobody".into()),
            as_line(&|line| line["number"] = u64::MAX.into()),
            as_line(&|line| line["sealed"] = "AAAA".into()),
        ];
        for content in [
            json!({ "type": "close", "code": 1000, "reason": "in order" }),
            json!({ "type": "text", "text": text }),
            json!({ "type": "sealed", "number": 1, "sealed": "" }),
        ] {
            let (mut words, Value::Object(content)) = (line.clone(), content) else { unreachable!() };
            words.as_object_mut().unwrap().extend(content);
            invented.push(with(&message, &words));
        }
        invented.push(message);
        invented
    });
    let proxy = proxy.await;
    let url = proxy.url();
    let mut portals = two_at(&url, &identities()).await;
    for attempt in 2..20 {
        talk(&mut portals, attempt).await;
    }
    for portal in &mut portals {
        assert!(portal.figures().rejected_messages > 50);
        let more = timeout(Duration::from_millis(300), portal.signaling.events.recv()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

/// Somebody who knows both fingerprints (they are no secrets) enters the room with the far end's certificate, but without its key.
#[tokio::test]
async fn a_third_portal_in_the_room_is_nobody_and_disturbs_nobody() {
    let place = Place::new();
    let (a, b) = identities();
    let mut portals = two_at(&place.url(), &(a.clone(), b.clone())).await;
    let thief = Identity::make().unwrap();
    let room = room_of(a.fingerprint(), b.fingerprint());
    let mut stranger = Stranger::join(&place.url(), &room).await;
    // As a portal with another identity, and with the stolen name of the far end.
    for certificate in [thief.certificate_der(), b.certificate_der()] {
        let answers = stranger.dial_everybody(certificate).await;
        println!("to a stranger is said: {answers:?}");
        assert!(answers.iter().all(|it| it["type"] != "sealed"), "{answers:?}");
    }
    for attempt in 2..12 {
        talk(&mut portals, attempt).await;
    }
    for portal in &mut portals {
        let more = timeout(Duration::from_millis(300), portal.signaling.events.recv()).await;
        assert!(!matches!(more, Ok(Some(Event::Up { .. } | Event::Down { .. }))), "{more:?}");
    }
    assert!(portals.iter().all(|it| it.figures().rejected_identities > 0));
}

/// Twenty strangers in the room, who dial as much as the hub lets them.
async fn crowd(url: String, room: String, certificate: Vec<u8>) {
    let stranger = async || {
        let mut stranger = Stranger::join(&url, &room).await;
        for _ in 0..20 {
            stranger.dial_without_waiting(&certificate).await;
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    futures_util::future::join_all((0..20).map(|_| stranger())).await;
}

#[tokio::test]
async fn a_crowd_that_dials_does_not_part_them() {
    // Longer queues than usual: it is the portals that are looked at, see below for the hub.
    let place = Place::with(([127, 0, 0, 1], 0).into(), |config| config.queue_messages = 10_000);
    let (a, b) = identities();
    let mut portals = two_at(&place.url(), &(a.clone(), b.clone())).await;
    let room = room_of(a.fingerprint(), b.fingerprint());
    let crowd = tokio::spawn(crowd(place.url(), room, b.certificate_der().to_vec()));
    for attempt in 2..40 {
        talk(&mut portals, attempt).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    crowd.await.unwrap();
    for portal in &mut portals {
        let more = timeout(Duration::from_millis(300), portal.signaling.events.recv()).await;
        assert!(!matches!(more, Ok(Some(Event::Down { .. }))), "{more:?}");
    }
}

/// With a hub's usual queues such a crowd can fill the one of a portal, which is cut off then: it comes back, and the link was never asked.
#[tokio::test]
async fn a_crowd_that_cuts_them_off_is_outlived() {
    let place = Place::new();
    let (a, b) = identities();
    let mut portals = two_at(&place.url(), &(a.clone(), b.clone())).await;
    let room = room_of(a.fingerprint(), b.fingerprint());
    crowd(place.url(), room, b.certificate_der().to_vec()).await;
    let [north, south] = &mut portals;
    let both = async {
        loop {
            north.signaling.outgoing.send(offer(7)).await.unwrap();
            let heard =
                timeout(Duration::from_millis(300), async { while south.event().await != Event::Message(offer(7)) {} });
            if heard.await.is_ok() {
                return;
            }
        }
    };
    timeout(Duration::from_secs(10), both).await.expect("they talk again");
}
