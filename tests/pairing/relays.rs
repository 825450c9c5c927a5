//! Two portals that cannot reach each other are paired through a hub, or a broker, and meet there afterwards.

use crate::mosquitto::broker;
use crate::program::{self, ALONE, Place};
use screen_portal::hub;
use std::time::{Duration, Instant};

/// From the code to both pictures, a wrong code and a third portal included.
fn pair_and_meet(key: &str, url: &str) {
    let setting = format!("signaling.{key}={url}");
    let places = ["North", "South", "Third"].map(|site| Place::through(site, &setting));
    let running = [places[0].start(), places[1].start()];
    let burnt = places[0].shown_code(1);
    // Another word: the code is burnt, and the right one would be wrong now.
    let (beginning, _) = burnt.rsplit_once('-').unwrap();
    let wrong = format!("{beginning}-{}", if burnt.ends_with("zoo") { "zone" } else { "zoo" });
    let refused = places[2].command(&["pair", &wrong]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said.contains("the code is not the one that is shown there"), "{said}");
    let mut code = burnt.clone();
    program::within(Duration::from_secs(5), || {
        code = places[0].shown_code(1);
        code != burnt
    });
    let entered = Instant::now();
    let output = places[1].command(&["pair", &code]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    println!("paired through {url} after {:.1} s", entered.elapsed().as_secs_f64());
    let words = said.rsplit_once("same words: ").unwrap().1.trim().to_owned();
    program::within(Duration::from_secs(20), || running.iter().all(|it| it.is_live()));
    println!("both pictures after {:.1} s", entered.elapsed().as_secs_f64());
    assert!(places[0].log().contains(&words), "both ends say the same words");
    let refused = places[2].command(&["pair", &code]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("no portal shows a code that begins with"),
        "{refused:?}"
    );
    assert!(running.iter().all(|it| it.is_live()));
}

#[test]
fn through_a_hub() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = hub::Config { listen: "127.0.0.1:0".parse().unwrap(), ..hub::Config::default() };
    let hub = runtime.block_on(async { hub::start(&config, folder.path()).unwrap() });
    pair_and_meet("hub", &format!("ws://{}/", hub.address()));
}

#[test]
fn through_a_broker() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    let Some(broker) = broker() else { return };
    pair_and_meet("broker", &broker.url());
}
