//! Guests, end to end: a real hub, the real program with its test pattern for a camera, and viewers that are not this program's.

mod broker;
#[path = "../tools/browser.rs"]
mod browser;
#[allow(dead_code, reason = "tests/relay uses all of it")]
#[path = "../relay/mosquitto.rs"]
mod mosquitto;
mod phone;
mod portal;
mod viewer;

use browser::Browser;
use portal::{Portal, fingerprint, free_port, guests};
use screen_portal::hub::{self, Config, Hub, Role, Token};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{sleep, timeout};
use viewer::{Seen, Viewer, Way};

/// One at a time: each keeps the machine busy.
static MACHINE: Mutex<()> = Mutex::const_new(());

async fn machine() -> MutexGuard<'static, ()> {
    MACHINE.lock().await
}

fn hub_with(tokens: Vec<Token>) -> (Hub, String) {
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), tokens, ..Config::default() };
    let hub = hub::start(&config, std::path::Path::new("")).unwrap();
    let url = format!("ws://{}/", hub.address());
    (hub, url)
}

fn figure(status: &Value, name: &str) -> u64 {
    status["figures"]["guests"][name].as_u64().unwrap_or(u64::MAX)
}

fn in_room(status: &Value) -> bool {
    figure(status, "joined") == 1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn viewers_see_the_camera_in_either_way_and_are_listed() {
    let _machine = machine().await;
    let (_hub, url) = hub_with(vec![]);
    let folder = tempfile::tempdir().unwrap();
    let mut portal = Portal::start(folder.path(), &guests(&url, "hall"), &["--listen", "127.0.0.1:0"]);
    portal.until("in the room", in_room).await;
    assert_eq!(figure(&portal.status(), "encoded"), 0, "nobody looks, nothing is encoded");
    for way in [Way::Asks, Way::Offers] {
        let viewer = Viewer::start(&url, "hall", way);
        let first = viewer.until(Seen::Camera, 1).await;
        viewer.until(Seen::Camera, 30).await;
        println!("{way:?}: first picture after {} ms, {:?}", first.as_millis(), viewer.shown);
        assert_eq!((viewer.count(Seen::Other), *viewer.shown.size.lock().unwrap()), (0, (640, 360)));
        let status = portal.until("one guest", |status| figure(status, "watching") == 1).await;
        assert_eq!(status["view"]["guests"], 1);
        let watchers = status["figures"]["watchers"].as_array().unwrap();
        assert_eq!((watchers.len(), &watchers[0]["address"]), (1, &"127.0.0.1".into()), "{watchers:?}");
        assert!(watchers[0]["id"].as_str().unwrap().starts_with("hub "), "{watchers:?}");
        assert!(status["in_words"]["link"][2].as_str().unwrap().starts_with("1 guest watches"), "{status}");
        assert!(portal.get("/metrics").unwrap().contains("\nscreen_portal_guests_watching 1\n"));
        drop(viewer);
        let gone = Instant::now();
        portal.until("nobody", |status| figure(status, "watching") == 0).await;
        println!("… gone after {} ms", gone.elapsed().as_millis());
    }
    let status = portal.status();
    assert_eq!((figure(&status, "arrivals"), figure(&status, "departures")), (2, 2));
    assert_eq!(status["figures"]["watchers"], serde_json::json!([]));
    let log = portal.log();
    for words in ["in the hub's room as a camera", "a guest watches, from 127.0.0.1", "a guest watches no more, after"]
    {
        assert!(log.contains(words), "{words} in {log}");
    }
    // Nobody looks: nothing is encoded.
    sleep(Duration::from_millis(300)).await;
    let encoded = figure(&portal.status(), "encoded");
    sleep(Duration::from_millis(700)).await;
    assert_eq!(figure(&portal.status(), "encoded"), encoded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_by_default_nobody_is_called() {
    let _machine = machine().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    // All is there but the word.
    let configuration = guests(&url, "hall").replace("enabled = true\n", "");
    let mut portal = Portal::start(folder.path(), &configuration, &["--listen", "127.0.0.1:0"]);
    portal.until("running", |status| status["view"]["camera"]["state"] == "running").await;
    assert!(timeout(Duration::from_secs(3), listener.accept()).await.is_err(), "it calls the hub");
    let threads = std::fs::read_dir(format!("/proc/{}/task", portal.pid())).unwrap();
    let names = threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
    assert_eq!(names.filter(|name| name.starts_with("guest")).count(), 0);
    // Allowed while it runs, and forbidden again.
    Portal::configure(folder.path(), &guests(&url, "hall"));
    timeout(Duration::from_secs(5), listener.accept()).await.expect("it calls the hub now").unwrap();
    Portal::configure(folder.path(), &configuration);
    sleep(Duration::from_millis(1500)).await;
    while timeout(Duration::from_millis(10), listener.accept()).await.is_ok() {}
    assert!(timeout(Duration::from_secs(7), listener.accept()).await.is_err(), "it goes on calling");
}

/// Outside opening hours, and while the privacy key is on, guests see a slate, and not a trace of the camera.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_may_see_no_guest_sees() {
    let _machine = machine().await;
    let (_hub, url) = hub_with(vec![]);
    let folder = tempfile::tempdir().unwrap();
    let open = guests(&url, "hall");
    let closed = format!("{open}[hours]\nweek = [\"daily = closed\"]\n");
    let opened = format!("{open}[hours]\nweek = []\n");
    let mut portal = Portal::start(folder.path(), &opened, &["--listen", "127.0.0.1:0"]);
    portal.until("in the room", in_room).await;
    let viewer = Viewer::start(&url, "hall", Way::Asks);
    viewer.until(Seen::Camera, 10).await;
    for round in 0..2 {
        Portal::configure(folder.path(), &closed);
        portal.until("closed", |status| status["privacy"]["state"] == "private").await;
        viewer.until(Seen::Slate, 1).await;
        let camera = viewer.count(Seen::Camera);
        viewer.until(Seen::Slate, 4).await;
        assert_eq!((viewer.count(Seen::Camera), viewer.count(Seen::Other)), (camera, 0), "round {round}");
        // Who comes now sees no more.
        let late = Viewer::start(&url, "hall", Way::Offers);
        late.until(Seen::Slate, 3).await;
        assert_eq!((late.count(Seen::Camera), late.count(Seen::Other)), (0, 0));
        drop(late);
        Portal::configure(folder.path(), &opened);
        viewer.until(Seen::Camera, 10).await;
        assert_eq!(viewer.count(Seen::Other), 0, "round {round}");
    }
    drop((viewer, portal));
    // The key was pressed before it was started again.
    std::fs::write(folder.path().join("data/private"), "").unwrap();
    let mut portal = Portal::start(folder.path(), &opened, &["--listen", "127.0.0.1:0"]);
    portal.until("in the room", in_room).await;
    let viewer = Viewer::start(&url, "hall", Way::Asks);
    viewer.until(Seen::Slate, 4).await;
    assert_eq!((viewer.count(Seen::Camera), viewer.count(Seen::Other)), (0, 0));
    let status = portal.status();
    assert_eq!((&status["privacy"]["state"], &status["privacy"]["proven"]), (&"private".into(), &true.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_than_may_watch_is_told_so() {
    let _machine = machine().await;
    let (_hub, url) = hub_with(vec![]);
    let folder = tempfile::tempdir().unwrap();
    let mut portal = Portal::start(folder.path(), &guests(&url, "hall"), &["--listen", "127.0.0.1:0"]);
    portal.until("in the room", in_room).await;
    let mut viewers: Vec<_> = (0..4).map(|_| Viewer::start(&url, "hall", Way::Asks)).collect();
    for viewer in &viewers {
        viewer.until(Seen::Camera, 5).await;
    }
    let fifth = Viewer::start(&url, "hall", Way::Asks);
    assert_eq!(fifth.refusal().await, "4 watch already, which is the most; try again later");
    let status = portal.status();
    assert_eq!((figure(&status, "watching"), figure(&status, "refused")), (4, 1));
    for viewer in &viewers {
        viewer.until(Seen::Camera, 5).await;
    }
    // A place that is given back is there for the next.
    viewers.pop();
    portal.until("three", |status| figure(status, "watching") == 3).await;
    let sixth = Viewer::start(&url, "hall", Way::Asks);
    sixth.until(Seen::Camera, 5).await;
    assert_eq!(fifth.count(Seen::Camera) + fifth.count(Seen::Slate), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_said_once_and_asked_again_slowly() {
    let _machine = machine().await;
    let token = |token: &str, roles| Token { token: token.into(), rooms: vec![], roles };
    let tokens = vec![token("the right one, a secret", vec![Role::Camera]), token("viewers' own token", vec![])];
    let (hub, url) = hub_with(tokens);
    let folder = tempfile::tempdir().unwrap();
    let with = |token: &str| format!("{}token = \"{token}\"\n", guests(&url, "hall"));
    let mut portal = Portal::start(folder.path(), &with("a wrong one, a secret too"), &["--listen", "127.0.0.1:0"]);
    portal.until("running", |status| status["view"]["camera"]["state"] == "running").await;
    sleep(Duration::from_secs(4)).await;
    let log = portal.log();
    assert_eq!(log.matches("the hub lets no camera into the room").count(), 1, "{log}");
    assert!(!log.contains("secret"), "{log}");
    assert!(!in_room(&portal.status()));
    assert_eq!(hub.present(), (0, 0), "it does not stay");
    // Set right while it runs.
    Portal::configure(folder.path(), &with("the right one, a secret"));
    portal.until("in the room", in_room).await;
    assert!(!portal.log().contains("secret"));
}

/// A hub that begins again: who watches goes on watching, and others come as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_goes_away_takes_no_guest_with_it() {
    let _machine = machine().await;
    let config = Config { listen: format!("127.0.0.1:{}", free_port()).parse().unwrap(), ..Config::default() };
    let begin = || hub::start(&config, std::path::Path::new("")).unwrap();
    let (hub, url) = (begin(), format!("ws://{}/", config.listen));
    let folder = tempfile::tempdir().unwrap();
    let mut portal = Portal::start(folder.path(), &guests(&url, "hall"), &["--listen", "127.0.0.1:0"]);
    portal.until("in the room", in_room).await;
    let viewer = Viewer::start(&url, "hall", Way::Asks);
    viewer.until(Seen::Camera, 5).await;
    hub.close().await;
    portal.until("not in the room", |status| !in_room(status)).await;
    viewer.until(Seen::Camera, 30).await;
    let _hub = begin();
    portal.until("in the room again", in_room).await;
    let late = Viewer::start(&url, "hall", Way::Offers);
    late.until(Seen::Camera, 5).await;
    viewer.until(Seen::Camera, 5).await;
}

/// Two portals live, and meanwhile guests come and go at one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_link_does_not_notice_guests() {
    let _machine = machine().await;
    let (_hub, url) = hub_with(vec![]);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [a, b] = [folders[0].path(), folders[1].path()];
    let (name_a, name_b) = (fingerprint(a), fingerprint(b));
    let meeting = format!("127.0.0.1:{}", free_port());
    let mut portals = [
        Portal::start(a, &guests(&url, "hall"), &["--listen", &meeting, "--far-end", &name_b]),
        Portal::start(b, "", &["--listen", "", "--dial", &meeting, "--far-end", &name_a]),
    ];
    for portal in &mut portals {
        portal.until("live", |status| status["view"]["link"] == "live").await;
    }
    portals[0].until("in the room", in_room).await;
    let before = portals.each_ref().map(Portal::status);
    for round in 0..3 {
        let viewers: Vec<_> = (0..4).map(|_| Viewer::start(&url, "hall", Way::Asks)).collect();
        for viewer in &viewers {
            viewer.until(Seen::Camera, 20).await;
        }
        drop(viewers);
        portals[0].until("nobody", |status| figure(status, "watching") == 0).await;
        println!("round {round}");
    }
    let after = portals.each_ref().map(Portal::status);
    for (end, (before, after)) in before.iter().zip(&after).enumerate() {
        for (group, name) in
            [("link", "attempts"), ("link", "connects"), ("link", "stalls"), ("incoming", "interrupted_ms")]
        {
            let value = |status: &Value| status["figures"][group][name].as_u64().unwrap();
            assert_eq!(value(after), value(before), "{group}.{name} of end {end}");
        }
        assert_eq!(after["view"]["link"], "live");
        let grown = |group: &str, name: &str| {
            let value = |status: &Value| status["figures"][group][name].as_u64().unwrap();
            value(after) - value(before)
        };
        let seconds = after["figures"]["uptime_s"].as_f64().unwrap() - before["figures"]["uptime_s"].as_f64().unwrap();
        let (shown, freezes) = (grown("incoming", "presented") as f64 / seconds, grown("incoming", "freezes"));
        println!(
            "end {end}: {shown:.1} pictures/s for {seconds:.0} s, {freezes} freezes, {:?} refused keyframes",
            grown("outgoing", "keyframe_requests")
        );
        assert!(shown > 25.0, "{shown}");
    }
    assert_eq!(figure(&after[0], "arrivals"), 12);
    assert_eq!(figure(&after[1], "arrivals"), 0);
}

/// The hub's page, which knows nothing of this portal. Needs Chromium; without it the test says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_sees_the_camera_in_either_way() {
    let _machine = machine().await;
    let profile = tempfile::tempdir().unwrap();
    let Some(browser) = Browser::start(profile.path(), &[]).await else { return };
    let (hub, url) = hub_with(vec![]);
    let folder = tempfile::tempdir().unwrap();
    let mut portal = Portal::start(folder.path(), &guests(&url, "hall"), &["--listen", "127.0.0.1:0"]);
    portal.until("in the room", in_room).await;
    let mut viewer = browser.open(&format!("http://localhost:{}/?as=viewer%26room=hall", hub.address().port())).await;
    let size = "(document.querySelector('video')?.videoWidth ?? 0)";
    let shown = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames";
    viewer.until(&format!("{size} == 640 && {shown} > 30")).await;
    viewer.screenshot("guest.png").await;
    // The page offers itself, to receive and to send, as some viewers do.
    let offer = "(async () => { const [camera] = peers.keys(); const { connection } = peer(camera); \
                 connection.addTransceiver('video'); await connection.setLocalDescription(); \
                 say({ type: 'offer', target: camera, sdp: connection.localDescription }); return true; })()";
    assert_eq!(viewer.evaluate(offer).await, true);
    viewer.until(&format!("{size} == 640 && {shown} > 30")).await;
    let direction = "[...peers.values()][0].connection.getTransceivers()[0].currentDirection";
    assert_eq!(viewer.evaluate(direction).await, "recvonly", "nothing of the guest's is taken");
    let codec = "(async () => { const [entry] = peers.values(); const stats = [...(await entry.connection.getStats()).values()]; \
                 const id = stats.find(it => it.type == 'inbound-rtp').codecId; const codec = stats.find(it => it.id == id); \
                 return codec.mimeType + ' ' + codec.sdpFmtpLine; })()";
    let codec = viewer.evaluate(codec).await;
    println!("{codec}");
    assert!(codec.as_str().unwrap().contains("H264") && codec.as_str().unwrap().contains("packetization-mode=1"));
    let status = portal.until("one guest", |status| figure(status, "watching") == 1).await;
    println!("{}", status["figures"]["watchers"]);
    // What is not to be seen is not to be seen here either.
    Portal::configure(folder.path(), &format!("{}[hours]\nweek = [\"daily = closed\"]\n", guests(&url, "hall")));
    let dark = "(() => { const video = document.querySelector('video'); const canvas = document.createElement('canvas'); \
                canvas.width = 64; canvas.height = 36; const context = canvas.getContext('2d'); context.drawImage(video, 0, 0, 64, 36); \
                const pixels = context.getImageData(0, 0, 64, 36).data; let most = 0; \
                for (let i = 0; i < pixels.length; i += 4) most = Math.max(most, Math.abs(pixels[i] - pixels[i + 2])); return most; })()";
    let coloured = viewer.evaluate(dark).await;
    assert!(coloured.as_u64().unwrap() > 100, "{coloured}");
    viewer.until(&format!("{dark} < 40")).await;
    viewer.screenshot("guest-closed.png").await;
    viewer.ask("Page.close", serde_json::json!({})).await;
    portal.until("nobody", |status| figure(status, "watching") == 0).await;
}

/// What guests cost, for `docs/measurements/hub.md`: two portals that see each other at 1280x720, and none, one and four guests at one of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for a minute and a half, on a machine that does nothing else"]
async fn what_guests_cost() {
    let _machine = machine().await;
    let (_hub, url) = hub_with(vec![]);
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [a, b] = [folders[0].path(), folders[1].path()];
    let (name_a, name_b) = (fingerprint(a), fingerprint(b));
    let meeting = format!("127.0.0.1:{}", free_port());
    let source = ["--source", "scene", "--size", "1280x720"];
    let mut portals = [
        Portal::start(a, &guests(&url, "hall"), &[&source[..], &["--listen", &meeting, "--far-end", &name_b]].concat()),
        Portal::start(b, "", &[&source[..], &["--listen", "", "--dial", &meeting, "--far-end", &name_a]].concat()),
    ];
    for portal in &mut portals {
        portal.until("live", |status| status["view"]["link"] == "live").await;
    }
    portals[0].until("in the room", in_room).await;
    println!(
        "guests | cores | guest-encode | far end: pictures/s, p50, p95 ms, freezes | each guest: pictures/s, kb/s | MB"
    );
    for many in [0, 1, 4, 0] {
        let viewers: Vec<_> = (0..many).map(|_| Viewer::start_with(&url, "hall", Way::Asks, false)).collect();
        sleep(Duration::from_secs(8)).await;
        const SECONDS: f64 = 12.0;
        let [here, there] = portals.each_ref().map(Portal::status);
        let bytes = |viewers: &[Viewer]| {
            viewers.iter().map(|it| it.shown.bytes.load(std::sync::atomic::Ordering::Relaxed)).sum::<u64>()
        };
        let whole = |viewers: &[Viewer]| {
            viewers.iter().map(|it| it.shown.whole.load(std::sync::atomic::Ordering::Relaxed)).sum::<u64>()
        };
        let (bytes_before, whole_before) = (bytes(&viewers), whole(&viewers));
        sleep(Duration::from_secs_f64(SECONDS)).await;
        let [here_after, there_after] = portals.each_ref().map(Portal::status);
        let passed =
            here_after["figures"]["uptime_s"].as_f64().unwrap() - here["figures"]["uptime_s"].as_f64().unwrap();
        let cores =
            (here_after["figures"]["cpu_s"].as_f64().unwrap() - here["figures"]["cpu_s"].as_f64().unwrap()) / passed;
        let encode = (figure(&here_after, "encode_ms") - figure(&here, "encode_ms")) as f64 / 1e3 / passed;
        let grown = |group: &str, name: &str| {
            let value = |status: &Value| status["figures"][group][name].as_u64().unwrap();
            value(&there_after) - value(&there)
        };
        let latency = &there_after["figures"]["latency"];
        let each = f64::from(many.max(1)) * SECONDS;
        println!(
            "{many} | {cores:.3} | {encode:.3} | {:.1}, {:.1}, {:.1}, {} | {:.1}, {:.0} | {:.0}",
            grown("incoming", "presented") as f64 / passed,
            latency["p50_ms"].as_f64().unwrap(),
            latency["p95_ms"].as_f64().unwrap(),
            grown("incoming", "freezes"),
            (whole(&viewers) - whole_before) as f64 / each,
            (bytes(&viewers) - bytes_before) as f64 * 8.0 / 1e3 / each,
            here_after["figures"]["resident_bytes"].as_f64().unwrap() / 1e6,
        );
    }
}
