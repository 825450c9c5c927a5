//! Two portals as programs: a configuration that changes while they run, and opening hours.

use super::namespaces::ALONE;
use super::processes::{Place, Program, Status, clock_library, places, until_back};
use jiff::Timestamp;
use screen_portal::ops::{CameraState, FarCamera, LinkState, Slate};
use std::time::{Duration, Instant};

fn write(place: &Place, text: &str) {
    // At once, as editors that mean well do it.
    let new = place.folder.path().join("portal.toml.new");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, place.folder.path().join("portal.toml")).unwrap();
}

/// Waits until it is so; says how long that took.
fn until(what: &str, program: &Program, limit: Duration, is_so: impl Fn(&Status) -> bool) -> Status {
    let start = Instant::now();
    loop {
        let status = program.status();
        if let Some(status) = status.filter(&is_so) {
            println!("{:5} ms  {what}", start.elapsed().as_millis());
            return status;
        }
        assert!(start.elapsed() < limit, "{what}: {:#?}", program.status());
        std::thread::sleep(Duration::from_millis(20));
    }
}

const SOON: Duration = Duration::from_secs(6);

#[test]
fn a_configuration_is_followed_without_dropping_the_link() {
    let _alone = ALONE.blocking_lock();
    let places = places(None);
    write(&places[0], "[site]\nname = \"Harbour\"\n");
    let programs = places.each_ref().map(Place::start);
    let before = until_back("both started", programs.each_ref(), Duration::from_secs(10));
    let same_link = |what: &str| {
        let now = programs.each_ref().map(|program| program.status().unwrap());
        for (now, before) in now.iter().zip(&before) {
            assert_eq!(now.figures.link.attempts, before.figures.link.attempts, "{what}");
        }
    };
    assert_eq!(programs[1].status().unwrap().view.far_site.as_deref(), Some("Harbour"));

    write(&places[0], "[site]\nname = \"Quay\"\n[encode]\nbitrate_bps = 300000\n");
    let quay = |status: &Status| status.view.far_site.as_deref() == Some("Quay");
    until("another name is known at the far end", &programs[1], SOON, quay);
    let slow = |status: &Status| status.figures.outgoing.target_bps <= 300_000;
    until("a lower bitrate is kept to", &programs[0], SOON, slow);
    same_link("name and bitrate");

    write(&places[0], "[site]\nname = \"Pier\"\n[encode]\nbitrate_bps = 3\n");
    std::thread::sleep(Duration::from_secs(2));
    assert!(quay(&programs[1].status().unwrap()), "nothing of a bad file is used");
    assert!(slow(&programs[0].status().unwrap()));
    until_back("a bad file was refused", programs.each_ref(), SOON);

    // The same file again is no news, whatever the signal.
    write(&places[0], "[site]\nname = \"Mole\"\n");
    programs[0].signal(libc::SIGHUP);
    until("SIGHUP: at once", &programs[1], SOON, |status| status.view.far_site.as_deref() == Some("Mole"));
    until_back("after SIGHUP", programs.each_ref(), SOON);

    write(&places[0], "[site]\nname = \"Mole\"\n[hours]\nweek = [\"mon = closed\"]\n");
    until("closed here", &programs[0], SOON, |status| {
        status.view.slate == Slate::Closed && status.view.camera == CameraState::Private
    });
    until("closed there", &programs[1], SOON, |status| status.view.slate == Slate::Closed);
    let count = || programs.each_ref().map(|program| program.status().unwrap().figures.incoming.presented);
    let presented = count();
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(count(), presented, "nothing is shown while it is closed");
    write(&places[0], "[site]\nname = \"Mole\"\n");
    std::thread::sleep(Duration::from_secs(2));
    let still = programs[0].status().unwrap().view.slate;
    assert_eq!(still, Slate::Closed, "a file that has lost its end does not open the place");
    write(&places[0], "[site]\nname = \"Mole\"\n[hours]\nweek = []\n");
    until_back("open again", programs.each_ref(), SOON);
    same_link("closed and open again");

    write(&places[0], "[site]\nname = \"Mole\"\n[hours]\nweek = []\n[link]\nmin_bps = 100000\n");
    let anew = |status: &Status| status.figures.uptime_s < 4.0;
    until("what concerns the link begins again", &programs[0], Duration::from_secs(15), anew);
    until_back("began again", programs.each_ref(), Duration::from_secs(10));
}

#[test]
fn a_portal_that_starts_outside_its_hours_opens_no_camera() {
    let _alone = ALONE.blocking_lock();
    let places = places(None);
    write(&places[0], "[hours]\nweek = [\"mon = closed\"]\n");
    let programs = places.each_ref().map(Place::start);
    until("closed here from the first answer on", &programs[0], SOON, |status| {
        assert_eq!(status.view.slate, Slate::Closed, "the first answer and every other");
        status.view.link == LinkState::Live
    });
    until("and there", &programs[1], SOON, |status| status.view.slate == Slate::Closed);
    let closed = programs.each_ref().map(|program| program.status().unwrap().figures);
    assert_eq!((closed[0].outgoing.source_opens, closed[0].outgoing.captured), (0, 0), "not even for a moment");
    assert_eq!(closed[1].incoming.presented, 0, "and nothing is seen of it");
    write(&places[0], "[hours]\nweek = []\n");
    let open = until_back("open", programs.each_ref(), SOON);
    assert_eq!(open[0].figures.outgoing.source_opens, 1);
}

#[test]
fn opening_hours_follow_the_clock_on_the_wall() {
    let _alone = ALONE.blocking_lock();
    let built = tempfile::tempdir().unwrap();
    let Some(library) = clock_library(built.path()) else { return };
    let places = places(Some(&library));
    places[0].step_clock(0);
    let now = Timestamp::now().as_second();
    let clock = |second: i64| {
        format!("{:02}:{:02}", second.div_euclid(3600).rem_euclid(24), second.div_euclid(60).rem_euclid(60))
    };
    let hours = format!("daily = {}-{}", clock(now - 3600), clock(now + 3600));
    write(&places[0], &format!("[hours]\ntime_zone = \"UTC\"\nweek = [\"{hours}\"]\n"));
    let programs = places.each_ref().map(Place::start);
    let before = until_back("both started within opening hours", programs.each_ref(), Duration::from_secs(10));
    for step_s in [7200, -7200] {
        places[0].step_clock(step_s);
        let closed =
            until("the clock was put: closed", &programs[0], SOON, |status| status.view.slate == Slate::Closed);
        assert!(closed.view.opening.is_some_and(|opening| opening.starts_with("Opens ")));
        let there = until("and there", &programs[1], SOON, |status| status.view.slate == Slate::Closed);
        assert_eq!((there.view.far_camera, there.view.link), (FarCamera::Closed, LinkState::Live));
        places[0].step_clock(0);
        let after = until_back("the clock was put back: open", programs.each_ref(), SOON);
        assert_eq!(after[0].figures.link.attempts, before[0].figures.link.attempts, "one connection through all of it");
    }
}
