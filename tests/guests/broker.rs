//! The way in through an MQTT broker: this portal as a device of the oCamera dialect, and a telephone. mosquitto from the system's packages.

use crate::mosquitto::{Broker, broker};
use crate::phone::Phone;
use crate::portal::Portal;
use crate::viewer::Seen;
use crate::{figure, machine};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{Instant, sleep};

fn configuration(broker: &Broker, version: &str) -> String {
    let url = broker.url();
    format!("[guests]\nenabled = true\nbroker = \"{url}\"\nbroker_version = \"{version}\"\ndevice = \"harbour\"\n")
}

fn at_broker(status: &Value) -> bool {
    figure(status, "at_broker") == 1
}

fn device(online: bool, streaming: bool) -> Value {
    json!({ "source": "harbour", "type": "device",
        "data": { "id": "harbour", "name": "Harbour", "online": online, "streaming": streaming, "type": "sender" } })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_telephone_sees_the_device_watches_it_and_is_told_of_its_end() {
    let _machine = machine().await;
    let Some(broker) = broker() else { return };
    for version in ["5", "3.1.1"] {
        let folder = tempfile::tempdir().unwrap();
        let mut phone = Phone::start(&broker.url(), "phone").await;
        let options = ["--listen", "127.0.0.1:0"];
        let mut portal = Portal::start(folder.path(), &configuration(&broker, version), &options);
        portal.until("at the broker", at_broker).await;
        // The retained one is of the version before.
        let mut first = phone.next("device").await;
        if first.1 {
            assert_eq!(first.0, device(false, false));
            first = phone.next("device").await;
        }
        assert_eq!(first, (device(true, false), false), "it says that it is there");
        phone.say("/devices", "query", Value::Null).await;
        assert_eq!(phone.next("device").await, (device(true, false), false), "and says so when it is asked");

        let asked = Instant::now();
        phone.watch("harbour").await;
        phone.negotiate("harbour").await;
        println!("MQTT {version}: first picture after {} ms", asked.elapsed().as_millis());
        let until = Instant::now() + Duration::from_secs(20);
        while phone.shown.count(Seen::Camera) < 30 {
            assert!(Instant::now() < until, "{:?}", phone.shown);
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(phone.shown.count(Seen::Other), 0);
        let status = portal.until("one guest", |status| figure(status, "watching") == 1).await;
        assert_eq!(status["figures"]["watchers"][0]["id"], "ocamera phone");
        assert_eq!(phone.next("device").await.0, device(true, true), "it says that it is watched");

        phone.say("/harbour", "hangup", Value::Null).await;
        portal.until("nobody", |status| figure(status, "watching") == 0).await;
        assert_eq!(phone.next("device").await.0, device(true, false));
        // A power cut: the broker says it, and keeps it for those who come later.
        drop(portal);
        assert_eq!(phone.next("device").await.0, device(false, false));
        let mut later = Phone::start(&broker.url(), "later").await;
        assert_eq!(later.next("device").await, (device(false, false), true));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_watch_is_refused_and_nonsense_is_counted() {
    let _machine = machine().await;
    let Some(broker) = broker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let configuration = format!("{}max_viewers = 1\n", configuration(&broker, "5"));
    let mut portal = Portal::start(folder.path(), &configuration, &["--listen", "127.0.0.1:0"]);
    portal.until("at the broker", at_broker).await;
    let mut first = Phone::start(&broker.url(), "first").await;
    first.watch("harbour").await;
    first.negotiate("harbour").await;
    let mut second = Phone::start(&broker.url(), "second").await;
    second.watch("harbour").await;
    let (refused, _) = second.next("error").await;
    assert!(refused["data"]["message"].as_str().unwrap().contains("which is the most"), "{refused}");
    second.next("hangup").await;

    // In the device's own name, of yesterday, of nobody, of no form.
    let before = figure(&portal.status(), "rejected_messages");
    second.say("/harbour", "sdp", json!({ "type": "answer", "sdp": "v=0" })).await;
    second.say("/harbour", "ice", json!({ "candidate": "candidate:1" })).await;
    second.say("/harbour", "sdp", json!({ "type": "offer" })).await;
    second.say("/harbour", "dance", Value::Null).await;
    portal.until("counted", |status| figure(status, "rejected_messages") >= before + 4).await;
    let impostor = Phone::start(&broker.url(), "harbour").await;
    impostor.say("/harbour", "hangup", Value::Null).await;
    impostor.say("/devices", "query", Value::Null).await;
    first.hears_no("hangup").await;
    let seen = first.shown.count(Seen::Camera);
    sleep(Duration::from_secs(1)).await;
    assert!(first.shown.count(Seen::Camera) > seen + 5, "{:?}", first.shown);
    assert_eq!(figure(&portal.status(), "watching"), 1);
}

/// The broker ends. Who watches goes on watching; the device is back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_goes_away_takes_no_telephone_with_it() {
    let _machine = machine().await;
    let Some(mut broker) = broker() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut portal = Portal::start(folder.path(), &configuration(&broker, "5"), &["--listen", "127.0.0.1:0"]);
    portal.until("at the broker", at_broker).await;
    let mut phone = Phone::start(&broker.url(), "phone").await;
    phone.watch("harbour").await;
    phone.negotiate("harbour").await;
    broker.stop();
    portal.until("away", |status| !at_broker(status)).await;
    let seen = phone.shown.count(Seen::Camera);
    sleep(Duration::from_secs(2)).await;
    assert!(phone.shown.count(Seen::Camera) > seen + 10, "{:?}", phone.shown);
    broker.start_again();
    portal.until("back", at_broker).await;
    let mut other = Phone::start(&broker.url(), "other").await;
    other.say("/devices", "query", Value::Null).await;
    assert_eq!(other.next("device").await.0, device(true, true));
}
