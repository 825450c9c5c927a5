//! A graphics driver that fails when a test says so (`tests/tools/driver.c`), between the program and its real one.

use super::screens::{Screen, Shot, XServer};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// What the manifest calls it.
const LAYER: &str = "VK_LAYER_PORTAL_failing_driver";

/// The driver of one program. Its orders go through a file.
pub struct Driver {
    folder: tempfile::TempDir,
}

impl Driver {
    /// An error says why it cannot be made here.
    pub fn new() -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("libdriver.so");
        let compiled = Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg("tests/tools/driver.c")
            .status()
            .map_err(|error| format!("no C compiler for tests/tools/driver.c ({error})"))?;
        assert!(compiled.success());
        let manifest = serde_json::json!({
            "file_format_version": "1.1.2",
            "layer": {
                "name": LAYER,
                "type": "GLOBAL",
                "library_path": library,
                "api_version": "1.3.0",
                "implementation_version": "1",
                "description": "fails on order",
            },
        });
        std::fs::write(folder.path().join("driver.json"), manifest.to_string()).unwrap();
        Ok(Self { folder })
    }

    /// Tells it how to fail. The next call that this concerns does.
    pub fn order(&self, order: &str) {
        // At once or not at all: it may be reading.
        let half = self.folder.path().join("half");
        std::fs::write(&half, order).unwrap();
        std::fs::rename(half, self.file()).unwrap();
    }

    /// Waits until the order was taken.
    pub fn until_taken(&self) -> Instant {
        let start = Instant::now();
        while self.file().exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "nobody takes the order");
            std::thread::sleep(Duration::from_millis(1));
        }
        Instant::now()
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("order")
    }
}

/// A screen that is drawn on through the driver.
pub struct Through<'a>(pub &'a XServer, pub &'a Driver);

impl Screen for Through<'_> {
    fn environment(&self) -> Vec<(String, String)> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut environment = self.0.environment();
        environment.extend([
            ("VK_LAYER_PATH".to_owned(), text(self.1.folder.path().to_owned())),
            ("VK_INSTANCE_LAYERS".to_owned(), LAYER.to_owned()),
            ("PORTAL_TEST_DRIVER".to_owned(), text(self.1.file())),
        ]);
        environment
    }

    fn look(&self) -> Option<Shot> {
        self.0.look()
    }
}
