//! Two kiosks that are made a pair, unpaired and made a pair again, all of it at their keys.

use super::pairing::{Kiosk, pair, screens};
use super::settings::ReadOnly;
use screen_portal::hub;
use screen_portal::ops::Slate;
use std::net::TcpListener;

/// The settings page, its last line, and Enter: the question.
fn ask(kiosk: &Kiosk) {
    kiosk.press("s");
    (0..8).for_each(|_| kiosk.press("Down"));
    kiosk.press("Return");
}

/// What is kept of the pairing.
fn is_kept(kiosk: &Kiosk) -> bool {
    kiosk.folder.path().join("paired.toml").exists()
}

fn logged(kiosk: &Kiosk, words: &str) -> usize {
    kiosk.log().lines().filter(|line| line.contains(words)).count()
}

/// Asks, answers, and waits for the slate; the new code.
fn unpair(kiosk: &Kiosk, before: &str) -> String {
    ask(kiosk);
    kiosk.press("Return");
    let code = kiosk.code(before);
    assert!(!is_kept(kiosk));
    kiosk.until("the slate", || kiosk.portal.status().is_some_and(|status| status.view.slate == Slate::NotPaired));
    assert_eq!(logged(kiosk, "unpaired at the kiosk: the far end is forgotten"), 1, "{}", kiosk.log());
    kiosk.until_slate();
    code
}

#[test]
fn a_pair_is_taken_apart_at_its_keys_and_made_again() {
    let Some(screens) = screens() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = hub::Config { listen: "127.0.0.1:0".parse().unwrap(), ..hub::Config::default() };
    let hub = runtime.block_on(async { hub::start(&config, folder.path()).unwrap() });
    let url = format!("ws://{}/", hub.address());
    let mut sites = ["North", "South"].into_iter();
    let kiosks = screens.map(|server| {
        Kiosk::start(server, sites.next().unwrap(), vec![], |config| {
            config.status.listen = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            config.signaling.listen.clear();
            config.signaling.hub.clone_from(&url);
            config.discovery.enabled = false;
            config.link.addresses = vec![[127, 0, 0, 1].into()];
        })
    });
    let [north, south] = &kiosks;
    let first = [north.code(""), south.code("")];
    kiosks.iter().for_each(Kiosk::until_slate);
    south.press("Return");
    pair(&kiosks, &first[0], || {});

    // The question, and all the ways to say no.
    ask(north);
    north.photograph("7-question");
    north.press("Escape");
    north.photograph("8-row");
    north.press("Escape");
    for no in ["Up", "x", "Tab", "p"] {
        ask(north);
        north.press(no);
        if no == "p" {
            // Privacy, which works on the page, too; and off again.
            north.press("Escape");
            north.press("p");
        } else {
            north.press("Escape");
        }
    }
    north.until_live();
    assert!(is_kept(north) && logged(north, "unpaired") == 0, "{}", north.log());

    match ReadOnly::mount(north.folder.path()) {
        Err(reason) => println!("skipped, with a disk that takes nothing: {reason}"),
        Ok(read_only) => {
            ask(north);
            north.press("Return");
            north.until_logged("unpaired at the kiosk, and still paired: ");
            north.photograph("9-not-written");
            assert!(is_kept(north));
            drop(read_only);
            north.press("Escape");
            north.until_live();
        }
    }

    let second = unpair(north, &first[0]);
    north.photograph("10-unpaired");
    // The other one knows of nothing, and shows nothing old.
    let gone = |slate| matches!(slate, Slate::FarOff | Slate::NoFarEnd);
    south.until("that it is alone", || south.portal.status().is_some_and(|status| gone(status.view.slate)));
    assert!(south.words().is_some(), "it is still paired");
    unpair(south, &first[1]);
    south.press("Return");
    let took = pair(&kiosks, &second, || {});
    println!("| unpaired at the keys, and made a pair again, to both pictures | {:.1} s |", took.as_secs_f64());
}
