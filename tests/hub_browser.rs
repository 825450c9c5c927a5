//! The hub's page in a real browser: one tab is a camera, another a viewer, and pictures come. Needs Chromium; without it the test says so.

#[path = "tools/browser.rs"]
mod browser;

use browser::Browser;
use screen_portal::hub::{self, Config};
use serde_json::json;

#[tokio::test]
async fn a_viewer_sees_a_camera_in_a_browser() {
    let profile = tempfile::tempdir().unwrap();
    let Some(browser) = Browser::start(profile.path(), &["--disable-features=WebRtcHideLocalIpsWithMdns"]).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let hub = hub::start(&config, folder.path()).unwrap();
    let page = |role: &str| format!("http://localhost:{}/?as={role}%26room=browsers", hub.address().port());
    let mut viewer = browser.open(&page("viewer")).await;
    viewer.until("document.body.innerText.includes('In room \"browsers\"')").await;
    // Comes later: the viewer is told.
    let mut camera = browser.open(&page("camera")).await;
    camera.until("document.body.innerText.includes('as camera')").await;
    viewer.until("(document.querySelector('video')?.videoWidth ?? 0) > 0").await;
    let shown = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames";
    let before = viewer.evaluate(shown).await.as_u64().unwrap();
    viewer.until(&format!("{shown} > {}", before + 30)).await;
    // A viewer that comes later still hears of the camera.
    let mut late = browser.open(&page("viewer")).await;
    late.until("(document.querySelector('video')?.videoWidth ?? 0) > 0").await;
    camera.screenshot("hub-camera.png").await;
    viewer.screenshot("hub-viewer.png").await;
    camera.ask("Page.close", json!({})).await;
    viewer.until("document.querySelector('video') === null").await;
    assert_eq!(hub.present(), (2, 1));
}
