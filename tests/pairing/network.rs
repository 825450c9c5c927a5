//! Two machines in one local network, as network namespaces: nobody types an address.

use crate::cable::Cable;
use crate::program::{self, ALONE, Place};
use std::time::{Duration, Instant};

const NAMES: [&str; 2] = ["pairing-n", "pairing-s"];

#[test]
fn without_an_address_two_portals_find_each_other_and_pair_and_meet_again() {
    let _alone = ALONE.lock().unwrap_or_else(|held| held.into_inner());
    let _cable = match Cable::plug(NAMES) {
        Ok(cable) => cable,
        Err(reason) => return println!("skipped: no network namespaces: {reason}"),
    };
    let places = [Place::inside("North", NAMES[0]), Place::inside("South", NAMES[1])];
    let running = [places[0].start(), places[1].start()];
    let code = places[0].shown_code(1);
    let found = || {
        let output = places[1].command(&["discover", "--json", "--seconds", "2"]);
        let line = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str::<serde_json::Value>(line.trim()).ok()
    };
    let looked = Instant::now();
    let north = loop {
        assert!(looked.elapsed() < Duration::from_secs(20), "nobody is found");
        if let Some(found) = found() {
            break found;
        }
    };
    assert_eq!((&north["site"], &north["waits"]), (&"North".into(), &true.into()), "{north}");
    assert_eq!(north["addresses"][0], "192.0.2.1:7413");

    let entered = Instant::now();
    let output = places[1].command(&["pair", &code]);
    assert!(output.status.success(), "{output:?}");
    println!("the code entered without an address: {:.1} s", entered.elapsed().as_secs_f64());
    program::within(Duration::from_secs(20), || running.iter().all(|it| it.is_live()));
    println!("from the code to both pictures: {:.1} s", entered.elapsed().as_secs_f64());

    // Nobody knows an address any more: other ones were given to the machines, say.
    drop(running);
    for place in &places {
        place.forget_addresses();
    }
    let running = [places[0].start(), places[1].start()];
    let started = Instant::now();
    program::within(Duration::from_secs(20), || running.iter().all(|it| it.is_live()));
    println!("started without an address, both pictures after: {:.1} s", started.elapsed().as_secs_f64());
    assert!(places.iter().any(|place| place.log().contains("the far end may be in this network")));
}
