//! The hub's page in a real browser: one tab is a camera, another a viewer, and pictures come. Needs Chromium; without it the test says so.

use futures_util::{SinkExt, StreamExt};
use screen_portal::hub::{self, Config};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A browser starts slowly on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn browser(profile: &Path) -> Option<Browser> {
    let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
        let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })?;
    let child = Command::new(program)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--mute-audio",
        ])
        .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--remote-debugging-port=0"])
        // A tab that nobody looks at must go on.
        .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
        .args(["--disable-backgrounding-occluded-windows", "--disable-features=WebRtcHideLocalIpsWithMdns"])
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg("about:blank")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Some(Browser(child.unwrap()))
}

/// One open page.
struct Tab {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    asked: u64,
}

impl Tab {
    /// Opens a page in the browser whose debugging port this is.
    async fn open(port: u16, url: &str) -> Self {
        let ask = format!("http://127.0.0.1:{port}/json/new?{url}");
        let target =
            tokio::task::spawn_blocking(move || ureq::put(&ask).send_empty().unwrap().into_body().read_to_string());
        let target: Value = serde_json::from_str(&target.await.unwrap().unwrap()).unwrap();
        let (socket, _) = connect_async(target["webSocketDebuggerUrl"].as_str().unwrap()).await.unwrap();
        Self { socket, asked: 0 }
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let message = json!({ "id": self.asked, "method": method, "params": params });
        self.socket.send(Frame::text(message.to_string())).await.unwrap();
        loop {
            let frame = timeout(LIMIT, self.socket.next()).await.unwrap().unwrap().unwrap();
            let answer: Value = serde_json::from_str(frame.to_text().unwrap()).unwrap_or_default();
            if answer["id"] == self.asked {
                return answer["result"].clone();
            }
        }
    }

    async fn evaluate(&mut self, expression: &str) -> Value {
        let answer = self.ask("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true })).await;
        answer["result"]["value"].clone()
    }

    /// Waits until the expression is true.
    async fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.evaluate(expression).await != true {
            assert!(start.elapsed() < LIMIT, "{expression}: {}", self.evaluate("document.body?.innerText").await);
            sleep(Duration::from_millis(100)).await;
        }
        println!("{:6} ms  {expression}", start.elapsed().as_millis());
    }
}

#[tokio::test]
async fn a_viewer_sees_a_camera_in_a_browser() {
    let profile = tempfile::tempdir().unwrap();
    let Some(_browser) = browser(profile.path()) else {
        println!("skipped: there is no Chromium (apt-get install chromium)");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let config = Config { listen: "127.0.0.1:0".parse().unwrap(), ..Config::default() };
    let hub = hub::start(&config, folder.path()).unwrap();
    let start = Instant::now();
    let port = loop {
        let file = std::fs::read_to_string(profile.path().join("DevToolsActivePort")).unwrap_or_default();
        if let Some(port) = file.lines().next().and_then(|line| line.parse().ok()) {
            break port;
        }
        assert!(start.elapsed() < LIMIT, "the browser does not start");
        sleep(Duration::from_millis(50)).await;
    };
    let page = |role: &str| format!("http://localhost:{}/?as={role}%26room=browsers", hub.address().port());
    let mut viewer = Tab::open(port, &page("viewer")).await;
    viewer.until("document.body.innerText.includes('In room \"browsers\"')").await;
    // Comes later: the viewer is told.
    let mut camera = Tab::open(port, &page("camera")).await;
    camera.until("document.body.innerText.includes('as camera')").await;
    viewer.until("(document.querySelector('video')?.videoWidth ?? 0) > 0").await;
    let shown = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames";
    let before = viewer.evaluate(shown).await.as_u64().unwrap();
    viewer.until(&format!("{shown} > {}", before + 30)).await;
    // A viewer that comes later still hears of the camera.
    let mut late = Tab::open(port, &page("viewer")).await;
    late.until("(document.querySelector('video')?.videoWidth ?? 0) > 0").await;
    if let Some(folder) = std::env::var_os("PORTAL_PICTURES") {
        for (name, tab) in [("hub-camera.png", &mut camera), ("hub-viewer.png", &mut viewer)] {
            let picture = tab.ask("Page.captureScreenshot", json!({})).await;
            let bytes = data_encoding::BASE64.decode(picture["data"].as_str().unwrap().as_bytes()).unwrap();
            std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
        }
    }
    camera.ask("Page.close", json!({})).await;
    viewer.until("document.querySelector('video') === null").await;
    assert_eq!(hub.present(), (2, 1));
}
