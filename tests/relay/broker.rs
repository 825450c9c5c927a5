//! Two portals at an MQTT broker that somebody else wrote.

use crate::mosquitto::{Broker, broker};
use crate::portal::{Portal, identities, offer, talk};
use screen_portal::mqtt::{Client, Event, Message, Options, Publication, Standing, Version};
use screen_portal::pairing::Identity;
use screen_portal::signaling::{self, Config, Goodbye};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

async fn two_with(configs: [&Config; 2], (a, b): &(Identity, Identity)) -> [Portal; 2] {
    let mut portals = [Portal::start(configs[0], a, b.fingerprint()), Portal::start(configs[1], b, a.fingerprint())];
    for portal in &mut portals {
        portal.up().await;
    }
    talk(&mut portals, 1).await;
    portals
}

/// Everything that passes, and what was there before.
struct Listener {
    client: Client,
}

impl Listener {
    async fn to(broker: &Broker) -> Self {
        let options = Options { url: broker.url(), ..Options::default() };
        let standing = Standing { subscriptions: vec!["#".into()], presence: None };
        let mut client = Client::start(&options, standing).unwrap();
        assert_eq!(client.next().await, Some(Event::Connected));
        Self { client }
    }

    async fn heard_within(&mut self, time: Duration) -> Vec<Message> {
        let (mut heard, until) = (Vec::new(), tokio::time::Instant::now() + time);
        while let Ok(event) = tokio::time::timeout_at(until, self.client.next()).await {
            match event {
                Some(Event::Message(message)) => heard.push(message),
                other => panic!("{other:?}"),
            }
        }
        heard
    }
}

async fn retained(broker: &Broker) -> Vec<Message> {
    let heard = Listener::to(broker).await.heard_within(Duration::from_millis(500)).await;
    heard.into_iter().filter(|message| message.retained).collect()
}

#[tokio::test]
async fn they_meet_in_both_versions_and_leave_nothing_behind() {
    let Some(broker) = broker() else { return };
    let of = |version| Config { broker_version: version, ..broker.config() };
    let (three, five) = (of(Version::Three), of(Version::Five));
    for configs in [[&five, &five], [&three, &three], [&three, &five]] {
        let began = Instant::now();
        let mut portals = two_with(configs, &identities()).await;
        println!("met after {:?}", began.elapsed());
        for attempt in 2..30 {
            talk(&mut portals, attempt).await;
        }
        let kept = retained(&broker).await;
        assert_eq!(kept.len(), 2, "{kept:?}");
        assert!(kept.iter().all(|it| it.topic.ends_with("/presence") && it.payload == b"here"), "{kept:?}");
        let [mut north, south] = portals;
        let bye = signaling::Message::Bye { reason: Goodbye::Off };
        south.signaling.outgoing.send(bye.clone()).await.unwrap();
        south.signaling.close().await;
        assert_eq!(north.message().await, bye);
        north.down().await;
        assert_eq!(north.figures().rejected_messages, 0);
        north.signaling.close().await;
        assert_eq!(retained(&broker).await, []);
    }
}

/// A power cut: nobody says goodbye, and the broker says it for the one who is gone.
#[tokio::test]
async fn who_is_cut_off_is_missed_by_the_last_will() {
    let Some(broker) = broker() else { return };
    let names = identities();
    let [mut north, south] = two_with([&broker.config(); 2], &names).await;
    drop(south);
    let cut = Instant::now();
    north.down().await;
    assert!(cut.elapsed() < Duration::from_secs(3), "{:?}", cut.elapsed());
    let mut again = Portal::start(&broker.config(), &names.1, names.0.fingerprint());
    again.up().await;
    north.up().await;
    talk(&mut [north, again], 5).await;
}

#[tokio::test]
async fn a_broker_that_is_started_again_brings_them_together_again() {
    let Some(mut broker) = broker() else { return };
    let mut portals = two_with([&broker.config(); 2], &identities()).await;
    broker.stop();
    for portal in &mut portals {
        portal.down().await;
    }
    sleep(Duration::from_secs(2)).await;
    broker.start_again();
    let back = Instant::now();
    for portal in &mut portals {
        portal.up().await;
    }
    println!("met again after {:?}", back.elapsed());
    assert!(back.elapsed() < Duration::from_secs(12), "{:?}", back.elapsed());
    talk(&mut portals, 3).await;
}

#[tokio::test]
async fn names_passwords_and_certificates_are_told_and_asked_for() {
    let Some(broker) = Broker::start_guarded("portals", "correct horse") else { return };
    let right = broker.guarded_config("portals", "correct horse");
    let _portals = two_with([&right, &Config { broker_version: Version::Three, ..right.clone() }], &identities()).await;
    let (a, b) = identities();
    let untrusted = Config { broker_trust: Default::default(), ..right.clone() };
    for wrong in [broker.guarded_config("portals", "wrong horse"), untrusted] {
        let mut one = Portal::start(&wrong, &a, b.fingerprint());
        let mut other = Portal::start(&right, &b, a.fingerprint());
        tokio::join!(one.never_up_for(Duration::from_secs(2)), other.never_up_for(Duration::from_secs(2)));
    }
}

/// The broker, or anybody whom it lets write, says everything again, and much that nobody has said.
#[tokio::test]
async fn what_the_broker_repeats_and_invents_changes_nothing() {
    let Some(broker) = broker() else { return };
    let mut listener = Listener::to(&broker).await;
    let mut portals = two_with([&broker.config(); 2], &identities()).await;
    for attempt in 2..10 {
        talk(&mut portals, attempt).await;
    }
    let heard = listener.heard_within(Duration::from_millis(300)).await;
    let text = offer(1).to_json();
    let read_by_all = |message: &Message| String::from_utf8_lossy(&message.payload).contains(&text[..20]);
    assert!(heard.len() > 20 && !heard.iter().any(read_by_all), "{} messages", heard.len());
    // Whoever hears everything and does not read cannot write; another one does.
    let writer = Client::start(&Options { url: broker.url(), ..Options::default() }, Standing::default()).unwrap();
    drop(listener);
    sleep(Duration::from_millis(300)).await;
    for message in &heard {
        let publication = |topic: &str, payload: Vec<u8>| Publication { topic: topic.into(), payload, retain: false };
        writer.publish(publication(&message.topic, message.payload.clone())).await;
        let mut damaged = message.payload.clone();
        let half = damaged.len() / 2;
        if let Some(byte) = damaged.get_mut(half) {
            *byte ^= 1;
        }
        writer.publish(publication(&message.topic, damaged)).await;
        writer.publish(publication(&message.topic, b"{}".into())).await;
        // A crowd of portals that are not there.
        let ghost = format!("{:016x}", rand::random::<u64>());
        if let Some((room, _)) = message.topic.rsplit_once('/').and_then(|(portal, _)| portal.rsplit_once('/')) {
            writer.publish(publication(&format!("{room}/{ghost}/presence"), b"here".into())).await;
        }
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_millis(500)).await;
    for portal in &mut portals {
        if let Ok(event) = timeout(Duration::from_millis(200), portal.signaling.events.recv()).await {
            panic!("{event:?}");
        }
        assert!(portal.figures().rejected_messages > 20);
    }
    for attempt in 20..30 {
        talk(&mut portals, attempt).await;
    }
}

/// Somebody takes a portal's presence off the broker: it says it again.
#[tokio::test]
async fn a_presence_that_is_taken_away_comes_back() {
    let Some(broker) = broker() else { return };
    let (a, b) = identities();
    let mut early = Portal::start(&broker.config(), &a, b.fingerprint());
    sleep(Duration::from_secs(1)).await;
    let kept = retained(&broker).await;
    let listener = Listener::to(&broker).await;
    let publication = Publication { topic: kept[0].topic.clone(), payload: Vec::new(), retain: true };
    listener.client.publish(publication).await;
    let mut late = Portal::start(&broker.config(), &b, a.fingerprint());
    late.up().await;
    early.up().await;
}
