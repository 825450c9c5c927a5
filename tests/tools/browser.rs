//! Chromium without a window, and its pages, by the DevTools protocol. Shared by the tests that need a browser.

use futures_util::{SinkExt, StreamExt};
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

/// A running browser, which ends when it is dropped.
pub struct Browser {
    child: Child,
    port: u16,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    /// With a camera of its own, and a profile in this folder. `None`, and a line that says so, where there is no Chromium.
    pub async fn start(profile: &Path, options: &[&str]) -> Option<Self> {
        let program = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| {
            let version = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
            version.is_ok_and(|status| status.success())
        });
        let Some(program) = program else {
            println!("skipped: there is no Chromium (apt-get install chromium)");
            return None;
        };
        let child = Command::new(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--mute-audio"])
            .args(["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", "--remote-debugging-port=0"])
            // A tab that nobody looks at must go on.
            .args(["--disable-background-timer-throttling", "--disable-renderer-backgrounding"])
            .arg("--disable-backgrounding-occluded-windows")
            .args(options)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut browser = Self { child: child.unwrap(), port: 0 };
        let start = Instant::now();
        loop {
            let file = std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
            if let Some(port) = file.lines().next().and_then(|line| line.parse().ok()) {
                browser.port = port;
                return Some(browser);
            }
            assert!(start.elapsed() < LIMIT, "the browser does not start");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens a page.
    pub async fn open(&self, url: &str) -> Tab {
        let ask = format!("http://127.0.0.1:{}/json/new?{url}", self.port);
        let target =
            tokio::task::spawn_blocking(move || ureq::put(&ask).send_empty().unwrap().into_body().read_to_string());
        let target: Value = serde_json::from_str(&target.await.unwrap().unwrap()).unwrap();
        let (socket, _) = connect_async(target["webSocketDebuggerUrl"].as_str().unwrap()).await.unwrap();
        Tab { socket, asked: 0 }
    }
}

/// One open page.
pub struct Tab {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    asked: u64,
}

impl Tab {
    /// Asks by the DevTools protocol.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
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

    /// The value of an expression in the page; of a promise, what it comes to.
    pub async fn evaluate(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.ask("Runtime.evaluate", params).await;
        answer["result"]["value"].clone()
    }

    /// Waits until the expression is true.
    pub async fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.evaluate(expression).await != true {
            assert!(start.elapsed() < LIMIT, "{expression}: {}", self.evaluate("document.body?.innerText").await);
            sleep(Duration::from_millis(100)).await;
        }
        println!("{:6} ms  {expression}", start.elapsed().as_millis());
    }

    /// Writes what is to be seen into the folder that the variable `PORTAL_PICTURES` names, if there is one.
    pub async fn screenshot(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("PORTAL_PICTURES") else { return };
        let picture = self.ask("Page.captureScreenshot", json!({})).await;
        let bytes = data_encoding::BASE64.decode(picture["data"].as_str().unwrap().as_bytes()).unwrap();
        std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
    }
}
