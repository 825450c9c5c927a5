//! Configurations that cannot be used, given to a portal that runs.

use super::program::{ALONE, Place, places, until, until_live};
use std::sync::PoisonError;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// At once, as editors that mean well do it. Nothing: a pipe that nobody writes to.
fn write(place: &Place, bytes: &[u8]) {
    let new = place.folder.path().join("portal.toml.new");
    match bytes {
        [] => assert!(std::process::Command::new("mkfifo").arg(&new).status().unwrap().success()),
        bytes => std::fs::write(&new, bytes).unwrap(),
    }
    std::fs::rename(new, place.folder.path().join("portal.toml")).unwrap();
}

#[test]
fn a_bad_configuration_is_refused_and_the_old_one_stays() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let places = places();
    write(&places[0], b"[site]\nname = \"Harbour\"\n");
    let programs = places.each_ref().map(Place::start);
    let (before, _) = until_live("both started", programs.each_ref(), 15 * SECOND);
    let named =
        |name: &'static str| move |status: &super::program::Status| status.view.far_site.as_deref() == Some(name);
    for (what, bytes) in [
        ("no TOML", b"[site\nname".as_slice()),
        ("an unknown key", b"[site]\nname = \"Pier\"\ncolour = \"red\"\n"),
        ("a value out of its range", b"[site]\nname = \"Pier\"\n[source]\nfps = 0\n"),
        ("a value of another kind", b"[site]\nname = 5\n"),
        ("bytes that are no text", b"\xff\xfe\x00[site]\n"),
        ("endless", &[b'#'; 8_000_000]),
        ("a pipe that nobody writes to", b""),
    ] {
        let lines = places[0].log().lines().count();
        write(&places[0], bytes);
        programs[0].signal(libc::SIGHUP);
        std::thread::sleep(2 * SECOND);
        let (now, shown) = until_live(&format!("SIGHUP, {what}"), programs.each_ref(), SECOND);
        assert!(shown.iter().all(|shown| shown.len() == 1), "{what}: no slate: {shown:?}");
        assert!(named("Harbour")(&now[1]), "{what}: nothing of it is used: {:?}", now[1].view.far_site);
        for (now, before) in now.iter().zip(&before) {
            assert_eq!(now.figures.link.attempts, before.figures.link.attempts, "{what}: the same connection");
        }
        let log = places[0].log();
        let said: Vec<_> = log.lines().skip(lines).filter(|line| line.contains("portal.toml")).collect();
        assert_eq!(said.len(), 1, "{what}: said once: {said:?}");
        println!("           {}", said[0]);
    }
    write(&places[0], b"[site]\nname = \"Quay\"\n");
    programs[0].signal(libc::SIGHUP);
    until("SIGHUP, mended: known at the far end", programs.each_ref(), 6 * SECOND, |now| {
        now[1].as_ref().is_some_and(named("Quay"))
    });
    until_live("the same connection", programs.each_ref(), SECOND);
}
